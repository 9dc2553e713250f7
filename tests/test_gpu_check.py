"""The checks of `make gpu-check` run, and hold, on a CPU as far as they say something there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests._inputs import ROOT


def checked(folder: Path, *options: str) -> tuple[int, dict[str, Any]]:
    """The command's exit status and what it wrote."""
    out = folder / "found.json"
    command = [
        sys.executable,
        str(ROOT / "benchmarks" / "gpu_check.py"),
        "--device",
        "cpu",
        "--quick",
        "--out",
        str(out),
    ]
    done = subprocess.run([*command, *options], cwd=folder, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False)
    return done.returncode, json.loads(out.read_text())


def test_no_step_of_training_or_descent_waits_and_a_resumed_training_is_the_same(tmp_path: Path) -> None:
    status, found = checked(tmp_path, "--only", "waits_of_training", "waits_of_poisons", "training_resumes")
    assert status == 0, found
    assert found["counts"] == {"passed": 3, "failed": 0, "skipped": 0}
    trainings = found["checks"]["waits_of_training"]["figures"]
    assert trainings["one task"] == trainings["several tasks"] == {"steps": 2, "waits": 0, "where": {}}
    assert {"em, noise_steps", "rem, adversarial_steps", "tap, steps"} < set(
        found["checks"]["waits_of_poisons"]["figures"]
    )


def test_every_poison_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    from _gpu.poisons import methods

    nothing, texts = {"clean", "folder"}, {"em_text", "random_words", "regtext", "symbol"}
    there = {path.stem for path in (ROOT / "conf" / "poison").glob("*.yaml")}
    assert {name.split(" ")[0] for name in methods()} == there - nothing - texts


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_cpu_half_of_all_checks_holds(tmp_path: Path) -> None:
    status, found = checked(tmp_path)
    assert status == 0, {name: one["message"] for name, one in found["checks"].items() if one["status"] == "failed"}


def test_a_failed_check_is_recorded_and_the_others_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import torch

    from _gpu.runner import Bench, Check, expect, run_check, write

    def fails(bench: Any, found: dict[str, Any]) -> None:
        found["seen"] = 3
        expect(False, "three is too many")

    def lacks(bench: Any, found: dict[str, Any]) -> None:
        import no_such_library  # type: ignore[import-not-found]  # noqa: F401

    def hangs(bench: Any, found: dict[str, Any]) -> None:
        while True:
            pass

    def breaks(bench: Any, found: dict[str, Any]) -> None:
        raise RuntimeError("CUDA error: something")

    bench = Bench(torch.device("cpu"), quick=True, folder=tmp_path)
    outcomes = {run.__name__: run_check(Check(run), bench, 1.0) for run in (fails, lacks, hangs, breaks)}
    outcomes["gpu"] = run_check(Check(fails, gpu=True), bench, 1.0)
    write(outcomes, {}, tmp_path / "found.json")
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["counts"] == {"passed": 0, "failed": 3, "skipped": 2}
    assert found["checks"]["fails"]["message"] == "three is too many"
    assert found["checks"]["fails"]["figures"] == {"seen": 3}
    assert "no_such_library" in found["checks"]["lacks"]["message"]
    assert "not done after 1 s" in found["checks"]["hangs"]["message"]
    assert found["checks"]["breaks"]["message"] == "RuntimeError: CUDA error: something"
