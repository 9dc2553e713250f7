"""Samples: their content's digest, stratified parts, and the labels these go by."""

from __future__ import annotations

import pytest
import torch

from unlearnable.data.samples import Samples, stratified
from unlearnable.tasks import Classification, Depth


def test_stratified_keeps_the_shares_by_largest_remainder() -> None:
    labels = torch.tensor([0] * 50 + [1] * 30 + [2] * 20)
    rows = stratified(labels, 10)
    assert labels[rows].bincount().tolist() == [5, 3, 2]
    assert rows.tolist() == sorted(set(rows.tolist()))
    assert labels[stratified(labels, 3)].bincount(minlength=3).tolist() == [1, 1, 1]  # shares 1.5, 0.9, 0.6


@pytest.mark.parametrize("count", [0, 101])
def test_stratified_refuses_more_or_fewer_than_there_are(count: int) -> None:
    with pytest.raises(ValueError, match=f"between 1 and the 100 samples there are; got {count}"):
        stratified(torch.zeros(100, dtype=torch.int64), count)


def test_the_fingerprint_is_that_of_the_content() -> None:
    images, labels = torch.zeros(3, 1, 2, 2, dtype=torch.uint8), torch.tensor([0, 1, 0])
    one = Samples(images, labels)
    assert one.fingerprint == Samples(images.clone(), labels.clone()).fingerprint
    changed = images.clone()
    changed[2, 0, 1, 1] = 1
    assert one.fingerprint != one.replace(inputs=changed).fingerprint
    assert one.fingerprint != Samples(images, torch.tensor([0, 1, 1])).fingerprint


def test_inputs_are_replaced_row_for_row() -> None:
    samples = Samples(torch.zeros(3, 1, 2, 2, dtype=torch.uint8), torch.tensor([0, 1, 0]))
    with pytest.raises(ValueError, match=r"holds inputs of shape \(3, 1, 2, 2\); got \(2, 1, 2, 2\)"):
        samples.replace(inputs=samples.inputs[:-1])  # type: ignore[index]


def test_labels_are_those_of_the_first_class_task() -> None:
    inputs, depth = torch.zeros(2, 3), torch.ones(2, 1, 4, 4)
    tasks = {"d": Depth("d", 1), "a": Classification("a", 2), "b": Classification("b", 3)}
    samples = Samples(inputs, {"d": depth, "a": torch.tensor([0, 1]), "b": torch.tensor([2, 1])}, tasks)
    assert samples.labels.tolist() == [0, 1]
    assert samples.focused("b").labels.tolist() == [2, 1]
    with pytest.raises(ValueError, match=r"one of \['a', 'b'\]"):
        samples.focused("d")
    assert Samples(inputs, depth, {"d": tasks["d"]}).labels.tolist() == [0, 0]
