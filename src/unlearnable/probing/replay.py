"""Replays the activations before a perturbed layer instead of computing them again.

A layer's weights can not change anything that the model computes before it first uses them. So the model runs once a
batch, unperturbed, and keeps the outputs of the modules that finish before some layer; for a layer, the calls of those
modules return what was kept, and the model's own code between them runs as ever. No knowledge of the architecture is
needed: when weights are used is read off from the operations that the model executes.

Three things are checked rather than assumed, and lead to full forward passes (of that batch, or for that layer), never
to another result: the modules are called in the recorded order; nothing that was kept is changed in place afterwards
(where it is, a copy is kept); and for each layer a replay with changed weights gives the outputs of a full forward
pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from unlearnable.probing.layers import Layer
from unlearnable.probing.trees import mapped, tensors


@dataclass
class _Call:
    """One call of a module: when it began and ended, and the index of the first call after all that it contains."""

    module: nn.Module
    start: int
    end: int = -1
    after: int = -1


class _DivergedError(Exception):
    """The modules were not called as recorded."""


class Replay:
    """Runs a model with the activations before one layer taken from a recorded run.

    Use inside :meth:`installed`; then :meth:`record` a batch and call :meth:`forward` for any layer on that batch.

    Args:
        model: The model.
        layers: The layers that will be perturbed.
    """

    def __init__(self, model: nn.Module, layers: Sequence[Layer]) -> None:
        self.model, self.layers = model, layers
        self.enabled = dict.fromkeys(layers, True)
        self._handler: Callable[[nn.Module, Callable[..., Any], tuple[Any, ...], dict[str, Any]], Any] | None = None
        self._calls: list[_Call] = []
        self._first_use: dict[Layer, int] = {}
        self._share: dict[Layer, float] = dict.fromkeys(layers, 1.0)
        self._keep: set[int] = set()  # calls whose outputs are kept
        self._copy: set[int] = set()  # those that are changed in place later on, so that a copy is kept
        self._kept: dict[int, Any] = {}
        self._versions: dict[int, list[tuple[Tensor, int]]] = {}
        self._recorded = False

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Puts this object between the modules' callers and their ``forward``; takes it away again at the end."""
        changed: list[tuple[nn.Module, Any]] = []
        absent = object()
        try:
            for module in self.model.modules():
                if isinstance(module, torch.jit.ScriptModule):
                    continue  # its calls do not pass through Python; it counts as code between the modules
                changed.append((module, module.__dict__.get("forward", absent)))
                module.__dict__["forward"] = self._between(module, module.forward)
            yield
        finally:
            for module, original in changed:
                if original is absent:
                    module.__dict__.pop("forward", None)
                else:
                    module.__dict__["forward"] = original
            self._kept.clear()
            self._versions.clear()

    def prepare(self, inputs: Any, *, replaying: bool = True) -> None:
        """Learns from a batch when each layer's weights are first used, and checks the replay of every layer on it.

        The batch is cut to two samples where it is a single tensor.

        Args:
            inputs: A batch's inputs.
            replaying: Whether to replay at all; without, this only learns what the passes cost.
        """
        sample = inputs[:2] if isinstance(inputs, Tensor) else inputs
        self._trace(sample)
        if not replaying:
            self.enabled = dict.fromkeys(self.layers, False)
            return
        with torch.no_grad():
            for layer in self.layers:
                # The weights in another order: a change that a normalisation behind the layer does not undo.
                weights = layer.vector()
                with layer.at(weights + 0.05 * weights.roll(1)):
                    expected = list(tensors(self.model(sample)))
                self.record(sample)
                with layer.at(weights + 0.05 * weights.roll(1)):
                    found = list(tensors(self.forward(layer, sample)))
                same = len(found) == len(expected) and all(map(_close, found, expected))
                self.enabled[layer] = self.enabled[layer] and same

    def share_after(self, layer: Layer) -> float:
        """The part of a forward pass, by floating-point operations, from ``layer``'s first use on: in (0, 1]."""
        return self._share[layer]

    def pays(self, layers: Sequence[Layer]) -> bool:
        """Whether recording a batch and replaying it for points on ``layers`` costs less than full passes."""
        shares = [self._share[layer] if self.enabled[layer] else 1.0 for layer in layers]
        return 1 + sum(shares) < len(shares)

    def record(self, inputs: Any) -> None:
        """Runs the model as it stands and keeps what replays of this batch need."""
        self._kept, self._versions, self._recorded = {}, {}, False
        while True:
            cursor = _Cursor()
            try:
                with torch.no_grad(), self._handling(partial(self._record_call, cursor)):
                    self.model(inputs)
            except _DivergedError:
                return
            if cursor.index != len(self._calls):
                return
            overwritten = self._overwritten()
            if not overwritten:
                self._recorded = True
                return
            self._copy |= overwritten

    def forward(self, layer: Layer, inputs: Any) -> Any:
        """The model's outputs for the recorded ``inputs``, with ``layer`` as it now stands."""
        if not self._recorded or not self.enabled[layer]:
            return self.model(inputs)
        cursor = _Cursor()
        use = self._first_use[layer]
        try:
            with self._handling(partial(self._replay_call, cursor, use)):
                outputs = self.model(inputs)
        except _DivergedError:
            self.enabled[layer] = False
            return self.model(inputs)
        if overwritten := self._overwritten():
            self._copy |= overwritten
            self._recorded = False  # what was kept is no longer what was recorded
            return self.model(inputs)
        return outputs

    def _trace(self, inputs: Any) -> None:
        self._calls.clear()
        clock = _Clock(self.layers)

        def handle(
            module: nn.Module, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
        ) -> Any:
            call = _Call(module, clock.tick())
            self._calls.append(call)
            outputs = forward(*args, **kwargs)
            call.end, call.after = clock.tick(), len(self._calls)
            return outputs

        with torch.no_grad(), self._handling(handle), clock:
            self.model(inputs)
        for layer in self.layers:
            use, flops = clock.first_use.get(layer, (-1, 0))
            self._first_use[layer] = use
            self._share[layer] = 1 - flops / clock.flops if clock.flops else 1.0
            self._keep |= set(self._replayed(use))

    def _replayed(self, use: int) -> Iterator[int]:
        """Outermost calls that have ended before ``use``."""
        index = 0
        while index < len(self._calls):
            call = self._calls[index]
            if call.start > use:
                return
            if call.end < use:
                yield index
                index = call.after
            else:
                index += 1

    def _between(self, module: nn.Module, forward: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if self._handler is None:
                return forward(*args, **kwargs)
            return self._handler(module, forward, args, kwargs)

        return call

    @contextmanager
    def _handling(self, handler: Callable[..., Any]) -> Iterator[None]:
        self._handler = handler
        try:
            yield
        finally:
            self._handler = None

    def _record_call(
        self,
        cursor: _Cursor,
        module: nn.Module,
        forward: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        index = cursor.index
        if index >= len(self._calls) or self._calls[index].module is not module:
            raise _DivergedError
        cursor.index += 1
        outputs = forward(*args, **kwargs)
        if cursor.index != self._calls[index].after:
            raise _DivergedError
        if index in self._keep:
            kept = mapped(outputs, Tensor.clone) if index in self._copy else outputs
            self._kept[index] = kept
            self._versions[index] = [(tensor, tensor._version) for tensor in tensors(kept)]
        return outputs

    def _replay_call(
        self,
        cursor: _Cursor,
        use: int,
        module: nn.Module,
        forward: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        if cursor.past_use:
            return forward(*args, **kwargs)
        index = cursor.index
        if index >= len(self._calls) or self._calls[index].module is not module:
            raise _DivergedError
        call = self._calls[index]
        if call.end < use:
            cursor.index = call.after
            kept = self._kept[index]
            return mapped(kept, Tensor.clone) if index in self._copy else kept
        cursor.past_use = call.start > use
        cursor.index += 1
        return forward(*args, **kwargs)

    def _overwritten(self) -> set[int]:
        """Kept outputs that were changed in place since."""
        return {i for i, kept in self._versions.items() if any(tensor._version != version for tensor, version in kept)}


@dataclass
class _Cursor:
    """Where a run is in the recorded sequence of calls."""

    index: int = 0
    past_use: bool = False


class _Clock(TorchDispatchMode):
    """Notes when the weights of each layer are first used, in the order of operations, and counts floating-point operations."""

    def __init__(self, layers: Sequence[Layer]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.time, self.flops = 0, 0
        self.first_use: dict[Layer, tuple[int, int]] = {}  # time, operations before
        self._owner = {_storage(p): layer for layer in layers for p in layer.parameters}

    def tick(self) -> int:
        """The next point in time."""
        self.time += 1
        return self.time

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        now = self.tick()
        for tensor in tensors([args, kwargs or {}]):
            layer = self._owner.get(_storage(tensor))
            if layer is not None:
                self.first_use.setdefault(layer, (now, self.flops))
        outputs = func(*args, **(kwargs or {}))
        count = flop_registry.get(func._overloadpacket)
        if count is not None:
            self.flops += count(*args, **(kwargs or {}), out_val=outputs)
        return outputs


def _storage(tensor: Tensor) -> int | None:
    try:
        return tensor.untyped_storage().data_ptr()
    except (NotImplementedError, RuntimeError):  # sparse and other tensors without one
        return None


def _close(found: Tensor, expected: Tensor) -> bool:
    if found.shape != expected.shape or found.dtype != expected.dtype:
        return False
    scale = float(expected.abs().max()) if expected.is_floating_point() and expected.numel() else 0.0
    return torch.allclose(found, expected, rtol=1e-4, atol=1e-5 * scale, equal_nan=True)
