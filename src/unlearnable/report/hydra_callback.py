"""Hydra's end of a sweep."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig
from typing_extensions import override

log = logging.getLogger(__name__)


class SweepReport(Callback):
    """Writes and shows the summary when all jobs of a multirun are through; exits with 1 if any failed."""

    @override
    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        from unlearnable.report.build import build, read
        from unlearnable.report.sweep import print_tables, write_summary

        folder = Path(config.hydra.sweep.dir).absolute()
        records, cells = read([folder])
        summary = write_summary(folder, records, cells)
        print_tables(records, cells)
        jobs = len({run.folder for run in records.runs}) + len(records.failures)
        try:
            page = build(folder, records, cells)[1]
            print(f"{jobs} jobs: {summary}, {page}")
        except Exception:  # the table above and the results stand; the page can be made again
            print(f"{jobs} jobs: {summary}")
            log.exception("The page could not be made; `python -m unlearnable.report %s` tries again.", folder)
        if records.failures:
            # Hydra turns a callback's exceptions into warnings; this one is meant to get through.
            raise SystemExit(1)
