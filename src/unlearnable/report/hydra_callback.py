"""Hydra's end of a sweep."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig
from typing_extensions import override


class SweepReport(Callback):
    """Writes and shows the summary when all jobs of a multirun are through; exits with 1 if any failed."""

    @override
    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        from unlearnable.report.aggregate import cells
        from unlearnable.report.records import read_sweeps
        from unlearnable.report.sweep import print_tables, write_summary

        folder = Path(config.hydra.sweep.dir).absolute()
        records = read_sweeps([folder])
        aggregates = cells(records)
        path = write_summary(folder, records, aggregates)
        print_tables(records, aggregates)
        jobs = len({run.folder for run in records.runs}) + len(records.failures)
        print(f"{jobs} jobs: {path}")
        if records.failures:
            # Hydra turns a callback's exceptions into warnings; this one is meant to get through.
            raise SystemExit(1)
