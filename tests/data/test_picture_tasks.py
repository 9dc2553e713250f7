"""Photographs with computed tasks: made once, of the clean pictures, and moved with them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from tests._inputs import seeded
from tests.data._inputs import encoded, write_hub
from unlearnable.data.cifar10 import Cifar10
from unlearnable.data.imagenet100 import ImageNet100
from unlearnable.data.picture_targets import TARGETS
from unlearnable.data.picture_tasks import PictureTasks
from unlearnable.data.taskonomy_domains import DOMAINS

pytest.importorskip("skimage", reason="segments need scikit-image (pip install unlearnable[multitask])")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """CIFAR-10's schema with 40 training and 20 test pictures of noise."""
    place = tmp_path_factory.mktemp("cifar10")
    write_hub(place, "train", 40)
    write_hub(place, "test", 20, seed=1)
    return place


def opened(folder: Path, store: Path, **options: object) -> PictureTasks:
    return PictureTasks(Cifar10, folder, store_dir=store, **options)


def events(store: Path) -> list[str]:
    records = [json.loads(line) for line in (store / "log.jsonl").read_text().splitlines()]
    return [record["event"] for record in records if record["kind"] == "targets"]


def test_targets_are_those_of_their_pictures_by_taskonomys_domains(folder: Path, tmp_path: Path) -> None:
    data = opened(folder, tmp_path)
    plain = Cifar10(folder)
    assert torch.equal(data.train.inputs, plain.train.inputs)
    assert torch.equal(data.train.targets["class"], plain.train.labels)
    for samples in (data.train, data.test):
        for name, compute in TARGETS.items():
            stored = compute(samples.inputs[7:8].numpy())[0]
            expected = torch.from_numpy(DOMAINS[name].decode(stored))
            assert torch.equal(samples.targets[name][7], expected)
    for name in TARGETS:
        assert data.tasks[name] == DOMAINS[name].task(name, DOMAINS[name].channels)


def test_targets_are_made_once_and_subsets_have_their_own(folder: Path, tmp_path: Path) -> None:
    first = opened(folder, tmp_path)
    first.setup()
    assert events(tmp_path) == ["made"] * 6  # three domains of two splits
    again = opened(folder, tmp_path, batch_size=7, tasks=["edge_texture", "class"])
    assert torch.equal(again.train.targets["edge_texture"], first.train.targets["edge_texture"])
    assert events(tmp_path)[6:] == ["reused"] * 2
    part = opened(folder, tmp_path, subset=10, tasks=["class", "edge_texture"])
    rows = [int((first.train.inputs == image).flatten(1).all(1).nonzero()) for image in part.train.inputs]
    assert len(part.train) == 10
    assert sorted(part.train.labels.tolist()) == list(range(10))
    assert torch.equal(part.train.targets["edge_texture"], first.train.targets["edge_texture"][rows])


def test_a_poison_changes_the_pictures_alone(folder: Path, tmp_path: Path) -> None:
    data = opened(folder, tmp_path)
    poisoned = data.poisoned(data.train.replace(inputs=255 - data.train.inputs))
    assert not torch.equal(poisoned.train.inputs, data.train.inputs)
    for name in data.tasks:
        assert torch.equal(poisoned.train.targets[name], data.train.targets[name])
        assert torch.equal(poisoned.test.targets[name], data.test.targets[name])


def test_pictures_and_targets_are_mirrored_together(folder: Path, tmp_path: Path) -> None:
    data = opened(folder, tmp_path, flip=True)
    images, targets = data.train[list(range(40))]
    moved, moved_targets = data.modality.augment(images, targets, data.tasks, generator=seeded(0))
    mirrored = torch.tensor([torch.equal(new, old.flip(-1)) for new, old in zip(moved, images, strict=True)])
    assert 5 < mirrored.sum() < 35
    for name in TARGETS:
        for row, turned in enumerate(mirrored.tolist()):
            expected = targets[name][row].flip(-1) if turned else targets[name][row]
            assert torch.equal(moved_targets[name][row], expected)
    assert torch.equal(moved_targets["class"], targets["class"])


def test_any_folder_of_pictures_has_the_tasks(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        for name in ("cats", "dogs"):
            (tmp_path / split / name).mkdir(parents=True)
            for number in range(3):
                picture = encoded(rng.integers(0, 256, (40, 30, 3), dtype=np.uint8))
                (tmp_path / split / name / f"{number}.png").write_bytes(picture)

    def source(data_dir: Path, **options: object) -> ImageNet100:
        return ImageNet100(data_dir, store_dir=tmp_path / "store", image_size=24, **options)

    data = PictureTasks(source, tmp_path, store_dir=tmp_path / "store")
    assert data.class_names == ("cats", "dogs")
    assert data.train.targets["keypoints2d"].shape == (6, 1, 24, 24)
    assert data.train.targets["segment_unsup2d"].shape == (6, 24, 24)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tasks": ["class", "depth"]}, "must name some of class, keypoints2d, edge_texture, segment_unsup2d"),
        ({"tasks": ["class", "class"]}, "each once"),
        ({"tasks": []}, "must name some"),
        ({"crop": 4}, "would move images but not their targets of keypoints2d"),
    ],
)
def test_bad_options_are_refused_at_once(
    folder: Path, tmp_path: Path, options: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        opened(folder, tmp_path, **options)


def test_segments_without_scikit_image_are_refused_at_once(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"scikit-image: pip install unlearnable\[multitask\]"):
        opened(folder, tmp_path)
    opened(folder, tmp_path, tasks=["class", "keypoints2d"])
