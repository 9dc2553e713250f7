"""Unlearnable examples: one class per method, each with an `apply(images, labels, …)` that returns poisoned images."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from unlearnable.poisons.ar import AR as AR
    from unlearnable.poisons.clean import Clean as Clean
    from unlearnable.poisons.dc import DC as DC
    from unlearnable.poisons.em import EM as EM
    from unlearnable.poisons.em_multi import EMMulti as EMMulti
    from unlearnable.poisons.exporting import export as export
    from unlearnable.poisons.folder import Folder as Folder
    from unlearnable.poisons.hypo import Hypo as Hypo
    from unlearnable.poisons.image.base import Poison as Poison
    from unlearnable.poisons.lsp import LSP as LSP
    from unlearnable.poisons.ntga import NTGA as NTGA
    from unlearnable.poisons.ops import OPS as OPS
    from unlearnable.poisons.random import RandomNoise as RandomNoise
    from unlearnable.poisons.rem import REM as REM
    from unlearnable.poisons.tap import TAP as TAP

# Loaded on first use: a job needs one method, not the libraries of all.
_HOMES = {
    "AR": "ar",
    "Clean": "clean",
    "DC": "dc",
    "EM": "em",
    "EMMulti": "em_multi",
    "Folder": "folder",
    "Hypo": "hypo",
    "LSP": "lsp",
    "NTGA": "ntga",
    "OPS": "ops",
    "Poison": "image.base",
    "REM": "rem",
    "RandomNoise": "random",
    "TAP": "tap",
    "export": "exporting",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}.")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
