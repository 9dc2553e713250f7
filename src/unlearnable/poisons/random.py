"""Random noise."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Generator, Tensor

from unlearnable.options import Number, switch
from unlearnable.poisons.image.base import ImagePoison, Perturb
from unlearnable.poisons.image.budget import Norm
from unlearnable.poisons.image.training_set import Batch, TrainingSet


class RandomNoise(ImagePoison):
    """Random noise at the full budget, per image or per class: the baseline that every method has to beat.

    For ℓ∞ every entry is +radius or −radius with equal chance, the strongest such noise; for ℓ2 the direction is
    uniform; for ℓ0 `radius` random pixels become random extreme colours. Class-wise random noise is known to be
    unlearnable by itself (Huang et al., 2021, §4); sample-wise noise is not.

    Args:
        radius: See `ImagePoison`.
        norm: See `ImagePoison`.
        fraction: See `ImagePoison`.
        classwise: One noise per class instead of one per image.
        batch_size: See `ImagePoison`.
    """

    def __init__(
        self,
        *,
        radius: Number,
        norm: Norm = "linf",
        fraction: Number | Sequence[int] = 1.0,
        classwise: bool = True,
        batch_size: int = 128,
    ) -> None:
        super().__init__(radius=radius, norm=norm, fraction=fraction, batch_size=batch_size)
        self.classwise = switch("classwise", classwise)

    def prepare(self, data: TrainingSet) -> Perturb:
        """Draws the classes' patterns, for the class-wise form."""
        if self.classwise:
            patterns = self._draw(data.num_classes, data.shape, data.stream("random"))
            return lambda batch, generator: self._fit(patterns[batch.labels.cpu()], batch)  # noqa: ARG005
        return lambda batch, generator: self._fit(self._draw(len(batch.rows), data.shape, generator), batch)

    def _draw(self, count: int, shape: tuple[int, int, int], generator: Generator) -> Tensor:
        """Noise [count, c, h, w]; for ℓ0 NaN where nothing changes, and the colour that replaces the pixel elsewhere."""
        if self.norm == "l2":
            noise = torch.randn(count, *shape, generator=generator)
            return noise * (self.radius / noise.flatten(1).norm(dim=1)).view(-1, 1, 1, 1)
        signs = torch.randint(0, 2, (count, *shape), generator=generator).float()
        if self.norm == "linf":
            return (signs * 2 - 1) * self.radius
        order = torch.rand(count, 1, shape[1] * shape[2], generator=generator).argsort(dim=2)
        chosen = torch.zeros_like(order, dtype=torch.bool).scatter_(2, order[:, :, : int(self.radius)], True)
        return torch.where(chosen.view(count, 1, *shape[1:]), signs, torch.nan)

    def _fit(self, noise: Tensor, batch: Batch) -> Tensor:
        noise = noise.to(batch.labels.device)
        return (noise - batch.images).nan_to_num(0.0) if self.norm == "l0" else noise
