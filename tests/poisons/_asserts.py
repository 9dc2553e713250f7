"""What every poison has to keep."""

from __future__ import annotations

import torch
from torch import Tensor

from unlearnable.data.samples import Samples


def norms(clean: Tensor, poisoned: Tensor) -> dict[str, Tensor]:
    """Every image's change on the [0, 1] scale, by the plain definitions."""
    change = poisoned.double() / 255 - clean.double() / 255
    return {
        "linf": change.abs().flatten(1).max(1).values,
        "l2": change.square().flatten(1).sum(1).sqrt(),
        "l0": (change != 0).any(1).flatten(1).sum(1).double(),
    }


def assert_in_budget(clean: Samples, poisoned: Samples, radius: float, norm: str) -> None:
    """8 bits, the same shape, and within the budget as rounded. (8 bits are in range and on the grid by type.)"""
    assert poisoned.inputs.dtype == torch.uint8
    assert poisoned.inputs.shape == clean.inputs.shape
    assert torch.equal(poisoned.labels, clean.labels)
    assert norms(clean.inputs, poisoned.inputs)[norm].max() <= radius + 1e-6
