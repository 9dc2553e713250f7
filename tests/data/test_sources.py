"""The sources of one classification: what they read, and what they say of files that are not as they should be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests._inputs import composed, shared_data
from tests.data._inputs import write_folders, write_hub
from unlearnable.data.cifar10 import Cifar10
from unlearnable.data.cifar100 import Cifar100
from unlearnable.data.imagenet100 import ImageNet100
from unlearnable.data.svhn import Svhn


def test_hub_parquet_is_read_in_order_and_to_the_bit(tmp_path: Path) -> None:
    pixels = write_hub(tmp_path / "plain_text", "train", 20)
    write_hub(tmp_path / "plain_text", "test", 10, seed=1)
    data = Cifar10(tmp_path)
    assert np.array_equal(data.train.inputs.permute(0, 2, 3, 1).numpy(), pixels)
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
    assert data.train.inputs[0, :, 0, 1].tolist() == [3, 4, 5]  # channels of the second pixel
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
    assert data.train.inputs.shape == (200, 3, 32, 32)


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
    assert len(data.class_names) == data.tasks["class"].channels == len(set(data.class_names)) == 100


def test_labels_of_another_set_are_refused(tmp_path: Path) -> None:
    test_cifar100_takes_the_fine_labels(tmp_path)
    with pytest.raises(ValueError, match="columns"):  # CIFAR-10 has no fine labels
        Cifar10(tmp_path).setup()


def test_svhn_is_read_from_the_hubs_form(tmp_path: Path) -> None:
    pixels = write_hub(tmp_path / "cropped_digits", "train", 20)
    write_hub(tmp_path / "cropped_digits", "test", 10)
    data = Svhn(tmp_path)
    assert np.array_equal(data.train.inputs.permute(0, 2, 3, 1).numpy(), pixels)
    assert data.tasks["class"].channels == 10


def test_class_folders_become_memory_mapped_images_of_one_size(tmp_path: Path) -> None:
    write_folders(tmp_path / "data", "train", 3)
    write_folders(tmp_path / "data", "val", 1)
    data = ImageNet100(tmp_path / "data", store_dir=tmp_path / "store", image_size=16)
    assert data.train.inputs.shape == (6, 3, 16, 16)
    assert data.train.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert data.train.inputs[:, 0, 0, 0].tolist() == [40, 41, 42, 200, 201, 202]
    assert len(data.test) == 2
    again = ImageNet100(tmp_path / "data", store_dir=tmp_path / "store", image_size=16)
    assert again.train.fingerprint == data.train.fingerprint
    assert len(list((tmp_path / "store" / "images").iterdir())) == 2  # train and val, decoded once each


def test_without_a_val_folder_a_share_of_the_training_images_is_the_test(tmp_path: Path) -> None:
    write_folders(tmp_path / "data", "train", 5)
    data = ImageNet100(tmp_path / "data", store_dir=tmp_path / "store", image_size=16, test_share=0.2)
    assert (data.train.labels.bincount().tolist(), data.test.labels.bincount().tolist()) == ([4, 4], [1, 1])
    assert not set(data.train.inputs[:, 0, 0, 0].tolist()) & set(data.test.inputs[:, 0, 0, 0].tolist())


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
    assert (len(data.train), len(data.test), data.tasks["class"].channels) == (80, 20, 100)
    assert data.train.inputs.float().std() > 30  # photographs
