"""Hydra's end of a sweep."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig
from typing_extensions import override

if TYPE_CHECKING:
    from unlearnable.results.cells import Cell
    from unlearnable.results.records import Records

log = logging.getLogger(__name__)


def _log_to_wandb(folder: Path, records: Records, cells: Sequence[Cell], written: Sequence[Path]) -> None:
    if any((run.result["config"].get("logger") or {}).get("project") for run in records.runs):
        from unlearnable.loggers.wandb_content import log_sweep

        log_sweep(folder, records, cells, written)


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
            written = build(folder, records, cells)
            print(f"{jobs} jobs: {summary}, {written[1]}")
        except Exception:  # the table above and the results stand; the page can be made again
            print(f"{jobs} jobs: {summary}")
            log.exception("The page could not be made; `python -m unlearnable.report %s` tries again.", folder)
        else:
            _log_to_wandb(folder, records, cells, written)
        if records.failures:
            # Hydra turns a callback's exceptions into warnings; this one is meant to get through.
            raise SystemExit(1)
