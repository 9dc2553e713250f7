"""Parquet sets: whole or refused, images in every form that has one meaning, labels as numbers or names."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from tests.data._inputs import encoded, write_hub, write_table
from unlearnable.data.cifar10 import Cifar10
from unlearnable.data.hub import read_split
from unlearnable.data.shards import find_split

NAMES = Cifar10.class_names
PIXELS = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)


# --- shards ---


def put(folder: Path, *names: str) -> Path:
    """Files of different contents."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_text(f"content of {folder / name}")
    return folder


@pytest.mark.parametrize(
    "names",
    [
        ["train.parquet"],
        ["train-00000-of-00001.parquet"],
        ["train-00000-of-00003.parquet", "train-00001-of-00003.parquet", "train-00002-of-00003.parquet"],
        ["train-00000-of-00002-0123456789abcdef.parquet", "train-00001-of-00002-fedcba9876543210.parquet"],
    ],
)
@pytest.mark.parametrize("below", ["", "plain_text"])
def test_a_whole_set_is_found_in_order(tmp_path: Path, names: list[str], below: str) -> None:
    put(
        tmp_path / below,
        *names,
        "test-00000-of-00001.parquet",
        "trainval.parquet",
        "train_extra-00000-of-00002.parquet",
    )
    put(tmp_path / ".cache", "train.parquet")
    assert [path.name for path in find_split(tmp_path, "train")] == names


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["train-00000-of-00002.parquet"], "of 2 parts number 00001 is not there"),
        (["train-00001-of-00002.parquet"], "of 2 parts number 00000 is not there"),
        (
            ["train-00000-of-00001.parquet", "train-00000-of-00002.parquet", "train-00001-of-00002.parquet"],
            "there are parts of sets of 1 and of 2",
        ),
        (
            ["train-00000-of-00001-0123456789abcdef.parquet", "train-00000-of-00001-fedcba9876543210.parquet"],
            "there are 2 files for 1 parts",
        ),
        (["train.parquet", "train-00000-of-00001.parquet"], r"train\.parquet is no part of a set"),
        (["train-00000-of-00001.parquet", "train-00000-of-00001 (1).parquet"], r"\(1\)\.parquet is no part of a set"),
        (["train-0.parquet", "train-1.parquet"], r"train-0\.parquet, train-1\.parquet are no parts of a set"),
        (["train-part.parquet"], "is no part of a set"),
    ],
)
def test_what_is_not_one_whole_set_is_refused_with_the_names(tmp_path: Path, names: list[str], said: str) -> None:
    put(tmp_path, *names)
    with pytest.raises(
        ValueError, match=rf"train split in .* not one whole set of files: .*{said}.*Found {names[0][:5]}"
    ):
        find_split(tmp_path, "train")


def test_a_copy_in_the_place_of_another_part_is_refused(tmp_path: Path) -> None:
    put(tmp_path, "train-00000-of-00002.parquet")
    shutil.copy(tmp_path / "train-00000-of-00002.parquet", tmp_path / "train-00001-of-00002.parquet")
    with pytest.raises(ValueError, match="have the same content"):
        find_split(tmp_path, "train")


def test_two_folders_with_the_split_are_refused(tmp_path: Path) -> None:
    put(tmp_path / "cropped_digits", "train.parquet"), put(tmp_path / "full_numbers", "train.parquet")
    with pytest.raises(ValueError, match=r"in several folders: .*cropped_digits, .*full_numbers.*dataset\.data_dir"):
        find_split(tmp_path, "train")


def test_an_incomplete_set_ends_before_anything_is_read(tmp_path: Path) -> None:
    write_hub(tmp_path, "train", 10), write_hub(tmp_path, "test", 10)
    (tmp_path / "train-00000-of-00001.parquet").rename(tmp_path / "train-00000-of-00002.parquet")
    with pytest.raises(ValueError, match="of 2 parts number 00001 is not there"):
        Cifar10(tmp_path)


# --- images ---


def chw(images: np.ndarray) -> np.ndarray:
    return images.transpose(0, 3, 1, 2)


def fixed(images: np.ndarray) -> pa.Array:
    """Lists of fixed size, nested."""
    array = pa.array(images.ravel())
    for size in images.shape[:0:-1]:
        array = pa.FixedSizeListArray.from_arrays(array, size)
    return array


@pytest.mark.parametrize(
    "column",
    [
        lambda: [{"bytes": encoded(image), "path": "0.png"} for image in PIXELS],
        lambda: [encoded(image) for image in PIXELS],
        lambda: pa.array([encoded(image) for image in PIXELS], pa.large_binary()),
        lambda: PIXELS.tolist(),
        lambda: chw(PIXELS).tolist(),
        lambda: pa.array(PIXELS.tolist(), pa.list_(pa.list_(pa.list_(pa.uint8())))),
        lambda: pa.array(PIXELS.astype(float).tolist()),
        lambda: fixed(PIXELS),
        lambda: fixed(chw(PIXELS).astype(np.int64)),
        lambda: pa.FixedShapeTensorArray.from_numpy_ndarray(PIXELS),
    ],
    ids=["struct", "binary", "large binary", "hwc", "chw", "uint8", "whole floats", "fixed", "fixed chw", "tensors"],
)
@pytest.mark.parametrize("subset", [None, 4])
def test_images_are_read_to_the_bit_in_every_form(
    tmp_path: Path, column: Callable[[], Any], subset: int | None
) -> None:
    half = 3
    whole = column()
    files = [
        write_table(tmp_path / f"{part}.parquet", whole[rows], list(range(6))[rows])
        for part, rows in enumerate((slice(0, half), slice(half, None)))
    ]
    found = read_split(files, class_names=NAMES, shape=(3, 32, 32), subset=subset)
    assert len(found) == (subset or 6)
    assert np.array_equal(found.inputs.numpy(), chw(PIXELS[found.labels.numpy()]))


@pytest.mark.parametrize("shape", [(32, 32), (32, 32, 1), (1, 32, 32)])
def test_grey_arrays_have_three_equal_channels(tmp_path: Path, shape: tuple[int, ...]) -> None:
    grey = PIXELS[..., 0]
    file = write_table(tmp_path / "train.parquet", grey.reshape(6, *shape).tolist(), list(range(6)))
    found = read_split([file], class_names=NAMES)
    assert torch.equal(found.inputs, torch.from_numpy(grey)[:, None].expand(-1, 3, -1, -1))


@pytest.mark.parametrize(
    ("images", "said"),
    [
        ((PIXELS / 255).tolist(), "arrays of float64, from 0.0 to 1.0; images are whole numbers from 0 to 255"),
        ((PIXELS.astype(int) * 257).tolist(), "arrays of int64, from 0 to 65535"),
        ((PIXELS.astype(int) - 128).tolist(), "from -128 to 127"),
        ((PIXELS > 128).tolist(), "arrays of bool, no numbers"),
        ((PIXELS > 128).astype(int).tolist(), "no number above 1"),
        (PIXELS.reshape(6, -1).tolist(), r"arrays of shape \[3072\]; images are \[h, w\], \[h, w, 3\] or \[3, h, w\]"),
        (np.zeros((6, 3, 8, 3), int).tolist(), r"arrays of shape \[3, 8, 3\]"),
        (np.zeros((6, 8, 8, 4), int).tolist(), r"arrays of shape \[8, 8, 4\]"),
        ([[[1, 2], [3]]] * 6, "row 0: the array is missing, ragged, or of another size"),
        ([[[1, 2], [3, 4]]] * 5 + [[[1, 2, 3], [4, 5, 6]]], "row 5: the array is missing, ragged"),
        ([[[1, 2], [3, 4]]] * 5 + [None], "row 5: the array is missing"),
        ([[[1, 2], [3, None]]] * 6, "numbers are missing"),
        (["0.png"] * 6, "has the type string; images are encoded pictures or arrays"),
        ([{"bytes": None, "path": "0.png"}] * 6, "row 0: there is no picture; its bytes must lie in the file itself"),
        ([encoded(PIXELS[0])] * 5 + [b"no image"], "row 5: not a readable image"),
        (pa.array([image.tobytes() for image in PIXELS], pa.binary(3072)), "row 0: not a readable image"),
    ],
)
def test_other_columns_are_refused_with_file_and_column(tmp_path: Path, images: Any, said: str) -> None:
    file = write_table(tmp_path / "train.parquet", images, list(range(6)))
    with pytest.raises(ValueError, match=rf"train\.parquet, column 'img'.*{said}"):
        read_split([file], class_names=NAMES)


# --- labels ---


def labels_of(tmp_path: Path, labels: Any, *, names: Sequence[str] | None = None, classes: Any = NAMES) -> list[int]:
    images = [encoded(PIXELS[0])] * len(labels)
    file = write_table(tmp_path / "train.parquet", images, labels, names=names)
    return read_split([file], class_names=classes).labels.tolist()


@pytest.mark.parametrize(
    "labels",
    [
        [3, 0, 9],
        [3.0, 0.0, 9.0],
        ["cat", "airplane", "truck"],
        ["3", "0", "9"],
        pa.array(["cat", "airplane", "truck"]).dictionary_encode(),
        pa.array([3, 0, 9], pa.uint8()),
    ],
)
def test_labels_are_numbers_or_names(tmp_path: Path, labels: Any) -> None:
    assert labels_of(tmp_path, labels) == [3, 0, 9]


def test_metadata_say_what_names_and_numbers_mean(tmp_path: Path) -> None:
    other = list(reversed(NAMES))
    assert labels_of(tmp_path, [0, 9], names=NAMES) == [0, 9]
    assert labels_of(tmp_path, [0, 9], names=other) == [9, 0]  # 0 is "truck" in this file
    short = ["plane", "car", *NAMES[2:]]
    assert labels_of(tmp_path, ["car", "bird"], names=short) == [1, 2]
    assert labels_of(tmp_path, [1, 2], names=short) == [1, 2]


def test_unknown_classes_are_those_of_the_metadata_or_the_sorted_names(tmp_path: Path) -> None:
    assert labels_of(tmp_path, ["b", "c", "a"], classes=None) == [1, 2, 0]
    assert labels_of(tmp_path, ["b", "a"], names=["b", "a"], classes=None) == [0, 1]
    assert labels_of(tmp_path, [7, 0], classes=None) == [7, 0]
    with pytest.raises(ValueError, match="label -1"):
        labels_of(tmp_path, [7, -1], classes=None)
    parts = [
        write_table(tmp_path / f"{labels[0]}.parquet", [encoded(PIXELS[0])] * 2, labels)
        for labels in (["b", "a"], [0, 1])
    ]
    with pytest.raises(ValueError, match=r"0\.parquet: the label 0 is a number, and others are names, such as 'a'"):
        read_split(parts)


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        ([0, -1], "-1"),
        ([0, 10], "10"),
        ([0, None], "None"),
        ([0, 2.5], "2.5"),
        ([0, float("nan")], "nan"),
        ([0.0, float("inf")], "inf"),
        (["cat", "plane"], "'plane'"),
        (["cat", None], "None"),
        (["3", "-1"], "'-1'"),
        (["3", "10"], "'10'"),
        ([[0, 1], [1, 0]], r"\[0, 1\]"),
        ([True, False], "True"),
    ],
)
@pytest.mark.parametrize("split", ["train", "test"])
def test_other_labels_are_refused_in_either_split(tmp_path: Path, labels: list[Any], found: str, split: str) -> None:
    for name in ("train", "test"):
        write_table(tmp_path / f"{name}.parquet", [encoded(PIXELS[0])] * 2, labels if name == split else [0, 1])
    with pytest.raises(
        ValueError, match=rf"{split}\.parquet, column 'label', row [01]: the label {found} is none of the 10"
    ):
        Cifar10(tmp_path, subset=1).setup()


def test_torchvisions_labels_are_checked_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.zeros((2, 32, 32, 3), dtype=np.uint8)
    monkeypatch.setattr(Cifar10, "torchvision_arrays", lambda self, train: (pixels, np.array([0, 1 if train else 10])))
    (tmp_path / Cifar10.marker).mkdir()
    with pytest.raises(ValueError, match="test image 1: the label 10 is none of the 10 classes"):
        Cifar10(tmp_path).setup()


def test_a_path_may_begin_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_hub(tmp_path / "data", "train", 10), write_hub(tmp_path / "data", "test", 10)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert len(Cifar10("~/data").train) == 10
