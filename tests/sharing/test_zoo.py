"""A poison by one line, and as one file that others can trust."""

from __future__ import annotations

import io
import json
import urllib.request
from pathlib import Path

import pytest
import torch

import unlearnable
from unlearnable.sharing.zoo import PoisonedData


def load(name: str | Path = "ops", *overrides: str, **more) -> PoisonedData:
    return unlearnable.load_poison(name, overrides=("experiment=smoke", *overrides), **more)


def same(one: PoisonedData, other: PoisonedData) -> bool:
    return torch.equal(one.data.train.inputs, other.data.train.inputs)


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("UNLEARNABLE_STORE", str(tmp_path / "store"))
    return tmp_path / "store"


def test_a_poison_is_made_once_and_is_a_data_set(store: Path) -> None:
    made, found = load(), load()
    assert [json.loads(line)["event"] for line in (store / "log.jsonl").read_text().splitlines()] == ["made", "reused"]
    assert same(made, found)
    image, label = made[0]
    assert (image.shape, image.dtype, int(label)) == ((3, 16, 16), torch.float32, int(made.data.train.labels[0]))
    assert torch.equal((image * 255).round().to(torch.uint8), made.data.train.inputs[0])
    batch, labels = next(iter(torch.utils.data.DataLoader(made, batch_size=120)))
    assert (len(batch), len(labels), len(made)) == (120, 120, 120)


def test_a_file_is_read_as_it_was_written_and_only_that_one(tmp_path: Path, monkeypatch) -> None:
    made, path = load(), tmp_path / "ops.safetensors"
    digest = unlearnable.save_poison(made, path)
    read = load(path, sha256=digest)
    assert same(made, read)
    assert read.card == made.card
    assert (read.card["method"], read.card["seed"]) == ("ops", 0)
    monkeypatch.setattr(urllib.request, "urlopen", lambda _: io.BytesIO(path.read_bytes()))
    assert same(made, load("https://lab.example/ops.safetensors", sha256=digest))
    assert same(made, load("folder", f"poison.path={path}"))  # `unlearnable benchmark` reads it too

    with pytest.raises(ValueError, match="needs `sha256`"):
        load("https://lab.example/ops.safetensors")
    with pytest.raises(ValueError, match="another file, or was changed"):
        load(path, sha256="0" * 64)
    with pytest.raises(ValueError, match="made for other clean data"):
        load(path, "dataset.subset=100")
    with pytest.raises(FileExistsError):
        unlearnable.save_poison(made, path)
    (tmp_path / "other.safetensors").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="is no file of `save_poison`"):
        load(tmp_path / "other.safetensors")


def test_texts_are_ids_and_a_mask() -> None:
    poison = unlearnable.load_poison("symbol", dataset="reviews", overrides=("dataset.subset=20",))
    inputs, label = poison[0]
    assert {name: tuple(value.shape) for name, value in inputs.items()} == {"ids": (64,), "mask": (64,)}
    assert int(label) == int(poison.data.train.labels[0])
    batch, labels = next(iter(torch.utils.data.DataLoader(poison, batch_size=20)))
    assert torch.equal(batch["mask"], batch["ids"] != 0)
    assert len(labels) == len(batch["ids"]) == 20
