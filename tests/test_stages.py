"""A job stage by stage, and a job whose clean reference another process is making."""

from __future__ import annotations

import csv
import json
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests._inputs import composed
from tests.poisons._tasks import many_tasks
from tests.test_job import job, made
from unlearnable import stages
from unlearnable.checks import check_trainer
from unlearnable.data.modality.pixels import Pixels
from unlearnable.data.module import DataModule
from unlearnable.data.samples import Samples
from unlearnable.defenses.base import Defense
from unlearnable.experiment import load_data, load_poison, run
from unlearnable.identity import modules_of
from unlearnable.leases import leased
from unlearnable.stages import Stages
from unlearnable.store import Store
from unlearnable.tasks import Classification


def test_a_job_stage_by_stage_makes_each_thing_in_its_stage_and_ends_with_the_same_result(tmp_path: Path) -> None:
    store = tmp_path / "store"
    with pytest.raises(FileNotFoundError, match="run stage=measure first"):
        run(job(store, "stage=report"), folder=tmp_path)
    assert run(job(store, "stage=poison"), folder=tmp_path) is None
    assert made(store) == {"poison": 1}
    assert run(job(store, "stage=train"), folder=tmp_path) is None
    assert made(store) == {"poison": 1, "trajectory": 2}
    assert run(job(store, "stage=measure"), folder=tmp_path) is None
    assert made(store) == {"poison": 1, "trajectory": 2, "sal": 2, "prior": 1}
    assert not (tmp_path / "result.json").exists()
    reported = run(job(store, "stage=report", "logger=csv"), folder=tmp_path)
    assert made(store) == {"poison": 1, "trajectory": 2, "sal": 2, "prior": 1}
    at_once = run(job(tmp_path / "other"), folder=tmp_path)
    assert reported is not None
    assert at_once is not None
    for key in ("sal", "clean_sal", "ud", "epochs", "keys"):
        assert reported[key] == at_once[key]


def test_a_report_of_what_a_gpu_made_needs_no_gpu_but_its_entries(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="is not in the store"):
        run(job(tmp_path / "store", "stage=report", "trainer.accelerator=gpu", "poison=clean"), folder=tmp_path)


def test_a_job_trains_first_where_another_makes_the_clean_reference_and_logs_distances_afterwards(
    tmp_path: Path,
) -> None:
    alone = run(job(tmp_path / "alone"), folder=tmp_path)
    assert alone is not None
    store, held = tmp_path / "store", threading.Event()
    reference = alone["keys"]["reference"]

    def other() -> None:
        """Has the reference's measurement in hand until the own run is measured."""
        with leased(store / "leases" / f"sal-{reference['measure']['sal']}"):
            held.set()
            end = time.monotonic() + 120
            while not (store / "log.jsonl").exists() or made(store)["sal"] < 1:
                assert time.monotonic() < end
                time.sleep(0.05)

    thread = threading.Thread(target=other)
    thread.start()
    held.wait()
    late = run(job(store, "logger=csv"), folder=tmp_path)
    thread.join()
    log = [json.loads(line) for line in (store / "log.jsonl").read_text().splitlines()]
    trained = [record["digest"] for record in log if (record["event"], record["kind"]) == ("made", "trajectory")]
    assert trained == [alone["keys"]["trajectory"], reference["trajectory"]]
    assert late is not None
    assert (late["ud"], late["sal"]) == (alone["ud"], alone["sal"])
    rows = list(csv.DictReader((tmp_path / "csv" / "metrics.csv").open()))
    logged = {row["epoch"]: float(row["ud/value"]) for row in rows if row.get("ud/value")}
    assert logged == pytest.approx({"0": alone["ud_per_epoch"][0], "1": alone["ud_per_epoch"][1]})


def test_a_job_is_deterministic_and_fills_no_memory_before_it_is_written(tmp_path: Path) -> None:
    fills: Any = torch.utils.deterministic  # a module with a property
    fills.fill_uninitialized_memory = True
    check_trainer(job(tmp_path))  # before anything is made, so poisons are made alike in any place of a sweep
    assert torch.are_deterministic_algorithms_enabled()
    assert not fills.fill_uninitialized_memory


def test_the_code_of_the_tasks_is_in_every_key_that_depends_on_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(stages, "code_of", lambda *sources: list(modules_of(*sources)))
    config = composed("dataset=rooms", "task=multi", "poison=em_multi", "defense=coin", "trainer.accelerator=cpu")
    keys = {}

    class Noting(Store):
        def obtain(self, kind: str, key: Any, *_: Any, **__: Any) -> Any:
            keys[kind] = key
            raise StopIteration

    one = Stages(config, Noting(tmp_path), torch.device("cpu"))
    samples = many_tasks()

    class Given(DataModule):
        def load(self) -> tuple[Samples, Samples]:
            return samples, samples

    data = Given(modality=Pixels(flip=True))
    with pytest.raises(StopIteration):
        one.poison(load_poison(config), data)
    with pytest.raises(StopIteration):
        one.priors(data)
    keys["trajectory"] = one.trajectory_key(data, callbacks=False)
    for kind in ("poison", "prior", "trajectory"):
        assert {f"unlearnable.tasks.{name}" for name in ("depth", "normals", "heatmap", "grouping", "value_map")} <= {
            *keys[kind]["code"]
        }


def test_a_training_on_more_devices_is_another_one_however_they_were_asked_for(tmp_path: Path) -> None:
    config = job(tmp_path, "trainer=ddp", "trainer.accelerator=cpu")
    keys = []
    for ranks in (1, 2, 3):
        one = Stages(config, Store(tmp_path), torch.device("cpu"))
        one.__dict__["ranks"] = ranks  # as many as there are
        keys.append(one.trajectory_key(load_data(config), callbacks=False)["trainer"]["devices"])
    assert keys == ["auto", 2, 3]


@pytest.mark.parametrize(("asked", "first"), [("[object,depth]", "object"), ("[depth]", "scene"), ("null", "scene")])
def test_a_defence_sees_the_class_that_the_model_learns_as_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: str, first: str
) -> None:
    seen = []

    class Seeing(Defense):
        def purify(self, train: Samples, **_: Any) -> Samples:
            seen.append((next(iter(train.tasks)), train.labels.tolist()))
            return train

    samples = many_tasks("scene", "depth")
    objects = {"object": torch.arange(len(samples)) % 3}
    kinds = {**samples.tasks, "object": Classification("object", 3)}
    samples = replace(samples, targets={**dict(samples.targets), **objects}, tasks=kinds)

    class Given(DataModule):
        def load(self) -> tuple[Samples, Samples]:
            return samples, samples

    config = composed("dataset=rooms", "task=multi", "defense=coin", f"task.tasks={asked}", "trainer.accelerator=cpu")
    one = Stages(config, Store(tmp_path), torch.device("cpu"))
    one.defense = Seeing()
    data = one.purified(Given(modality=Pixels(flip=True)), "clean")
    assert list(data.tasks) == ["scene", "depth", "object"]
    assert seen == [(first, samples.targets[first].tolist())]
