"""What W&B's files hold after a whole job, read back without W&B."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import pytest

from tests._inputs import composed
from tests.loggers._wandb_reader import OfflineRun, read_runs
from unlearnable.experiment import run

SMOKE = ("experiment=smoke", "logger=wandb", "logger.mode=offline")


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], OfflineRun, Path]:
    """A poisoned job, its W&B run and its folder."""
    root = tmp_path_factory.mktemp("wandb")
    folder = root / "sweep" / "0-em"
    folder.mkdir(parents=True)
    config = composed(*SMOKE, "poison=em", f"store.dir={root / 'store'}")
    result = run(config, folder=folder, group="sweep", tags=["poison=em", "eps=0.05"])
    (found,) = read_runs(folder)
    return result, found, folder


def test_the_run_says_what_it_is_and_ended_well(job: tuple[dict[str, Any], OfflineRun, Path]) -> None:
    _, found, _ = job
    assert (found.info.project, found.info.run_group, found.info.job_type) == ("unlearnable", "sweep", "poisoned")
    assert list(found.info.tags) == ["poison=em", "eps=0.05"]
    assert found.exit_code == 0


def test_the_whole_resolved_configuration_is_logged(job: tuple[dict[str, Any], OfflineRun, Path]) -> None:
    result, found, _ = job
    for group, value in result["config"].items():
        assert found.config[group] == value, group


def test_metrics_sal_and_ud_stand_at_their_epochs(job: tuple[dict[str, Any], OfflineRun, Path]) -> None:
    result, found, _ = job
    for place, epoch in enumerate(result["sal_epochs"]):  # from 1; Lightning's axis is from 0
        for layer, value in zip(result["layers"], result["sal"][place], strict=True):
            assert found.series(f"sal/{layer}")[epoch - 1] == pytest.approx(value)
        assert found.series("ud/beta")[epoch - 1] == pytest.approx(result["beta"])
        assert found.series("ud/learnable_layers")[epoch - 1] == result["learnable_layers"][place]
        assert found.series("ud/geometric")[epoch - 1] == pytest.approx(result["geometric"]["per_epoch"][place])
    for epoch, metrics in enumerate(result["epochs"]):
        assert found.series("test/acc")[epoch] == pytest.approx(metrics["test/acc"])
        assert found.series("train/loss")[epoch] == pytest.approx(metrics["train/loss"])


def test_the_summary_has_every_column_of_the_table(job: tuple[dict[str, Any], OfflineRun, Path]) -> None:
    result, found, _ = job
    for key in ("poison", "dataset", "seed", "eps", "steps", "beta", "ud", "train_acc", "test_acc", "test_acc_peak"):
        assert found.summary[key] == result[key]
    assert found.summary["geometric"] == found.summary["distances/geometric"] == result["geometric"]["value"]
    assert found.summary["noise/linf_max"] == pytest.approx(result["noise"]["linf_max"])
    assert found.summary["seconds/total"] == result["seconds"]["total"]


def test_sal_is_a_table_and_preview_and_figures_are_pictures(job: tuple[dict[str, Any], OfflineRun, Path]) -> None:
    result, found, folder = job
    logged = {key: value for row in found.history for key, value in row.items() if isinstance(value, dict)}
    assert {"sal/table", "preview", "figures/sal", "figures/learnable_layers"} <= set(logged)
    files = next(folder.glob("wandb/offline-run-*/files"))
    table = json.loads((files / logged["sal/table"]["path"]).read_text())
    assert table["columns"] == ["task", "epoch", "layer", "sal", "clean_sal", "beta", "learnable"]
    assert len(table["data"]) == len(result["sal_epochs"]) * len(result["layers"])
    assert (files / logged["figures/sal"]["path"]).read_bytes().startswith(b"\x89PNG")


def test_poison_and_result_are_artifacts(job: tuple[dict[str, Any], OfflineRun, Path]) -> None:
    _, found, _ = job
    artifacts = {artifact.type: artifact for artifact in found.artifacts}
    assert {"preview.png", "result.json"} <= {entry.path for entry in artifacts["result"].manifest.contents}
    references = [urlparse(entry.ref) for entry in artifacts["poison"].manifest.contents if entry.ref]
    assert "images.u8" in {Path(reference.path).name for reference in references}
    assert {reference[:2] for reference in references} == {("file", "")}  # on this machine
    assert found.summary["poison_artifact"] == artifacts["poison"].name


def test_a_failed_job_ends_its_run_as_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("the measurement broke")

    monkeypatch.setattr("unlearnable.experiment.make_result", broken)
    config = composed(*SMOKE, "poison=clean", f"store.dir={tmp_path / 'store'}")
    with pytest.raises(RuntimeError, match="the measurement broke"):
        run(config, folder=tmp_path)
    (found,) = read_runs(tmp_path)
    assert found.exit_code == 1
