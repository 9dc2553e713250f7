"""Numbers that Python code waits for."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def to_host(*groups: Sequence[Tensor]) -> list[list[float]]:
    """The numbers in 0-dimensional tensors, group by group, in one transfer.

    A GPU works ahead of the Python code that drives it, up to where a number is asked for: so they are asked for together.

    Args:
        *groups: Tensors of one dtype each.
    """
    stacked = [torch.stack(list(group)) for group in groups if len(group)]
    if not stacked:
        return [[] for _ in groups]
    dtype = torch.float32 if stacked[0].device.type == "mps" else torch.float64
    numbers = iter(torch.cat([group.to(dtype) for group in stacked]).tolist())
    return [[next(numbers) for _ in group] for group in groups]
