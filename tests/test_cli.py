"""The command line as a user meets it: processes, exit codes, files, messages."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests._inputs import ROOT

SMOKE = ("experiment=smoke", "logger=none")


def run(*arguments: str, store: Path, timeout: float = 240, **environment: str) -> subprocess.CompletedProcess[str]:
    """`python run.py …` from the repository's root."""
    own = {"UNLEARNABLE_STORE": str(store), "OMP_NUM_THREADS": "1", "WANDB_MODE": "offline", **environment}
    environment = {**os.environ, **own}
    environment.pop("HYDRA_FULL_ERROR", None)
    return subprocess.run(
        [sys.executable, "run.py", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def log_of(store: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in (store / "log.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, subprocess.CompletedProcess[str]]:
    """The literal sweep, on the smoke configuration."""
    folder = tmp_path_factory.mktemp("sweep")
    store = folder / "store"
    done = run("-m", *SMOKE, "poison=em,ops,tap", "eps=0.01,0.05", f"hydra.sweep.dir={folder}/jobs", store=store)
    return folder / "jobs", store, done


def test_the_literal_sweep_ends_with_a_table_and_a_summary(sweep) -> None:
    jobs, _, done = sweep
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader((jobs / "summary.csv").open()))
    assert [(row["poison"], row["eps"]) for row in rows] == [
        (poison, eps) for poison in ("em", "ops", "tap") for eps in ("0.01", "0.05")
    ]
    assert {row["status"] for row in rows} == {"done"}
    for title in ("poison", "UD", "learnable layers", "clean test acc", "seconds"):
        assert title in done.stdout
    assert str(jobs / "summary.csv") in done.stdout.replace("\n", "")


def test_the_sweep_makes_three_poisons_four_trainings_and_eight_measurements(sweep) -> None:
    _, store, _ = sweep
    made = Counter(record["kind"] for record in log_of(store) if record["event"] == "made")
    assert made == {"prior": 1, "poison": 3, "trajectory": 4, "sal": 8}


def test_a_result_has_the_fixed_keys(sweep) -> None:
    jobs, _, _ = sweep
    result = json.loads((jobs / "1-em" / "result.json").read_text())
    keys = (
        "poison dataset model task defense seed eps steps solver layers sal beta learnable_layers ud train_acc test_acc "
        "test_acc_peak clean_test_acc seconds config versions"
    )
    assert set(keys.split()) <= set(result)
    assert (result["poison"], result["dataset"], result["model"], result["eps"]) == (
        "em",
        "digits",
        "tiny_resnet",
        0.05,
    )
    assert result["layers"][0] == "conv1"
    assert len(result["sal"]) == 2  # epochs
    assert {len(row) for row in result["sal"]} == {len(result["layers"])} == {10}
    assert set(result["seconds"]) == {"poison", "train", "sal", "total"}
    assert result["config"]["model"]["net"]["width"] == 4  # the whole resolved configuration
    # UD by its definition, from what the file itself holds.
    learnable = [sum(value > result["beta"] for value in row) for row in result["sal"]]
    clean = [sum(value > result["beta"] for value in row) for row in result["clean_sal"]]
    assert result["learnable_layers"] == learnable
    assert result["ud"] == pytest.approx(sum(learnable) / sum(clean))


def test_the_same_job_again_gives_the_same_figures_and_makes_nothing(sweep, tmp_path: Path) -> None:
    jobs, store, _ = sweep
    before = len([record for record in log_of(store) if record["event"] == "made"])
    # In a process of its own: keys must not depend on what other jobs of the sweep had loaded.
    again = run(*SMOKE, "poison=ops", "eps=0.05", f"hydra.run.dir={tmp_path}", store=store)
    assert again.returncode == 0, again.stderr
    assert len([record for record in log_of(store) if record["event"] == "made"]) == before
    first, second = (json.loads((f / "result.json").read_text()) for f in (jobs / "3-ops", tmp_path))
    for record in (first, second):
        del record["seconds"]["total"], record["config"], record["reused"]
    assert first == second


def test_a_fresh_store_gives_the_same_figures(sweep, tmp_path: Path) -> None:
    jobs, _, _ = sweep
    done = run(*SMOKE, "poison=em", "eps=0.05", f"hydra.run.dir={tmp_path}/job", store=tmp_path / "store")
    assert done.returncode == 0, done.stderr
    first, second = (json.loads((f / "result.json").read_text()) for f in (jobs / "1-em", tmp_path / "job"))
    for key in ("sal", "clean_sal", "ud", "beta", "epochs", "test_acc", "clean_test_acc"):
        assert first[key] == second[key]


def test_a_failing_job_does_not_stop_the_others_and_fails_the_sweep(sweep, tmp_path: Path) -> None:
    _, store, _ = sweep
    done = run("-m", *SMOKE, "poison=em", "eps=0.01,-1,0.05", f"hydra.sweep.dir={tmp_path}", store=store)
    rows = list(csv.DictReader((tmp_path / "summary.csv").open()))
    assert [row["status"] for row in rows] == ["done", "failed", "done"]
    assert "`eps` must be a finite number above 0" in rows[1]["error"]
    assert done.returncode == 1
    # Reported when it happened, before the last job, and in the job's own log.
    assert done.stdout.index("failed: `eps`") < done.stdout.index("#2")
    assert "failed: `eps`" in (tmp_path / "1-em" / "run.log").read_text()
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["poison=nosuch"], "Available options in 'poison':"),
        (["nosuch=1"], "nosuch"),
        (["trainer.accelerator=gpu"], "The Trainer cannot be made with trainer: "),
    ],
)
def test_bad_input_ends_with_a_message_and_no_traceback(arguments: list[str], message: str, tmp_path: Path) -> None:
    import torch

    if "gpu" in arguments[0] and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    done = run(*SMOKE, *arguments, f"hydra.run.dir={tmp_path}/job", store=tmp_path / "store")
    assert done.returncode not in (0, None)
    assert message in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("name", ["clean", "${choices.poison}"])  # the default folder's name has the choice in it
def test_an_output_folder_that_cannot_be_made_is_said(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = run(*SMOKE, "poison=clean", f"hydra.run.dir={tmp_path}/file/{name}", store=tmp_path / "store")
    assert done.returncode not in (0, None)
    assert f"`hydra.run.dir` = {tmp_path}/file/clean" in (done.stdout + done.stderr).replace("\n", "")
    assert "Warning" not in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_help_and_cfg_need_no_heavy_library(tmp_path: Path) -> None:
    code = (
        "import runpy, sys; sys.argv = ['run.py', '--cfg', 'job']; runpy.run_path('run.py', run_name='__main__'); "
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "eps: 0.05" in done.stdout
    helped = run("--help", store=tmp_path)
    assert "poison=em,ops,tap eps=0.01,0.05" in helped.stdout
    assert "poison: " in helped.stdout


def test_a_grid_that_is_not_used_is_said(tmp_path: Path) -> None:
    asked = ("experiment=[smoke,seeds]", "logger=none", "stage=poison", "poison=clean")
    done = run(*asked, f"hydra.run.dir={tmp_path}/job", store=tmp_path / "store")
    assert done.returncode == 0, done.stderr
    assert "The grid of this experiment (seed) is not used: it takes -m, and an experiment a sweep." in done.stdout
    done = run("-m", *asked, "seed=0,1", f"hydra.sweep.dir={tmp_path}/jobs", store=tmp_path / "store")
    assert done.returncode == 0, done.stderr
    assert "is not used" not in done.stdout
