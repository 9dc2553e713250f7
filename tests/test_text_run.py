"""Texts go the whole way, and what does not go together ends in a sentence."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from tests._inputs import composed
from tests.test_bad_input import message_of
from unlearnable.certify import Settings, certificate
from unlearnable.experiment import load_data, run
from unlearnable.reopened import Job
from unlearnable.report.build import build, read

TEXT = ("dataset=reviews", "model=tiny_transformer")
LANGUAGE = ("dataset=reviews", "model=tiny_gpt", "task=next_token")


def test_reviews_are_poisoned_trained_on_measured_and_shown(tmp_path: Path) -> None:
    job = tmp_path / "0-symbol"
    job.mkdir()
    short = ("sal.samples=20", "steps=1", "trainer.max_epochs=1", "dataset.length=24")
    overrides = ("logger=none", *short, f"store.dir={tmp_path}/store", "poison=symbol")
    result = run(composed("experiment=smoke", *TEXT, *overrides), folder=job)
    blocks = [f"blocks.{i}.{name}" for i in (0, 1) for name in ("attn.qkv", "attn.proj", "fc1", "fc2")]
    assert result["layers"] == ["embed", *blocks, "head"]
    assert all(math.isfinite(value) for row in result["sal"] for value in row)
    assert (result["noise"]["changed"], result["noise"]["words_mean"]) == (1.0, 1.0)
    assert "[+@]" in (job / "preview.txt").read_text(encoding="utf-8")
    certified = certificate(Job(job), Settings(models=2, epochs=1))
    assert certified["accuracy"] == pytest.approx(result["test_acc"])
    records, cells = read([tmp_path])
    page = next(path for path in build(tmp_path / "page", records, cells) if path.suffix == ".html")
    shown = page.read_text(encoding="utf-8")
    assert "<mark>[+@]</mark></p>" in shown
    assert "% of the words" in shown


def test_next_tokens_of_poisoned_texts_are_learnt_and_judged(tmp_path: Path) -> None:
    (job := tmp_path / "0-regtext").mkdir()
    short = ("sal.samples=20", "steps=1", "trainer.max_epochs=1", "dataset.length=24", "poison=regtext")
    overrides = ("logger=none", *short, f"store.dir={tmp_path}/store")
    result = run(composed("experiment=smoke", *LANGUAGE, *overrides), folder=job)
    assert (result["task"], result["metric"], result["higher_is_better"]) == ("next_token", "perplexity", False)
    assert 1 < result["prior"] < len(load_data(composed(*LANGUAGE)).train.vocabulary)
    assert result["test"].keys() == {"perplexity", "token_acc"}
    assert result["test_metric"] == result["test"]["perplexity"] > 1
    assert len(result["layers"]) == 10
    with pytest.raises(ValueError, match="a certificate is of one classification; the job has next_token"):
        certificate(Job(job), Settings())
    assert all(math.isfinite(value) for row in result["sal"] for value in row)
    records, cells = read([tmp_path])
    page = next(path for path in build(tmp_path / "page", records, cells) if path.suffix == ".html")
    assert "perplexity" in page.read_text(encoding="utf-8")


def test_networks_and_tasks_of_another_kind_are_refused(tmp_path: Path) -> None:
    assert "use dataset=reviews, sst2 or text" in message_of(tmp_path, "task=next_token", "poison=lsp")
    assert "Use model=tiny_gpt" in message_of(tmp_path, *TEXT, "task=next_token", "poison=symbol")
    assert "is for task=next_token" in message_of(tmp_path, "dataset=reviews", "model=tiny_gpt", "poison=symbol")


@pytest.mark.parametrize("poison", ["em", "lsp", "ops"])
def test_poisons_of_images_are_refused_on_texts(tmp_path: Path, poison: str) -> None:
    message = message_of(tmp_path, *TEXT, f"poison={poison}")
    assert f"poison={poison} and dataset=reviews do not go together" in message


def test_poisons_of_texts_are_refused_on_images(tmp_path: Path) -> None:
    assert "RegText is made for texts" in message_of(tmp_path, "poison=regtext")


def test_networks_and_data_of_another_kind_are_refused(tmp_path: Path) -> None:
    assert "no network for texts" in message_of(tmp_path, "dataset=reviews", "poison=symbol")
    assert "This network is for texts" in message_of(tmp_path, "model=tiny_transformer", "poison=lsp")


@pytest.mark.parametrize(("data", "defense"), [(TEXT, "jpeg"), (("dataset=digits",), "word_dropout")])
def test_defences_of_another_kind_of_data_are_refused(tmp_path: Path, data: tuple[str, ...], defense: str) -> None:
    assert "is a defence for" in message_of(tmp_path, *data, "poison=clean", f"defense={defense}")


def test_texts_are_not_exported_as_images(tmp_path: Path) -> None:
    message = message_of(tmp_path, *TEXT, "poison=symbol", "poison.export=png")
    assert message == "`poison.export` must be one of jsonl, csv, parquet for texts; got 'png'."


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("dataset.length=1", "`dataset.length`"),
        ("dataset.vocabulary=5", "`dataset.vocabulary`"),
        (
            "dataset.words=[two words]",
            "`dataset.words` must be a list of single words; 'two words' has ['two', 'words']",
        ),
        ("model.net.heads=5", "heads"),
    ],
)
def test_values_out_of_range_are_refused(tmp_path: Path, override: str, named: str) -> None:
    assert named in message_of(tmp_path, *TEXT, "poison=symbol", override)
