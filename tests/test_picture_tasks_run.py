"""A whole job on photographs with computed tasks, small: a poison for the class leaves the other targets as they are."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests._inputs import composed
from tests.data._inputs import write_hub
from tests.test_cli import log_of
from tests.test_cli import run as command
from unlearnable.experiment import load_data

pytest.importorskip("skimage", reason="segments need scikit-image (pip install unlearnable[multitask])")

SMALL = (
    "experiment=cifar10_tasks",
    "dataset.subset=40",
    "dataset.test_subset=20",
    "dataset.batch_size=20",
    "model.net.width=4",
    "trainer.max_epochs=1",
    "trainer.accelerator=cpu",
    "sal.every_n_epochs=1",
    "sal.samples=10",
    "steps=1",
    "logger=none",
)
NAMES = ["class", "keypoints2d", "edge_texture", "segment_unsup2d"]


def test_the_experiments_model_sees_a_quarter_of_the_side_and_its_schedule_ends_with_it() -> None:
    config = composed("experiment=cifar10_tasks", "dataset.data_dir=somewhere")
    assert config.model.net.stem_stride == 1
    assert config.model.scheduler.T_max == config.trainer.max_epochs == 12
    assert config.dataset.subset == 5000


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_command_line_runs_it_and_poisons_leave_the_targets(tmp_path: Path) -> None:
    write_hub(tmp_path / "data", "train", 40)
    write_hub(tmp_path / "data", "test", 20, seed=1)
    place = f"dataset.data_dir={tmp_path / 'data'}"
    arguments = ("-m", *SMALL, place, "poison=clean,random", "seed=0", f"hydra.sweep.dir={tmp_path}/jobs")
    done = command(*arguments, store=tmp_path / "store", timeout=1000)
    assert done.returncode == 0, done.stderr
    for job in ("0-clean", "1-random"):
        result = json.loads((tmp_path / "jobs" / job / "result.json").read_text())
        assert list(result["tasks"]) == [*NAMES, "joint"]
        for name in NAMES:
            assert np.isfinite(result["tasks"][name]["test_metric"])
    events = [record["event"] for record in log_of(tmp_path / "store") if record["kind"] == "targets"]
    assert events == ["made"] * 6 + ["reused"] * 6  # three domains of two splits, once for both jobs
    made = [record for record in log_of(tmp_path / "store") if record["event"] == "made"]
    assert [record["kind"] for record in made].count("trajectory") == 2

    data = load_data(composed(*SMALL, place, f"store.dir={tmp_path / 'store'}"))
    assert list(data.tasks) == NAMES
