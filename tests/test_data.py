from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from tests._inputs import composed, seeded, shared_data
from unlearnable.data import Cifar10, Cifar100, Digits, ImageNet100, ImageSet, Svhn, stratified
from unlearnable.data.augment import random_crop, random_flip
from unlearnable.data.module import EpochBatches


def test_digits_are_real_eight_bit_images_in_a_stratified_split() -> None:
    digits = Digits()
    assert (digits.train.images.shape, digits.test.images.shape) == ((1400, 3, 16, 16), (397, 3, 16, 16))
    assert digits.train.images.dtype == torch.uint8
    assert digits.train.images.amax() == 255
    shares = digits.train.labels.bincount() / torch.cat([digits.train.labels, digits.test.labels]).bincount()
    assert_close(shares, torch.full((10,), 1400 / 1797), atol=0.01, rtol=0)


def test_split_and_subset_do_not_depend_on_the_seed() -> None:
    one, other = Digits(subset=100, seed=0), Digits(subset=100, seed=1)
    assert one.train.fingerprint == other.train.fingerprint


def test_train_and_test_share_no_row() -> None:
    digits = Digits()
    train = {row.numpy().tobytes() for row in digits.train.images}
    assert sum(row.numpy().tobytes() in train for row in digits.test.images) == 0


def test_the_training_loader_shuffles_anew_each_epoch_and_covers_every_row() -> None:
    batches = EpochBatches(10, 4, seed=0, shuffle=True)
    first = [row for batch in batches for row in batch]
    batches.set_epoch(1)
    second = [row for batch in batches for row in batch]
    batches.set_epoch(0)
    assert sorted(first) == sorted(second) == list(range(10))
    assert first != second != list(range(10))
    assert first == [row for batch in batches for row in batch]
    assert [len(batch) for batch in batches] == [4, 4, 2] == [4] * (len(batches) - 1) + [2]


def test_stratified_keeps_the_shares_by_largest_remainder() -> None:
    labels = torch.tensor([0] * 50 + [1] * 30 + [2] * 20)
    rows = stratified(labels, 10)
    assert labels[rows].bincount().tolist() == [5, 3, 2]
    assert rows.tolist() == sorted(set(rows.tolist()))
    assert labels[stratified(labels, 3)].bincount(minlength=3).tolist() == [1, 1, 1]  # shares 1.5, 0.9, 0.6


@pytest.mark.parametrize("count", [0, 101])
def test_stratified_refuses_more_or_fewer_than_there_are(count: int) -> None:
    with pytest.raises(ValueError, match=f"between 1 and the 100 images there are; got {count}"):
        stratified(torch.zeros(100, dtype=torch.int64), count)


def test_the_fingerprint_is_that_of_the_content() -> None:
    images, labels = torch.zeros(3, 1, 2, 2, dtype=torch.uint8), torch.tensor([0, 1, 0])
    one = ImageSet(images, labels)
    assert one.fingerprint == ImageSet(images.clone(), labels.clone()).fingerprint
    changed = images.clone()
    changed[2, 0, 1, 1] = 1
    assert one.fingerprint != one.with_images(changed).fingerprint
    assert one.fingerprint != ImageSet(images, torch.tensor([0, 1, 1])).fingerprint


def test_the_probe_is_fixed_and_scaled_and_its_batches_cover_it() -> None:
    probe = Digits().probe(100, batch_size=64)
    first, second = list(probe), list(probe)
    assert [len(images) for images, _ in first] == [64, 36] == [len(images) for images, _ in second]
    assert_close(first[0][0], second[0][0])
    assert first[0][0].dtype == torch.float32
    assert first[0][0].amax() == 1


def test_poisoned_changes_training_images_alone() -> None:
    digits = Digits(subset=50)
    poisoned = digits.poisoned(digits.train.images // 2)
    assert poisoned.train.fingerprint != digits.train.fingerprint
    assert poisoned.test.fingerprint == digits.test.fingerprint
    assert torch.equal(poisoned.train.labels, digits.train.labels)
    with pytest.raises(ValueError, match="holds images of shape"):
        digits.poisoned(digits.train.images[:-1])


def test_random_crop_cuts_a_window_of_the_padded_image() -> None:
    images = torch.arange(1, 1 + 40 * 9).reshape(40, 1, 3, 3)
    cropped = random_crop(images, 1, generator=seeded(0))
    padded = torch.nn.functional.pad(images, (1, 1, 1, 1))
    windows = [[padded[i, :, y : y + 3, x : x + 3] for y in range(3) for x in range(3)] for i in range(40)]
    places = [next(k for k, window in enumerate(windows[i]) if torch.equal(window, cropped[i])) for i in range(40)]
    assert len(set(places)) == 9  # each image has its own place, and all occur


def test_random_flip_mirrors_about_half() -> None:
    images = torch.rand(1000, 1, 1, 2, generator=seeded(1))
    flipped = random_flip(images, generator=seeded(0))
    mirrored = (flipped == images.flip(-1)).flatten(1).all(1)
    assert ((flipped == images).flatten(1).all(1) | mirrored).all()
    assert 400 < int(mirrored.sum()) < 600


def write_hub(folder: Path, split: str, count: int, seed: int = 0) -> np.ndarray:
    """`count` random PNGs with labels 0 … 9 in the hub's schema; returns the pixels."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from PIL import Image

    pixels = np.random.default_rng(seed).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
    encoded = []
    for image in pixels:
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "png")
        encoded.append({"bytes": buffer.getvalue(), "path": None})
    folder.mkdir(exist_ok=True, parents=True)
    table = pa.table({"img": encoded, "label": [i % 10 for i in range(count)]})
    pq.write_table(table, folder / f"{split}-00000-of-00001.parquet")
    return pixels


def test_hub_parquet_is_read_in_order_and_to_the_bit(tmp_path: Path) -> None:
    pixels = write_hub(tmp_path / "plain_text", "train", 20)
    write_hub(tmp_path / "plain_text", "test", 10, seed=1)
    data = Cifar10(tmp_path)
    assert np.array_equal(data.train.images.permute(0, 2, 3, 1).numpy(), pixels)
    assert data.train.labels.tolist() == [i % 10 for i in range(20)]
    assert len(data.test) == 10


def test_torchvisions_form_is_refused_unless_its_md5_sums_are_the_published_ones(tmp_path: Path) -> None:
    (tmp_path / "cifar-10-batches-py").mkdir()
    (tmp_path / "cifar-10-batches-py" / "data_batch_1").write_bytes(b"other")
    with pytest.raises(ValueError, match=r"not found or corrupted.*Fetch the files again"):
        Cifar10(tmp_path).setup()


def test_torchvisions_form_is_read_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torchvision.datasets

    class Published:  # stands for torchvision's reader: pixels n×h×w×3 and a list of labels
        def __init__(self, root: Path, *, train: bool, download: bool) -> None:
            assert (root, download) == (tmp_path, False)
            self.data = np.arange(2 * 32 * 32 * 3, dtype=np.uint8).reshape(2, 32, 32, 3)
            self.targets = [3, 8 if train else 9]

    monkeypatch.setattr(torchvision.datasets, "CIFAR10", Published)
    (tmp_path / "cifar-10-batches-py").mkdir()
    data = Cifar10(tmp_path)
    assert data.train.images[0, :, 0, 1].tolist() == [3, 4, 5]  # channels of the second pixel
    assert (data.train.labels.tolist(), data.test.labels.tolist()) == ([3, 8], [3, 9])


def test_a_corrupt_parquet_file_is_named(tmp_path: Path) -> None:
    write_hub(tmp_path, "train", 20)
    write_hub(tmp_path, "test", 10)
    file = tmp_path / "test-00000-of-00001.parquet"
    file.write_bytes(file.read_bytes()[:500])
    with pytest.raises(ValueError, match=r"test-00000-of-00001\.parquet cannot be read as parquet"):
        Cifar10(tmp_path).setup()


def test_an_unreadable_image_is_named_with_its_row(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    for split in ("train", "test"):
        table = pa.table({"img": [{"bytes": b"no image", "path": None}], "label": [0]})
        pq.write_table(table, tmp_path / f"{split}-00000-of-00001.parquet")
    with pytest.raises(ValueError, match="row 0: not a readable image"):
        Cifar10(tmp_path).setup()


@pytest.mark.parametrize("state", ["missing", "empty", "other"])
def test_a_folder_without_the_data_is_refused_at_once(tmp_path: Path, state: str) -> None:
    folder = tmp_path / "data"
    if state != "missing":
        folder.mkdir()
    if state == "other":
        (folder / "notes.txt").touch()
    found = {"missing": "there is no such folder", "empty": "it is empty", "other": "holds only: notes.txt"}[state]
    with pytest.raises(FileNotFoundError, match=f"{found}.*train-.*parquet.*download=true"):
        Cifar10(folder)


def test_real_cifar10_subsets_are_stratified() -> None:
    data = Cifar10(shared_data("cifar10"), subset=200, test_subset=100)
    assert data.train.labels.bincount().tolist() == [20] * 10
    assert data.test.labels.bincount().tolist() == [10] * 10
    assert data.train.images.shape == (200, 3, 32, 32)


def test_cifar100_takes_the_fine_labels(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    for split in ("train", "test"):
        write_hub(tmp_path, split, 10)
        file = tmp_path / f"{split}-00000-of-00001.parquet"
        table = pq.read_table(file).rename_columns(["img", "coarse_label"])
        pq.write_table(table.append_column("fine_label", pa.array([99 - i for i in range(10)])), file)
    data = Cifar100(tmp_path)
    assert data.train.labels.tolist() == [99 - i for i in range(10)]
    assert len(data.class_names) == data.num_classes == len(set(data.class_names)) == 100


def test_labels_of_another_set_are_refused(tmp_path: Path) -> None:
    test_cifar100_takes_the_fine_labels(tmp_path)
    with pytest.raises(ValueError, match="columns"):  # CIFAR-10 has no fine labels
        Cifar10(tmp_path).setup()


def test_svhn_is_read_from_the_hubs_form(tmp_path: Path) -> None:
    pixels = write_hub(tmp_path / "cropped_digits", "train", 20)
    write_hub(tmp_path / "cropped_digits", "test", 10)
    data = Svhn(tmp_path)
    assert np.array_equal(data.train.images.permute(0, 2, 3, 1).numpy(), pixels)
    assert data.num_classes == 10


def write_folders(root: Path, split: str, per_class: int, size: tuple[int, int] = (40, 30)) -> None:
    from PIL import Image

    for cls, value in (("n01", 40), ("n02", 200)):
        (root / split / cls).mkdir(parents=True)
        for number in range(per_class):
            pixels = np.full((*size, 3), value + number, dtype=np.uint8)
            Image.fromarray(pixels).save(root / split / cls / f"{number}.png")


def test_class_folders_become_memory_mapped_images_of_one_size(tmp_path: Path) -> None:
    write_folders(tmp_path / "data", "train", 3)
    write_folders(tmp_path / "data", "val", 1)
    data = ImageNet100(tmp_path / "data", store_dir=tmp_path / "store", image_size=16)
    assert data.train.images.shape == (6, 3, 16, 16)
    assert data.train.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert data.train.images[:, 0, 0, 0].tolist() == [40, 41, 42, 200, 201, 202]
    assert len(data.test) == 2
    again = ImageNet100(tmp_path / "data", store_dir=tmp_path / "store", image_size=16)
    assert again.train.fingerprint == data.train.fingerprint
    assert len(list((tmp_path / "store" / "images").iterdir())) == 2  # train and val, decoded once each


def test_without_a_val_folder_a_share_of_the_training_images_is_the_test(tmp_path: Path) -> None:
    write_folders(tmp_path / "data", "train", 5)
    data = ImageNet100(tmp_path / "data", store_dir=tmp_path / "store", image_size=16, test_share=0.2)
    assert (data.train.labels.bincount().tolist(), data.test.labels.bincount().tolist()) == ([4, 4], [1, 1])
    assert not set(data.train.images[:, 0, 0, 0].tolist()) & set(data.test.images[:, 0, 0, 0].tolist())


def test_a_class_of_the_list_without_a_folder_is_named(tmp_path: Path) -> None:
    write_folders(tmp_path, "train", 1)
    with pytest.raises(FileNotFoundError, match=r"no folder for 1 classes of `dataset\.classes`: \['n03'\]"):
        ImageNet100(tmp_path, store_dir=tmp_path / "store", classes=["n01", "n03"])


def test_an_image_that_cannot_be_decoded_is_named(tmp_path: Path) -> None:
    write_folders(tmp_path, "train", 2)
    (tmp_path / "train" / "n01" / "bad.jpeg").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"bad\.jpeg: not a readable image"):
        ImageNet100(tmp_path, store_dir=tmp_path / "store", image_size=16).setup()


def test_the_real_imagenet100_sample_has_the_usual_classes(tmp_path: Path) -> None:
    folder = shared_data("imagenet100_sample")
    classes = composed("dataset=imagenet100").dataset.classes
    data = ImageNet100(folder, store_dir=tmp_path, image_size=64, classes=list(classes))
    assert (len(data.train), len(data.test), data.num_classes) == (80, 20, 100)
    assert data.train.images.float().std() > 30  # photographs
