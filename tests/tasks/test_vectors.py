"""Targets as vectors, which poisons make codes of."""

from __future__ import annotations

import math

import torch
from torch.testing import assert_close

from unlearnable.tasks import Depth, Grouping, Normals, Segmentation, ValueMap


def test_distances_are_compared_by_their_ratio() -> None:
    near, far = Depth("d", 1).vectors(torch.tensor([1.0, 2, 10, 20]).view(1, 1, 2, 2))[0, 0]
    assert_close(near[1] - near[0], far[1] - far[0])
    assert_close(near[1] - near[0], torch.tensor(math.log(2)))


def test_classes_are_equally_far_from_each_other_and_missing_ones_have_no_vector() -> None:
    vectors = Segmentation("s", 3).vectors(torch.tensor([[[0, 2, 1, -1]]]))[0, :, 0].T
    assert torch.equal(vectors[:3], torch.eye(3)[[0, 2, 1]])
    assert vectors[3].isnan().all()


def test_segments_have_one_colour_each_and_neighbours_in_number_another() -> None:
    vectors = Grouping("g", 8).vectors(torch.tensor([[[0, 1, 5, 6, -1]]]))[0, :, 0].T
    assert torch.equal(vectors[1], vectors[2])  # 1 and 5, modulo 4
    assert not torch.equal(vectors[0], vectors[1])
    assert not torch.equal(vectors[2], vectors[3])
    assert vectors[4].isnan().all()


def test_other_maps_are_their_own_vectors() -> None:
    target = torch.rand(2, 3, 4, 4)
    assert torch.equal(Normals("n", 3).vectors(target), target)
    assert torch.equal(ValueMap("m", 3).vectors(target), target)
