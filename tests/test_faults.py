"""A job that is killed, whose store is damaged and whose disk is full: the same command ends with the same figures."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import resource
import shutil
import signal
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.test_job import job, made
from unlearnable.app.job import _message
from unlearnable.experiment import run
from unlearnable.report.build import build, read

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
FORK = multiprocessing.get_context("fork")  # the libraries are loaded already: a try takes little more than its work
KILLS = int(os.environ.get("UNLEARNABLE_KILLS", "30"))
FIGURES = ("sal", "clean_sal", "ud", "beta", "epochs", "test_acc", "clean_test_acc", "keys")


def work(store: Path, folder: Path) -> None:
    """A poison with a training of its own, two trainings, four measurements, and the report."""
    config = job(store, "poison=em", "poison.max_rounds=2", "poison.surrogate_steps=2", "poison.noise_steps=2")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        run(config, folder=folder)
        build(folder, *read([folder]))
    (folder / "said.txt").write_text("\n".join(str(one.message) for one in said))


def started(store: Path, folder: Path, before: Callable[[], None] | None = None) -> Any:
    """The work in a process of its own, which ends with 0, or with 1 and `error.txt`."""

    def target() -> None:
        try:
            if before is not None:
                before()
            work(store, folder)
        except Exception as error:
            (folder / "error.txt").write_text(_message(error))
            os._exit(1)
        os._exit(0)

    folder.mkdir(parents=True, exist_ok=True)
    process = FORK.Process(target=target)
    process.start()
    return process


def figures(folder: Path) -> dict[str, Any]:
    result = json.loads((folder / "result.json").read_text())
    return {key: result[key] for key in FIGURES}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], float]:
    """Store, figures and seconds of a job that nothing befell."""
    folder = tmp_path_factory.mktemp("undisturbed")
    start = time.monotonic()
    process = started(folder / "store", folder / "job")
    process.join()
    assert process.exitcode == 0, (folder / "job" / "error.txt").read_text()
    return folder / "store", figures(folder / "job"), time.monotonic() - start


def test_a_job_that_is_killed_at_random_moments_ends_with_the_figures_of_one_that_is_not(
    undisturbed: tuple[Path, dict[str, Any], float], tmp_path: Path
) -> None:
    _, expected, seconds = undisturbed
    draw, kills, rounds = random.Random(0), 0, 0
    while kills < KILLS:
        store, folder = tmp_path / f"store-{rounds}", tmp_path / f"job-{rounds}"
        while True:  # until it ends by itself
            process = started(store, folder)
            process.join(timeout=draw.uniform(0.0, 0.5 * seconds) if kills < KILLS else None)
            if process.exitcode is not None:
                break
            os.kill(process.pid, signal.SIGKILL)
            process.join()
            kills += 1
        assert process.exitcode == 0, (folder / "error.txt").read_text()
        assert figures(folder) == expected
        assert made(store) == {"poison": 1, "trajectory": 2, "sal": 2}
        assert not list((store / "leases").iterdir())
        assert not list((store / "partial").iterdir())
        assert not list(folder.rglob(".[0-9]*"))
        rounds += 1


@pytest.mark.parametrize("kind", ["poison", "trajectory", "sal"])
def test_a_flipped_bit_is_found_set_aside_said_and_made_anew(
    kind: str, undisturbed: tuple[Path, dict[str, Any], float], tmp_path: Path
) -> None:
    store = tmp_path / "store"
    shutil.copytree(undisturbed[0], store)
    damaged = sorted(file for file in (store / kind).rglob("*") if file.is_file() and file.name != "entry.json")[-1]
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(bytes(content))
    process = started(store, tmp_path / "job")
    process.join()
    assert process.exitcode == 0, (tmp_path / "job" / "error.txt").read_text()
    assert figures(tmp_path / "job") == undisturbed[1]
    assert len(list((store / "corrupt").iterdir())) == 1
    assert f"{damaged} is not what was stored" in (tmp_path / "job" / "said.txt").read_text()


def test_a_full_disk_ends_the_job_with_a_sentence_and_the_store_is_intact(
    undisturbed: tuple[Path, dict[str, Any], float], tmp_path: Path
) -> None:
    largest = max(file.stat().st_size for file in undisturbed[0].rglob("*") if file.is_file())

    def full() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest - 1, largest - 1))

    store, folder = tmp_path / "store", tmp_path / "job"
    process = started(store, folder, full)
    process.join()
    assert process.exitcode == 1
    assert "What is stored is intact: free space" in (folder / "error.txt").read_text()
    process = started(store, folder)
    process.join()
    assert process.exitcode == 0
    assert figures(folder) == undisturbed[1]
    assert not (store / "corrupt").exists()
