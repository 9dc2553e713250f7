"""What a task is: its loss, metrics, head, priors, its targets under a flip; one file a kind beside this one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
import torchmetrics
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from unlearnable.tasks.heads import DenseHead


@dataclass(frozen=True)
class Metric:
    """The figure that a task is judged by.

    Attributes:
        name: As it is logged: `test/<task>/<name>`, or `test/<name>` where there is one task only.
        higher_is_better: Its direction.
    """

    name: str
    higher_is_better: bool


@dataclass(frozen=True)
class Task(ABC):
    """One task of a data set; a subclass is a kind of task.

    Targets are floating-point with NaN, or integers with −1, where there is no value.

    Args:
        name: Its name, such as `depth_euclidean`.
        channels: Length of the prediction, per image or per pixel: number of classes, or of values.
    """

    #: The kind's name, in results and messages.
    kind: ClassVar[str]
    #: What tasks of this kind are judged by; one of :meth:`metrics`.
    metric: ClassVar[Metric]
    #: Whether there is a target a pixel, which moves with the picture.
    dense: ClassVar[bool] = True

    name: str
    channels: int

    def __post_init__(self) -> None:
        if self.channels < 1:
            raise ValueError(f"`channels` must be at least 1; got {self.channels} for task {self.name!r}.")

    @abstractmethod
    def loss(self, output: Tensor, target: Tensor) -> Float[Tensor, ""]:
        """The mean over images of each image's mean over its values; images without any are left out.

        A kind whose mean is over something else than samples says so by :meth:`weight`.

        Args:
            output: What the head predicts, `[n, channels, …]`.
            target: What is true, `[n, …]`.
        """

    def weight(self, target: Tensor) -> int | Tensor:
        """What a batch counts where losses of batches are averaged, as a whole number: by default its samples with a value."""
        return self.known(target).reshape(len(target), -1).any(1).sum()

    @abstractmethod
    def metrics(self) -> dict[str, torchmetrics.Metric]:
        """Fresh metrics by name, :attr:`metric` among them."""

    @abstractmethod
    def judged(self, output: Tensor, target: Tensor) -> dict[str, tuple[Tensor, ...]]:
        """Metric → what its `update` takes of a batch, values that are missing left out."""

    def head(self, in_channels: int, *, stages: int, width: int, skips: Sequence[int] = ()) -> nn.Module:
        """The head that predicts it from feature maps, the last of shape `[n, in_channels, i, j]`.

        Args:
            in_channels: Channels of the feature map.
            stages: How often its resolution is to be doubled.
            width: Channels within a dense head.
            skips: Channels of the finer maps that a dense head sees besides, see `DenseHead`.
        """
        return DenseHead(in_channels, self.channels, stages=stages, width=width, skips=skips)

    def priors(self, target: Tensor) -> dict[str, Tensor]:  # noqa: ARG002
        """What can be predicted without looking at an input; no priors for a kind that does not say.

        Args:
            target: Of all training samples, `[n, …]`; at least one has a value.

        Returns:
            `constant`, the same for every image and pixel, and of dense tasks `pixel`, the same for every image; both
            `[1, channels, …]` as the head would predict it for one image.
        """
        return {}

    def mirror(self, target: Tensor) -> Tensor:
        """The targets of images that are mirrored left to right."""
        return target.flip(-1) if self.dense else target

    def vectors(self, target: Tensor) -> Float[Tensor, "n d h w"]:
        """A dense target as one vector a pixel, near where targets are alike; NaN where there is no value."""
        return target

    def known(self, target: Tensor) -> Bool[Tensor, "..."]:
        """Where a target has a value."""
        return ~target.isnan() if target.is_floating_point() else target >= 0


@dataclass(frozen=True)
class TaskLoss:
    """One task's loss as a function of a net's outputs and a batch's targets: single tensors, or mappings from tasks."""

    task: Task

    def __call__(self, outputs: Tensor | Mapping[str, Tensor], targets: Tensor | Mapping[str, Tensor]) -> Tensor:
        """Its mean over the batch."""
        return self.task.loss(of_task(outputs, self.task.name), of_task(targets, self.task.name))

    def batch_weight(self, targets: Tensor | Mapping[str, Tensor]) -> int | Tensor:
        """What the batch counts in the mean over batches, see :meth:`Task.weight`."""
        return self.task.weight(of_task(targets, self.task.name))


@dataclass(frozen=True)
class JointLoss:
    """The sum of the tasks' losses, each with weight 1 whatever weighting trains the model: comparable between runs."""

    losses: Mapping[str, TaskLoss]

    def __call__(self, outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> Tensor:
        """Its mean over the batch."""
        return torch.stack([loss(outputs, targets) for loss in self.losses.values()]).sum()


def of_task(values: Tensor | Mapping[str, Tensor], task: str) -> Tensor:
    """A task's entry; with one task outputs and targets may be a tensor."""
    return values if isinstance(values, Tensor) else values[task]


def image_mean(values: Float[Tensor, "n *rest"], valid: Tensor) -> Float[Tensor, ""]:
    """The mean over images of the mean over an image's `valid` entries; 0 for a batch without any."""
    values, valid = values.flatten(1), valid.flatten(1)
    counts = valid.sum(1)
    sums = torch.where(valid, values, torch.zeros_like(values)).sum(1)
    return (sums / counts.clamp_min(1)).sum() / (counts > 0).sum().clamp_min(1)


def dense_priors(constant: Float[Tensor, "1 c 1 1"], pixel: Float[Tensor, "1 c h w"]) -> dict[str, Tensor]:
    """Both priors of a dense task; `pixel` is NaN where no training image has a value, and takes the constant there."""
    return {"constant": constant.expand_as(pixel), "pixel": torch.where(pixel.isnan(), constant, pixel)}


def one_hot(labels: Int64[Tensor, "n h w"], classes: int) -> Float[Tensor, "n k h w"]:
    """1 for a pixel's class and 0 for the others; NaN where the label is −1."""
    hot = F.one_hot(labels.clamp_min(0), classes).movedim(-1, 1).float()
    return hot.masked_fill((labels < 0)[:, None], torch.nan)


def choose_tasks(tasks: Mapping[str, Task], names: Sequence[str] | None, *, what: str) -> dict[str, Task]:
    """The tasks called `names`, in that order; all of them for None.

    Raises:
        ValueError: if a name is unknown or given twice, or no name is given.
    """
    if names is None:
        return dict(tasks)
    unknown = [name for name in names if name not in tasks]
    if unknown:
        raise ValueError(f"`{what}` names {', '.join(unknown)}; the data have {', '.join(tasks)}.")
    if not names or len(set(names)) < len(names):
        raise ValueError(f"`{what}` must name at least one task, each once; got {list(names)}.")
    return {name: tasks[name] for name in names}
