"""What every poison has to keep."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
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


def interrupt_at(call: int, module: ModuleType, name: str, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Ctrl-C at that call of a module's function, counted from 1; returns a list with one entry a call so far."""
    original, calls = getattr(module, name), list[int]()

    def interrupted(*given: Any, **options: Any) -> Any:
        calls.append(len(calls) + 1)
        if len(calls) == call:
            raise KeyboardInterrupt
        return original(*given, **options)

    monkeypatch.setattr(module, name, interrupted)
    return calls
