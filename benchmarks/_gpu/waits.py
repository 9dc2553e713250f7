"""How often the host waits for the device."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

_SYNC = "called a synchronizing CUDA operation"


_ATEN = torch.ops.aten
#: Whose results' values or shapes the host must know.
_WAITING = {
    _ATEN._local_scalar_dense.default: "a number is read",
    _ATEN.nonzero.default: "places are counted",
    _ATEN.masked_select.default: "places are counted",
    _ATEN.bincount.default: "places are counted",
    _ATEN._unique2.default: "values are counted",
    _ATEN.unique_dim.default: "values are counted",
    _ATEN.equal.default: "tensors are compared",
}


class _Reads(TorchDispatchMode):
    """Counts on a CPU what would be waits on a GPU, but for copies."""

    def __init__(self, places: Counter[str]) -> None:
        super().__init__()
        self.places = places

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in _WAITING:
            self.places[_WAITING[func]] += 1
        elif func in (_ATEN.index.Tensor, _ATEN.index_put_.default) and any(
            index is not None and index.dtype in (torch.bool, torch.uint8) for index in args[1]
        ):
            self.places["places are counted"] += 1
        return func(*args, **(kwargs or {}))


@contextmanager
def counted(device: torch.device) -> Iterator[Counter[str]]:
    """Counts the waits within the block by the line of Python that caused them.

    On a GPU these are the warnings of `torch.cuda.set_sync_debug_mode`; on a CPU the operations that would wait there,
    without blocking copies.
    """
    places: Counter[str] = Counter()
    if device.type != "cuda":
        with _Reads(places):
            yield places
        return

    def note(message: Any, category: Any, filename: str, lineno: int, *_: Any) -> None:
        if _SYNC in str(message):
            path = Path(filename)
            places[f"{path.parent.name}/{path.name}:{lineno}"] += 1
        else:
            show(message, category, filename, lineno)

    show = warnings.showwarning
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*debug mode is a prototype.*")
        warnings.filterwarnings("always", message=f".*{_SYNC}.*")
        warnings.showwarning = note
        torch.cuda.synchronize(device)
        torch.cuda.set_sync_debug_mode("warn")
        try:
            yield places
        finally:
            torch.cuda.set_sync_debug_mode("default")


def most(places: Counter[str], count: int = 12) -> dict[str, int]:
    return dict(places.most_common(count))
