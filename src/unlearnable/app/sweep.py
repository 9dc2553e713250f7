"""What happens at the end of a sweep."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf
from typing_extensions import override

if TYPE_CHECKING:
    from unlearnable.results.cells import Cell
    from unlearnable.results.records import Records

log = logging.getLogger(__name__)


class SweepReport(Callback):
    """Writes and shows what a multirun's jobs found when all have ended; exits with 1 if any failed or is missing."""

    @override
    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        folder = Path(config.hydra.sweep.dir).absolute()
        try:
            if config.stage in ("all", "report"):
                _end_of_sweep(folder)
            else:
                _end_of_stage(folder, config.stage)
        except (FileNotFoundError, ValueError) as error:
            print(error, file=sys.stderr)
            raise SystemExit(1) from None  # Hydra turns a callback's other exceptions into warnings
        except Exception:
            log.exception("The results stand; `python -m unlearnable.report %s` makes tables and page again.", folder)
            raise SystemExit(1) from None


def _end_of_sweep(folder: Path) -> None:
    """Writes and shows tables and page."""
    from unlearnable.report.build import build, read
    from unlearnable.report.terminal import print_tables
    from unlearnable.results.rows import write_tables

    records, cells = read([folder])
    missing = missing_jobs(folder)
    summary, *_ = write_tables(folder, records, cells)
    print_tables(records, cells)
    if missing:
        print(
            f"Of jobs {', '.join(map(str, missing))} nothing is left: they were not started, or another job wrote to the "
            "same folder (hydra.sweep.subdir must name each job's own).",
            file=sys.stderr,
        )
    try:
        written = build(folder, records, cells)
        print(f"{records.jobs} jobs: {summary}, {written[1]}")
    except Exception:  # the table above and the results stand; the page can be made again
        print(f"{records.jobs} jobs: {summary}")
        log.exception("The page could not be made; `python -m unlearnable.report %s` tries again.", folder)
    else:
        _log(folder, records, cells, written)
    if records.failures or missing:
        raise SystemExit(1)


def _end_of_stage(folder: Path, stage: str) -> None:
    """Says how the jobs of a stage without results ended; exits with 1 if any failed."""
    from unlearnable.results.reading import job_folders
    from unlearnable.results.records import FAILED

    jobs = job_folders(folder)
    failed = [job for job in jobs if (job / FAILED).exists()]
    for job in failed:
        print(f"{job.name} failed: {json.loads((job / FAILED).read_text())['error']}", file=sys.stderr)
    print(f"stage={stage}: {len(jobs)} jobs, {len(failed)} failed; stage=report writes the table and the page.")
    if failed or missing_jobs(folder):
        raise SystemExit(1)


def missing_jobs(folder: Path) -> list[int]:
    """Job numbers, below the sweep's highest, that no folder has."""
    from unlearnable.results.reading import job_folders

    numbers = set()
    for job in job_folders(folder):
        path = job / ".hydra" / "hydra.yaml"
        number = OmegaConf.select(OmegaConf.load(path), "hydra.job.num") if path.exists() else None
        if number is not None:
            numbers.add(int(number))
    return sorted(set(range(max(numbers, default=-1) + 1)) - numbers)


def _log(folder: Path, records: Records, cells: Sequence[Cell], written: Sequence[Path]) -> None:
    """The sweep's summary, by the kind of logger that its jobs had."""
    from unlearnable.loggers.base import SweepInfo, log_sweep

    nodes = [run.result["config"].get("logger") for run in records.runs]
    if node := next((node for node in nodes if node), None):
        log_sweep(node, SweepInfo(folder, records, cells, written))
