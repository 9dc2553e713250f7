"""Hydra's launchers: what conf/ has of them, and sweeps that they really start."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import get_class, instantiate
from omegaconf import DictConfig, OmegaConf

from tests._inputs import ROOT
from tests.test_cli import SMOKE, log_of, run

pytestmark = pytest.mark.filterwarnings(r"ignore:\s*'hydra/launcher/\w+' is validated against ConfigStore schema")
LAUNCHERS = sorted(path.stem for path in (ROOT / "conf" / "hydra" / "launcher").glob("*.yaml"))
MINE = """# @package _global_
defaults:
  - smoke
  - override /hydra/launcher: submitit_local
"""


def launcher(*overrides: str) -> DictConfig:
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return compose("config", overrides=list(overrides), return_hydra_config=True).hydra.launcher


def experiment(folder: Path, name: str, text: str) -> str:
    """The override that makes an experiment file of the user's own known."""
    (folder / "experiment").mkdir(exist_ok=True)
    (folder / "experiment" / f"{name}.yaml").write_text(text)
    return f"hydra.searchpath=[file://{folder}]"


@pytest.mark.parametrize("name", LAUNCHERS)
def test_every_launcher_has_the_options_of_its_plugin_and_no_other(name: str) -> None:
    from hydra_plugins.hydra_joblib_launcher.config import JobLibLauncherConf
    from hydra_plugins.hydra_submitit_launcher.config import LocalQueueConf, SlurmQueueConf

    of_plugin = {"joblib": JobLibLauncherConf, "submitit_local": LocalQueueConf, "submitit_slurm": SlurmQueueConf}[name]
    config = launcher(f"hydra/launcher={name}")
    assert set(config) == set(OmegaConf.structured(of_plugin))
    OmegaConf.merge(
        OmegaConf.structured(of_plugin), {k: v for k, v in config.items() if k not in ("name", "submitit_folder")}
    )
    assert get_class(config._target_)


def test_jobs_of_joblib_have_processes_of_their_own_that_may_start_others() -> None:
    config = launcher("hydra/launcher=joblib")
    assert (config.prefer, config.require) == ("processes", None)
    assert instantiate(config) is not None


def test_an_experiment_file_may_choose_the_launcher(tmp_path: Path) -> None:
    known = experiment(tmp_path, "mine", MINE)
    assert launcher(known, "experiment=mine")._target_.endswith(".LocalLauncher")


def test_a_failed_job_of_submitit_ends_with_1_after_all_that_is_to_be_written() -> None:
    program = "from unlearnable.app.job import _end_with_failure as end; end(); print('written')"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, env=environment, cwd=ROOT
    )
    assert (done.returncode, done.stdout) == (1, "written\n")


def statuses(folder: Path) -> list[str]:
    return [row["status"] for row in csv.DictReader((folder / "summary.csv").open())]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_sweep_by_submitit_chosen_in_an_experiment_file_ends_with_its_table(tmp_path: Path) -> None:
    known = experiment(tmp_path, "mine", MINE)
    jobs, store = tmp_path / "jobs", tmp_path / "store"
    asked = (known, "experiment=mine", "logger=none", "poison=ops,random", "seed=0,-1", f"hydra.sweep.dir={jobs}")
    done = run("-m", *asked, store=store, timeout=800)
    assert done.returncode == 1, done.stderr  # two jobs fail
    assert "ConfigStore" not in done.stderr
    assert statuses(jobs) == ["done", "failed", "done", "failed"]
    assert sorted(record["kind"] for record in log_of(store) if record["event"] == "made") == sorted(
        ["prior"] + ["poison"] * 2 + ["trajectory"] * 3 + ["sal"] * 3
    )
    logs = {path: path.read_text() for path in (jobs / ".submitit").rglob("*.out")}
    assert len(logs) == 4, done.stderr
    assert sum("failed: `seed` must be" in text for text in logs.values()) == 2
    assert all("Submitted job triggered an exception" not in text for text in logs.values())


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_sweep_by_joblib_divides_the_threads_and_makes_everything_once(tmp_path: Path) -> None:
    jobs, store = tmp_path / "jobs", tmp_path / "store"
    asked = ("hydra/launcher=joblib", "poison=ops,random", "eps=0.01,0.05", f"hydra.sweep.dir={jobs}")
    done = run("-m", *SMOKE, *asked, store=store, timeout=800)
    assert done.returncode == 0, done.stderr
    assert statuses(jobs) == ["done"] * 4
    made = [record["kind"] for record in log_of(store) if record["event"] == "made"]
    assert sorted(made) == sorted(["prior"] + ["poison"] * 2 + ["trajectory"] * 3 + ["sal"] * 6)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_launcher_in_one_of_several_experiments_is_not_ignored_without_a_word(tmp_path: Path) -> None:
    known = experiment(tmp_path, "mine", MINE)
    asked = ("experiment=mine,smoke", "logger=none", "poison=clean", f"hydra.sweep.dir={tmp_path}/jobs")
    done = run("-m", known, *asked, store=tmp_path / "store", timeout=800)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("The launcher of this experiment is not used") == 1
    assert "hydra/launcher=submitit_local" in done.stdout
