"""Autoregressive perturbations (AR)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Generator, Tensor
from torch.nn import functional as F
from typing_extensions import override

from unlearnable.data.samples import Samples
from unlearnable.options import Number, existing_file, number, whole
from unlearnable.poisons.image.base import ImagePoison, Perturb
from unlearnable.poisons.image.budget import Norm
from unlearnable.poisons.image.training_set import Batch, TrainingSet, classes_of, images_of

_MARGIN = 4
"""Rows and columns that are generated first and cut off, so that the start signal does not show."""


class AR(ImagePoison):
    """Autoregressive perturbations: noise whose every value is a fixed linear function of its neighbours.

    From `Autoregressive Perturbations for Data Poisoning <https://arxiv.org/abs/2206.03693>`_ (Sandoval-Segura et al.,
    NeurIPS 2022). Class k has one process per channel, with coefficients β on a 3×3 window whose last is zero and
    whose sum is one:

        x_{i,j} = Σ_{p,q ∈ {0,1,2}} β_{2−p,2−q} · x_{i−p,j−q},

    run from two rows and two columns of Gaussian noise, cut to the image and scaled to length `radius`. A 3×3 filter
    with β and −1 in the last place answers zero to its own class's noise, which is the shortcut. Each image has its
    own start, so no two noises are equal.

    The processes are searched as in the paper's Algorithm 3: random coefficients are kept if their noise does not
    grow beyond `max_length` and if the filters of the processes found before answer to it with at least
    `min_response`. Or they are loaded from a file of the public code's layout, such as its
    `params-classes-10-mr-10.pt`.

    Args:
        radius: See `ImagePoison`; the paper's is ℓ2 1.0 on 32×32 images.
        norm: `l2` or `linf`; the noise is scaled to it.
        fraction: See `ImagePoison`.
        params: A file with the classes' coefficients, a tensor [classes, channels, 3, 3] or a list of such; None
            searches them.
        min_response: Least sum of the positive answers of an earlier filter to the new noise (of unit length). The
            paper's are 10 for 10 classes, 3 for 100; None takes 10 up to ten classes and 3 for more.
        max_length: Largest length ‖x‖₂ of the unscaled 32×32 noise, all channels together, of a process that counts as
            stable, as in the public code.
        max_candidates: Random windows after which the search gives up.
        batch_size: See `ImagePoison`.
    """

    def __init__(
        self,
        *,
        radius: Number,
        norm: Norm = "l2",
        fraction: Number | Sequence[int] = 1.0,
        params: str | Path | None = None,
        min_response: Number | None = None,
        max_length: Number = 50,
        max_candidates: int = 400_000,
        batch_size: int = 128,
    ) -> None:
        super().__init__(radius=radius, norm=norm, fraction=fraction, batch_size=batch_size)
        if norm == "l0":
            raise ValueError("`norm` must be 'l2' or 'linf' for AR, which changes every pixel; got 'l0'.")
        self.min_response = None if min_response is None else number("min_response", min_response, at_least=0)
        self.max_length = number("max_length", max_length, above=0)
        self.max_candidates = whole("max_candidates", max_candidates)
        self.params = None if params is None else existing_file("params", params, what="AR coefficients")
        self.coefficients = None if self.params is None else load_coefficients(self.params)

    @property
    @override
    def files(self) -> tuple[Path, ...]:
        return () if self.params is None else (self.params,)

    @override
    def check(self, samples: Samples) -> None:
        """Also checks that loaded coefficients are enough for the classes and channels."""
        super().check(samples)
        found, channels, num_classes = self.coefficients, images_of(samples).shape[1], classes_of(samples)[1]
        if found is not None and (len(found) < num_classes or found.shape[1] != channels):
            raise ValueError(
                f"`params` must hold coefficients for {num_classes} classes of {channels} channels; "
                f"found {len(found)} of {found.shape[1]}."
            )

    def prepare(self, data: TrainingSet) -> Perturb:
        """Finds the classes' processes, if they are not given."""
        channels, height, width = data.shape
        coefficients = self.coefficients
        if coefficients is None:
            coefficients = self.search(data.num_classes, channels, data.stream("ar", "search"))
        coefficients = coefficients.to(data.device)

        def perturb(batch: Batch, generator: Generator) -> Tensor:
            start = torch.randn(len(batch.rows), channels, height + _MARGIN, width + _MARGIN, generator=generator).to(
                data.device
            )
            noise = autoregress(coefficients[batch.labels], start)[:, :, _MARGIN:, _MARGIN:].contiguous()
            flat = noise.flatten(1)
            length = flat.norm(dim=1) if self.norm == "l2" else flat.abs().amax(1)
            if not torch.isfinite(length).all() or (length == 0).any():
                raise ValueError(
                    f"`params` describes a process that does not stay finite and non-zero on {height}×{width} images."
                )
            return noise * (self.radius / length).view(-1, 1, 1, 1)

        return perturb

    def search(self, num_classes: int, channels: int, generator: Generator) -> Float[Tensor, "classes c 3 3"]:
        """Finds the classes' coefficients, on 32×32 noise as the paper does.

        Raises:
            RuntimeError: If `max_candidates` do not contain enough processes.
        """
        required = self.min_response if self.min_response is not None else (10.0 if num_classes <= 10 else 3.0)
        kept: list[Tensor] = []
        pool, trials = 3000, 3
        for _ in range(-(-self.max_candidates // pool)):
            # Channels are independent, and stable or not each by itself: reject them one by one, not in threes.
            stable, squares = draw_coefficients(pool, 1, generator), torch.zeros(pool, 0)
            for _ in range(trials):
                noise = autoregress(stable, torch.randn(len(stable), 1, 36, 36, generator=generator))
                square = noise[:, :, _MARGIN:, _MARGIN:].square().sum(dim=(1, 2, 3))
                short = (square <= self.max_length**2) & (square > 0)  # false for what is not finite
                stable, squares = stable[short], torch.cat([squares, square[:, None]], 1)[short]
            count = len(stable) // channels
            candidates = stable[: count * channels].view(count, channels, 3, 3)
            together = squares[: count * channels].view(count, channels, trials).sum(1)
            candidates = candidates[(together <= self.max_length**2).all(1)]
            count = len(candidates)
            noise = autoregress(candidates, torch.randn(count, channels, 36, 36, generator=generator))
            noise = noise[:, :, _MARGIN:, _MARGIN:]
            unit = noise / noise.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
            for candidate, answers in zip(candidates, unit, strict=True):
                if kept and not response(torch.stack(kept), answers[None]).min() >= required:
                    continue
                kept.append(candidate)
                if len(kept) == num_classes:
                    return torch.stack(kept)
        raise RuntimeError(
            f"AR found {len(kept)} of {num_classes} processes with `min_response` {required:g} in "
            f"{self.max_candidates} random windows; lower `min_response` or raise `max_candidates`."
        )


def draw_coefficients(count: int, channels: int, generator: Generator) -> Float[Tensor, "n c 3 3"]:
    """Gaussian coefficients, the last one zero, divided by their sum."""
    coefficients = torch.randn(count, channels, 9, generator=generator)
    coefficients[..., 8] = 0
    return (coefficients / coefficients.sum(2, keepdim=True)).view(count, channels, 3, 3)


def autoregress(coefficients: Float[Tensor, "n c 3 3"], start: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
    """Runs one process per image and channel from the first two rows and columns of `start`.

    A value depends on its upper left window alone, so all values of one anti-diagonal follow from the four
    anti-diagonals before it: h + w steps for the whole batch instead of h·w. With the images in the last place an
    anti-diagonal is every (w − 1)-th row of one matrix, a view, and each step runs along memory.
    """
    count, channels, height, width = start.shape
    # A copy in any case: of one image and channel the reshaped start would be a view, and be written over.
    cells = start.permute(2, 3, 0, 1).clone(memory_format=torch.contiguous_format).view(height * width, -1)
    # How far back each neighbour lies among the cells, and its weight for every image and channel.
    window = [(p * width + q, coefficients[:, :, 2 - p, 2 - q].flatten()) for p in range(3) for q in range(3) if p + q]
    for diagonal in range(4, height + width - 1):
        top, bottom = max(2, diagonal - width + 1), min(height - 1, diagonal - 2)
        first, last = top * (width - 1) + diagonal, bottom * (width - 1) + diagonal
        value = cells[first : last + 1 : width - 1].zero_()
        for back, weight in window:
            value.addcmul_(weight, cells[first - back : last - back + 1 : width - 1])
    return cells.view(height, width, count, channels).permute(2, 3, 0, 1)


def matching_filter(coefficients: Float[Tensor, "n c 3 3"]) -> Float[Tensor, "n c 3 3"]:
    """The filters that answer zero to the processes' own noise: the coefficients with −1 in the last place."""
    filters = coefficients.clone()
    filters[..., 2, 2] = -1
    return filters


def response(coefficients: Float[Tensor, "k c 3 3"], noise: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
    """Sum of the positive answers of each process's filter (over the channels' sum) to each noise."""
    return F.relu(F.conv2d(noise, matching_filter(coefficients))).sum(dim=(2, 3))


def load_coefficients(path: Path) -> Float[Tensor, "classes c 3 3"]:
    """Reads coefficients saved by torch, without running anything that the file may hold.

    Raises:
        ValueError: If the file holds something else.
    """
    try:
        value = torch.load(path, weights_only=True, map_location="cpu")
    except Exception as error:
        raise ValueError(f"`params`: {path} cannot be read as tensors alone ({error}).") from error
    parts = value if isinstance(value, (list, tuple)) else [value]
    if not all(isinstance(part, Tensor) for part in parts):
        raise ValueError(f"`params`: {path} must hold a tensor [classes, channels, 3, 3] or a list of such.")
    stacked = torch.stack(list(parts)) if parts and parts[0].ndim == 3 else torch.cat(list(parts))
    if stacked.ndim != 4 or stacked.shape[2:] != (3, 3) or not torch.isfinite(stacked).all():
        raise ValueError(
            f"`params`: {path} must hold finite coefficients [classes, channels, 3, 3]; found {tuple(stacked.shape)}."
        )
    if (stacked[..., 2, 2] != 0).any():
        raise ValueError(
            f"`params`: the last coefficient of each 3×3 window in {path} must be 0: it is the value itself."
        )
    return stacked.float()
