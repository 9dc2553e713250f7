"""Ctrl-C at the command line, and the same command again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests._inputs import ROOT


def start(folder: Path, job: str) -> subprocess.Popen[str]:
    arguments = [
        "experiment=smoke",
        "logger=none",
        "poison=ops",
        "trainer.max_epochs=4",
        f"hydra.run.dir={folder}/{job}",
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


@pytest.mark.timeout(600)
def test_a_job_that_is_terminated_does_not_count_as_a_success(tmp_path: Path) -> None:
    job = start(tmp_path, "terminated")
    output = rest_after(job, "epoch 1/4", signal.SIGTERM, timeout=240)
    assert job.returncode in (128 + signal.SIGTERM, -signal.SIGTERM), output  # as a shell, or the system, says it
    assert not (tmp_path / "terminated" / "result.json").exists()


@pytest.mark.timeout(600)
def test_an_interrupted_job_started_again_completes_with_the_figures_of_an_uninterrupted_one(tmp_path: Path) -> None:
    whole = start(tmp_path, "whole")
    interrupted = start(tmp_path, "interrupted")
    rest = rest_after(interrupted, "epoch 2/4", signal.SIGINT, timeout=120)
    assert interrupted.returncode != 0
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
