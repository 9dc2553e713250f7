"""Trainings of two processes, through the command line."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from tests.test_cli import SMOKE, log_of, run
from tests.test_job import job
from unlearnable import checks, ranks
from unlearnable.callbacks.measuring import measure_module
from unlearnable.callbacks.trajectory import read_weights
from unlearnable.data.batches import EpochBatches
from unlearnable.experiment import load_data, load_poison
from unlearnable.ranks import RankError, joined
from unlearnable.stages import Stages
from unlearnable.store import Store

TWO = ("trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "trainer.keep=all")


def shares(size: int, **options: bool) -> list[list[list[int]]]:
    return [list(EpochBatches(size, 4, seed=0, rank=rank, ranks=2, **options)) for rank in range(2)]


def test_ranks_share_each_batch_out_without_overlap() -> None:
    whole = list(EpochBatches(11, 4, seed=0, shuffle=True))
    first, second = shares(11, shuffle=True)
    assert (
        [len(batch) for batch in first] == [len(batch) for batch in second] == [2, 2, 1]
    )  # one of the last three left
    for batch, one, other in zip(whole, first, second, strict=True):
        assert batch[: len(one) + len(other)] == [row for pair in zip(one, other, strict=True) for row in pair]


def test_ranks_test_on_every_sample_once() -> None:
    for size in range(1, 14):
        found = shares(size, shuffle=False)
        assert sorted(row for batches in found for batch in batches for row in batch) == list(range(size))
        for rank, batches in enumerate(found):
            assert len(batches) == len(EpochBatches(size, 4, seed=0, shuffle=False, rank=rank, ranks=2))
            assert all(batches)


def test_a_rank_that_ends_before_its_time_ends_the_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranks, "_PROGRAM", "json.tool")  # reads the task, and ends
    before = dict(os.environ)
    with pytest.raises(RankError, match="Rank 1 of the training ended with 0"), joined(2, {"a": 1}):
        pytest.fail("it began")
    assert dict(os.environ) == before


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (("trainer.num_nodes=2", "trainer.strategy=ddp"), "trains on the devices of one machine"),
        (("trainer.strategy=ddp_spawn",), "starts another process to train in"),
    ],
)
def test_what_a_job_cannot_be_shared_out_over_is_said(
    overrides: tuple[str, ...], sentence: str, tmp_path: Path
) -> None:
    config = job(tmp_path, *TWO, *(f"++{override}" for override in overrides))
    with pytest.raises(ValueError, match=sentence):
        checks.check_trainer(config)


def alone(result: dict, store: Path, epoch: int) -> np.ndarray:
    """SAL of the stored weights after an epoch, measured by this process alone."""
    config = OmegaConf.create(result["config"])
    stages = Stages(config, Store(store), torch.device("cpu"))
    clean = load_data(config)
    data = clean.poisoned(stages.poison(load_poison(config), clean).samples)
    module = stages.make_module(data)
    module.net.load_state_dict(read_weights(store / "trajectory" / result["keys"]["trajectory"], epoch))
    (found,) = measure_module(stages.measures["sal"], module, data, epoch, lambda _: {}).values()
    return found.values


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_two_processes_of_each_job_of_a_sweep_make_what_one_makes(tmp_path: Path) -> None:
    store, jobs = tmp_path / "store", tmp_path / "jobs"
    one = run(*SMOKE, "poison=ops", f"hydra.run.dir={tmp_path}/one", store=store, timeout=600)
    assert one.returncode == 0, one.stderr
    single = run(*SMOKE, *TWO, "poison=ops", f"hydra.run.dir={tmp_path}/two", store=store, timeout=600)
    assert single.returncode == 0, single.stderr
    sweep = run(
        *("-m", *SMOKE, *TWO, "poison=ops,random"), f"hydra.sweep.dir={jobs}", store=tmp_path / "other", timeout=900
    )
    assert sweep.returncode == 0, sweep.stderr
    assert "Warning" not in sweep.stderr
    assert sorted(path.parent.name for path in jobs.rglob("result.json")) == ["0-ops", "1-random"]
    found, of_one, in_sweep = (
        json.loads((folder / "result.json").read_text())
        for folder in (tmp_path / "two", tmp_path / "one", jobs / "0-ops")
    )
    assert found["keys"]["poison"] == of_one["keys"]["poison"] == in_sweep["keys"]["poison"]
    assert found["keys"]["trajectory"] != of_one["keys"]["trajectory"]  # BatchNorm saw other batches
    made = [record["kind"] for record in log_of(store) if record["event"] == "made"]
    assert sorted(made) == sorted(["poison", "prior", *["trajectory", "sal"] * 4])
    np.testing.assert_allclose(in_sweep["sal"], found["sal"], rtol=1e-4, atol=1e-6)
    for epoch, row in enumerate(found["sal"], start=1):
        np.testing.assert_allclose(row, alone(found, store, epoch), rtol=1e-4, atol=1e-6)
