"""Linearly separable perturbations (LSP)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache, partial

import torch
from jaxtyping import Float64
from torch import Generator, Tensor

from unlearnable.options import Number, number, whole
from unlearnable.poisons.image.base import ImagePoison, Perturb
from unlearnable.poisons.image.budget import Norm
from unlearnable.poisons.image.training_set import Batch, TrainingSet

_CACHE_BYTES = 2**28


class LSP(ImagePoison):
    """Linearly separable perturbations: coarse patches of colour, drawn from one Gaussian cluster per class.

    From `Availability Attacks Create Shortcuts <https://arxiv.org/abs/2111.00898>`_ (Yu et al., KDD 2022), Algorithm 2.
    An image of d = c·⌈h/p⌉·⌈w/p⌉ numbers is drawn as z·A_k + m_k with z ~ N(0, I), a random A_k with entries uniform in
    [−1, 1], and the centres m_k on different corners of the cube {−s, s}^d: scikit-learn's `make_classification` with
    one cluster per class, which the public code calls. Each number fills a p×p patch, and the whole is scaled to the
    budget: to length `radius` for ℓ2, to the largest entry `radius` for ℓ∞.

    Args:
        radius: See `ImagePoison`; the public code's ℓ2 budget is 6/255·√(c·h·w), 1.304 on 32×32 images.
        norm: `l2` or `linf`.
        fraction: See `ImagePoison`.
        patch_size: p in pixels; None means a quarter of the height, 8 on 32×32 images.
        class_sep: s; half the edge of the cube that the clusters sit on.
        batch_size: See `ImagePoison`.
    """

    def __init__(
        self,
        *,
        radius: Number,
        norm: Norm = "l2",
        fraction: Number | Sequence[int] = 1.0,
        patch_size: int | None = None,
        class_sep: Number = 10.0,
        batch_size: int = 128,
    ) -> None:
        super().__init__(radius=radius, norm=norm, fraction=fraction, batch_size=batch_size)
        if norm == "l0":
            raise ValueError("`norm` must be 'l2' or 'linf' for LSP, which changes every pixel; got 'l0'.")
        self.patch_size = None if patch_size is None else whole("patch_size", patch_size)
        self.class_sep = number("class_sep", class_sep, above=0)

    def prepare(self, data: TrainingSet) -> Perturb:
        """Draws the clusters."""
        channels, height, width = data.shape
        patch = self.patch_size or max(1, height // 4)
        rows, columns = -(-height // patch), -(-width // patch)
        size = channels * rows * columns
        centres = self._centres(data.num_classes, size, data.stream("lsp", "centres"))
        # As many of the A_k as _CACHE_BYTES hold: all of the usual ones, few where patches are single pixels.
        mixing = lru_cache(max(1, _CACHE_BYTES // (8 * size**2)))(partial(self.mixing, data, size=size))

        def perturb(batch: Batch, generator: Generator) -> Tensor:
            coarse = torch.empty(len(batch.rows), size, dtype=torch.float64)
            labels = batch.labels.cpu()
            for label in labels.unique().tolist():
                members = labels == label
                coarse[members] = self.draw(centres[label], mixing(label), int(members.sum()), generator)
            fine = coarse.to(data.device, torch.float32).view(-1, channels, rows, columns)
            fine = fine.repeat_interleave(patch, 2).repeat_interleave(patch, 3)[:, :, :height, :width]
            flat = fine.flatten(1)
            length = flat.norm(dim=1) if self.norm == "l2" else flat.abs().amax(1)
            return fine * (self.radius / length).view(-1, 1, 1, 1)

        return perturb

    @staticmethod
    def mixing(data: TrainingSet, label: int, size: int) -> Float64[Tensor, "d d"]:
        """A_k: drawn from the class's own stream, so that it is the same whenever it is needed."""
        generator = data.stream("lsp", "mixing", label)
        return torch.rand(size, size, generator=generator, dtype=torch.float64) * 2 - 1

    @staticmethod
    def draw(
        centre: Float64[Tensor, " d"], mixing: Float64[Tensor, "d d"], count: int, generator: Generator
    ) -> Float64[Tensor, "m d"]:
        """Draws from one class's cluster: z·A_k + m_k."""
        return torch.randn(count, len(centre), generator=generator, dtype=torch.float64) @ mixing + centre

    def _centres(self, num_classes: int, size: int, generator: Generator) -> Float64[Tensor, "classes d"]:
        """Different corners of the cube, one per class."""
        if size < 63 and num_classes > 2**size:
            raise ValueError(
                f"`patch_size` leaves {size} numbers per image, whose {2**size} corners are fewer than the "
                f"{num_classes} classes; make it smaller."
            )
        corners: dict[tuple[int, ...], None] = {}
        while len(corners) < num_classes:
            corners[tuple(torch.randint(0, 2, (size,), generator=generator).tolist())] = None
        return (torch.tensor(list(corners), dtype=torch.float64) * 2 - 1) * self.class_sep
