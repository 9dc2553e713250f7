"""Ctrl-C at the command line, and the same command again."""

from __future__ import annotations

import json
import math
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests._inputs import ROOT


def start(folder: Path, job: str, *more: str) -> subprocess.Popen[str]:
    arguments = [
        "experiment=smoke",
        "logger=none",
        "poison=ops",
        "trainer.max_epochs=4",
        f"hydra.run.dir={folder}/{job}",
        *more,
    ]
    environment = {**os.environ, "UNLEARNABLE_STORE": str(folder / f"store-{job}"), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-u", "run.py", *arguments],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def rest_after(job: subprocess.Popen[str], text: str, number: signal.Signals, *, timeout: float) -> str:
    """Sends a signal once the job has written a line with `text`; what it writes from there on."""
    assert job.stdout is not None
    for line in job.stdout:
        if text in line:
            job.send_signal(number)
            break
    return job.communicate(timeout=timeout)[0]


def processor_seconds(process: int) -> float:
    """What a running process has used of its processor; without Linux's /proc as if it had used all until its end."""
    if not Path("/proc/self/stat").exists():
        return math.inf
    user, system = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def children_seconds() -> float:
    """What all processes used that this one started and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.timeout(600)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_job_that_is_stopped_while_it_measures_ends_within_seconds_with_the_signals_code(
    number: signal.Signals, tmp_path: Path
) -> None:
    # The published procedure with ten million steps would take days: it does not wait for its end.
    job = start(tmp_path, "stopped", "sal=reference", "steps=10000000", "poison=clean")
    end = time.monotonic() + 120
    while not any(tmp_path.glob("store-stopped/partial/trajectory-*/metrics_0001.json")):
        assert time.monotonic() < end
        time.sleep(0.05)
    time.sleep(0.5)
    spent, others = processor_seconds(job.pid), children_seconds()
    job.send_signal(number)
    output = job.communicate(timeout=60)[0]
    assert job.returncode == 128 + number, output
    # By the processor's clock, since the machine may be busy; the job has nothing to wait for.
    assert children_seconds() - others - spent < 5
    assert f"stopped by {number.name}" in output
    assert "Traceback" not in output
    assert not (tmp_path / "stopped" / "result.json").exists()
    assert not list((tmp_path / "store-stopped" / "leases").iterdir())


@pytest.mark.timeout(600)
def test_an_interrupted_job_started_again_completes_with_the_figures_of_an_uninterrupted_one(tmp_path: Path) -> None:
    whole = start(tmp_path, "whole")
    interrupted = start(tmp_path, "interrupted")
    rest = rest_after(interrupted, "epoch 2/4", signal.SIGINT, timeout=120)
    assert interrupted.returncode == 128 + signal.SIGINT
    assert not (tmp_path / "interrupted" / "result.json").exists()
    assert "epoch 4/4" not in rest
    again = start(tmp_path, "interrupted")
    output = again.communicate(timeout=240)[0]
    assert again.returncode == 0, output
    assert "going on after epoch" in output
    output = whole.communicate(timeout=240)[0]
    assert whole.returncode == 0, output
    first, second = (json.loads((tmp_path / job / "result.json").read_text()) for job in ("whole", "interrupted"))
    for key in ("sal", "clean_sal", "ud", "beta", "epochs", "test_acc", "clean_test_acc", "learnable_layers"):
        assert first[key] == second[key]
