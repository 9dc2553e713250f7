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
        from unlearnable.report.sweep import collect, print_table, write_summary

        folder = Path(config.hydra.sweep.dir).absolute()
        rows = collect(folder)
        path = write_summary(folder, rows)
        print_table(rows)
        print(f"{len(rows)} jobs: {path}")
        if any(row["status"] == "failed" for row in rows):
            # Hydra turns a callback's exceptions into warnings; this one is meant to get through.
            raise SystemExit(1)
