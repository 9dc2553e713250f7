"""Whatever fails in a logger is a warning, never the end of a run; a plug-in's logger is asked for a sweep's summary."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from tests._inputs import ROOT
from tests.results._sweeps import result, write_sweep
from unlearnable.app.sweep import SweepReport
from unlearnable.loggers.base import GuardedLogger, JobInfo, JobLogger, LoggerWarning, NoLogger, SweepInfo, log_sweep
from unlearnable.loggers.csv import CsvJobLogger
from unlearnable.loggers.tensorboard import TensorBoardJobLogger
from unlearnable.report.build import read


def _info(folder: Path) -> JobInfo:
    return JobInfo(folder, name="em", group="sweep", job_type="poisoned", tags=["poison=em"])


def test_the_csv_logger_writes_metrics_beside_the_result(tmp_path: Path) -> None:
    logger = CsvJobLogger(_info(tmp_path))
    logger.loggers[0].log_metrics({"epoch": 0, "ud/value": 0.5}, step=0)
    logger.finish(0)
    assert "ud/value" in (tmp_path / "csv" / "metrics.csv").read_text()


@pytest.mark.filterwarnings("error::unlearnable.loggers.base.LoggerWarning")
def test_a_csv_file_that_cannot_be_written_costs_one_warning(tmp_path: Path) -> None:
    (tmp_path / "csv").write_text("a file where the folder should be")
    logger = CsvJobLogger(_info(tmp_path))
    with pytest.warns(LoggerWarning, match="CSV failed and is off for the rest of this job"):
        logger.loggers[0].log_metrics({"epoch": 0, "ud/value": 0.5}, step=0)
    for epoch in range(3):  # silent from now on: warnings of the project are errors here
        logger.loggers[0].log_metrics({"epoch": epoch, "ud/value": 0.5}, step=epoch)
    logger.finish(0)


def test_a_trainer_goes_on_without_a_logger_that_fails(tmp_path: Path) -> None:
    import torch
    from lightning.pytorch import Trainer
    from lightning.pytorch.demos.boring_classes import BoringModel

    def broken() -> Any:
        raise OSError("no space left on device")

    with pytest.warns(LoggerWarning, match="Mine failed .* no space left"):
        logger = GuardedLogger("Mine", broken)
    options = {"enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
    trainer = Trainer(
        logger=logger, fast_dev_run=False, max_steps=2, accelerator="cpu", default_root_dir=tmp_path, **options
    )
    trainer.fit(BoringModel(), torch.utils.data.DataLoader(torch.randn(8, 32)))
    assert trainer.global_step == 2


def test_tensorboard_writes_or_says_that_it_is_not_installed(tmp_path: Path) -> None:
    if any(importlib.util.find_spec(name) for name in ("tensorboard", "tensorboardX")):
        logger = TensorBoardJobLogger(_info(tmp_path))
        logger.loggers[0].log_metrics({"epoch": 0, "ud/value": 0.5}, step=17)
        logger.finish(0)
        assert list((tmp_path / "tensorboard").glob("events.*"))
    else:
        with pytest.warns(LoggerWarning, match="TensorBoard failed"):
            TensorBoardJobLogger(_info(tmp_path)).finish(0)


class NoteLogger(JobLogger):
    """A laboratory's own logger."""

    def __init__(self, info: JobInfo, *, text: str) -> None:
        super().__init__()

    @classmethod
    def sweep(cls, sweep: SweepInfo, *, text: str = "", **_: Any) -> None:  # type: ignore[override]
        if text == "broken":
            raise RuntimeError("the service is down")
        (sweep.folder / "note.txt").write_text(f"{text}: {len(sweep.cells)} methods, {len(sweep.written)} files")


def _sweep(folder: Path, text: str) -> Path:
    node = {"_target_": f"{__name__}.NoteLogger", "text": text}
    return write_sweep(folder, *[result(poison, logger=node) for poison in ("em", "ops")])


def test_any_logger_that_jobs_had_is_asked_for_the_sweeps_summary(tmp_path: Path) -> None:
    sweep = _sweep(tmp_path / "sweep", "seen")
    SweepReport().on_multirun_end(_config(sweep))
    assert (sweep / "note.txt").read_text().startswith("seen: 2 methods")


def test_a_summary_that_cannot_be_logged_is_a_warning(tmp_path: Path) -> None:
    records, cells = read([_sweep(tmp_path / "sweep", "broken")])
    node = records.runs[0].result["config"]["logger"]
    with pytest.warns(LoggerWarning, match="could not log the sweep's summary: the service is down"):
        log_sweep(node, SweepInfo(tmp_path, records, cells, []))


@pytest.mark.parametrize("name", ["none", "csv", "tensorboard", "wandb"])
def test_every_logger_of_the_group_is_a_class_that_takes_a_job_and_a_sweep(name: str) -> None:
    from hydra.utils import get_class
    from omegaconf import OmegaConf

    kind = get_class(OmegaConf.load(ROOT / "conf" / "logger" / f"{name}.yaml")["_target_"])
    assert issubclass(kind, JobLogger)


def test_no_logger_logs_nothing(tmp_path: Path) -> None:
    assert NoLogger(_info(tmp_path)).loggers == []


def _config(sweep: Path) -> Any:
    from omegaconf import OmegaConf

    return OmegaConf.create({"stage": "all", "hydra": {"sweep": {"dir": str(sweep)}}})
