"""What W&B's files hold after a job, read back without W&B; and that no failure of a logger ends a run."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import pytest

from tests._inputs import composed
from tests.loggers._wandb_reader import OfflineRun, payloads, read_runs
from unlearnable.experiment import run
from unlearnable.loggers import wandb_content
from unlearnable.loggers.base import JobInfo, LoggerWarning
from unlearnable.loggers.csv import csv_logger
from unlearnable.loggers.wandb import wandb_logger
from unlearnable.report.build import build, read

SMOKE = ("experiment=smoke", "logger=wandb", "logger.mode=offline")


@pytest.fixture(autouse=True)
def _no_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No key and no server of the machine's user; no W&B process left behind."""
    import wandb

    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    yield
    wandb.teardown()


def _info(folder: Path, **config: Any) -> JobInfo:
    folder.mkdir(exist_ok=True)
    return JobInfo(
        folder, name="em", group="sweep", job_type="poisoned", tags=["poison=em"], config={"eps": 0.05, **config}
    )


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
    for epoch, metrics in enumerate(result["epochs"]):
        assert found.series("test/acc")[epoch] == pytest.approx(metrics["test/acc"])
        assert found.series("train/loss")[epoch] == pytest.approx(metrics["train/loss"])


def test_the_summary_has_every_column_of_the_table(job: tuple[dict[str, Any], OfflineRun, Path]) -> None:
    result, found, _ = job
    for key in ("poison", "dataset", "seed", "eps", "steps", "beta", "ud", "train_acc", "test_acc", "test_acc_peak"):
        assert found.summary[key] == result[key]
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
    (images,) = [entry for entry in artifacts["poison"].manifest.contents if entry.ref]
    assert urlparse(images.ref)[:2] == ("file", "")  # on this machine
    assert found.summary["poison_artifact"] == artifacts["poison"].name


def test_the_sweep_has_a_run_with_its_tables_and_page(job: tuple[dict[str, Any], OfflineRun, Path]) -> None:
    sweep = job[2].parent
    records, cells = read([sweep])
    wandb_content.log_sweep(sweep, records, cells, build(sweep, records, cells))
    (found,) = read_runs(sweep)
    assert (found.info.run_group, found.info.job_type, found.exit_code) == ("sweep", "summary", 0)
    logged = {key for row in found.history for key in row}
    assert {"jobs", "methods", "report", "figures/ud"} <= logged
    (report,) = [artifact for artifact in found.artifacts if artifact.type == "report"]
    assert {"summary.csv", "report.html", "figures/ud.pdf"} <= {entry.path for entry in report.manifest.contents}


def test_a_failed_job_ends_its_run_as_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("the measurement broke")

    monkeypatch.setattr("unlearnable.experiment.make_result", broken)
    config = composed(*SMOKE, "poison=clean", f"store.dir={tmp_path / 'store'}")
    with pytest.raises(RuntimeError, match="the measurement broke"):
        run(config, folder=tmp_path)
    (found,) = read_runs(tmp_path)
    assert found.exit_code == 1


def test_a_continued_job_continues_its_run_and_logs_no_epoch_twice(tmp_path: Path) -> None:
    import wandb

    first = wandb_logger(_info(tmp_path), mode="offline")
    for epoch in (0, 1):
        first.loggers[0].log_metrics({"epoch": epoch, "ud/value": 0.5})
    wandb.teardown()  # stopped in the middle, without a finish
    second = wandb_logger(_info(tmp_path), mode="offline")
    for epoch in (0, 1, 2):  # the finished epochs are shown again, then the run goes on
        second.loggers[0].log_metrics({"epoch": epoch, "ud/value": 0.5})
    second.finish(0)
    runs = read_runs(tmp_path)
    assert len({found.id for found in runs}) == 1
    assert [epoch for found in runs for epoch in found.series("ud/value")] == [0, 1, 2]
    third = wandb_logger(_info(tmp_path), mode="offline")  # it had ended: a new run
    third.finish(0)
    assert len({found.id for found in read_runs(tmp_path)}) == 2


def test_another_job_in_the_same_folder_is_another_run(tmp_path: Path) -> None:
    import wandb

    for eps in (0.01, 0.05):
        wandb_logger(_info(tmp_path, eps=eps), mode="offline")
        wandb.teardown()
    assert len({found.id for found in read_runs(tmp_path)}) == 2


def test_a_dead_server_costs_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")  # nothing answers there
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    with pytest.warns(LoggerWarning, match="off for the rest of this job"):
        logger = wandb_logger(_info(tmp_path), mode="online", init_timeout=3)
    logger.loggers[0].log_metrics({"epoch": 0, "ud/value": 0.5})
    logger.image("preview", tmp_path / "absent.png")
    logger.finish(0)


def test_auto_is_offline_without_a_key_or_a_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wandb_logger(_info(tmp_path), mode="auto").finish(0)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    wandb_logger(_info(tmp_path), mode="auto").finish(0)
    assert len(read_runs(tmp_path)) == 2


def test_what_cannot_be_logged_is_named_and_the_rest_goes_on(tmp_path: Path) -> None:
    logger = wandb_logger(_info(tmp_path), mode="offline")
    with pytest.warns(LoggerWarning, match=r"could not log absent\.png"):
        logger.image("preview", tmp_path / "absent.png")
    logger.loggers[0].log_metrics({"epoch": 0, "ud/value": 0.5})
    logger.finish(0)
    (found,) = read_runs(tmp_path)
    assert found.series("ud/value") == {0: 0.5}
    assert found.exit_code == 0


@pytest.mark.parametrize(("option", "value"), [("mode", "sometimes"), ("log_poison", "never")])
def test_unknown_options_are_refused(tmp_path: Path, option: str, value: str) -> None:
    with pytest.raises(ValueError, match=rf"`logger\.{option}` must be .* got '{value}'"):
        wandb_logger(_info(tmp_path), **{option: value})


def test_the_csv_logger_writes_metrics_beside_the_result(tmp_path: Path) -> None:
    logger = csv_logger(_info(tmp_path))
    logger.loggers[0].log_metrics({"epoch": 0, "ud/value": 0.5}, step=0)
    logger.finish(0)
    assert "ud/value" in (tmp_path / "csv" / "metrics.csv").read_text()


def test_the_reader_joins_fragments_across_blocks() -> None:
    def fragment(kind: int, data: bytes) -> bytes:
        return struct.pack("<IHB", 0, len(data), kind) + data

    header = b":W&B" + b"\x00\x00\x00"
    first = 32768 - 7 - 7 - 3  # leaves 3 bytes of padding in the first block
    log = header + fragment(1, b"a" * first) + b"\x00" * 3 + fragment(2, b"b" * (32768 - 7)) + fragment(4, b"c")
    assert [len(payload) for payload in payloads(log)] == [first, 32768 - 7 + 1]
    with pytest.raises(ValueError, match="no W&B file"):
        list(payloads(b"something else"))
