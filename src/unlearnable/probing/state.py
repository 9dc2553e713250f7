"""Measuring without leaving a trace."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

_LOW_PRECISION = (torch.float16, torch.bfloat16)


@contextmanager
def borrowed(model: nn.Module) -> Iterator[None]:
    """Puts ``model`` into eval mode, in float32 and without gradients, and gives it back as it was, whatever happens
    inside.

    "As it was" means bit for bit, in the same memory: parameters, buffers, ``.grad``, ``requires_grad``, train/eval
    mode of each module, and the random state of torch (CPU and the model's device), numpy and Python.
    """
    parameters = [(p, p.data, p.requires_grad, p.grad) for p in model.parameters()]
    buffers = [
        (module, name, buffer, buffer.detach().clone())
        for module in model.modules()
        for name, buffer in module._buffers.items()
        if buffer is not None
    ]
    modes = [(module, module.training) for module in model.modules()]
    python_state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002 (it is put back, not used)
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    fused_attention = torch.backends.mha.get_fastpath_enabled()
    try:
        with (
            torch.random.fork_rng(devices=[device] if device.type == "cuda" else []),
            torch.inference_mode(False),
            torch.enable_grad(),
            torch.autocast(device.type, enabled=False),
            torch.autocast("cpu", enabled=False),
        ):
            # The fused inference kernel runs without gradients only: losses with and without them would differ by
            # rounding.
            torch.backends.mha.set_fastpath_enabled(False)
            model.eval()
            for parameter in model.parameters():
                parameter.requires_grad_(False)
                if parameter.dtype in _LOW_PRECISION:
                    parameter.data = parameter.data.float()
            for module, name, buffer, _ in buffers:
                if buffer.dtype in _LOW_PRECISION:
                    module._buffers[name] = buffer.float()
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused_attention)
        random.setstate(python_state)
        np.random.set_state(numpy_state)  # noqa: NPY002
        for parameter, data, requires_grad, grad in parameters:
            parameter.data = data
            parameter.requires_grad_(requires_grad)
            parameter.grad = grad
        for module, name, buffer, content in buffers:
            module._buffers[name] = buffer
            if not _same_bits(buffer, content):
                with torch.no_grad():
                    buffer.copy_(content)
        for module, training in modes:
            module.training = training


def unwrapped(model: nn.Module) -> nn.Module:
    """The module itself: wrappers would synchronise ranks, or run compiled code that cannot be looked into."""
    while isinstance(model, nn.parallel.DistributedDataParallel | nn.DataParallel) or hasattr(model, "_orig_mod"):
        model = model._orig_mod if hasattr(model, "_orig_mod") else model.module  # type: ignore[assignment]
    return model


def _same_bits(left: Tensor, right: Tensor) -> bool:
    # NaN differs from itself: such a buffer is copied back, which is harmless.
    return left.shape == right.shape and torch.equal(left, right)
