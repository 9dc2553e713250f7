"""The end of a sweep: table and page wherever its jobs lie, and the exit code."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from tests.results._sweeps import result, write_sweep
from unlearnable.app.sweep import SweepReport, missing_jobs


def _end(sweep: Path) -> None:
    SweepReport().on_multirun_end(OmegaConf.create({"stage": "all", "hydra": {"sweep": {"dir": str(sweep)}}}))


def _numbered(job: Path, number: int) -> None:
    (job / ".hydra").mkdir(parents=True, exist_ok=True)
    OmegaConf.save({"hydra": {"job": {"num": number}}}, job / ".hydra" / "hydra.yaml")


def test_nested_folders_have_a_table_and_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # hydra.sweep.subdir=${hydra.job.override_dirname}/seed=${seed}, as in Hydra's documentation.
    names = [f"poison={poison}/seed={seed}" for poison in ("em", "ops") for seed in (0, 1)]
    made = [result(poison, seed=seed) for poison in ("em", "ops") for seed in (0, 1)]
    _end(write_sweep(tmp_path, *made, names=names))
    assert {"summary.csv", "aggregates.csv", "report.html", "figures"} <= {path.name for path in tmp_path.iterdir()}
    assert "4 jobs" in capsys.readouterr().out
    assert "poison=em/seed=1" in (tmp_path / "summary.csv").read_text()


def test_reports_need_no_pytorch_which_takes_seconds_to_load(tmp_path: Path) -> None:
    sweep = write_sweep(tmp_path / "sweep", result("em"))
    code = (
        "import sys, pathlib; from unlearnable.report.build import build, read; "
        f"print(len(build(pathlib.Path({str(sweep)!r}), *read([{str(sweep)!r}])))); assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 5


@pytest.mark.parametrize("results", [0, 1])
def test_a_failed_job_ends_the_sweep_with_1_also_in_nested_folders(tmp_path: Path, results: int) -> None:
    made: list[dict[str, Any]] = [result("em")] * results
    names = ["poison=em/seed=0"] * results + ["poison=rem/seed=0"]
    write_sweep(tmp_path, *made, failed=1, names=names)
    with pytest.raises(SystemExit) as end:
        _end(tmp_path)
    assert end.value.code == 1
    assert (tmp_path / "summary.csv").exists()


def test_a_job_that_left_no_result_ends_the_sweep_with_1(tmp_path: Path) -> None:
    write_sweep(tmp_path, result("em"), names=["a/0"])
    _numbered(tmp_path / "a" / "1", 1)
    with pytest.raises(SystemExit):
        _end(tmp_path)


def test_jobs_of_which_no_folder_is_left_are_missed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sweep = write_sweep(tmp_path, result("em"), result("ops"), names=["em", "ops"])
    for name, number in (("em", 1), ("ops", 3)):  # 0 and 2 wrote to the same folders before
        _numbered(sweep / name, number)
    assert missing_jobs(sweep) == [0, 2]
    with pytest.raises(SystemExit):
        _end(sweep)
    assert "Of jobs 0, 2 nothing is left" in capsys.readouterr().err


def test_a_sweep_without_any_job_ends_with_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        _end(tmp_path)
    assert "holds no job" in capsys.readouterr().err


def test_errors_and_options_in_brackets_are_shown_as_they_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = [
        result(poison, sal={"layers": layers}) for poison in ("em", "ops") for layers in ("weights", ["head", "fc"])
    ]
    write_sweep(tmp_path, *made, failed=2)
    errors = (
        "[/pytorch/third_party/gloo/pair.cc:547] Connection closed by peer",
        "[enforce fail at alloc.cpp:115] :x:",
    )
    for job, error in zip(sorted(tmp_path.glob("*-rem")), errors, strict=True):
        record = json.loads((job / "failed.json").read_text())
        (job / "failed.json").write_text(json.dumps({**record, "error": error}))
    with pytest.raises(SystemExit) as end:
        _end(tmp_path)
    assert end.value.code == 1
    assert (tmp_path / "report.html").exists()
    shown = capsys.readouterr().out
    for text in (*errors, "layers=[head"):
        assert text in shown


def test_a_fault_in_the_tables_ends_the_sweep_with_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("unlearnable.results.rows.write_tables", broken)
    with pytest.raises(SystemExit) as end:
        _end(write_sweep(tmp_path, result("em")))
    assert end.value.code == 1
