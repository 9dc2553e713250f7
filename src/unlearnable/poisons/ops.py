"""One-pixel shortcut (OPS)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from unlearnable.options import Number
from unlearnable.poisons.image.base import ImagePoison, Perturb
from unlearnable.poisons.image.budget import LEVELS, Norm
from unlearnable.poisons.image.training_set import Batch, TrainingSet

Spread = Literal["variance", "std"]


class OPS(ImagePoison):
    """One-pixel shortcut: all images of a class get the same colour at the same place.

    From `One-Pixel Shortcut: on the Learning Preference of Deep Neural Networks
    <https://arxiv.org/abs/2205.12141>`_ (Wu et al., ICLR 2023). For class k, over pixels σ and colours ξ ∈ {0, 1}^C,
    equation 6 searches the largest and most even change

        G(σ, ξ) = E_{x ∈ D_k}[Σ_c |x_{σ,c} − ξ_c|] / Var_{x ∈ D_k}[Σ_c |x_{σ,c} − ξ_c|].

    The public code, and APBench's, divide by the standard deviation, taken over images and channels together: the option
    `spread="std"`, which the paper's protocol takes (`experiment=cifar10`). Mean over variance is another, stronger
    poison; figures of the two do not compare. As in the public code, no two classes get the same pixel with the same
    colour. Pixels tie where the images of a class are constant, as in a black border; there the one nearest to the
    centre wins, the last that a random crop loses.

    Args:
        radius: Number k of pixels per class (the paper's method is k = 1).
        norm: `l0`; the colours are extreme, so no other budget fits.
        fraction: See `ImagePoison`.
        spread: What the mean change is divided by.
        batch_size: See `ImagePoison`.
    """

    def __init__(
        self,
        *,
        radius: Number = 1,
        norm: Norm = "l0",
        fraction: Number | Sequence[int] = 1.0,
        spread: Spread = "variance",
        batch_size: int = 128,
    ) -> None:
        super().__init__(radius=radius, norm=norm, fraction=fraction, batch_size=batch_size)
        if norm != "l0":
            raise ValueError(f"`norm` must be 'l0' for OPS, which sets whole pixels; got {norm!r}.")
        if spread not in get_args(Spread):
            raise ValueError(f"`spread` must be one of {', '.join(get_args(Spread))}; got {spread!r}.")
        self.spread = spread

    def prepare(self, data: TrainingSet) -> Perturb:
        """Searches every class's pixels and colours."""
        places, colours = self.search(data)
        places, colours = places.to(data.device), colours.to(data.device)

        def perturb(batch: Batch, generator: Generator) -> Tensor:  # noqa: ARG001
            flat = batch.levels.flatten(2)
            index = places[batch.labels].unsqueeze(1).expand(-1, flat.shape[1], -1)
            change = colours[batch.labels].movedim(2, 1) - flat.gather(2, index) / LEVELS
            return torch.zeros(flat.shape, device=flat.device).scatter_(2, index, change).view(batch.levels.shape)

        return perturb

    def search(self, data: TrainingSet) -> tuple[Tensor, Tensor]:
        """Returns every class's places [classes, k], as indices into h·w, and their colours [classes, k, channels]."""
        channels, height, width = data.shape
        palette = torch.tensor(list(product((0.0, 1.0), repeat=channels)))
        count = int(self.radius)
        down, right = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        distance = (2 * down - height + 1).square() + (2 * right - width + 1).square()
        inwards = distance.flatten().sort(stable=True).indices
        places = torch.zeros(data.num_classes, count, dtype=torch.long)
        colours = torch.zeros(data.num_classes, count, channels)
        taken = torch.zeros(len(palette), height * width, dtype=torch.bool)
        for label in data.bar(range(data.num_classes), "OPS: classes"):
            members = (data.labels == label).nonzero().squeeze(1)
            if len(members) == 0:
                continue
            score = self._score(data, members, palette).masked_fill_(taken, -1)
            # One colour a pixel: its best, so that k pixels are k different places.
            best, colour = score.max(0)
            chosen = inwards[best[inwards].sort(descending=True, stable=True).indices[:count]]
            places[label], colours[label] = chosen, palette[colour[chosen]]
            taken[colour[chosen], chosen] = True
        return places, colours

    def _score(self, data: TrainingSet, members: Tensor, palette: Tensor) -> Float[Tensor, "colours pixels"]:
        """G for all colours and pixels at once, from sums of powers that one pass over the class collects.

        As ξ_c is 0 or 1, |x_c − ξ_c| is ξ_c + (1 − 2ξ_c)·x_c: linear in x, so the two moments of the sum over channels
        follow from the means and the covariance of the channels, and the eight colours need no eight passes. Moments
        are taken in grey levels, whose sums over up to 257 images are whole numbers that floats hold exactly.
        """
        channels = data.shape[0]
        pixels = data.shape[1] * data.shape[2]
        first = torch.zeros(channels, pixels, dtype=torch.float64)
        second = torch.zeros(channels, channels, pixels, dtype=torch.float64)
        for batch in data.batches(self.batch_size, rows=members):
            flat = batch.levels.float().flatten(2)
            first += flat.sum(0).cpu()
            second += torch.stack([(flat[:, c, None] * flat).sum(0) for c in range(channels)]).cpu()
        mean, moment = first / (LEVELS * len(members)), second / (LEVELS**2 * len(members))
        sign = 1 - 2 * palette.double()
        offset = palette.double().sum(1, keepdim=True)
        change = offset + sign @ mean  # mean of the sum over channels
        if self.spread == "variance":
            covariance = moment - mean[:, None] * mean[None, :]
            variance = torch.einsum("kc,kd,cdp->kp", sign, sign, covariance)
            return change / variance.clamp_min(1e-12)
        # Mean of squares over images and channels: |x − ξ|² is x² where ξ = 0 and 1 − 2x + x² where ξ = 1.
        squares = torch.diagonal(moment).T.sum(0) + palette.double() @ (1 - 2 * mean)
        average = change / channels
        variance = squares / channels - average.square()
        return average / variance.clamp_min(1e-12).sqrt()
