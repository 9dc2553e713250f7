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
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.test_job import job, made
from unlearnable import training
from unlearnable.app.job import message_of
from unlearnable.callbacks import Measuring
from unlearnable.experiment import run
from unlearnable.files import remove_temporaries
from unlearnable.poisons.em import EM
from unlearnable.report import build as report
from unlearnable.store import Store

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]
FORK = multiprocessing.get_context("fork")  # the libraries are loaded already: a try takes little more than its work
KILLS = int(os.environ.get("UNLEARNABLE_KILLS", "30"))
FIGURES = ("sal", "clean_sal", "ud", "beta", "epochs", "test_acc", "clean_test_acc", "keys")
#: What a try may die in, and the function that does it.
STAGES = {
    "generation": (EM, "apply"),
    "training": (training, "fit"),
    "measurement": (Measuring, "_measured"),
    "store write": (Store, "_publish"),
    "report": (report, "build"),
}
#: In the order in which a job comes to them: each is reached by a try that finds the earlier ones done.
DEATHS = (
    *("generation", "generation", "store write"),
    *("training", "measurement", "store write"),
    *("measurement", "training", "store write"),
    *("report", "report"),
)


def work(store: Path, folder: Path) -> None:
    """A poison with a training of its own, two trainings, four measurements, and the report."""
    config = job(store, "poison=em", "poison.max_rounds=2", "poison.surrogate_steps=2", "poison.noise_steps=2")
    remove_temporaries(folder)  # as `run_job` does
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        run(config, folder=folder)
        report.build(folder, *report.read([folder]))
    (folder / "said.txt").write_text("\n".join(str(one.message) for one in said))


def started(store: Path, folder: Path, before: Callable[[], None] | None = None) -> Any:
    """The work in a process of its own, which ends with 0, or with 1 and `error.txt`."""

    def target() -> None:
        try:
            if before is not None:
                before()
            work(store, folder)
        except Exception as error:
            (folder / "error.txt").write_text(message_of(error))
            os._exit(1)
        os._exit(0)

    folder.mkdir(parents=True, exist_ok=True)
    process = FORK.Process(target=target)
    process.start()
    return process


def figures(folder: Path) -> dict[str, Any]:
    result = json.loads((folder / "result.json").read_text())
    return {key: result[key] for key in FIGURES}


def around(stage: str, call: Callable[[Callable[[], Any]], Any]) -> None:
    """In this process a stage is done by `call`, which is given the function that does it."""
    owner, name = STAGES[stage]
    does = getattr(owner, name)
    setattr(owner, name, lambda *args, **named: call(lambda: does(*args, **named)))


def timed(folder: Path) -> None:
    """Has each stage append its seconds to a file."""

    def call(stage: str, does: Callable[[], Any]) -> Any:
        start = time.monotonic()
        found = does()
        with (folder / "stages.jsonl").open("a") as file:
            file.write(json.dumps([stage, time.monotonic() - start]) + "\n")
        return found

    for stage in STAGES:
        around(stage, partial(call, stage))


def dying(stage: str, after: float) -> None:
    """Has this process die so many seconds after it first comes to a stage, wherever it then is.

    By a signal that nothing handles: the kernel ends the process as it does by SIGKILL, at any moment.
    """

    def call(does: Callable[[], Any]) -> Any:
        if signal.getitimer(signal.ITIMER_REAL)[0] == 0:
            signal.setitimer(signal.ITIMER_REAL, max(after, 1e-6))
        return does()

    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # pytest-timeout has a handler for it
    around(stage, call)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], dict[str, float]]:
    """Store, figures and each stage's longest seconds of a job that nothing befell."""
    folder = tmp_path_factory.mktemp("undisturbed")
    process = started(folder / "store", folder / "job", lambda: timed(folder))
    process.join()
    assert process.exitcode == 0, (folder / "job" / "error.txt").read_text()
    seconds = [json.loads(line) for line in (folder / "stages.jsonl").read_text().splitlines()]
    assert {stage for stage, _ in seconds} == set(STAGES)
    return (
        folder / "store",
        figures(folder / "job"),
        {stage: max(s for of, s in seconds if of == stage) for stage in STAGES},
    )


def test_a_job_that_is_killed_at_random_moments_ends_with_the_figures_of_one_that_is_not(
    undisturbed: tuple[Path, dict[str, Any], dict[str, float]], tmp_path: Path
) -> None:
    _, expected, seconds = undisturbed
    draw, kills, rounds = random.Random(0), Counter[str](), 0
    while kills.total() < KILLS:
        store, folder = tmp_path / f"store-{rounds}", tmp_path / f"job-{rounds}"
        for stage in DEATHS:
            process = started(store, folder, partial(dying, stage, draw.uniform(0, seconds[stage])))
            process.join()
            if process.exitcode != -signal.SIGALRM:
                break  # it came to its end before
            kills[stage] += 1
        else:
            process = started(store, folder)
            process.join()
        assert process.exitcode == 0, [path.read_text() for path in folder.glob("error.txt")]
        assert figures(folder) == expected
        assert made(store) == {"prior": 1, "poison": 1, "trajectory": 2, "sal": 2}
        assert not list((store / "leases").iterdir())
        assert not list((store / "partial").iterdir())
        assert not [*store.rglob(".[0-9]*"), *folder.rglob(".[0-9]*")]
        rounds += 1
    print(f"{kills.total()} kills in {rounds} rounds: {dict(kills)}")
    assert set(kills) == set(STAGES)


@pytest.mark.parametrize("kind", ["poison", "trajectory", "sal"])
def test_a_flipped_bit_is_found_set_aside_said_and_made_anew(
    kind: str, undisturbed: tuple[Path, dict[str, Any], dict[str, float]], tmp_path: Path
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
    undisturbed: tuple[Path, dict[str, Any], dict[str, float]], tmp_path: Path
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
