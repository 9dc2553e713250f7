"""What is written for each task: where, how strongly, and of which targets alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from tests._inputs import seeded
from unlearnable.data.samples import Samples
from unlearnable.poisons.dense_lsp import DenseLSP
from unlearnable.poisons.image.codes import find_codes
from unlearnable.tasks import Classification, Depth, Segmentation

from ._asserts import assert_in_budget
from ._inputs import grey_set, training_set
from ._tasks import TASKS, many_tasks

DENSE = [name for name, task in TASKS.items() if task.dense]
RADIUS = 8 / 255


def levels(samples: Samples, **options: Any) -> Tensor:
    """The noise in grey levels."""
    settings = {"radius": RADIUS, "grain": 1, "batch_size": 10, **options}
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
        *((names, {"joint": False}) for names in ((), ("scene", "points"), ("normal", "segments"))),
        *((names, {"norm": "l2", "radius": 0.7}) for names in ((), ("scene",), ("depth",))),
    ],
)
def test_any_mixture_of_tasks_is_written_within_the_budget(names: tuple[str, ...], options: dict[str, Any]) -> None:
    samples = many_tasks(*names)
    poisoned = DenseLSP(**{"radius": RADIUS, "grain": 1, **options}).apply(samples, seed=0)
    assert_in_budget(samples, poisoned, options.get("radius", RADIUS), options.get("norm", "linf"))
    noise = (poisoned.inputs.double() - samples.inputs.double()) / 255  # type: ignore[union-attr]
    size = noise.flatten(1).norm(dim=1) if "norm" in options else noise.abs().flatten(1).amax(1)
    assert (size > 0.85 * options.get("radius", RADIUS)).all()  # all of it is used, but for rounding


def test_dense_tasks_and_classes_share_the_radius() -> None:
    # 3/4 and 1/4 of 8 levels: 6 + 2, of equal or other sign; alone each has all.
    assert levels(many_tasks("scene", "depth")).abs().unique().tolist() == [4, 8]
    for names in (("scene",), ("depth", "normal")):
        assert levels(many_tasks(*names)).abs().unique().tolist() == [8]
    assert levels(many_tasks("scene", "depth"), class_share=0.5).abs().unique().tolist() == [0, 8]


def test_a_class_alone_is_one_tile_a_class_over_the_whole_picture() -> None:
    noise = levels(many_tasks("scene"))
    cells = noise.view(24, 3, 4, 4, 4, 4)
    assert (cells == cells[:, :, :1, :, :1]).all()
    labels = torch.arange(24) % 4
    for label in range(4):
        assert (noise[labels == label] == noise[label]).all()
        assert not (noise[labels == label] == noise[(label + 1) % 4]).all()


def test_equal_targets_show_equal_tiles_and_others_do_not() -> None:
    depth = torch.tensor([1.0, 2.0, 4.0])[torch.randint(0, 3, (24, 1, 16, 16), generator=seeded(0))]
    noise = levels(Samples(grey_set(24, 1, 16).inputs, {"depth": depth}, {"depth": Depth("depth", 1)}), tile=2)
    seen = {}
    for value in (1.0, 2.0, 4.0):
        # A column and its mirror image have the same phase: columns 0, 1, 0, 1, … from either side.
        phase = torch.minimum(torch.arange(16), 15 - torch.arange(16)) % 2
        tile = []
        for row in (0, 1):
            for column in (0, 1):
                here = (depth[:, 0, row::2] == value) & (phase == column)
                shown = noise[:, :, row::2].movedim(1, -1)[here]
                assert (shown == shown[0]).all()
                tile.append(shown[0])
        seen[value] = torch.cat(tile)
    assert not torch.equal(seen[1.0], seen[2.0])
    assert not torch.equal(seen[2.0], seen[4.0])


def test_pixels_without_a_target_have_no_noise() -> None:
    samples = many_tasks("depth", "semantic")
    depth, semantic = (samples.targets[name].clone() for name in ("depth", "semantic"))  # type: ignore[index]
    depth[:, :, :8], semantic[:, 4:12] = torch.nan, -1
    masked = with_targets(samples, depth=depth, semantic=semantic)
    noise = levels(masked)
    assert (noise[:, :, 4:8] == 0).all()  # neither has a value
    assert (noise[:, :, :4] != 0).all()
    assert (noise[:, :, 8:] != 0).all()
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


@pytest.mark.parametrize("joint", [True, False])
def test_a_mirrored_picture_has_the_mirrored_noise(joint: bool) -> None:
    # With normals, too: a mirrored wall faces another way, so it has another code, whose tile is the mirrored one.
    data = training_set(many_tasks(count=8, size=18))
    targets = data.samples.targets
    assert not isinstance(targets, Tensor)
    mirrored = {name: TASKS[name].mirror(target) for name, target in targets.items()}
    for layer in DenseLSP(radius=RADIUS, joint=joint, grain=1).layers(data):
        rows = torch.arange(8)
        assert torch.equal(layer.paint(mirrored, rows), layer.paint(targets, rows).flip(-1))


def test_several_class_tasks_take_turns() -> None:
    samples = grey_set(24, 1, 16)
    tasks = {"a": Classification("a", 2), "b": Classification("b", 3)}
    a, b = torch.arange(24) % 2, torch.arange(24) // 8
    noise = levels(Samples(samples.inputs, {"a": a, "b": b}, tasks))
    by_a = (noise[a == 0] == noise[0]).all(0)  # pixels that b does not change
    by_b = (noise[b == 0] == noise[0]).all(0)
    cells = 0.5 * by_a.view(3, 4, 4, 4, 4).all(0).all(1).all(-1) + by_b.view(3, 4, 4, 4, 4).all(0).all(1).all(-1)
    assert ((cells == 0.5) | (cells == 1.0)).all()  # a cell depends on one of the two
    assert (cells == 1.0).sum() == 8  # of 16


def test_codes_are_the_nearest_centres() -> None:
    samples = many_tasks("depth", "normal")
    book = find_codes(samples.tasks, samples.targets, 10, generator=seeded(0))
    codes = book(samples.targets, torch.tensor([3, 5]))
    targets = samples.targets
    vectors = torch.cat([targets["depth"][5].log(), targets["normal"][5]])[:, 7]  # type: ignore[index]
    mirror = torch.tensor([1.0, -1, 1, 1])  # a mirror turns a normal's x, and nothing else
    for column in range(16):
        point = (vectors[:, column] - book.mean) * book.scale
        point = point * mirror if point[1] < 0 else point
        nearest = int((book.centres - point).square().sum(1).argmin())
        other_side = nearest >= 10 - book.sided and vectors[1, column] < 0
        assert codes[1, 7, column] == nearest + book.sided * other_side


def test_a_centre_off_the_mirror_plane_is_two_codes() -> None:
    # Walls that look left and right, and floors that are not quite level.
    kinds = torch.tensor([[1.0, 0, 0], [-1, 0, 0], [0, -1, 0]])
    facing = kinds[torch.randint(0, 3, (6, 8, 8), generator=seeded(0))]
    facing[..., 0] += 0.1 * torch.randn(6, 8, 8, generator=seeded(1))
    normal = {"normal": torch.nn.functional.normalize(facing, dim=-1).movedim(-1, 1)}
    book = find_codes({"normal": TASKS["normal"]}, normal, 2, generator=seeded(0))
    assert book.sided == 1
    assert book.mirrored.tolist() == [0, 2, 1]
    codes, x = book(normal, torch.arange(6)), normal["normal"][:, 0]
    assert (codes[x > 0.5] == 1).all()
    assert (codes[x < -0.5] == 2).all()
    assert (codes[x.abs() < 0.5] == 0).all()


def test_few_values_are_coded_exactly() -> None:
    semantic = {"semantic": Segmentation("semantic", 3)}
    exact = find_codes(semantic, many_tasks("semantic").targets, 24, generator=seeded(0))
    assert len(exact.centres) == 3
    labels = many_tasks("semantic").targets["semantic"]  # type: ignore[index]
    found = exact(many_tasks("semantic").targets, torch.arange(24))
    assert len({(int(label), int(code)) for label, code in zip(labels.flatten(), found.flatten(), strict=True)}) == 3


def test_each_task_counts_alike_in_a_joint_code() -> None:
    samples = many_tasks("depth", "normal", "semantic")
    book = find_codes(samples.tasks, samples.targets, 4, generator=seeded(0))
    vectors = torch.cat([task.vectors(samples.targets[name]) for name, task in samples.tasks.items()], 1)  # type: ignore[index]
    variance = book.standard(vectors.movedim(1, -1)).flatten(0, 2).var(0)
    assert [float(part.sum()) for part in variance.split([1, 3, 3])] == pytest.approx([1, 1, 1], rel=0.02)


def test_what_can_not_be_coded_is_refused() -> None:
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
