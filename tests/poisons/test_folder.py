"""Import: every format reads back, and what does not fit or would run code is refused."""

from __future__ import annotations

import io
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from unlearnable.data.modality.picture import save_png
from unlearnable.poisons import Folder, export

from ._inputs import image_set

IMAGES, LABELS = image_set(12)
POISONED = (IMAGES.int() + torch.randint(-8, 9, IMAGES.shape, generator=torch.Generator().manual_seed(5))).clamp(0, 255)
POISONED = POISONED.to(torch.uint8)


def read(path: Path, **options: Any) -> torch.Tensor:
    return Folder(path=path, **options).apply(IMAGES, LABELS, num_classes=4, seed=0)


def write_pngs(folder: Path, names: dict[str, int]) -> Path:
    for name, row in names.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        save_png(POISONED[row], folder / name)
    return folder


@pytest.mark.parametrize("export_format", ["png", "parquet", "safetensors"])
def test_an_export_reads_back_exactly_and_its_card_states_the_budget(tmp_path: Path, export_format: Any) -> None:
    folder = export(
        IMAGES, POISONED, LABELS, tmp_path / "out", export_format=export_format, method="em",
        arguments={"radius": 8 / 255, "fraction": [0, 1]}, dataset="toy", seed=7, class_names=["a", "b", "c", "d"],
    )  # fmt: skip
    path = folder / "poisoned.safetensors" if export_format == "safetensors" else folder
    assert torch.equal(read(path), POISONED)
    card = (folder / "README.md").read_text()
    assert "toy, made unlearnable by em" in card
    assert "| ℓ∞ (of 255) | 8 |" in card
    assert '"radius": 0.03137' in card
    assert "Seed: 7" in card
    assert [entry.name for entry in tmp_path.iterdir()] == ["out"]  # no half-made folder is left


def test_an_export_does_not_write_into_a_folder_in_use(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(FileExistsError, match="must be new or empty"):
        export(IMAGES, POISONED, LABELS, tmp_path, export_format="png", method="m", arguments={}, dataset="d", seed=0)


def test_an_export_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("unlearnable.poisons.exporting._card", full)
    with pytest.raises(OSError, match="no space"):
        export(
            IMAGES, POISONED, LABELS, tmp_path / "out", export_format="png", method="m", arguments={}, dataset="d", seed=0
        )  # fmt: skip
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("sub", ["", "data/"])
def test_numbered_pngs_are_rows_whatever_their_order_by_name(tmp_path: Path, sub: str) -> None:
    # By name 10.png comes before 2.png.
    write_pngs(tmp_path, {f"{sub}{row}.png": row for row in range(12)})
    assert torch.equal(read(tmp_path), POISONED)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda names: names.pop("3.png"), "1 missing, first 3.png"),
        (lambda names: names.update({"03.png": 3}), "index 3 twice: 03.png and 3.png"),
        (lambda names: names.update({"12.png": 0}), "1 beyond it, first 12.png"),
        (lambda names: names.update({"cat.png": 0}), "cat.png must be named by its index"),
    ],
)
def test_missing_duplicate_foreign_and_unnumbered_pngs_are_named(tmp_path: Path, change: Any, message: str) -> None:
    names = {f"{row}.png": row for row in range(12)}
    change(names)
    with pytest.raises(ValueError, match=message):
        read(write_pngs(tmp_path, names))


def test_pngs_of_another_size_and_broken_ones_are_named(tmp_path: Path) -> None:
    write_pngs(tmp_path, {f"{row}.png": row for row in range(12)})
    Image.new("RGB", (9, 16)).save(tmp_path / "4.png")
    with pytest.raises(ValueError, match=r"4\.png is 16×9 pixels; the clean images are 16×16"):
        read(tmp_path)
    (tmp_path / "4.png").write_bytes(b"\x89PNG nothing")
    with pytest.raises(ValueError, match=r"4\.png cannot be read as an image"):
        read(tmp_path)


def test_an_image_folder_with_global_numbers_is_ordered_by_them(tmp_path: Path) -> None:
    write_pngs(tmp_path, {f"{LABELS[row]}/{row}.png": row for row in range(12)})
    assert torch.equal(read(tmp_path), POISONED)


def test_an_image_folder_in_class_order_needs_the_clean_set_in_that_order(tmp_path: Path) -> None:
    order = LABELS.argsort(stable=True)
    write_pngs(tmp_path, {f"{'abcd'[LABELS[row]]}/{place:03d}_img.png": int(row) for place, row in enumerate(order)})
    sorted_read = Folder(path=tmp_path).apply(IMAGES[order], LABELS[order], num_classes=4, seed=0)
    assert torch.equal(sorted_read, POISONED[order])
    with pytest.raises(ValueError, match=r"other labels than the clean training set in .* first in row 1"):
        read(tmp_path)


def test_parquet_with_other_labels_is_refused(tmp_path: Path) -> None:
    export(
        IMAGES, POISONED, LABELS.flip(0), tmp_path / "out", export_format="parquet", method="m", arguments={},
        dataset="d", seed=0,
    )  # fmt: skip
    with pytest.raises(
        ValueError, match="other labels than the clean training set in 12 of 12 rows, first in row 0: 3 "
    ):
        read(tmp_path / "out")


LEVELS = POISONED.int() - IMAGES.int()
CLASS_LEVELS = torch.randint(-8, 9, (4, 3, 16, 16), generator=torch.Generator().manual_seed(6))
BY_CLASS = (IMAGES.int() + CLASS_LEVELS[LABELS]).clamp(0, 255).to(torch.uint8)


def test_perturbation_tensors_are_read_per_image_and_per_class(tmp_path: Path) -> None:
    torch.save(LEVELS / 255, tmp_path / "perturbation.pt")
    assert torch.equal(read(tmp_path / "perturbation.pt"), POISONED)
    torch.save(CLASS_LEVELS / 255, tmp_path / "perturbation.pt")
    assert torch.equal(read(tmp_path / "perturbation.pt"), BY_CLASS)


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_integer_arrays_with_channels_last_are_noise_in_grey_levels(tmp_path: Path, protocol: int) -> None:
    array = LEVELS.movedim(1, -1).contiguous().numpy().astype(np.int8)
    np.save(tmp_path / "noise.npy", array)
    (tmp_path / "noise.pkl").write_bytes(pickle.dumps(array, protocol=protocol))
    assert torch.equal(read(tmp_path / "noise.npy"), POISONED)
    assert torch.equal(read(tmp_path / "noise.pkl"), POISONED)


def test_a_pickle_of_an_older_numpy_is_read(tmp_path: Path) -> None:
    # Before numpy 2 the constructors lived in numpy.core.
    array = LEVELS.movedim(1, -1).contiguous().numpy().astype(np.int8)
    data = pickle.dumps(array, protocol=2)
    assert b"numpy._core" in data
    (tmp_path / "noise.pkl").write_bytes(data.replace(b"numpy._core", b"numpy.core"))
    assert torch.equal(read(tmp_path / "noise.pkl"), POISONED)


def test_unsigned_arrays_are_images_and_safetensors_are_read(tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", POISONED.movedim(1, -1).numpy())
    assert torch.equal(read(tmp_path / "images.npy"), POISONED)
    save_file({"noise": (LEVELS / 255).contiguous()}, tmp_path / "noise.safetensors")
    assert torch.equal(read(tmp_path / "noise.safetensors"), POISONED)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (torch.zeros(7, 3, 16, 16), r"noise for 7 rows; expected one per image \(12\) or per class \(4\)"),
        (torch.zeros(12, 3, 32, 32), r"has shape \(12, 3, 32, 32\); expected \[rows, 3, 16, 16\]"),
        (torch.full((12, 3, 16, 16), 8.0), r"noise up to 8; on the \[0, 1\] pixel scale"),
        (torch.full((12, 3, 16, 16), float("nan")), "not finite"),
        (torch.full((12, 3, 16, 16), 300), "integer noise from 300 to 300"),
        (torch.zeros(11, 3, 16, 16, dtype=torch.uint8), "holds 11 images; the clean training set has 12"),
    ],
)
def test_arrays_of_wrong_count_shape_or_range_are_refused(tmp_path: Path, array: torch.Tensor, message: str) -> None:
    torch.save(array, tmp_path / "noise.pt")
    with pytest.raises(ValueError, match=message):
        read(tmp_path / "noise.pt")


class Malicious:
    """Writes a file when unpickled by a reader that trusts it."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.mark}",)


def attacks(mark: Path) -> dict[str, bytes]:
    nested = np.empty(2, dtype=object)
    nested[0] = Malicious(mark)
    return {
        "call": pickle.dumps(Malicious(mark)),
        "call in a list": pickle.dumps([np.zeros(3), Malicious(mark)]),
        "call in an object array": pickle.dumps(nested),
        "eval": b"cbuiltins\neval\n(S'1'\ntR.",
        "numpy's own loader": b"cnumpy\nload\n(S'x'\ntR.",
        "dotted name": b"\x80\x04\x8c\x05numpy\x8c\x11ndarray.__class__\x93.",
        "persistent id": b"Pmine\n.",
    }


@pytest.mark.parametrize("name", attacks(Path("x")))
def test_pickles_that_ask_for_anything_but_arrays_are_refused_before_they_run(tmp_path: Path, name: str) -> None:
    mark = tmp_path / "executed"
    (tmp_path / "noise.pkl").write_bytes(attacks(mark)[name])
    with pytest.raises(ValueError, match=r"noise\.pkl (asks for|refers to)"):
        read(tmp_path / "noise.pkl")
    assert not mark.exists()


def test_the_attack_of_the_tests_would_work_on_a_plain_reader(tmp_path: Path) -> None:
    mark = tmp_path / "executed"
    pickle.loads(attacks(mark)["call"])
    assert mark.exists()


@pytest.mark.parametrize("suffix", [".pt", ".npy"])
def test_torch_and_numpy_files_with_code_are_refused(tmp_path: Path, suffix: str) -> None:
    mark, path = tmp_path / "executed", tmp_path / f"noise{suffix}"
    if suffix == ".pt":
        torch.save({"noise": Malicious(mark)}, path)
    else:
        np.save(path, np.array([Malicious(mark)], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match=f"noise{suffix} (holds more than tensors|cannot be read)"):
        read(path)
    assert not mark.exists()


def test_broken_files_are_named(tmp_path: Path) -> None:
    for suffix in (".pt", ".npy", ".pkl", ".safetensors"):
        path = tmp_path / f"noise{suffix}"
        path.write_bytes(b"nothing of the kind")
        with pytest.raises(ValueError, match=f"noise{suffix} "):
            read(path)


def test_what_is_not_there_or_unknown_is_named_in_the_constructor(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere is not there"):
        Folder(path=tmp_path / "nowhere")
    with pytest.raises(ValueError, match="holds no images and no parquet"):
        Folder(path=tmp_path)
    (tmp_path / "a.zip").write_bytes(b"")
    with pytest.raises(ValueError, match=r"a\.zip"):
        Folder(path=tmp_path / "a.zip")


def test_allowed_names_are_those_that_numpy_s_pickles_use() -> None:
    from unlearnable.poisons.imports.unpickle import _ALLOWED

    used = set()

    class Recorder(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            used.add((module, name))
            return super().find_class(module, name)

    for protocol in range(2, 6):
        Recorder(io.BytesIO(pickle.dumps(np.zeros((2, 2), np.int8), protocol=protocol))).load()
    assert used <= _ALLOWED
