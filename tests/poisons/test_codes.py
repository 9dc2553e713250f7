"""Codes of targets by k-means."""

from __future__ import annotations

import torch

from tests._inputs import seeded
from unlearnable.poisons.image.codes import find_codes
from unlearnable.tasks import Segmentation

from ._tasks import TASKS, many_tasks


def test_codes_are_the_nearest_centres() -> None:
    samples = many_tasks("normal")
    book = find_codes(TASKS["normal"], samples.targets, 10, generator=seeded(0))
    codes = book(samples.targets, torch.tensor([3, 5]))
    vectors = samples.targets["normal"][5, :, 7]  # type: ignore[index]
    mirror = torch.tensor([-1.0, 1, 1])  # a mirror turns a normal's x, and nothing else
    for column in range(16):
        point = (vectors[:, column] - book.mean) * book.scale
        point = point * mirror if point[0] < 0 else point
        nearest = int((book.centres - point).square().sum(1).argmin())
        other_side = nearest >= 10 - book.sided and vectors[0, column] < 0
        assert codes[1, 7, column] == nearest + book.sided * other_side


def test_a_centre_off_the_mirror_plane_is_two_codes() -> None:
    # Walls that look left and right, and floors that are not quite level.
    kinds = torch.tensor([[1.0, 0, 0], [-1, 0, 0], [0, -1, 0]])
    facing = kinds[torch.randint(0, 3, (6, 8, 8), generator=seeded(0))]
    facing[..., 0] += 0.1 * torch.randn(6, 8, 8, generator=seeded(1))
    normal = {"normal": torch.nn.functional.normalize(facing, dim=-1).movedim(-1, 1)}
    book = find_codes(TASKS["normal"], normal, 2, generator=seeded(0))
    assert book.sided == 1
    assert book.mirrored.tolist() == [0, 2, 1]
    codes, x = book(normal, torch.arange(6)), normal["normal"][:, 0]
    assert (codes[x > 0.5] == 1).all()
    assert (codes[x < -0.5] == 2).all()
    assert (codes[x.abs() < 0.5] == 0).all()


def test_few_values_are_coded_exactly() -> None:
    exact = find_codes(Segmentation("semantic", 3), many_tasks("semantic").targets, 24, generator=seeded(0))
    assert len(exact.centres) == 3
    labels = many_tasks("semantic").targets["semantic"]  # type: ignore[index]
    found = exact(many_tasks("semantic").targets, torch.arange(24))
    assert len({(int(label), int(code)) for label, code in zip(labels.flatten(), found.flatten(), strict=True)}) == 3
