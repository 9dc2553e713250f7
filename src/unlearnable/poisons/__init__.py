"""Unlearnable examples: one class per method, each with an `apply(images, labels, …)` that returns poisoned images."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from unlearnable.poisons._base import Poison as Poison
    from unlearnable.poisons.clean import Clean as Clean
    from unlearnable.poisons.em import EM as EM
    from unlearnable.poisons.ops import OPS as OPS
    from unlearnable.poisons.tap import TAP as TAP

# Loaded on first use: a job needs one method, not the libraries of all.
_HOMES = {
    "Poison": "_base",
    "Clean": "clean",
    "EM": "em",
    "OPS": "ops",
    "TAP": "tap",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}.")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
