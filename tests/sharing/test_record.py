"""A record says what the jobs found, survives its file, and shows when it was changed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests._inputs import ROOT
from tests.results._sweeps import write_sweep
from tests.sharing._records import job, records
from unlearnable.sharing.making import in_words, records_of
from unlearnable.sharing.schema import Record, read_record, write_record
from unlearnable.sharing.verifying import problems

PUBLISHED = sorted((ROOT / "leaderboard" / "records").glob("*/*.json"))


@pytest.fixture
def record(tmp_path: Path) -> Record:
    (made,) = records(tmp_path / "sweep", "clean", "em")
    return made


def test_a_record_has_the_runs_and_what_follows_from_them(record: Record) -> None:
    assert (record.method, record.seeds, len(record.clean_runs)) == ("em", [0, 1, 2], 3)
    # Accuracies 0.21, 0.22, 0.23; clean 0.95 each.
    assert (record.accuracy.mean, record.accuracy.std) == (pytest.approx(0.22), pytest.approx(0.01))
    assert (record.clean_accuracy.mean, record.clean_accuracy.std) == (pytest.approx(0.95), pytest.approx(0))
    logs = [np.log(np.array([run.sal for run in runs])).mean() for runs in (record.runs, record.clean_runs)]
    assert record.distances["geometric"].value == pytest.approx(np.exp(logs[0] - logs[1]), rel=1e-2)  # τ: < 1 %
    assert record.distances["geometric"].distinguishable
    assert "less learnable than clean data" in in_words(record)
    assert problems(record) == []


def test_a_record_survives_its_file(record: Record, tmp_path: Path) -> None:
    write_record(tmp_path / "deep" / "em.json", record)
    assert read_record(tmp_path / "deep" / "em.json") == record


def test_one_seed_has_no_verdict(tmp_path: Path) -> None:
    (made,) = records(tmp_path / "sweep", "em", seeds=1)
    assert (made.distances["geometric"].low, made.distances["geometric"].distinguishable) == (None, None)
    assert "no verdict" in in_words(made)
    assert problems(made) == []


def test_an_edit_shows_and_a_figure_that_does_not_follow_too(record: Record) -> None:
    edited = record.model_copy(update={"by": "someone else"})
    assert "edited" in problems(edited)[0]
    better = record.model_copy(update={"accuracy": record.accuracy.model_copy(update={"mean": 0.1})}).signed()
    assert problems(better) == ["`accuracy` does not follow from the runs."]
    other = record.model_copy(update={"protocol_digest": "0" * 32}).signed()
    assert "another configuration" in problems(other)[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"extra": 1}, "extra"),
        ({"link": "javascript:alert(1)"}, "link"),
        ({"runs": []}, "runs"),
        ({"schema_version": 2}, "schema_version"),
        ({"accuracy": {"mean": "high", "std": None}}, "accuracy.mean"),
    ],
)
def test_a_file_of_another_form_is_refused_with_the_place(record: Record, change, message, tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    path.write_text(json.dumps({**record.model_dump(mode="json"), **change}))
    with pytest.raises(ValueError, match=rf"is no record of schema version 1: .*{message}"):
        read_record(path)


def test_jobs_by_another_configuration_make_no_record(tmp_path: Path) -> None:
    other = job("em", 0)
    other["config"] = {**other["config"], "sal": {**other["config"]["sal"], "samples": 64}}
    folder = write_sweep(tmp_path / "sweep", job("clean", 0), other)
    with pytest.raises(ValueError, match=r"was not run by digits-v1: sal.samples=64 \(protocol: 512\)"):
        records_of([folder], protocol="digits-v1", by="me", hardware="CPU")


@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: path.stem)
def test_every_published_record_is_as_it_says(path: Path) -> None:
    assert problems(read_record(path)) == []
