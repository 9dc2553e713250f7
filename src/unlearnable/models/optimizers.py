"""Optimizers that take SGD's arguments, so that a data set can ask for another one in a model's configuration."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn


def adamw(parameters: Iterable[nn.Parameter], *, lr: float, momentum: float, weight_decay: float) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter, ICLR 2019), β₂ = 0.999.

    Args:
        parameters: What is trained.
        lr: Learning rate.
        momentum: β₁, the decay of the gradients' mean.
        weight_decay: Decoupled; times the learning rate it is what a weight loses in a step.
    """
    return torch.optim.AdamW(parameters, lr=lr, betas=(momentum, 0.999), weight_decay=weight_decay)
