"""Whole multi-task jobs, small: what `result.json` says of each task, and which bad input ends a job early."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests._inputs import composed, shared_data
from unlearnable.experiment import run

pytest.importorskip("embreex", reason="rooms need embreex (pip install unlearnable[multitask])")

SMALL = (
    "task=multi",
    "dataset=rooms",
    "dataset.frames=24",
    "dataset.views=2",
    "dataset.frame_size=16",
    "dataset.test_share=0.5",
    "dataset.batch_size=6",
    "model.net.width=4",
    "trainer.max_epochs=2",
    "trainer.accelerator=cpu",
    "sal.every_n_epochs=1",
    "sal.samples=6",
    "steps=2",
    "logger=none",
)
NAMES = ["class_scene", "depth_euclidean", "normal"]


def job(folder: Path, *overrides: str, tasks: str = "[class_scene,depth_euclidean,normal]") -> dict[str, Any]:
    job_folder = folder / "job"
    job_folder.mkdir(exist_ok=True)
    config = composed(*SMALL, f"dataset.tasks={tasks}", f"store.dir={folder / 'store'}", *overrides)
    run(config, folder=job_folder)
    return json.loads((job_folder / "result.json").read_text())  # type: ignore[no-any-return]


def test_a_poisoned_job_reports_each_task_and_their_conflict(tmp_path: Path) -> None:
    result = job(tmp_path, "poison=lsp")
    assert list(result["tasks"]) == [*NAMES, "joint"]
    for task in NAMES:
        figures = result["tasks"][task]
        assert np.shape(figures["sal"]) == (2, len(figures["layers"]))
        assert not any(layer.startswith("heads.") and task not in layer for layer in figures["layers"])
        assert figures["test"][figures["metric"]] == figures["test_metric"]
        assert figures["clean_test_metric"] is not None
        assert figures["prior"] == figures["priors"][figures["prior_by"]][figures["metric"]]
        assert figures["skill_verdict"] != "undefined" or "does not beat the prior" in figures["undefined"]["skill"]
    assert set(result["tasks"]["normal"]["priors"]) == {"constant", "pixel"}
    depth = result["tasks"]["depth_euclidean"]
    worse = (depth["test_metric"] - depth["clean_test_metric"]) / depth["clean_test_metric"] * 100
    assert depth["relative"] == pytest.approx(-worse)  # an error: higher is worse
    assert result["delta_m"] == pytest.approx(np.mean([result["tasks"][task]["relative"] for task in NAMES]))
    for key in ("conflict", "clean_conflict"):
        assert result[key]["tasks"] == NAMES
        assert result[key]["epochs"] == [1, 2]
        for kind in ("sal", "gradient"):
            matrices = np.array(result[key][kind], dtype=float)
            assert matrices.shape == (2, 3, 3)
            np.testing.assert_allclose(np.diagonal(matrices, axis1=1, axis2=2), 1, atol=1e-6)
    assert (tmp_path / "job" / "conflict.png").stat().st_size > 1000

    again = job(tmp_path, "poison=lsp")
    assert again["reused"] == ["poison", "train", "sal", "conflict"]
    assert again["tasks"] == result["tasks"]
    assert again["conflict"] == result["conflict"]


def test_one_task_by_the_same_recipe_is_a_single_task_job(tmp_path: Path) -> None:
    result = job(tmp_path, "poison=clean", "task.tasks=[depth_euclidean]")
    assert "tasks" not in result
    assert result["metric"] == "rmse"
    assert result["test_metric"] == result["epochs"][-1]["test/rmse"]
    assert result["ud"] == 1.0
    assert result["prior"] == min(result["priors"][name]["rmse"] for name in ("constant", "pixel"))
    assert "conflict" not in result


@pytest.mark.slow
@pytest.mark.parametrize("poison", [("poison=em_multi", "poison.max_rounds=1"), ("poison=dense_lsp",)])
def test_noise_against_all_tasks_needs_no_class(tmp_path: Path, poison: tuple[str, ...]) -> None:
    result = job(tmp_path, *poison, tasks="[depth_euclidean,normal]")
    assert list(result["tasks"]) == ["depth_euclidean", "normal", "joint"]
    assert result["noise"]["linf_max"] == pytest.approx(8 / 255)
    assert (tmp_path / "job" / "preview.png").stat().st_size > 1000


@pytest.mark.slow
def test_a_part_of_the_tasks_can_be_protected(tmp_path: Path) -> None:
    result = job(tmp_path, "poison=dense_lsp", "poison.tasks=[depth_euclidean]")
    assert list(result["tasks"]) == [*NAMES, "joint"]
    with pytest.raises(ValueError, match=r"`poison\.tasks` names sofa; the data have class_scene"):
        job(tmp_path, "poison=dense_lsp", "poison.tasks=[sofa]")


@pytest.mark.parametrize(
    ("overrides", "tasks", "message"),
    [
        (("poison=lsp",), "[depth_euclidean,normal]", "the data have none: depth_euclidean, normal. poison=em_multi"),
        (("poison=lsp", "poison.task=normal"), "[class_scene,normal]", "`poison.task` must be a class task"),
        (("poison=clean", "task.tasks=[sofa]"), "[class_scene,normal]", "`task.tasks` names sofa"),
        (("poison=clean", "task=single"), "[class_scene,normal]", "Use task=multi"),
    ],
)
def test_bad_input_says_what_to_do(tmp_path: Path, overrides: tuple[str, ...], tasks: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        job(tmp_path, *overrides, tasks=tasks)


def test_the_real_sample_runs_end_to_end(tmp_path: Path) -> None:
    folder = tmp_path / "job"
    folder.mkdir()
    config = composed(
        "experiment=taskonomy_sample",
        f"dataset.data_dir={shared_data('taskonomy_sample')}",
        f"store.dir={tmp_path / 'store'}",
        "trainer.max_epochs=1",
        "trainer.accelerator=cpu",
        "sal.every_n_epochs=1",
        "sal.samples=8",
        "poison.max_rounds=1",
        "steps=2",
        "logger=none",
    )
    result = run(config, folder=folder)
    assert set(result["tasks"]) == {*config.dataset.tasks, "joint"}
