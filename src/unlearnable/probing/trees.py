"""Nested batches: tensors in tuples, lists and dicts."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

_LOW_PRECISION = (torch.float16, torch.bfloat16)


def mapped(tree: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """``tree`` with every tensor changed; containers of tensors keep their types, anything else is passed on."""
    if isinstance(tree, Tensor):
        return change(tree)
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*(mapped(entry, change) for entry in tree))
    if isinstance(tree, list | tuple):
        return type(tree)(mapped(entry, change) for entry in tree)
    if isinstance(tree, Mapping):
        items = {key: mapped(entry, change) for key, entry in tree.items()}
        return items if type(tree) is dict else type(tree)(items)  # type: ignore[call-arg]
    return tree


def is_plain(tree: Any) -> bool:
    """Whether ``tree`` is tensors, numbers, words and None in tuples, lists and dicts, so that nothing hides in it.

    Objects of other classes, subclasses of containers among them, may hold tensors that would be missed.
    """
    if tree is None or isinstance(tree, Tensor | bool | int | float | complex | str):
        return True
    if type(tree) in (list, tuple) or (isinstance(tree, tuple) and hasattr(tree, "_fields")):
        return all(map(is_plain, tree))
    return type(tree) in (dict, OrderedDict) and all(map(is_plain, tree.values()))


def is_by_sample(tree: Any, size: int) -> bool:
    """Whether ``tree`` is tensors alone, each with ``size`` samples along its first axis."""
    if isinstance(tree, Tensor):
        return tree.ndim > 0 and len(tree) == size
    if isinstance(tree, list | tuple | Mapping):
        entries = tree.values() if isinstance(tree, Mapping) else tree
        return all(is_by_sample(entry, size) for entry in entries)
    return False


def tensors(tree: Any) -> Iterator[Tensor]:
    """The tensors of ``tree``, in order."""
    if isinstance(tree, Tensor):
        yield tree
    elif isinstance(tree, Mapping):
        for entry in tree.values():
            yield from tensors(entry)
    elif isinstance(tree, list | tuple):
        for entry in tree:
            yield from tensors(entry)


def first_tensor(tree: Any, name: str) -> Tensor:
    """The first tensor of ``tree``, whose first dimension counts samples.

    Raises:
        ValueError: If there is none, or it has no dimensions.
    """
    found = next(tensors(tree), None)
    if found is None or found.ndim == 0:
        raise ValueError(
            f"`{name}` of a batch must hold a tensor with samples along its first dimension; got {type(tree).__name__}."
        )
    return found


def moved(tree: Any, device: torch.device) -> Any:
    """``tree`` on ``device``, usable by autograd, 16-bit floats as float32."""

    def ready(tensor: Tensor) -> Tensor:
        on_device = tensor.to(device, torch.float32 if tensor.dtype in _LOW_PRECISION else tensor.dtype)
        # Tensors made in inference mode, as by a validation loop, cannot take part in a backward pass.
        return on_device.clone() if on_device.is_inference() else on_device

    return mapped(tree, ready)
