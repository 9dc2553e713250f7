"""What is read back from sweeps, and how it is grouped."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.results._sweeps import multi_task, result, write_sweep
from unlearnable.results.reading import read_sweeps


def test_runs_that_differ_in_the_seed_alone_share_a_cell(tmp_path: Path) -> None:
    made = [result(poison, seed=seed) for poison in ("em", "ops") for seed in (0, 1, 2)]
    records = read_sweeps([write_sweep(tmp_path / "sweep", *made)])
    assert [[run.seed for run in runs] for runs in records.cells.values()] == [[0, 1, 2], [0, 1, 2]]


def test_another_radius_of_a_poison_is_another_cell_that_says_so_and_shares_the_clean_runs(tmp_path: Path) -> None:
    made = [result("em", options={"radius": radius}) for radius in (0.03, 0.06)]
    records = read_sweeps([write_sweep(tmp_path / "sweep", *made)])
    assert [run.label for run in records.runs] == ["em (radius=0.03)", "em (radius=0.06)"]
    assert records.runs[0].setting == records.runs[1].setting


def test_another_probe_is_another_setting(tmp_path: Path) -> None:
    small, large = (result("em", sal={"samples": samples}) for samples in (64, 512))
    records = read_sweeps([write_sweep(tmp_path / "sweep", small, large)])
    assert [run.settings for run in records.runs] == ["sal.samples=64", "sal.samples=512"]
    assert records.runs[0].setting != records.runs[1].setting


def test_options_that_methods_differ_in_by_nature_are_no_setting(tmp_path: Path) -> None:
    made = [result("em", options={"noise_steps": 20}), result("ops", options={"spread": "std"})]
    records = read_sweeps([write_sweep(tmp_path / "sweep", *made)])
    assert [(run.variant, run.settings) for run in records.runs] == [("", ""), ("", "")]


def test_failed_and_unfinished_jobs_are_told(tmp_path: Path) -> None:
    sweep = write_sweep(tmp_path / "sweep", result("em"), failed=1)
    (sweep / "7-tap" / ".hydra").mkdir(parents=True)
    (sweep / "7-tap" / ".hydra" / "overrides.yaml").write_text("- poison=tap\n")
    failed, unfinished = read_sweeps([sweep]).failures
    assert failed.error.startswith("`poison.radius` must be positive")
    assert unfinished.poison == "tap"
    assert "no result" in unfinished.error
    assert list(unfinished.overrides) == ["poison=tap"]


def test_a_job_that_another_sweep_repeats_counts_once_the_last_one(tmp_path: Path) -> None:
    first = write_sweep(tmp_path / "first", result("em"))
    second = write_sweep(tmp_path / "second", result("em"))
    records = read_sweeps([first, second])
    assert [run.sweep.name for run in records.runs] == ["second"]
    assert list(records.repeated) == ["first/0-em"]


def test_a_multi_task_job_has_a_run_a_task(tmp_path: Path) -> None:
    records = read_sweeps([write_sweep(tmp_path / "sweep", multi_task("em"))])
    assert [run.task for run in records.runs] == ["scene", "depth", "segmentation"]


def test_a_folder_without_jobs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="holds no job"):
        read_sweeps([tmp_path])
    with pytest.raises(FileNotFoundError, match="is no folder"):
        read_sweeps([tmp_path / "absent"])


def test_a_result_that_is_none_is_refused_by_name(tmp_path: Path) -> None:
    sweep = write_sweep(tmp_path / "sweep", result("em"))
    (sweep / "0-em" / "result.json").write_text("{}")
    with pytest.raises(ValueError, match=r"0-em/result\.json is not a job's result"):
        read_sweeps([sweep])
