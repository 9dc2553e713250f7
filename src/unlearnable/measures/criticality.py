"""Re-initialisation criticality: the loss that comes back when one layer alone goes back to early weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float64
from torch import Tensor, nn
from typing_extensions import override

from unlearnable.measures.base import Context, Loss, Measure, Measured
from unlearnable.options import Number, whole
from unlearnable.probing.layers import Layer, LayerChoice, flatten, select_layers
from unlearnable.probing.probe import LossFn, Point, probing
from unlearnable.probing.state import unwrapped


class Criticality(Measure):
    """The rise ``L(θ with layer l as after epoch t) − L(θ)`` of the loss, for each layer l: one forward pass a layer.

    From `Are All Layers Created Equal? <https://arxiv.org/abs/1902.01996>`_ (Zhang, Bengio and Singer, 2019) and
    `The intriguing role of module criticality <https://arxiv.org/abs/1912.00528>`_ (Chatterji, Neyshabur and Sedghi,
    2019). There the classification error is compared, here the loss, which every kind of task has. A layer is what SAL
    takes for a layer: biases and norm layers keep their trained values.

    Args:
        to_epoch: Where the layer goes back to, in epochs trained; 0 is the initialisation.
        layers: See :func:`select_layers`.
        **probe: Arguments of :class:`Measure`.
    """

    name = "criticality"

    def __init__(self, *, to_epoch: Number = 0, layers: LayerChoice = "weights", **probe: Any) -> None:
        super().__init__(**probe)
        self.to_epoch, self.layers = whole("criticality.to_epoch", to_epoch, at_least=0), layers

    @override
    def due(self, epoch: int, last: int) -> bool:
        if self.to_epoch > last:
            raise ValueError(f"`criticality.to_epoch` = {self.to_epoch} is after the run's last epoch, {last}.")
        return epoch >= self.to_epoch and super().due(epoch, last)

    @override
    def needs_weights(self, epoch: int, last: int) -> Sequence[int]:
        return (self.to_epoch, epoch)

    @override
    def measure(
        self, model: nn.Module, losses: Mapping[str, Loss], batches: Iterable[Any], context: Context
    ) -> dict[str, Measured]:
        earlier = context.weights(self.to_epoch)
        return {
            task: self._measured(context.parts.get(task, model), loss, batches, earlier)
            for task, loss in losses.items()
        }

    def _measured(
        self, model: nn.Module, loss: Loss, batches: Iterable[Any], earlier: Mapping[str, Tensor]
    ) -> Measured:
        chosen = select_layers(unwrapped(model), self.layers)
        names = {id(parameter): name for name, parameter in unwrapped(model).named_parameters()}
        weights = [flatten([earlier[names[id(parameter)]] for parameter in layer.parameters]) for layer in chosen]
        rise, origin = loss_with_layers_at(model, loss, batches, chosen, weights)
        return Measured(tuple(layer.name for layer in chosen), rise, {"loss": origin, "to_epoch": self.to_epoch})


def loss_with_layers_at(
    model: nn.Module, loss_fn: LossFn, batches: Iterable[Any], layers: Sequence[Layer], weights: Sequence[Tensor]
) -> tuple[Float64[np.ndarray, " layers"], float]:
    """How much the mean loss rises when one layer at a time is given other weights, in eval mode.

    Args:
        model: The model; it comes back as it was.
        loss_fn: The mean loss of a batch from outputs and targets.
        batches: Re-iterable of inputs and targets.
        layers: The layers.
        weights: Each layer's other weights, as one vector, on any device.

    Returns:
        The rises, ``[L]``, and the loss of the model as it is.
    """
    with probing(model, loss_fn, batches, layers) as probe:
        here = [layer.vector() for layer in layers]
        points = [
            Point(layer, other.to(own) - own, gradient=False)
            for layer, own, other in zip(layers, here, weights, strict=True)
        ]
        origin, *readings = probe.evaluate([Point(layers[0], None, gradient=False), *points])
    return np.array([reading.loss - origin.loss for reading in readings]), origin.loss
