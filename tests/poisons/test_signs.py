"""Signs of targets: what a tile's places say, and what can be read off them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from tests._inputs import seeded
from unlearnable.poisons.image.signs import Signs, find_signs
from unlearnable.poisons.image.tiles import deal_places
from unlearnable.tasks import Depth, Heatmap, Normals, Segmentation, Task

SHAPE = (3, 16, 24)
EVERY = torch.arange(40)
KINDS: dict[str, Task] = {
    "depth": Depth("depth", 1),
    "normal": Normals("normal", 3),
    "parts": Segmentation("parts", 5),
    "points": Heatmap("points", 1),
}


def smooth(channels: int, seed: int) -> Tensor:
    """Random maps that are constant over areas of 4×4 pixels, so that one area shows a whole tile of one target."""
    coarse = torch.randn(len(EVERY), channels, SHAPE[1] // 4, SHAPE[2] // 4, generator=seeded(seed))
    return coarse.repeat_interleave(4, -1).repeat_interleave(4, -2)


TARGETS = {
    "depth": smooth(1, 0).exp(),
    "normal": F.normalize(smooth(3, 1), dim=1),
    "parts": smooth(5, 2).argmax(1),
    "points": smooth(1, 3).sigmoid() ** 8,
}


def signs(*names: str, side: int = 4, grain: int = 1) -> Signs:
    tasks = {name: KINDS[name] for name in names or KINDS}
    dealt = deal_places(SHAPE[0], side, len(tasks), generator=seeded(4))
    places = dict(zip(tasks, dealt, strict=True))
    return find_signs(tasks, TARGETS, places, grain=grain, shape=SHAPE, generator=seeded(5))


@pytest.mark.parametrize("name", KINDS)
def test_targets_are_nearly_linear_in_the_signs_of_a_tile(name: str) -> None:
    """Least squares from each tile's 48 signs: LSP's linear separability, for values. All four tasks share the tile."""
    tiles = signs().paint(TARGETS, EVERY).unfold(2, 4, 4).unfold(3, 4, 4)
    left = tiles[:, :, :, :3].permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(0, 2)  # the right half has mirrored tiles
    wanted = KINDS[name].vectors(TARGETS[name]).float()[:, :, ::4, :12:4].movedim(1, -1).flatten(0, 2)
    known = torch.cat([left, torch.ones(len(left), 1)], 1)
    rest = wanted - known @ torch.linalg.pinv(known) @ wanted
    assert 1 - rest.square().sum() / (wanted - wanted.mean(0)).square().sum() > 0.75


def test_each_place_says_on_which_side_of_its_threshold_a_pixel_lies() -> None:
    found = signs("normal", "depth", grain=2)
    painted = found.paint(TARGETS, EVERY)
    place = next(one for one in found.places if one.task.name == "normal" and one.column < 2)
    first = 2 * place.row, 2 * place.column  # each two pixels wide
    for row, column in (first, (first[0] + 1, first[1] + 1), (first[0] + 8, first[1])):
        side = TARGETS["normal"][:, :, row, column] @ place.direction > place.threshold
        assert torch.equal(painted[:, place.channel, row, column], side * 2.0 - 1)


def test_tasks_have_equally_many_places_and_signs_balance() -> None:
    found = signs()
    count = [sum(place.task.name == name for place in found.places) for name in KINDS]
    assert count == [12] * 4
    up = [place.direction.item() for place in found.places if place.task.name == "depth"]
    assert sum(up) == 0
    depth = [place.threshold * place.direction.item() for place in found.places if place.task.name == "depth"]
    middle = TARGETS["depth"].log().mean().item()
    assert min(depth) < middle - 1  # of a standard deviation of 1
    assert max(depth) > middle + 1


def test_thresholds_of_a_sparse_map_lie_where_it_begins() -> None:
    levels = [one.threshold * one.direction.item() for one in signs("points").places]
    assert max(levels) < TARGETS["points"].mean() + 2 * TARGETS["points"].std() + 0.02
    assert max(levels) < 0.7 * TARGETS["points"].max()


@pytest.mark.parametrize("side", [2, 3, 4])
def test_mirrored_targets_have_the_mirrored_texture(side: int) -> None:
    mirrored = {name: task.mirror(TARGETS[name]) for name, task in KINDS.items()}
    found = signs(side=side)
    assert torch.equal(found.paint(mirrored, EVERY), found.paint(TARGETS, EVERY).flip(-1))
