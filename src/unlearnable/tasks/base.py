"""What a task is: the description that data hand to heads, losses, metrics and reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Metric:
    """The figure that a task is judged by.

    Attributes:
        name: As it is logged: `test/<task>/<name>`, or `test/<name>` where there is one task only.
        higher_is_better: Its direction.
    """

    name: str
    higher_is_better: bool


#: Kind of task → its main metric. Targets are float with NaN, or integers with −1, where there is no value.
KINDS: Mapping[str, Metric] = MappingProxyType(
    {
        "class": Metric("acc", True),  # [n] class of the image
        "segmentation": Metric("miou", True),  # [n, h, w] class of each pixel
        "grouping": Metric("pair_acc", True),  # [n, h, w] segment of each pixel; numbers mean nothing across images
        "depth": Metric("rmse", False),  # [n, 1, h, w] metres
        "normal": Metric("mean_angle", False),  # [n, 3, h, w] unit vectors
        "heatmap": Metric("ap", True),  # [n, 1, h, w] in [0, 1]
        "map": Metric("rmse", False),  # [n, c, h, w]
    }
)


@dataclass(frozen=True)
class Task:
    """One task of a data set.

    Args:
        name: Its name, such as `depth_euclidean`.
        kind: One of `KINDS`.
        channels: Length of the prediction, per image or per pixel: number of classes, or of values.
        class_weights: For `segmentation`, what a pixel of each class counts in the loss; None counts all alike.
    """

    name: str
    kind: str
    channels: int
    class_weights: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"`kind` must be one of {', '.join(KINDS)}; got {self.kind!r} for task {self.name!r}.")
        if self.class_weights is not None and len(self.class_weights) != self.channels:
            raise ValueError(
                f"`class_weights` must hold one number a class, {self.channels} for task {self.name!r}; "
                f"got {len(self.class_weights)}."
            )
        if self.channels < 1:
            raise ValueError(f"`channels` must be at least 1; got {self.channels} for task {self.name!r}.")

    @property
    def metric(self) -> Metric:
        """What it is judged by."""
        return KINDS[self.kind]


def choose_tasks(tasks: Mapping[str, Task], names: Sequence[str] | None, *, what: str) -> dict[str, Task]:
    """The tasks called `names`, in that order; all of them for None.

    Raises:
        ValueError: if a name is unknown or there twice, or there is none.
    """
    if names is None:
        return dict(tasks)
    unknown = [name for name in names if name not in tasks]
    if unknown:
        raise ValueError(f"`{what}` names {', '.join(unknown)}; the data have {', '.join(tasks)}.")
    if not names or len(set(names)) < len(names):
        raise ValueError(f"`{what}` must name at least one task, each once; got {list(names)}.")
    return {name: tasks[name] for name in names}
