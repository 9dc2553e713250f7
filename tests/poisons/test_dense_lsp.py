"""What is written for each task: where, how strongly, and of which targets alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from unlearnable.data.samples import Samples
from unlearnable.poisons.dense_lsp import ClassTiles, DenseLSP
from unlearnable.tasks import Classification

from ._asserts import assert_in_budget
from ._inputs import grey_set, training_set
from ._tasks import TASKS, many_tasks

DENSE = [name for name, task in TASKS.items() if task.dense]
RADIUS = 8 / 255


def levels(samples: Samples, **options: Any) -> Tensor:
    """The noise in grey levels."""
    settings = {"radius": RADIUS, "batch_size": 10, **options}
    poisoned = DenseLSP(**settings).apply(samples, seed=0).inputs
    assert isinstance(poisoned, Tensor)
    assert isinstance(samples.inputs, Tensor)
    return poisoned.int() - samples.inputs.int()


def with_targets(samples: Samples, **targets: Tensor) -> Samples:
    assert not isinstance(samples.targets, Tensor)
    return samples.replace(targets={**samples.targets, **targets})


@pytest.mark.parametrize(
    ("names", "options"),
    [
        *(((name,), {}) for name in TASKS),
        *((names, {}) for names in ((), ("scene", "points"), ("normal", "segments"))),
        *((names, {"norm": "l2", "radius": 0.7}) for names in ((), ("scene",), ("depth",))),
    ],
)
def test_any_mixture_of_tasks_is_written_within_the_budget(names: tuple[str, ...], options: dict[str, Any]) -> None:
    samples = many_tasks(*names)
    poisoned = DenseLSP(**{"radius": RADIUS, **options}).apply(samples, seed=0)
    assert_in_budget(samples, poisoned, options.get("radius", RADIUS), options.get("norm", "linf"))
    noise = (poisoned.inputs.double() - samples.inputs.double()) / 255  # type: ignore[union-attr]
    size = noise.flatten(1).norm(dim=1) if "norm" in options else noise.abs().flatten(1).amax(1)
    assert (size > 0.85 * options.get("radius", RADIUS)).all()  # all of it is used, but for rounding


@pytest.mark.parametrize("names", [("scene",), ("depth", "normal"), ("scene", "depth"), ()])
def test_every_sign_has_the_whole_radius(names: tuple[str, ...]) -> None:
    assert levels(many_tasks(*names)).abs().unique().tolist() == [8]


def test_tasks_have_places_of_their_own_and_equally_many() -> None:
    samples = many_tasks()
    noise, places = levels(samples), {}
    for name, target in samples.targets.items():  # type: ignore[union-attr]
        places[name] = (levels(with_targets(samples, **{name: target.roll(1, 0)})) != noise).any(0)
    assert torch.stack([*places.values()]).sum(0).max() == 1
    assert {round(24 * one.float().mean().item()) for one in places.values()} == {3, 4}  # 24 places for 7 tasks


def test_a_class_alone_is_one_tile_a_class_over_the_whole_picture() -> None:
    noise = levels(many_tasks("scene"))
    assert (noise == noise[..., :4, :4].repeat(1, 1, 4, 4)).all()
    labels = torch.arange(24) % 4
    for label in range(4):
        assert (noise[labels == label] == noise[label]).all()
        assert not (noise[labels == label] == noise[(label + 1) % 4]).all()


def test_pixels_without_a_target_have_no_noise() -> None:
    samples = many_tasks("depth", "semantic")
    depth, semantic = (samples.targets[name].clone() for name in ("depth", "semantic"))  # type: ignore[index]
    depth[:, :, :8], semantic[:, 4:12] = torch.nan, -1
    masked = with_targets(samples, depth=depth, semantic=semantic)
    noise = levels(masked)
    assert (noise[:, :, 4:8] == 0).all()  # neither has a value
    assert (noise[:, :, 12:] != 0).all()  # both have one
    for rows in (slice(0, 4), slice(8, 12)):  # half of a tile's signs are depth's, half the other's
        assert ((noise[:, :, rows] != 0).float().mean((1, 2, 3)) == 0.5).all()
    assert (levels(masked, tasks=["depth"])[:, :, :8] == 0).all()
    no_class = many_tasks("scene", "depth").targets["scene"].clone()  # type: ignore[index]
    no_class[1] = -1
    second = {"first": Classification("first", 2), "scene": TASKS["scene"]}
    labelled = Samples(samples.inputs, {"first": torch.arange(24) % 2, "scene": no_class}, second)
    noise = levels(labelled, tasks=["scene"])
    assert (noise[1] == 0).all()
    assert (noise[0] != 0).all()


@pytest.mark.parametrize("name", DENSE)
def test_what_is_not_protected_leaves_no_trace(name: str) -> None:
    samples = many_tasks()
    others = {other: target.flip(0) for other, target in samples.targets.items() if other != name}  # type: ignore[union-attr]
    assert torch.equal(levels(samples, tasks=[name]), levels(with_targets(samples, **others), tasks=[name]))


def test_a_mirrored_picture_has_the_mirrored_noise() -> None:
    # With normals, too: a mirrored wall faces another way, and its place asks for another direction.
    data = training_set(many_tasks(count=8, size=18))
    targets = data.samples.targets
    assert not isinstance(targets, Tensor)
    mirrored = {name: TASKS[name].mirror(target) for name, target in targets.items()}
    for layer in DenseLSP(radius=RADIUS).layers(data):
        rows = torch.arange(8)
        assert torch.equal(layer.paint(mirrored, rows), layer.paint(targets, rows).flip(-1))


def test_several_class_tasks_have_places_apart() -> None:
    samples = grey_set(24, 1, 16)
    tasks = {"a": Classification("a", 2), "b": Classification("b", 3)}
    a, b = torch.arange(24) % 2, torch.arange(24) // 8
    noise = levels(Samples(samples.inputs, {"a": a, "b": b}, tasks))
    by_a = (noise[a == 0] == noise[0]).all(0)  # what b does not change
    by_b = (noise[b == 0] == noise[0]).all(0)
    assert (by_a | by_b).all()
    assert not by_a.all()
    assert not by_b.all()


def test_many_classes_have_longer_tiles() -> None:
    # 3 places of 24, and 7 bits: the pattern of a class repeats after two tiles.
    samples = many_tasks(count=100)
    classes = Classification("scene", 100)
    targets = {**samples.targets, "scene": torch.arange(100)}  # type: ignore[dict-item]
    many = Samples(samples.inputs, targets, {**samples.tasks, "scene": classes})
    tiles = next(layer for layer in DenseLSP(radius=RADIUS).layers(training_set(many)) if isinstance(layer, ClassTiles))
    assert tiles.tiles.shape == (100, 3, 8, 8)
    assert len(torch.unique(tiles.tiles.flatten(1), dim=0)) == 100


def test_what_can_not_be_written_is_refused() -> None:
    with pytest.raises(ValueError, match=r"`poison\.tasks` names sofa"):
        DenseLSP(radius=RADIUS, tasks=["sofa"]).check(many_tasks("depth"))
    with pytest.raises(ValueError, match="the samples name no task"):
        DenseLSP(radius=RADIUS).check(Samples(grey_set(4, 2, 16).inputs, torch.zeros(4)))
    samples = many_tasks("depth")
    with pytest.raises(ValueError, match=r"task 'depth' \(depth\) has targets of shape \(1, 8, 8\)"):
        DenseLSP(radius=RADIUS).check(with_targets(samples, depth=torch.ones(24, 1, 8, 8)))
    with pytest.raises(ValueError, match="depth: none of 24 training targets has a value"):
        DenseLSP(radius=RADIUS).apply(with_targets(samples, depth=torch.full((24, 1, 16, 16), torch.nan)), seed=0)
    with pytest.raises(ValueError, match="`norm` must be 'linf' or 'l2' for dense_lsp"):
        DenseLSP(radius=4, norm="l0")
