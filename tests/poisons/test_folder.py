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
from unlearnable.data.samples import Samples
from unlearnable.poisons.exporting import check_export, export
from unlearnable.poisons.folder import Folder
from unlearnable.tasks import Depth

from ._inputs import image_set, samples_of

CLEAN = image_set(12)
IMAGES, LABELS = CLEAN.inputs, CLEAN.labels
POISONED = (IMAGES.int() + torch.randint(-8, 9, IMAGES.shape, generator=torch.Generator().manual_seed(5))).clamp(0, 255)
POISONED = POISONED.to(torch.uint8)


def read(path: Path, **options: Any) -> torch.Tensor:
    return Folder(path=path, **options).apply(CLEAN, seed=0).inputs


def write_pngs(folder: Path, names: dict[str, int]) -> Path:
    for name, row in names.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        save_png(POISONED[row], folder / name)
    return folder


@pytest.mark.parametrize("export_format", ["png", "parquet", "safetensors"])
def test_an_export_reads_back_exactly_and_its_card_states_the_budget(tmp_path: Path, export_format: Any) -> None:
    folder = export(
        CLEAN, CLEAN.replace(inputs=POISONED), tmp_path / "out", export_format=export_format, method="em",
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
        export(CLEAN, CLEAN, tmp_path, export_format="png", method="m", arguments={}, dataset="d", seed=0)


def test_an_export_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("unlearnable.poisons.image.writing.save_png", full)
    with pytest.raises(OSError, match="no space"):
        export(CLEAN, CLEAN, tmp_path / "out", export_format="png", method="m", arguments={}, dataset="d", seed=0)
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
    with pytest.raises(ValueError, match=r"4\.png: not a readable image"):
        read(tmp_path)


def test_an_image_folder_with_global_numbers_is_ordered_by_them(tmp_path: Path) -> None:
    write_pngs(tmp_path, {f"{LABELS[row]}/{row}.png": row for row in range(12)})
    assert torch.equal(read(tmp_path), POISONED)


def test_an_image_folder_in_class_order_needs_the_clean_set_in_that_order(tmp_path: Path) -> None:
    order = LABELS.argsort(stable=True)
    write_pngs(tmp_path, {f"{'abcd'[LABELS[row]]}/{place:03d}_img.png": int(row) for place, row in enumerate(order)})
    assert torch.equal(Folder(path=tmp_path).apply(CLEAN.select(order), seed=0).inputs, POISONED[order])
    with pytest.raises(ValueError, match=r"other labels than the clean training set in .* first in row 1"):
        read(tmp_path)


def in_class_order(count: int) -> Samples:
    """Images that differ from row to row, sorted by two classes."""
    images = torch.randint(0, 256, (2 * count, 3, 16, 16), generator=torch.Generator().manual_seed(7)).to(torch.uint8)
    return samples_of(images, torch.arange(2).repeat_interleave(count), 2)


@pytest.mark.parametrize("name", ["{}.png", "img_{}.PNG", "{}_x.png", "{:03d}.png"])
@pytest.mark.parametrize("classes", ["{}", "class_{}"])
def test_names_without_padding_are_rows_of_their_class_in_order(tmp_path: Path, name: str, classes: str) -> None:
    clean = in_class_order(12)  # of each class 0 to 11, of which 10 comes before 2 by its letters
    for row in range(24):
        file = tmp_path / classes.format(row // 12) / name.format(row % 12)
        file.parent.mkdir(exist_ok=True)
        save_png(clean.inputs[row], file)
    assert torch.equal(Folder(path=tmp_path).apply(clean, seed=0).inputs, clean.inputs)


def test_files_under_the_clean_files_own_names_are_paired_by_letters(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # The clean set was read by torchvision's rule: its rows are 0.png, 1.png, 10.png, 11.png, 2.png, …
    caplog.set_level("INFO")
    clean = in_class_order(12)
    spelled = sorted(f"{k}.png" for k in range(12))
    for row in range(24):
        file = tmp_path / str(row // 12) / spelled[row % 12]
        file.parent.mkdir(exist_ok=True)
        save_png(clean.inputs[row], file)
    assert torch.equal(Folder(path=tmp_path).apply(clean, seed=0).inputs, clean.inputs)
    assert "letter by letter" in caplog.text


def test_twelve_classes_whose_numbers_the_clean_set_reads_as_names_are_counted_by_letters(tmp_path: Path) -> None:
    # The clean set's classes are the folders 0, 1, 10, 11, 2, … as torchvision counts them.
    clean = samples_of(in_class_order(12).inputs, torch.arange(12).repeat_interleave(2), 12)
    for position, name in enumerate(sorted(map(str, range(12)))):
        for row in (2 * position, 2 * position + 1):
            file = tmp_path / name / f"{row % 2}.png"
            file.parent.mkdir(exist_ok=True)
            save_png(clean.inputs[row], file)
    assert torch.equal(Folder(path=tmp_path).apply(clean, seed=0).inputs, clean.inputs)


def test_twelve_classes_without_padding_are_counted_as_numbers(tmp_path: Path) -> None:
    images = in_class_order(12).inputs
    clean = samples_of(images, torch.arange(12).repeat_interleave(2), 12)
    for row in range(24):
        file = tmp_path / f"class_{row // 2}" / f"{row % 2}.png"
        file.parent.mkdir(exist_ok=True)
        save_png(images[row], file)
    assert torch.equal(Folder(path=tmp_path).apply(clean, seed=0).inputs, images)


def test_another_image_s_poison_is_said_loudly(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    clean = in_class_order(12)
    for row in range(24):
        save_png(clean.inputs[(row + 1) % 24], tmp_path / f"{row}.png")
    Folder(path=tmp_path).apply(clean, seed=0)
    (record,) = [record for record in caplog.records if record.levelname == "WARNING"]
    assert "changes 100 % of the images by more than 64/255" in record.getMessage()


def test_one_pixel_of_another_colour_is_no_cause_for_alarm(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    poisoned = IMAGES.clone()
    poisoned[:, :, 5, 5] = 255 * (IMAGES[:, :, 5, 5] < 128)
    torch.save(poisoned, tmp_path / "ops.pt")
    assert torch.equal(read(tmp_path / "ops.pt"), poisoned)
    assert not [record for record in caplog.records if record.levelname == "WARNING"]


def test_coloured_files_for_grey_images_are_refused(tmp_path: Path) -> None:
    write_pngs(tmp_path, {f"{row}.png": row for row in range(12)})
    with pytest.raises(ValueError, match=r"0\.png is in colour; the clean images are grey"):
        Folder(path=tmp_path).apply(samples_of(IMAGES[:, :1], LABELS, 4), seed=0)


def test_grey_images_of_16_bits_are_scaled_to_8(tmp_path: Path) -> None:
    grey = samples_of(IMAGES[:, :1], LABELS, 4)
    for row in range(12):
        deep = POISONED[row, 0].numpy().astype(np.uint16) * 257
        Image.fromarray(deep).save(tmp_path / f"{row}.png")
    assert torch.equal(Folder(path=tmp_path).apply(grey, seed=0).inputs, POISONED[:, :1])


def test_parquet_with_other_labels_is_refused(tmp_path: Path) -> None:
    export(
        CLEAN, Samples(POISONED, LABELS.flip(0), CLEAN.tasks), tmp_path / "out", export_format="parquet", method="m",
        arguments={}, dataset="d", seed=0,
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


FLOATS = POISONED.float()
UNCLIPPED = IMAGES.float() + 8 * (POISONED.float() - IMAGES.float()).sign()


@pytest.mark.parametrize(
    ("array", "kind", "scale"),
    [
        (FLOATS / 255, "images", "on the [0, 1] scale"),
        (FLOATS.double() / 255, "images", "on the [0, 1] scale"),
        (FLOATS, "images", "in grey levels"),
        (POISONED, "images", "in grey levels"),
        (POISONED.short(), "images", "in grey levels"),
        (POISONED.long(), "images", "in grey levels"),
        (LEVELS / 255, "noise", "on the [0, 1] scale"),
        (LEVELS.float(), "noise", "in grey levels"),
        (LEVELS.to(torch.int8), "noise", "in grey levels"),
        (LEVELS.short(), "noise", "in grey levels"),
    ],
)
@pytest.mark.parametrize("channels_last", [False, True])
def test_what_an_array_holds_is_told_from_the_clean_images(
    array: torch.Tensor,
    kind: str,
    scale: str,
    channels_last: bool,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    path = tmp_path / "x_train_unlearnable.npy"  # as NTGA's authors name theirs: floats in [0, 1], channels last
    np.save(path, (array.movedim(1, -1) if channels_last else array).numpy())
    assert torch.equal(read(path), POISONED)
    assert f"read as {kind} {scale}" in caplog.text
    assert "far beyond" not in caplog.text
    assert torch.equal(read(path, kind=kind), POISONED)


def test_unsigned_noise_and_unclipped_images_are_told_too(tmp_path: Path) -> None:
    bright = LEVELS.clamp_min(0)
    np.save(tmp_path / "noise.npy", bright.to(torch.uint16).numpy())
    assert torch.equal(read(tmp_path / "noise.npy"), (IMAGES.int() + bright).clamp(0, 255).to(torch.uint8))
    np.save(tmp_path / "images.npy", UNCLIPPED.numpy() / 255)
    assert torch.equal(read(tmp_path / "images.npy"), UNCLIPPED.clamp(0, 255).to(torch.uint8))


def test_noise_for_a_black_set_is_noise(tmp_path: Path) -> None:
    # Where images are black, small values are as near to them as to nothing: what is added to black.
    black = samples_of(torch.zeros_like(IMAGES), LABELS, 4)
    np.save(tmp_path / "noise.npy", LEVELS.numpy().astype(np.int8))
    poisoned = Folder(path=tmp_path / "noise.npy").apply(black, seed=0).inputs
    assert torch.equal(poisoned, LEVELS.clamp_min(0).to(torch.uint8))


MEAN, STD = IMAGES.float().mean((0, 2, 3), keepdim=True), IMAGES.float().std((0, 2, 3), keepdim=True)


@pytest.mark.parametrize(
    ("array", "found"),
    [
        ((FLOATS - MEAN) / STD, "follows them.*normalised"),
        (FLOATS / 127.5 - 1, "neither images nor noise"),
        (255 - POISONED, "neither images nor noise"),
        (torch.randint(0, 256, IMAGES.shape, generator=torch.Generator().manual_seed(0)).to(torch.uint8), "row i"),
        (torch.rand(IMAGES.shape) * 2 - 1, "neither images nor noise"),
    ],
)
def test_what_is_neither_is_refused_with_what_was_found(array: torch.Tensor, found: str, tmp_path: Path) -> None:
    torch.save(array, tmp_path / "it.pt")
    with pytest.raises(ValueError, match=rf"it\.pt holds .*{found}.*`poison\.kind=images` or `poison\.kind=noise`"):
        read(tmp_path / "it.pt")


def test_kind_overrules_what_would_be_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    np.save(tmp_path / "it.npy", FLOATS.numpy() / 255)
    added = read(tmp_path / "it.npy", kind="noise")
    assert torch.equal(added, (IMAGES.int() + POISONED.int()).clamp(0, 255).to(torch.uint8))
    assert "far beyond usual budgets" in caplog.text
    np.save(tmp_path / "it.npy", 255 - POISONED.numpy())
    assert torch.equal(read(tmp_path / "it.npy", kind="images"), 255 - POISONED)
    np.save(tmp_path / "it.npy", -POISONED.numpy().astype(np.int16))
    with pytest.raises(ValueError, match=r"`poison\.kind=images` cannot be"):
        read(tmp_path / "it.npy", kind="images")
    write_pngs(tmp_path / "files", {f"{row}.png": row for row in range(12)})
    with pytest.raises(ValueError, match="`kind` says what an array holds"):
        read(tmp_path / "files", kind="noise")


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (torch.zeros(7, 3, 16, 16), r"7 rows; expected one per image \(12\), or for noise one per class \(4\)"),
        (torch.zeros(11, 3, 16, 16, dtype=torch.uint8), r"11 rows; expected one per image \(12\),"),
        (torch.zeros(12, 3, 32, 32), r"has shape \(12, 3, 32, 32\); expected \[rows, 3, 16, 16\]"),
        (torch.zeros(12, 768), r"has shape \(12, 768\); expected"),
        (torch.tensor(0.1), r"has shape \(\); expected"),
        (torch.full((12, 3, 16, 16), float("nan")), "not finite"),
        (torch.full((12, 3, 16, 16), 300), "neither images nor noise"),
        (
            torch.full((12, 3, 16, 16), 65535, dtype=torch.int32),
            "values from 65535 to 65535; grey levels of images lie",
        ),
        (torch.zeros(0, 3, 16, 16), r"holds no values; its shape is \(0, 3, 16, 16\)"),
        (torch.zeros(12, 3, 16, 16, dtype=torch.bool), "in real numbers; found torch.bool"),
        (torch.zeros(12, 3, 16, 16, dtype=torch.complex64), "in real numbers; found torch.complex64"),
        ([torch.zeros(3, 16, 16)] * 12, r"found a list of 12 values\. If they are the rows, save torch\.stack"),
        ({"a": torch.zeros(1), "b": torch.zeros(1)}, r"a dictionary with the tensors \['a', 'b'\]"),
        (3, "must hold one tensor; found int"),
    ],
)
def test_torch_files_of_wrong_contents_are_refused(tmp_path: Path, array: Any, message: str) -> None:
    torch.save(array, tmp_path / "noise.pt")
    with pytest.raises(ValueError, match=rf"noise\.pt .*{message}"):
        read(tmp_path / "noise.pt")


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((12, 3, 16, 16), dtype=np.uint16) + 1000, "values from 1000 to 1000; grey levels of images lie"),
        (np.zeros((0, 16, 16, 3)), "holds no values"),
        (np.zeros((12, 3, 16, 16), dtype=bool), "an array of numbers; found one of bool"),
        (np.array(["a", "b"]), "an array of numbers; found one of <U1"),
        (np.array([np.zeros(3), None], dtype=object), "without pickles"),
    ],
)
def test_numpy_files_of_wrong_contents_are_refused(tmp_path: Path, array: np.ndarray, message: str) -> None:
    np.save(tmp_path / "noise.npy", array, allow_pickle=True)
    with pytest.raises(ValueError, match=rf"noise\.npy .*{message}"):
        read(tmp_path / "noise.npy")


def test_an_archive_under_the_name_of_an_array_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "noise.npy").open("wb") as file:
        np.savez(file, images=POISONED.numpy(), labels=LABELS.numpy())
    with pytest.raises(ValueError, match=r"must hold one array; found an archive of \['images', 'labels'\]"):
        read(tmp_path / "noise.npy")


def test_images_per_class_are_no_images(tmp_path: Path) -> None:
    torch.save(POISONED[:4], tmp_path / "it.pt")
    with pytest.raises(ValueError, match="neither images nor noise"):
        read(tmp_path / "it.pt")
    with pytest.raises(ValueError, match="holds 4 images; the clean training set has 12"):
        read(tmp_path / "it.pt", kind="images")


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
        for content in (b"nothing of the kind", b""):
            path = tmp_path / f"noise{suffix}"
            path.write_bytes(content)
            with pytest.raises(ValueError, match=f"noise{suffix} "):
                read(path)


def test_what_is_not_there_or_unknown_is_named_in_the_constructor(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere is not there"):
        Folder(path=tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"holds no images .* no parquet files and no train.jsonl"):
        Folder(path=tmp_path)
    (tmp_path / "a.zip").write_bytes(b"")
    with pytest.raises(ValueError, match=r"a\.zip"):
        Folder(path=tmp_path / "a.zip")


def test_a_path_may_begin_in_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    torch.save(POISONED, tmp_path / "it.pt")
    assert torch.equal(read(Path("~/it.pt")), POISONED)


def test_data_without_classes_take_noise_but_no_class_folders(tmp_path: Path) -> None:
    depth = Samples(IMAGES, torch.rand(12, 1, 16, 16), {"depth": Depth("depth", 1)})
    torch.save(LEVELS / 255, tmp_path / "noise.pt")
    assert torch.equal(Folder(path=tmp_path / "noise.pt").apply(depth, seed=0).inputs, POISONED)
    write_pngs(tmp_path / "it", {f"{LABELS[row]}/{row}.png": row for row in range(12)})
    with pytest.raises(ValueError, match="`format` imagefolder compares labels, and the data have no classes"):
        Folder(path=tmp_path / "it").check(depth)


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


def test_class_folders_beyond_the_classes_are_named(tmp_path: Path) -> None:
    classes = int(LABELS.max()) + 1
    write_pngs(tmp_path, {f"{int(label) + 1}/{row}.png": row for row, label in enumerate(LABELS)})
    with pytest.raises(
        ValueError, match=f"class folders, {classes} the last of them; .* those from 0 to {classes - 1}"
    ):
        read(tmp_path)


def test_an_import_that_changes_nothing_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    np.save(tmp_path / "noise.npy", np.full(IMAGES.shape, 8 / 255 / 255))  # scaled once too often
    assert torch.equal(read(tmp_path / "noise.npy"), IMAGES)
    assert "changes no image by as much as 1/255" in caplog.text


def test_a_folder_without_images_says_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(ValueError, match=r"holds no images \(.png, .*but notes.txt"):
        read(tmp_path)


def test_tiff_files_are_images(tmp_path: Path) -> None:
    for row, image in enumerate(POISONED):
        Image.fromarray(image.movedim(0, -1).squeeze(-1).numpy()).save(tmp_path / f"{row}.tif")
    assert torch.equal(read(tmp_path), POISONED)


def test_noise_a_class_needs_a_class_of_each_image(tmp_path: Path) -> None:
    np.save(tmp_path / "noise.npy", np.full((4, *IMAGES.shape[1:]), 3 / 255))
    labels = LABELS.clone()
    labels[2] = -1
    with pytest.raises(ValueError, match="holds noise of 4 classes, and image 2 of the training set has no class"):
        Folder(path=tmp_path / "noise.npy").apply(samples_of(IMAGES, labels, 4), seed=0)


def test_parquet_is_refused_for_images_without_a_class(tmp_path: Path) -> None:
    labels = torch.where(torch.arange(len(LABELS)) == 3, -1, LABELS)
    with pytest.raises(ValueError, match="parquet writes a class for each image"):
        check_export("parquet", tmp_path / "out", samples_of(IMAGES, labels, 4))
    check_export("safetensors", tmp_path / "out", samples_of(IMAGES, labels, 4))
