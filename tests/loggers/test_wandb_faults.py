"""W&B is out of reach, refuses, or never answers: jobs go on, are complete and are not held up for long."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.loggers._wandb_reader import read_run, read_runs
from tests.loggers._wandb_server import Server, serving
from tests.results._sweeps import result, write_sweep
from tests.test_cli import SMOKE, run
from unlearnable.loggers.base import JobInfo
from unlearnable.loggers.wandb import WandbJobLogger

KEY = "0" * 40


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server that this process has a key for."""
    import wandb

    with serving() as found:
        monkeypatch.setenv("WANDB_BASE_URL", found.address)
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        wandb.teardown()  # W&B reads the environment once a session
        yield found
        wandb.teardown()


def started(folder: Path, **options: float | str) -> WandbJobLogger:
    folder.mkdir(exist_ok=True)
    return WandbJobLogger(JobInfo(folder, name="em", group="sweep", job_type="poisoned"), **options)


def log_epoch(logger: WandbJobLogger, epoch: int) -> None:
    logger.loggers[0].log_metrics({"epoch": epoch, "ud/value": 0.5})


def test_a_server_that_answers_is_sent_what_is_logged(server: Server, tmp_path: Path) -> None:
    logger = started(tmp_path)
    log_epoch(logger, 0)
    logger.finish(0)
    ((_, rows),) = server.history.items()
    assert [(row["epoch"], row["ud/value"]) for row in rows] == [(0, 0.5)]


def test_a_server_that_never_answers_holds_up_the_first_job_alone_and_all_have_offline_runs(
    server: Server, tmp_path: Path
) -> None:
    server.mood = "hangs"
    start, asked = time.monotonic(), []
    for job in range(2):
        logger = started(tmp_path / str(job), init_timeout=1.0)
        log_epoch(logger, 0)
        logger.finish(0)
        asked.append(server.requests)
    assert time.monotonic() - start < 60
    assert asked[0] == asked[1] > 0
    for job in range(2):
        (found,) = read_runs(tmp_path / str(job))
        assert (found.series("ud/value"), found.exit_code) == ({0: 0.5}, 0)


def test_a_server_that_goes_away_during_a_run_holds_its_end_up_for_no_longer_than_is_allowed(
    server: Server, tmp_path: Path
) -> None:
    logger = started(tmp_path, finish_timeout=1.0)
    log_epoch(logger, 0)
    server.mood = "hangs"
    log_epoch(logger, 1)
    start = time.monotonic()
    logger.finish(0)
    assert time.monotonic() - start < 60
    (file,) = tmp_path.glob("wandb/run-*/run-*.wandb")
    assert read_run(file).series("ud/value") == {0: 0.5, 1: 0.5}  # nothing is lost: `wandb sync` sends it


def test_a_key_that_is_none_leaves_an_offline_run(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "too short")
    started(tmp_path).finish(0)
    assert len(read_runs(tmp_path)) == 1


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("fault", ["no network", "wrong key", "never answers"])
def test_a_job_is_complete_and_ends_with_0_whatever_the_server_does(
    fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving("refuses" if fault == "wrong key" else "hangs") as server:
        address = "https://wandb.invalid" if fault == "no network" else server.address
        monkeypatch.setenv("WANDB_BASE_URL", address)
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        asked = (*SMOKE[:1], "logger=wandb", "logger.mode=auto", "poison=ops", f"hydra.run.dir={tmp_path}/job")
        done = run(*asked, store=tmp_path / "store", timeout=600, WANDB_MODE="online")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Weights & Biases is offline" in done.stdout
    found = json.loads((tmp_path / "job" / "result.json").read_text())
    assert len(found["epochs"]) == len(found["sal"]) == 2
    (logged,) = read_runs(tmp_path / "job")
    assert logged.exit_code == 0
    assert logged.summary["ud"] == found["ud"]


def wandb(*arguments: str, timeout: float) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "wandb", *arguments]
    return subprocess.run(command, env=dict(os.environ), capture_output=True, text=True, timeout=timeout, check=False)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_sweeps_offline_runs_are_synced_by_one_command(server: Server, tmp_path: Path) -> None:
    sweep = write_sweep(tmp_path / "sweep", *[result("em", seed=seed) for seed in range(30)])
    (poison := tmp_path / "images.u8").write_bytes(b"images")
    for folder in sweep.glob("*-em"):
        logger = started(folder, mode="offline")
        log_epoch(logger, 0)
        logger.result(json.loads((folder / "result.json").read_text()), folder, poison)
        logger.finish(0)
    runs = {found.id for folder in sweep.glob("*-em") for found in read_runs(folder)}
    assert (len(runs), server.requests) == (30, 0)
    offline = sorted(map(str, sweep.glob("*/wandb/offline-run-*")))
    server.mood = "hangs"
    with pytest.raises(subprocess.TimeoutExpired):  # it tries again and again; a Ctrl-C costs nothing
        wandb("sync", *offline, timeout=30)
    server.mood = "answers"
    server.runs.clear()
    done = wandb("sync", *offline, timeout=1200)
    assert done.returncode == 0, done.stderr
    assert set(server.runs) == set(server.history) == runs
    assert all(sum(row.get("ud/value") == 0.5 for row in rows) == 1 for rows in server.history.values())
    assert re.search(r"No(thing| runs) to sync", wandb("sync", "--dry-run", *offline, timeout=300).stderr)
