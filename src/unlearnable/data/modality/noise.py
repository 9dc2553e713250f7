"""What a perturbation is: its norms, and how many images it changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import torch
from jaxtyping import UInt8
from torch import Tensor


@dataclass(frozen=True)
class Description:
    """Norms of a perturbation over all images.

    Attributes:
        images: Number of images.
        changed: Share of the images that differ from the clean ones, in [0, 1].
        linf_max: Largest change of a pixel's channel, on the [0, 1] scale.
        linf_mean: Mean over the changed images of their largest change.
        l2_max: Largest ℓ2 norm of an image's change, on the [0, 1] scale.
        l2_mean: Mean over the changed images.
        l0_max: Largest number of changed pixels (places, whichever channels) in an image.
        l0_mean: Mean over the changed images.
    """

    images: int
    changed: float
    linf_max: float
    linf_mean: float
    l2_max: float
    l2_mean: float
    l0_max: int
    l0_mean: float

    def as_dict(self) -> dict[str, float]:
        """The values as plain numbers, for logs and result files."""
        return asdict(self)

    def __str__(self) -> str:
        return (
            f"{self.changed:.1%} of {self.images} images changed; largest (mean of the changed) norms: "
            f"linf {self.linf_max * 255:.0f}/255 ({self.linf_mean * 255:.1f}/255), "
            f"l2 {self.l2_max:.3f} ({self.l2_mean:.3f}), l0 {self.l0_max} ({self.l0_mean:.1f}) pixels"
        )


def describe(
    clean: UInt8[Tensor, "n c h w"], poisoned: UInt8[Tensor, "n c h w"], *, batch_size: int = 1024
) -> Description:
    """Measures the perturbation between two sets of images, row by row and in batches.

    Raises:
        ValueError: If the shapes differ or there are no images.
    """
    if clean.shape != poisoned.shape:
        raise ValueError(
            f"`poisoned` must have the shape of `clean`, {tuple(clean.shape)}; got {tuple(poisoned.shape)}."
        )
    if len(clean) == 0:
        raise ValueError("`clean` must hold at least one image; got none.")
    linf, l2, l0 = [], [], []
    for before, after in zip(clean.split(batch_size), poisoned.split(batch_size), strict=True):
        change = (after.to(torch.int16) - before.to(torch.int16)).abs()
        linf.append(change.flatten(1).amax(1).double() / 255)
        l2.append((change.flatten(1).double() / 255).norm(dim=1))
        l0.append((change.amax(1) > 0).flatten(1).sum(1))
    norms: Mapping[str, Tensor] = {"linf": torch.cat(linf), "l2": torch.cat(l2), "l0": torch.cat(l0)}
    changed = norms["l0"] > 0
    count = int(changed.sum())

    def mean(values: Tensor) -> float:
        return float(values[changed].double().mean()) if count else 0.0

    return Description(
        images=len(clean),
        changed=count / len(clean),
        linf_max=float(norms["linf"].max()),
        linf_mean=mean(norms["linf"]),
        l2_max=float(norms["l2"].max()),
        l2_mean=mean(norms["l2"]),
        l0_max=int(norms["l0"].max()),
        l0_mean=mean(norms["l0"]),
    )
