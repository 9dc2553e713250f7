"""A record says what the jobs found, survives its file, and shows when it was changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests._inputs import ROOT
from tests.results._sweeps import write_sweep
from tests.sharing._records import job, records
from unlearnable.sharing import making, verifying
from unlearnable.sharing.making import in_words, records_of
from unlearnable.sharing.schema import ImageBudget, Record, read_record, write_record
from unlearnable.sharing.verifying import notes, problems

PUBLISHED = sorted((ROOT / "leaderboard" / "records").glob("*/*.json"))


@pytest.fixture
def record(tmp_path: Path) -> Record:
    (made,) = records(tmp_path / "sweep", "clean", "em")
    return made


def test_a_record_has_the_runs_and_what_follows_from_them(record: Record) -> None:
    assert (record.method, record.seeds, len(record.clean_runs), [*record.tasks]) == ("em", [0, 1, 2], 3, ["single"])
    figures = record.tasks["single"]
    # Accuracies 0.21, 0.22, 0.23; clean 0.95 each; the prior's is 0.1, so skill is (0.22 − 0.1) / (0.95 − 0.1).
    assert (figures.metric, figures.score.mean, figures.score.std) == ("acc", pytest.approx(0.22), pytest.approx(0.01))
    assert (figures.clean_score.mean, figures.clean_score.std) == (pytest.approx(0.95), pytest.approx(0))
    assert figures.skill.mean == pytest.approx(0.12 / 0.85)
    sal = [np.array([run.tasks["single"].sal for run in runs]) for runs in (record.runs, record.clean_runs)]
    own, clean = (np.log(one).mean() for one in sal)
    assert figures.distances["geometric"].value == pytest.approx(np.exp(own - clean), rel=1e-2)  # τ: < 1 %
    assert figures.distances["geometric"].distinguishable
    assert "reaches a test accuracy of 0.220 ± 0.010; on clean data 0.950" in in_words(record)
    assert "less learnable than clean data" in in_words(record)
    assert problems(record) == []


def test_a_record_of_many_tasks_has_each_by_its_own_metric(tmp_path: Path) -> None:
    (record,) = records(tmp_path / "sweep", "clean", "em", tasks=True)
    assert {task: (of.metric, of.higher_is_better) for task, of in record.tasks.items()} == {
        "scene": ("acc", True),
        "depth": ("rmse", False),
        "segmentation": ("miou", True),
    }
    # Seeds add 0, 0.02, 0.04: depth 1.22 and 1.02 on clean data, the prior's is 2; lower is better.
    depth = record.tasks["depth"]
    assert (depth.score.mean, depth.clean_score.mean) == (pytest.approx(1.22), pytest.approx(1.02))
    assert depth.skill.mean == pytest.approx((2 - 1.22) / (2 - 1.02))
    assert record.tasks["segmentation"].skill.mean is None  # the clean runs do not beat the prior, 0.3
    assert {task: of.distances["geometric"].value for task, of in record.tasks.items()}.keys() == record.tasks.keys()
    assert [run.tasks.keys() == record.tasks.keys() for run in (*record.runs, *record.clean_runs)] == [True] * 6
    assert problems(record) == []
    assert "depth:\n- A model trained on it reaches a test rmse of 1.220" in in_words(record)
    runs = [run.model_copy(update={"tasks": {"scene": run.tasks["scene"]}}) for run in record.runs]
    cut = record.model_copy(update={"runs": runs}).signed()
    assert problems(cut)[0] == "`tasks` of seed 0 must be scene, depth, segmentation; got scene."


def test_the_budget_is_the_largest_of_the_seeds(tmp_path: Path) -> None:
    jobs = [job("em", seed) for seed in range(2)]
    jobs[1]["noise"]["l2_max"] = 1.5  # 1.2 with seed 0
    (record,) = records_of([write_sweep(tmp_path, *jobs)], protocol="digits-v1", by="me", hardware="CPU")
    assert record.budget == ImageBudget(norm="linf", radius=8 / 255, linf=8 / 255, l2=1.5, l0=1024, changed=1)


def test_a_radius_that_was_given_as_a_fraction_is_a_number(tmp_path: Path) -> None:
    noise = {"changed": 1.0, "linf_max": 0.03, "l2_max": 1.0, "l0_max": 9.0}
    budget = making._budget([noise], {"poison": {"norm": "linf", "radius": "8/255"}})
    assert budget.radius == pytest.approx(8 / 255)


def test_the_budget_of_a_text_is_a_share_of_its_words(tmp_path: Path) -> None:
    jobs = [job("em", seed, protocol="sst2-v1") for seed in range(2)]
    for seed, one in enumerate(jobs):
        one["noise"] = {"texts": 4, "changed": 0.5, "tokens_mean": 0.1 + 0.1 * seed, "tokens_max": 0.5 + 0.5 * seed}
    (record,) = records_of([write_sweep(tmp_path, *jobs)], protocol="sst2-v1", by="me", hardware="CPU")
    assert record.budget.model_dump() == {
        "norm": "words",
        "radius": pytest.approx(0.15),
        "largest": 1.0,
        "changed": 0.5,
    }
    write_record(tmp_path / "record.json", record)
    assert read_record(tmp_path / "record.json") == record


def test_a_record_that_does_not_say_its_data_is_said_to(record: Record) -> None:
    assert "compared by its distance" in notes(record)[0]  # made-up results do not say
    runs = {
        name: [run.model_copy(update={"data": "0" * 64}) for run in getattr(record, name)]
        for name in ("runs", "clean_runs")
    }
    assert notes(record.model_copy(update=runs)) == []


def test_a_record_survives_its_file(record: Record, tmp_path: Path) -> None:
    write_record(tmp_path / "deep" / "em.json", record)
    assert read_record(tmp_path / "deep" / "em.json") == record


def test_one_seed_has_no_verdict(tmp_path: Path) -> None:
    (made,) = records(tmp_path / "sweep", "em", seeds=1)
    distance = made.tasks["single"].distances["geometric"]
    assert (distance.low, distance.distinguishable) == (None, None)
    assert "no verdict" in in_words(made)
    assert problems(made) == []


def test_an_edit_shows_and_a_figure_that_does_not_follow_too(record: Record) -> None:
    edited = record.model_copy(update={"by": "someone else"})
    assert "edited" in problems(edited)[0]
    figures = record.tasks["single"]
    low = figures.model_copy(update={"score": figures.score.model_copy(update={"mean": 0.1})})
    better = record.model_copy(update={"tasks": {"single": low}}).signed()
    assert problems(better) == ["`tasks.single.score` does not follow from the runs."]
    other = record.model_copy(update={"protocol_digest": "0" * 32}).signed()
    assert "another configuration" in problems(other)[0]


def test_a_seed_run_again_may_differ_as_other_seeds_do(record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    figures = record.tasks["single"]
    # ln 1, ln 2 and ln 4 have a standard deviation of ln 2; Student's t with two degrees of freedom is 4.303 at 97.5 %, so
    # two runs are less than a factor of 2^(4.303 · √2) = 68 apart.
    distance = figures.distances["geometric"].model_copy(update={"by_seed": {0: 1.0, 1: 2.0, 2: 4.0}})

    def with_distance(**changed: Any) -> Record:
        of = distance.model_copy(update=changed)
        return record.model_copy(
            update={"tasks": {"single": figures.model_copy(update={"distances": {"geometric": of}})}}
        )

    for value, wrong in ((60.0, 0), (1 / 60, 0), (75.0, 1), (1 / 75, 1)):
        again = with_distance(value=value)
        monkeypatch.setattr(verifying, "benchmark", lambda *_, _again=again, **__: _again)
        found = verifying.rerun(with_distance(), "poison", seed=0)
        assert len(found) == wrong
        assert all("by more than a factor of 67.88" in one for one in found)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"extra": 1}, "extra"),
        ({"link": "javascript:alert(1)"}, "link"),
        ({"runs": []}, "runs"),
        ({"schema_version": 1}, "schema_version"),
        ({"budget": {"norm": "l7", "radius": 1}}, "budget"),
        ({"tasks": {}}, "tasks"),
    ],
)
def test_a_file_of_another_form_is_refused_with_the_place(record: Record, change, message, tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    path.write_text(json.dumps({**record.model_dump(mode="json"), **change}))
    with pytest.raises(ValueError, match=rf"is no record of schema version 2: .*{message}"):
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


def test_a_seed_run_again_leaves_the_record_where_it_lies(record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    given = {}
    monkeypatch.setattr(verifying, "benchmark", lambda *_, **options: given.update(options) or record)
    verifying.rerun(record, "poison", seed=0)
    assert given["out"] == Path("outputs/verified") / f"{record.method}-{record.protocol}"
