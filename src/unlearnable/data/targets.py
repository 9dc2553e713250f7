"""Checks of targets: invalid labels and tasks without labels are refused."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from unlearnable.data.samples import Samples
from unlearnable.tasks import Classification, Segmentation

log = logging.getLogger(__name__)


def read_labels(
    values: Sequence[Any] | np.ndarray, names: Sequence[str], *, where: Callable[[int], str]
) -> Int64[Tensor, " n"]:
    """Class indices from what a source holds: whole numbers, or the classes' names.

    Args:
        values: One a sample: numbers, whole ones written as strings, or class names.
        names: The classes' names, by index.
        where: Row → where it lies, for the message.

    Raises:
        ValueError: naming the row, if one is missing (None, NaN, −1), not whole, out of range, an unknown name, or a
            name where others are numbers.
    """
    values = values.tolist() if isinstance(values, np.ndarray) else values
    _check_one_kind(values, where)
    index = {name: number for number, name in enumerate(names)}
    labels = []
    for row, value in enumerate(values):
        label = index.get(value) if isinstance(value, str) else None
        label = _number(value) if label is None else label
        if label is None or not 0 <= label < len(names):
            classes = f"{', '.join(names[:3])}{', …' if len(names) > 3 else ''}"
            raise ValueError(
                f"{where(row)}: the label {value!r} is none of the {len(names)} classes; labels are whole numbers from "
                f"0 to {len(names) - 1}, or the classes' names ({classes})."
            )
        labels.append(label)
    return torch.tensor(labels, dtype=torch.int64)


def file_labels(
    values: Sequence[Any], names: Sequence[str], *, stored: Sequence[str] = (), where: Callable[[int], str]
) -> Int64[Tensor, " n"]:
    """Class indices of one of several files, even if its own names differ or are in another order.

    Args:
        values: See `read_labels`.
        names: The classes' names, by index: the data set's.
        stored: The names that the file has for its numbers; none if it does not say.
        where: Row → where it lies, for the message.

    Raises:
        ValueError: see `read_labels`.
    """
    if any(isinstance(value, str) and _number(value) is None for value in values):
        known = len(stored) != len(names) or {value for value in values if isinstance(value, str)} <= {*names}
        return read_labels(values, names if known else stored, where=where)
    if stored and {*stored} <= {*names}:
        return torch.tensor([names.index(name) for name in stored])[read_labels(values, stored, where=where)]
    return read_labels(values, names, where=where)


def check_named_alike(files: Iterable[tuple[Path, Sequence[Any], Sequence[str]]], names: Sequence[str]) -> None:
    """Checks that no file has numbers that nobody says the classes of: where names are other files' words, sorted.

    Args:
        files: Of each its path, its labels and the names that it has for its numbers, see `file_labels`.
        names: The classes' names.

    Raises:
        ValueError: naming the file.
    """
    if all(name.isdecimal() for name in names):
        return
    for file, values, stored in files:
        numbers = [value for value in values if _number(value) is not None]
        mixed = any(isinstance(value, str) and _number(value) is None for value in values)  # said with its row, later
        if numbers and not mixed and not (stored and {*stored} <= {*names}):
            raise ValueError(
                f"{file}: the label {numbers[0]!r} is a number, and others are names, such as {names[0]!r}. Which is which, "
                "nobody says: write all as numbers, or all as names."
            )


def _check_one_kind(values: Sequence[Any], where: Callable[[int], str]) -> None:
    """Refuses names among numbers: which name a number stands for, nobody says."""
    first: dict[bool, int] = {}  # whether it is a name → row
    for row, value in enumerate(values):
        name = isinstance(value, str) and _number(value) is None
        if name or _number(value) is not None:
            first.setdefault(name, row)
    if len(first) > 1:
        raise ValueError(
            f"{where(first[True])}: the label {values[first[True]]!r} is a name, and that of row {first[False]} is a "
            f"number, {values[first[False]]!r}. Write all as numbers, or all as names."
        )


def _number(value: Any) -> int | None:
    """The whole number that a label is, or None."""
    if isinstance(value, str):
        return int(value) if value.strip().removeprefix("-").isdecimal() else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if float(value).is_integer() else None


def check_targets(samples: Samples, split: str) -> None:
    """Checks every class label of a split, one an image or one a pixel.

    Samples with several tasks may lack a task's label, which is −1; with one classification each has one.

    Args:
        samples: With their tasks.
        split: Its name, for the message.

    Raises:
        ValueError: naming task and sample, if a label is not a whole number, out of range or missing.
    """
    for name, task in samples.tasks.items():
        if not isinstance(task, Classification | Segmentation):
            continue
        alone = isinstance(samples.targets, Tensor)
        target = samples.targets if isinstance(samples.targets, Tensor) else samples.targets[name]
        if target.dtype != torch.int64:
            raise ValueError(f"The {split} labels of task {name!r} must be whole numbers (int64); got {target.dtype}.")
        wrong = (target < (0 if alone else -1)) | (target >= task.channels)
        if wrong.any():
            row = int(wrong.flatten(1).any(1).nonzero()[0]) if wrong.ndim > 1 else int(wrong.nonzero()[0])
            raise ValueError(
                f"The {split} set has the label {int(target[row][wrong[row]].flatten()[0])} for task {name!r} "
                f"(sample {row}, counted from 0); labels go from 0 to {task.channels - 1}"
                f"{', and none may be missing' if alone else ', with −1 where there is none'}."
            )


def warn_of_absent_classes(samples: Samples, split: str) -> None:
    """Says which classes of the first class task a split has no sample of: accuracies leave them out."""
    task = samples.class_task
    if task is None:
        return
    absent = sorted(set(range(task.channels)) - set(samples.labels.unique().tolist()))
    if absent:
        log.warning(
            "The %s set of %d samples has none of %d of the %d classes (%s).",
            split,
            len(samples),
            len(absent),
            task.channels,
            f"{', '.join(map(str, absent[:5]))}{', …' if len(absent) > 5 else ''}",
        )


def check_learnable(train: Samples) -> None:
    """Refuses tasks that nothing can be learnt from.

    Raises:
        ValueError: naming the task, if all of its training targets are masked, or are of one class.
    """
    assert not isinstance(train.targets, Tensor)
    for name, task in train.tasks.items():
        target = train.targets[name]
        known = task.known(target)
        if not known.any():
            raise ValueError(
                f"Task {name!r} has no value in the training set: all of it is masked. Leave it out of dataset.tasks."
            )
        if isinstance(task, Classification | Segmentation):
            labels = target[known]
            if int(labels.min()) == int(labels.max()):
                raise ValueError(
                    f"Task {name!r} has one class only in the training set ({int(labels[0])}): there is nothing to "
                    "tell apart. Leave it out of dataset.tasks or take more views."
                )


def balanced(task: Segmentation, target: Int64[Tensor, "n h w"]) -> Segmentation:
    """The task with a weight a class of 1 / log(1.02 + p), p being its share of the pixels (Paszke et al., 2016, ENet).

    For rare classes this is up to 50. Where nine pixels in ten are background, a net without it predicts nothing else.
    """
    counts = torch.bincount(target[target >= 0], minlength=task.channels).double()
    weights = 1 / torch.log(1.02 + counts / counts.sum())
    return replace(task, class_weights=tuple(weights.tolist()))
