"""Replays the activations before a perturbed layer instead of computing them again.

A layer's weights cannot change anything that the model computes before it first uses them. So the model runs once a
batch, unperturbed, and keeps the outputs of the modules that finish before some layer; for a layer, the calls of those
modules return what was kept, and the model's own code between them runs as ever. No knowledge of the architecture is
needed: when weights are used is read off from the operations that the model executes.

What is skipped may have no effect but its outputs, for other runs lie between the recording and a replay, and what they
left beside outputs is theirs. So in each recording a :class:`~unlearnable.probing.watch.Watch` looks at what modules leave
behind, and those that do are run again in a replay, with what they contain replayed where it is clean. Beyond that, three
things lead to full forward passes (of that batch, or for that layer), never to another result:

* the modules are not called in the recorded order, or an error occurs;
* numbers that weights of the layer went into are read by Python code: the model's path may turn on them;
* on the first batch, a replay after another layer's replay does not give the outputs of a full pass. This is for what no
  operation shows, such as counters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from unlearnable.probing.host import to_host
from unlearnable.probing.layers import Layer
from unlearnable.probing.trees import mapped, tensors
from unlearnable.probing.watch import Call, Use, Watch

#: What is done with a model's outputs for a batch: its loss.
Judge = Callable[[Any], Tensor]

_SHIFT = 0.05  # relative size of the perturbation that a layer's replay is checked with


class _DivergedError(Exception):
    """The modules were not called as recorded."""


@dataclass(frozen=True)
class _Plan:
    """What a replay for one layer does.

    Attributes:
        use: When the layer is first used; −1 where it is not.
        skips: The calls that return what was kept.
        sound: Whether the recorded run shows what any run does, however the layer is perturbed.
        cost: Part of a forward pass, by floating-point operations, that is not skipped.
        share: The part from the layer's first use on.
    """

    use: int = -1
    skips: frozenset[int] = frozenset()
    sound: bool = False
    cost: float = 1.0
    share: float = 1.0


@dataclass(frozen=True)
class _Recording:
    """What an unperturbed run of a batch left for replays.

    Attributes:
        calls: The modules' calls.
        plans: What to do for each layer.
        kept: Call → its outputs.
        versions: Call → the tensors among them, with the count of their changes in place.
    """

    calls: Sequence[Call]
    plans: Mapping[Layer, _Plan]
    kept: Mapping[int, Any]
    versions: Mapping[int, list[tuple[Tensor, int]]]

    def overwritten(self) -> set[int]:
        """Kept outputs that were changed in place since."""
        return {i for i, kept in self.versions.items() if any(tensor._version != version for tensor, version in kept)}


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
        self._typical: Mapping[Layer, _Plan] = dict.fromkeys(layers, _Plan())  # of the first batch
        self._copy: set[int] = set()  # calls whose outputs are changed in place later on, so that copies are kept
        self._recording: _Recording | None = None

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
            self._recording = None

    def prepare(self, inputs: Any, judge: Judge, *, replaying: bool = True) -> None:
        """Learns from a batch what replays cost, and checks them for every layer.

        A layer is checked after a replay for another one, both perturbed, since that is what happens in use: skipped
        modules do not renew what they left beside their outputs.

        Args:
            inputs: A batch's inputs; a few samples will do.
            judge: Their loss, given the model's outputs.
            replaying: Whether to replay at all; without, this only learns what the passes cost.
        """
        self.record(inputs, judge)
        if self._recording is not None:
            self._typical = self._recording.plans
        if self._recording is None or not replaying:
            self.enabled = dict.fromkeys(self.layers, False)
            return
        by_use = sorted(self.layers, key=lambda layer: self._typical[layer].use)
        for layer in self.layers:
            expected = self._answers(partial(self.model, inputs), layer, judge)
            self.record(inputs, judge)
            try:
                for other in [other for other in by_use if other is not layer][:1]:
                    self._answers(partial(self.forward, other, inputs), other, judge)
                found = self._answers(partial(self.forward, layer, inputs), layer, judge)
            except Exception:  # not the model's own: the full pass had none
                found = []
            # Outputs in which no tensor is found cannot be compared: there is the loss alone.
            same = len(found) == len(expected) > 1 and _close(found, expected)
            self.enabled[layer] = self.enabled[layer] and same

    def share_after(self, layer: Layer) -> float:
        """The part of a forward pass, by floating-point operations, from ``layer``'s first use on: in (0, 1]."""
        return self._typical[layer].share

    def cost(self, layer: Layer) -> float:
        """The part of a forward pass that is computed for ``layer`` where the batch was recorded: in (0, 1]."""
        return self._typical[layer].cost if self.enabled[layer] else 1.0

    def pays(self, layers: Sequence[Layer]) -> bool:
        """Whether recording a batch and replaying it for points on ``layers`` costs less than full passes."""
        return 1 + sum(map(self.cost, layers)) < len(layers)

    def record(self, inputs: Any, judge: Judge) -> None:
        """Runs the model as it stands and keeps what replays of this batch need.

        ``judge`` is watched like the model itself: it may read what modules left behind.
        """
        self._recording = None
        while True:
            watch, kept = Watch(self.layers), dict[int, Any]()
            try:
                with torch.no_grad(), self._handling(partial(self._record_call, watch, kept)), watch.watching():
                    judge(self.model(inputs))
            except Exception:
                return  # full passes show whether it is the model's own
            plans = {layer: _planned(watch, layer) for layer in self.layers}
            needed = frozenset[int]().union(*(plan.skips for plan in plans.values()))
            kept = {index: outputs for index, outputs in kept.items() if index in needed}
            overwritten = {i for i, outputs in kept.items() if watch.written_after(outputs, watch.calls[i].end)}
            if not overwritten:
                break
            self._copy |= overwritten
        versions = {i: [(tensor, tensor._version) for tensor in tensors(outputs)] for i, outputs in kept.items()}
        self._recording = _Recording(watch.calls, plans, kept, versions)

    def forward(self, layer: Layer, inputs: Any) -> Any:
        """The model's outputs for the recorded ``inputs``, with ``layer`` as it now stands."""
        recording = self._recording
        if recording is None or not (self.enabled[layer] and recording.plans[layer].sound):
            return self.model(inputs)
        try:
            with self._handling(partial(self._replay_call, _Cursor(), recording, recording.plans[layer])):
                outputs = self.model(inputs)
        except Exception:
            self.enabled[layer] = False
            return self.model(inputs)
        if overwritten := recording.overwritten():
            self._copy |= overwritten
            self._recording = None  # what was kept is no longer what was recorded
            return self.model(inputs)
        return outputs

    def _answers(self, run: Callable[[], Any], layer: Layer, judge: Judge) -> list[Tensor]:
        """The tensors in a run's outputs and their loss, with ``layer`` perturbed."""
        weights = layer.vector()
        # The weights in another order: a change that a normalisation behind the layer does not undo.
        with torch.no_grad(), layer.at(layer.shaped(weights + _SHIFT * weights.roll(1))):
            outputs = run()
            return [*(tensor.clone() for tensor in tensors(outputs)), judge(outputs)]

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
        watch: Watch,
        kept: dict[int, Any],
        module: nn.Module,
        forward: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        index = watch.enter(module)
        outputs = watch.leave(index, forward(*args, **kwargs))
        if watch.calls[index].whole:
            kept[index] = mapped(outputs, Tensor.clone if index in self._copy else _itself)
        return outputs

    def _replay_call(
        self,
        cursor: _Cursor,
        recording: _Recording,
        plan: _Plan,
        module: nn.Module,
        forward: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        if cursor.past_use:
            return forward(*args, **kwargs)
        index = cursor.index
        if index >= len(recording.calls) or recording.calls[index].module is not module:
            raise _DivergedError
        call = recording.calls[index]
        if index in plan.skips:
            cursor.index = call.after
            # New containers: the caller may add to them.
            return mapped(recording.kept[index], Tensor.clone if index in self._copy else _itself)
        cursor.past_use = call.start > plan.use
        cursor.index += 1
        return forward(*args, **kwargs)


@dataclass
class _Cursor:
    """Where a run is in the recorded sequence of calls."""

    index: int = 0
    past_use: bool = False


def _planned(watch: Watch, layer: Layer) -> _Plan:
    """Skips the outermost calls that end before the layer's first use and have no effect but their outputs."""
    use = watch.first_use.get(layer, Use(-1, 0))
    skips: list[int] = []
    finished = skipped = 0  # operations in the outermost calls that end before, and in those that are skipped
    index = inside = 0  # `inside`: the first call after the finished one that is looked into
    while index < len(watch.calls) and watch.calls[index].start <= use.time:
        call = watch.calls[index]
        ends_before = call.end < use.time
        if ends_before and index >= inside:
            finished, inside = finished + call.flops, call.after
        if ends_before and call.whole and not call.leaky:
            skips.append(index)
            skipped += call.flops
            index = call.after
        else:
            index += 1
    if not watch.flops:
        return _Plan(use.time, frozenset(skips), layer not in watch.swayed)
    # The model's own operations between modules are few, and count as if they were skipped.
    share, again = 1 - use.flops / watch.flops, (finished - skipped) / watch.flops
    return _Plan(use.time, frozenset(skips), layer not in watch.swayed, share + again, share)


def _itself(tensor: Tensor) -> Tensor:
    return tensor


def _close(found: Sequence[Tensor], expected: Sequence[Tensor]) -> bool:
    """Whether all tensors are what was expected, up to rounding."""
    pairs = list(zip(found, expected, strict=True))
    if any(left.shape != right.shape or left.dtype != right.dtype for left, right in pairs):
        return False
    (flags,) = to_host([_near(left, right) for left, right in pairs])
    return all(flags)


def _near(found: Tensor, expected: Tensor) -> Tensor:
    same = found == expected
    if expected.is_floating_point() and expected.numel():
        error = (found - expected).abs()
        near = error <= 1e-4 * expected.abs() + 1e-5 * expected.nan_to_num(0, 0, 0).abs().max()
        same = same | (near & error.isfinite()) | (found.isnan() & expected.isnan())
    return same.all()
