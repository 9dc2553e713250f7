"""Measuring without leaving a trace."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor, nn

from unlearnable.probing.host import to_host
from unlearnable.probing.precision import ieee_float32

_DETERMINISTIC: Any = torch.utils.deterministic  # a module with a property
_LOW_PRECISION = (torch.float16, torch.bfloat16)


@contextmanager
def borrowed(model: nn.Module) -> Iterator[None]:
    """Puts ``model`` into eval mode, in float32 and without gradients, and gives it back as it was, whatever happens
    inside.

    "As it was" means bit for bit, in the same memory: parameters, buffers, ``.grad``, ``requires_grad``, train/eval
    mode of each module, and the random state of torch (CPU and the model's device), numpy and Python. Inside, float32
    is computed as such, and what was compiled runs as it was written.
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
    device = device_of(model)
    torch_states = [(generator, generator.get_state()) for generator in generators(device)]
    fused_attention, fill = torch.backends.mha.get_fastpath_enabled(), _DETERMINISTIC.fill_uninitialized_memory
    try:
        with (
            torch.inference_mode(False),
            torch.enable_grad(),
            torch.autocast(device.type, enabled=False),
            torch.autocast("cpu", enabled=False),
            ieee_float32(),
            _uncompiled(),
        ):
            # The fused inference kernel runs without gradients only: losses with and without them would differ by
            # rounding.
            torch.backends.mha.set_fastpath_enabled(False)
            # Deterministic algorithms need no memory filled before it is written; filling is a kernel a tensor.
            _DETERMINISTIC.fill_uninitialized_memory = False
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
        _DETERMINISTIC.fill_uninitialized_memory = fill
        random.setstate(python_state)
        np.random.set_state(numpy_state)  # noqa: NPY002
        for generator, state in torch_states:
            generator.set_state(state)
        for parameter, data, requires_grad, grad in parameters:
            parameter.data = data
            parameter.requires_grad_(requires_grad)
            parameter.grad = grad
        for module, training in modes:
            module.training = training
        for module, name, buffer, _ in buffers:
            module._buffers[name] = buffer
        same = _same_bits([(buffer, content) for _, _, buffer, content in buffers])
        for (_, _, buffer, content), unchanged in zip(buffers, same, strict=True):
            if not unchanged:
                with torch.no_grad():
                    buffer.copy_(content)


def device_of(model: nn.Module) -> torch.device:
    """Where the model is: its first parameter's device."""
    return next((p.device for p in model.parameters()), torch.device("cpu"))


def generators(device: torch.device) -> list[Generator]:
    """The global generators that a model on ``device`` draws from: the CPU's, and that of its own GPU."""
    found = [torch.default_generator]
    if device.type == "cuda":
        torch.cuda.init()
        index = torch.cuda.current_device() if device.index is None else device.index
        found.append(torch.cuda.default_generators[index])
    return found


def unwrapped(model: nn.Module) -> nn.Module:
    """The module itself: wrappers would synchronise ranks, or run compiled code that cannot be looked into."""
    while isinstance(model, nn.parallel.DistributedDataParallel | nn.DataParallel) or hasattr(model, "_orig_mod"):
        model = model._orig_mod if hasattr(model, "_orig_mod") else model.module  # type: ignore[assignment]
    return model


@contextmanager
def _uncompiled() -> Iterator[None]:
    """Runs what ``torch.compile`` has compiled as it was written: it would be compiled anew for each layer's gradients."""
    with ExitStack() as stack:
        # Nothing is compiled without the one, which takes seconds to load; the other is there from PyTorch 2.6 on.
        if "torch._dynamo" in sys.modules and hasattr(torch.compiler, "set_stance"):
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        yield


def _same_bits(pairs: list[tuple[Tensor, Tensor]]) -> list[bool]:
    """Whether the tensors of each pair are equal."""
    # NaN differs from itself: such a buffer is copied back, which is harmless.
    alike = [left.shape == right.shape for left, right in pairs]
    equal = [(left == right).all() for (left, right), shaped in zip(pairs, alike, strict=True) if shaped]
    (flags,) = to_host([flag.to(equal[0].device) for flag in equal])
    found = iter(flags)
    return [bool(next(found)) if shaped else False for shaped in alike]
