"""The loss of a model on a fixed set of samples, as a function of one layer's weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from unlearnable.probing.floor import keeps_floor
from unlearnable.probing.host import to_host
from unlearnable.probing.layers import Layer, flatten
from unlearnable.probing.passes import Batch, Head, Passes, first, samples_of
from unlearnable.probing.replay import Replay
from unlearnable.probing.state import borrowed, device_of, generators, unwrapped
from unlearnable.probing.trees import is_by_sample

LossFn = Callable[[Any, Any], Tensor]
AccuracyFn = Callable[[Any, Any], "Tensor | float"]


@dataclass(frozen=True)
class Point:
    """Where to evaluate: ``layer`` at its weights plus ``shift`` (``None``: unshifted), with the gradient or without."""

    layer: Layer
    shift: Float[Tensor, " n"] | None
    gradient: bool = True


@dataclass(frozen=True)
class Reading:
    """The probe's mean loss at a point, and its gradient with respect to that layer, as asked for.

    ``finite`` says whether the loss and every entry of the gradient are.
    """

    loss: float
    gradient: Float[Tensor, " n"] | None
    accuracy: float | None
    finite: bool = True


class Probe:
    """Evaluates a model's loss, and its gradient for one layer, over all batches, weighted by the batches' sample
    counts, or by what else the loss is a mean over, see :class:`Passes`.

    Memory is bounded by a batch (its activations), the readings asked for at a time and the batches that are kept, see
    :class:`Passes`. Python waits for numbers once a pass: all that a pass found comes to the host together.

    Args:
        model: Called as ``model(inputs)``; in eval mode (see :func:`borrowed`).
        loss_fn: ``loss_fn(outputs, targets)``: the batch's mean loss, a scalar.
        batches: Re-iterable of ``(inputs, targets)``: the same samples in each pass. See :class:`Passes`.
        accuracy_fn: ``accuracy_fn(outputs, targets)``: the batch's mean accuracy.
        seed: Every pass starts from this random state, so that what the batches draw from torch's global generator is
            the same in each pass.
        replay: Replays the activations before a layer, or ``None`` for full forward passes.
    """

    def __init__(
        self,
        model: nn.Module,
        loss_fn: LossFn,
        batches: Iterable[Any],
        *,
        accuracy_fn: AccuracyFn | None = None,
        seed: int = 0,
        replay: Replay | None = None,
    ) -> None:
        self.model, self.loss_fn, self.accuracy_fn = model, loss_fn, accuracy_fn
        self.seed = seed
        self.replay = replay
        self.device = device_of(model)
        self.batches = batches if isinstance(batches, Passes | Head) else Passes(batches, self.device, loss_fn)
        self._generators = generators(self.device)
        self.forwards = 0.0  # cost so far, in forward passes of the whole model over the whole probe
        self._whole: Probe | None = None

    @property
    def samples(self) -> int | None:
        """How many samples the probe has; None before the first whole pass."""
        return self.batches.samples

    def prepare(self, *, replaying: bool) -> None:
        """Learns from two samples of the first batch what passes cost, and checks the replay on them."""
        if self.replay is None:
            return
        inputs, targets, _weight = next(self.passes())
        if is_by_sample([inputs, targets], samples_of(inputs)):
            inputs, targets = first(inputs, targets, 2)
        self.replay.prepare(inputs, partial(self._judged, targets=targets), replaying=replaying)

    def checked_floor(self, floor: float | None) -> float | None:
        """``floor``, or ``None`` where the loss of the first batch can be seen to fall below it."""
        if floor is None:
            return None
        inputs, targets, _weight = next(self.passes())
        with torch.no_grad():
            outputs = self.model(inputs)
        return floor if keeps_floor(self.loss_fn, outputs, targets, floor) else None

    def part(self, share: float, samples: int) -> Probe | None:
        """A probe on the first ``share`` of the samples; what it costs is counted here. ``None``: see :meth:`Passes.head`."""
        head = self.batches.head(share, samples) if isinstance(self.batches, Passes) else None
        if head is None:
            return None
        part = Probe(self.model, self.loss_fn, head, seed=self.seed, replay=self.replay)
        part._whole = self
        return part

    def origin(self, layers: Sequence[Layer]) -> list[Reading]:
        """The readings at θ, one a layer: its gradient, from one backward pass for all of them, beside the loss there."""
        total, accuracy = _Mean(self.device), _Mean(self.device)
        sums = [torch.zeros(layer.size, device=self.device) for layer in layers]
        parameters = [p for layer in layers for p in layer.parameters]
        for inputs, targets, weight in self.passes():
            for p in parameters:
                p.requires_grad_(True)
            outputs = self.model(inputs)
            loss = self._loss(outputs, targets)
            for part, gradient in zip(sums, self._gradients(loss, layers), strict=True):
                part.add_(gradient, alpha=weight)
            total.add(loss, weight)
            if self.accuracy_fn is not None:
                accuracy.add(self.accuracy_fn(outputs, targets), weight)
        for p in parameters:
            p.requires_grad_(False)
        self._count(3.0)  # forward, gradients of activations, gradients of weights
        gradients = [part / total.divisor for part in sums]
        return _readings([total] * len(layers), [accuracy] * len(layers), gradients)

    def evaluate(self, points: Sequence[Point]) -> list[Reading]:
        """Readings at ``points``, in order, from one pass over the batches.

        Before the points, the unshifted model runs once a batch, and each point replays from it what its layer cannot
        change.
        """
        weights = [
            point.layer.shaped(point.layer.vector() if point.shift is None else point.layer.vector().add_(point.shift))
            for point in points
        ]
        losses = [_Mean(self.device) for _ in points]
        accuracies = [_Mean(self.device) for _ in points]
        sums = [torch.zeros(p.layer.size, device=self.device) if p.gradient else None for p in points]
        use_replay = self.replay is not None and self.replay.pays([p.layer for p in points])
        for inputs, targets, weight in self.passes():
            if use_replay and self.replay is not None:
                self.replay.record(inputs, partial(self._judged, targets=targets))
            for index, point in enumerate(points):
                with point.layer.at(weights[index]):
                    loss, outputs, gradient = self._at(point, inputs, targets, use_replay)
                losses[index].add(loss, weight)
                if gradient is not None:
                    sums[index].add_(gradient, alpha=weight)  # type: ignore[union-attr]
                if self.accuracy_fn is not None:
                    accuracies[index].add(self.accuracy_fn(outputs, targets), weight)
        self._charge(points, use_replay)
        gradients = [None if part is None else part / loss.divisor for part, loss in zip(sums, losses, strict=True)]
        return _readings(losses, accuracies, gradients)

    def batch_gradient(self, layer: Layer, inputs: Any, targets: Any) -> Float[Tensor, " n"]:
        """The gradient of one batch's mean loss, with ``layer`` as it now stands."""
        gradient = self._at(Point(layer, None), inputs, targets, use_replay=False)[2]
        assert gradient is not None
        return gradient

    def hessian_product(self, layer: Layer, vector: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """``∇²L(θ_l) v``: the product of the layer's block of the Hessian, at its weights as they stand, with ``vector``."""
        total, count = torch.zeros_like(vector), 0
        parts = torch.split(vector, [parameter.numel() for parameter in layer.parameters])
        for inputs, targets, weight in self.passes():
            # Fused attention has no second derivative.
            with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH), _with_gradients(layer):
                loss = self._loss(self.model(inputs), targets)
                gradients = _derivatives(loss, layer.parameters, create_graph=True)
                slope = sum(
                    (g.reshape(-1) @ part for g, part in zip(gradients, parts, strict=True)), loss.new_zeros(())
                )
                total.add_(flatten(_derivatives(slope, layer.parameters)), alpha=weight)
            count += weight
        return total / max(count, 1)

    def charge_pass(self, layer: Layer) -> None:
        """Counts the cost of a full forward pass over the probe with a backward pass to ``layer``."""
        self._count(1.0 + (self.replay.share_after(layer) if self.replay is not None else 1.0))

    def passes(self, *, reseed: bool = True) -> Iterator[Batch]:
        """One pass: ``(inputs, targets, sample count)`` on the model's device."""
        if reseed:
            for generator in self._generators:
                generator.manual_seed(self.seed)
        yield from self.batches

    def _at(self, point: Point, inputs: Any, targets: Any, use_replay: bool) -> tuple[Tensor, Any, Tensor | None]:
        for parameter in point.layer.parameters:
            parameter.requires_grad_(point.gradient)
        try:
            with torch.set_grad_enabled(point.gradient):
                if use_replay and self.replay is not None:
                    outputs = self.replay.forward(point.layer, inputs)
                else:
                    outputs = self.model(inputs)
                loss = self._loss(outputs, targets)
                gradient = self._gradients(loss, [point.layer])[0] if point.gradient else None
        finally:
            for parameter in point.layer.parameters:
                parameter.requires_grad_(False)
        return loss.detach(), outputs, gradient

    def _judged(self, outputs: Any, *, targets: Any) -> Tensor:
        """The loss, with whatever else is done with outputs."""
        if self.accuracy_fn is not None:
            self.accuracy_fn(outputs, targets)
        return self._loss(outputs, targets)

    def _loss(self, outputs: Any, targets: Any) -> Tensor:
        loss = self.loss_fn(outputs, targets)
        if not isinstance(loss, Tensor) or loss.numel() != 1:
            shape = tuple(loss.shape) if isinstance(loss, Tensor) else type(loss).__name__
            raise ValueError(f"`loss_fn` must return the batch's mean loss, a tensor of one number; got {shape}.")
        return loss.reshape(())

    def _gradients(self, loss: Tensor, layers: Sequence[Layer]) -> list[Float[Tensor, " n"]]:
        """Gradients of ``loss``, one vector a layer; 0 for a layer that the loss does not depend on."""
        parameters = [p for layer in layers for p in layer.parameters]
        if not loss.requires_grad:
            return [torch.zeros(layer.size, device=self.device) for layer in layers]
        found = iter(torch.autograd.grad(loss, parameters, allow_unused=True))
        return [
            flatten([torch.zeros_like(p) if g is None else g for p, g in zip(layer.parameters, found, strict=False)])
            for layer in layers
        ]

    def _charge(self, points: Sequence[Point], use_replay: bool) -> None:
        cost = float(use_replay)
        for point in points:
            rest = self.replay.share_after(point.layer) if self.replay is not None else 1.0
            forward = self.replay.cost(point.layer) if use_replay and self.replay is not None else 1.0
            # Backward: the gradients of the activations behind the layer cost what their forward does.
            cost += forward + (rest if point.gradient else 0.0)
        self._count(cost)

    def _count(self, forwards: float) -> None:
        self.forwards += forwards
        if self._whole is not None and self.samples and self._whole.samples:
            self._whole.forwards += forwards * self.samples / self._whole.samples


@contextmanager
def _with_gradients(layer: Layer) -> Iterator[None]:
    for parameter in layer.parameters:
        parameter.requires_grad_(True)
    try:
        yield
    finally:
        for parameter in layer.parameters:
            parameter.requires_grad_(False)


def _derivatives(value: Tensor, parameters: Sequence[Tensor], *, create_graph: bool = False) -> Sequence[Tensor]:
    """The gradient of a number; zeros where it does not depend on the parameters."""
    if not value.requires_grad:
        return [torch.zeros_like(parameter) for parameter in parameters]
    return torch.autograd.grad(value, parameters, create_graph=create_graph, materialize_grads=True)


@contextmanager
def probing(
    model: nn.Module,
    loss_fn: LossFn,
    batches: Iterable[Any],
    layers: Sequence[Layer],
    *,
    accuracy_fn: AccuracyFn | None = None,
    seed: int = 0,
    replaying: bool = True,
) -> Iterator[Probe]:
    """A probe of ``model``, which is given back as it was at the end: see :func:`borrowed`.

    Args:
        model: Called as ``model(inputs)``; wrappers of it for several devices, and compiled ones, are looked through.
        loss_fn: See :class:`Probe`, also for the others.
        batches: See there.
        layers: The layers that are going to be perturbed, of ``model`` or of what it wraps.
        accuracy_fn: See there.
        seed: See there.
        replaying: Whether to replay the activations before a perturbed layer.

    Raises:
        ValueError: If the batches are empty or not re-iterable.
    """
    model = unwrapped(model)
    with borrowed(model):
        replay = Replay(model, layers)
        with replay.installed():
            probe = Probe(model, loss_fn, batches, accuracy_fn=accuracy_fn, seed=seed, replay=replay)
            probe.prepare(replaying=replaying)
            yield probe


def _readings(
    losses: Sequence[_Mean], accuracies: Sequence[_Mean], gradients: Sequence[Tensor | None]
) -> list[Reading]:
    """What a pass found, brought to the host in one transfer."""
    totals, scores, flags = to_host(
        [loss.total for loss in losses],
        [accuracy.total for accuracy in accuracies],
        [torch.isfinite(gradient).all() for gradient in gradients if gradient is not None],
    )
    sound = iter(flags)
    readings = []
    for index, gradient in enumerate(gradients):
        loss, count = totals[index] / losses[index].divisor, accuracies[index].count
        finite = (gradient is None or bool(next(sound))) and math.isfinite(loss)
        readings.append(Reading(loss, gradient, scores[index] / count if count else None, finite))
    return readings


class _Mean:
    """A weighted mean over batches, summed in float64 on the device, so that no batch waits for a transfer.

    The mean of nothing, as of batches without a token to predict, is 0.
    """

    def __init__(self, device: torch.device) -> None:
        dtype = torch.float32 if device.type == "mps" else torch.float64
        self.total, self.count = torch.zeros((), dtype=dtype, device=device), 0

    @property
    def divisor(self) -> int:
        """What sums of weighted values are divided by."""
        return max(self.count, 1)

    def add(self, value: Tensor | float, weight: int) -> None:
        self.total.add_(value.detach() if isinstance(value, Tensor) else value, alpha=weight)
        self.count += weight
