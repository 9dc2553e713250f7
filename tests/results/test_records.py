"""What is read back from sweeps, and how it is grouped."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.results._sweeps import multi_task, result, write_sweep
from unlearnable.results.cells import GEOMETRIC, UD, cells
from unlearnable.results.reading import read_sweeps
from unlearnable.results.rows import job_rows


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


def test_what_is_clean_is_said_by_the_job_not_by_equal_numbers(tmp_path: Path) -> None:
    made = result("em")
    made["sal"] = made["clean_sal"] = [[None] * len(row) for row in made["sal"]]  # every loss overflowed
    (run,) = read_sweeps([write_sweep(tmp_path / "sweep", made)]).runs
    assert not run.is_clean
    (cell,) = cells(read_sweeps([tmp_path / "sweep"]))
    assert cell.short_verdict(UD) == cell.short_verdict(GEOMETRIC) == "no value"


def test_jobs_are_found_at_any_depth_and_named_by_their_place(tmp_path: Path) -> None:
    sweep = write_sweep(
        tmp_path, *[result("em", seed=seed) for seed in (0, 2, 10)], names=[f"poison=em/seed={n}" for n in (0, 2, 10)]
    )
    exported = sweep / "poison=em" / "seed=0" / "poisoned" / "more"
    exported.mkdir(parents=True)
    (exported / "result.json").write_text("{}")  # belongs to what the job wrote: not a job
    records = read_sweeps([sweep])
    assert [run.job for run in records.runs] == ["poison=em/seed=0", "poison=em/seed=2", "poison=em/seed=10"]
    assert [row["job"] for row in job_rows(records)] == [run.job for run in records.runs]


def test_a_single_job_is_named_by_its_folder(tmp_path: Path) -> None:
    sweep = write_sweep(tmp_path, result("em"))
    (run,) = read_sweeps([sweep / "0-em"]).runs
    assert run.job == "0-em"


def test_results_of_earlier_versions_are_read_without_keys(tmp_path: Path) -> None:
    made = [result(poison) for poison in ("clean", "em")]
    for entry in made:
        del entry["keys"], entry["is_clean"], entry["measures"], entry["preview"]
    clean, em = read_sweeps([write_sweep(tmp_path, *made)]).runs
    assert (clean.is_clean, em.is_clean) == (True, False)
    assert em.settings == ""
