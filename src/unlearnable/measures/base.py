"""The seam for measures: what is read off a model at the end of an epoch, layer by layer."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float64
from torch import Tensor, nn

from unlearnable.files import finite
from unlearnable.options import Number, whole

#: Mean loss of a batch from (outputs, targets). One that is not a mean over samples has a method `batch_weight(targets)`.
Loss = Callable[[Any, Any], Tensor]


@dataclass(frozen=True)
class Measured:
    """What a measure found for one task.

    Attributes:
        names: Of what was measured, mostly the layers' modules in the model's order, `L` of them.
        values: One a name, `[L]`; NaN where there is none.
        details: What else is worth keeping: arrays `[L]`, numbers, words.
    """

    names: tuple[str, ...]
    values: Float64[np.ndarray, " layers"]
    details: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """As JSON takes it; NaN becomes None."""
        return {
            "names": list(self.names),
            "values": finite(self.values),
            "details": finite(self.details),
        }

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> Measured:
        """The inverse of :meth:`to_dict`; lists become arrays, and None, which stood for no number, NaN."""
        details = {name: _array(v) if isinstance(v, list) else v for name, v in state["details"].items()}
        details = {name: math.nan if value is None else value for name, value in details.items()}
        return cls(tuple(state["names"]), np.array(state["values"], dtype=np.float64), details)


@dataclass(frozen=True)
class Context:
    """What a measure may want to know besides model, losses and batches.

    Attributes:
        epoch: Epochs trained so far, counted from 1.
        weights: Gives the weights (a `state_dict` of the model that is measured) after an epoch of this run; 0 is before
            training. KeyError if they were not kept.
        running: Task → the loss that training logged for the epoch: its mean over the batches, in train mode, while the
            weights changed. Empty where it is not known.
        parts: Task → the part of the model that its loss depends on, under the same names; empty if that is all of it.
        shared: Parameters that all tasks use; empty for one task.
    """

    epoch: int
    weights: Callable[[int], Mapping[str, Tensor]]
    running: Mapping[str, float] = field(default_factory=dict)
    parts: Mapping[str, nn.Module] = field(default_factory=dict)
    shared: Sequence[nn.Parameter] = ()


class Measure(ABC):
    """Measures a model at the end of training epochs, on a fixed, stratified, unaugmented probe.

    Args:
        samples: Size of the probe; None takes the whole split.
        split: `train`, the data the model is trained on, `undefended`, these before the defence, or `test`.
        batch_size: Samples a batch of the probe.
        every_n_epochs: Measures after epochs n, 2n, …, counted from 1, and after the last.
    """

    #: Prefix in the logs, kind of store entry, key in `result.json`.
    name: ClassVar[str]

    def __init__(
        self,
        *,
        samples: Number | None = 512,
        split: str = "train",
        batch_size: Number = 128,
        every_n_epochs: Number = 1,
    ) -> None:
        what = self.name
        if split not in ("train", "undefended", "test"):
            raise ValueError(
                f"`{what}.split` must be 'train' (what the model is trained on), 'undefended' (that before the defence) "
                f"or 'test'; got {split!r}."
            )
        self.samples = (
            None if samples is None else whole(f"{what}.samples", samples, what="a whole number, or null for all")
        )
        self.split = split
        self.batch_size = whole(f"{what}.batch_size", batch_size)
        self.every_n_epochs = whole(f"{what}.every_n_epochs", every_n_epochs)

    @property
    def source(self) -> str:
        """What its batches are made from, see `DataModule.probe`: by default the split."""
        return self.split

    def due(self, epoch: int, last: int) -> bool:
        """Whether it measures after `epoch` of a run of `last` epochs, both counted from 1."""
        return epoch % self.every_n_epochs == 0 or epoch == last

    def rests(self, losses: Mapping[str, Loss]) -> bool:  # noqa: ARG002
        """Whether there is nothing to measure for these tasks, as for a measure of pairs if there is one task."""
        return False

    def cheap(self) -> Measure:
        """A cheap version, to try out whether the arguments work; by default the measure itself."""
        return self

    def needs_weights(self, epoch: int, last: int) -> Sequence[int]:  # noqa: ARG002
        """Epochs whose weights must be kept for it to measure after `epoch`; by default that epoch alone."""
        return (epoch,)

    @abstractmethod
    def measure(
        self, model: nn.Module, losses: Mapping[str, Loss], batches: Iterable[Any], context: Context
    ) -> Mapping[str, Measured]:
        """Measures the model as it stands, which comes back exactly as it was.

        Args:
            model: On the device of its training.
            losses: Task → mean loss of a batch from outputs and targets.
            batches: Re-iterable `(inputs, targets)`, the probe.
            context: See :class:`Context`.

        Returns:
            One a task.
        """


def _array(values: list[Any]) -> Any:
    """A list from JSON as an array; None among numbers is NaN, words stay a list."""
    if any(isinstance(value, str) for value in values):
        return values
    array = np.array(values, dtype=np.float64)
    whole = all(isinstance(value, bool) for value in values)
    return array.astype(bool) if whole and len(values) else array
