"""A poison goes out of one job and comes back into another."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests._inputs import composed
from unlearnable.experiment import load_data, run

SMOKE = ("experiment=smoke", "logger=none", "trainer.max_epochs=1", "steps=1")


@pytest.mark.parametrize("form", ["png", "parquet", "safetensors"])
def test_an_exported_poison_read_back_is_exactly_what_was_trained_on(tmp_path: Path, form: str) -> None:
    store = f"store.dir={tmp_path}/store"
    first = run(composed(*SMOKE, store, "poison=ops", f"poison.export={form}"), folder=tmp_path)
    exported = tmp_path / "poisoned"
    assert "ops" in (exported / "README.md").read_text()
    path = exported / "poisoned.safetensors" if form == "safetensors" else exported
    second = run(composed(*SMOKE, store, "poison=folder", f"poison.path={path}"), folder=tmp_path)
    assert second["reused"] == ["train", "sal"]  # the same images: nothing was trained again
    assert second["sal"] == first["sal"]


def test_exported_texts_read_back_are_trained_on_once(tmp_path: Path) -> None:
    texts = ("dataset=reviews", "model=tiny_transformer", "dataset.subset=60", "dataset.test_subset=40")
    common = (*SMOKE, *texts, "defense=no_signs", "sal.samples=20", f"store.dir={tmp_path}/store")
    first = run(composed(*common, "poison=regtext", "poison.export=jsonl"), folder=tmp_path)
    second = run(composed(*common, "poison=folder", f"poison.path={tmp_path}/poisoned"), folder=tmp_path)
    assert second["reused"] == ["train", "sal"]
    for key in ("data", "trajectory", "measure"):
        assert second["keys"][key] == first["keys"][key]
    assert second["noise"] == first["noise"]
    assert second["sal"] == first["sal"]


def test_an_unknown_export_format_is_refused_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="png, parquet, safetensors for images; got 'gif'"):
        run(composed(*SMOKE, f"store.dir={tmp_path}/store", "poison.export=gif"), folder=tmp_path)
    assert not (tmp_path / "store").exists()


def test_a_poison_for_another_data_set_is_refused(tmp_path: Path) -> None:
    store = f"store.dir={tmp_path}/store"
    run(composed(*SMOKE, store, "poison=ops", "poison.export=png"), folder=tmp_path)
    other = composed(*SMOKE, store, "poison=folder", f"poison.path={tmp_path}/poisoned", "dataset.subset=100")
    assert len(load_data(other).train) == 100
    with pytest.raises(ValueError, match="120 images for a clean training set of 100"):
        run(other, folder=tmp_path)
