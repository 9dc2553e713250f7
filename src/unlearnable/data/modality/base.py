"""The seam for kinds of input: what samples are made of."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from torch import Generator

from unlearnable.data.samples import Inputs, Samples, Targets
from unlearnable.tasks import Task


class Modality(ABC):
    """What one kind of input means: to a model, to augmentation, on disk, to the eye."""

    #: In keys and results.
    name: ClassVar[str]
    #: The task whose targets are made of the inputs, see :meth:`predicting`; None: targets are those that are stored.
    own_task: Task | None = None

    @property
    def protocol(self) -> dict[str, Any]:
        """What training depends on: part of a trajectory's key."""
        return {}

    def check(  # noqa: B027 - nothing to check by default
        self, tasks: Mapping[str, Task | type[Task]], inputs: Inputs | None = None
    ) -> None:
        """Checks its options against what the targets are for, given as tasks or as their kinds, and the stored inputs.

        Raises:
            ValueError: if they do not go together.
        """

    @abstractmethod
    def to_model(self, inputs: Inputs) -> Any:
        """Stored inputs as models take them."""

    def predicting(self, task: str, train: Samples) -> Modality:  # noqa: ARG002
        """This modality for a task whose targets are made of the inputs themselves; by default there is none.

        Args:
            task: The task's name.
            train: The training samples.

        Raises:
            ValueError: if such inputs have no such task.
        """
        raise ValueError(
            f"`task.predicts` = {task} is made of texts, and the data hold {self.name}: use dataset=reviews, sst2 or text."
        )

    def targets(self, inputs: Inputs, targets: Targets) -> Targets:  # noqa: ARG002
        """The targets of samples: those that are stored with them, or made of the inputs.

        Args:
            inputs: As they are stored, or as models take them; the targets have their shape.
            targets: As they are stored.
        """
        return targets

    def network(self, factory: Callable[..., Any], train: Samples) -> Callable[..., Any]:  # noqa: ARG002
        """What makes a network, told what it must know of the inputs; by default there is nothing to tell.

        Args:
            factory: Called with a number of outputs.
            train: The training samples.

        Raises:
            ValueError: if the network is not for such inputs.
        """
        return factory

    def augment(
        self,
        inputs: Inputs,
        targets: Targets,
        tasks: Mapping[str, Task],  # noqa: ARG002
        *,
        generator: Generator,  # noqa: ARG002
    ) -> tuple[Inputs, Targets]:
        """One random variant of each stored training input, with its targets; by default the inputs as they are."""
        return inputs, targets

    @abstractmethod
    def describe(self, clean: Samples, poisoned: Samples) -> dict[str, Any]:
        """What was changed, in numbers for `result.json` (`noise`); `changed` is the share of samples."""

    def preview(self, clean: Samples, poisoned: Samples, folder: Path) -> Path | None:  # noqa: ARG002
        """Writes a picture or a text that shows clean and poisoned samples side by side; None if there is none."""
        return None

    @abstractmethod
    def write(self, folder: Path, inputs: Inputs) -> None:
        """Writes stored inputs to files in `folder`."""

    @abstractmethod
    def read(self, folder: Path) -> Inputs:
        """Reads what `write` wrote; large inputs are memory-mapped."""
