"""Single precision that is single precision."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch

#: How to read a switch, how to set it, and its setting for float32 as IEEE 754 has it.
_Switch = tuple[Callable[[], Any], Callable[[Any], None], Any]


@contextmanager
def ieee_float32() -> Iterator[None]:
    """Convolutions, matrix products and recurrent layers of float32 compute in float32, not in TF32 or bfloat16.

    PyTorch lets convolutions on GPUs round to the 10 bits of TF32 unless told otherwise. The switches are given back as
    they were, whatever happens inside.
    """
    switches = [*_old_switches(), *_new_switches()]
    before = [_setting(read) for read, _, _ in switches]
    try:
        _set([(put, exact) for (_, put, exact), found in zip(switches, before, strict=True) if found is not None])
        yield
    finally:
        _set([(put, found) for (_, put, _), found in zip(switches, before, strict=True) if found is not None])


def _old_switches() -> list[_Switch]:
    """PyTorch's switches up to 2.8. Each sets new ones too, and products fail where old and new contradict each other:
    so both are set, the old ones first.
    """
    cudnn, products = torch.backends.cudnn, torch.backends.cuda.matmul
    return [
        (partial(getattr, cudnn, "allow_tf32"), partial(setattr, cudnn, "allow_tf32"), False),
        (partial(getattr, products, "allow_tf32"), partial(setattr, products, "allow_tf32"), False),
        (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision, "highest"),
    ]


def _new_switches() -> list[_Switch]:
    """Those from 2.9 on: one for each kind of operation."""
    backends, name = torch.backends, "fp32_precision"
    kinds = [(backends.cudnn, "conv"), (backends.cudnn, "rnn"), (backends.cuda, "matmul")]
    kinds += [(backends.mkldnn, "conv"), (backends.mkldnn, "rnn"), (backends.mkldnn, "matmul")]
    found = [getattr(backend, kind, None) for backend, kind in kinds]
    return [
        (partial(getattr, kind, name), partial(setattr, kind, name), "ieee") for kind in found if hasattr(kind, name)
    ]


def _setting(read: Callable[[], Any]) -> Any:
    """What a switch is set to; None where PyTorch refuses to say, as the new ones say more than an old one can."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some versions call the old switches deprecated
        try:
            return read()
        except RuntimeError:
            return None


def _set(settings: list[tuple[Callable[[Any], None], Any]]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for put, setting in settings:
            put(setting)
