"""Everything that is written at the end of a sweep, and again by `python -m unlearnable.report FOLDER…`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from unlearnable.files import remove_temporaries, write_atomically
from unlearnable.report.page import write_page
from unlearnable.report.papers import write_figures
from unlearnable.results.cells import Cell, cells
from unlearnable.results.reading import read_sweeps
from unlearnable.results.records import Records
from unlearnable.results.rows import write_tables
from unlearnable.results.settings import portable

RUNS, CONFIGURATION = "runs.json", "configuration.json"
#: Left out of `runs.json`; the last three follow from SAL and losses.
_BULKY = ("config", "tasks", "reused", "geometric", "count_log", "equal_loss")


def read(folders: Sequence[str | Path]) -> tuple[Records, list[Cell]]:
    """The jobs of sweeps, and the same over seeds.

    Raises:
        FileNotFoundError, ValueError: as `read_sweeps`.
    """
    records = read_sweeps(folders)
    return records, cells(records)


def build_compact(folder: Path, records: Records, aggregates: Sequence[Cell]) -> list[Path]:
    """Writes what is worth keeping under version control: tables, `runs.json` and the figures as PNG.

    `runs.json` has every run's figures and SAL to five digits, without configurations, and of several tasks a line each;
    `configuration.json` has the resolved configuration of the first, but for what says where things lie.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = write_tables(folder, records, aggregates)
    runs = [_rounded(_kept(run.result)) for run in records.runs]
    lines = ",\n".join(json.dumps(run, ensure_ascii=False) for run in runs)  # a line a run: small differences
    write_atomically(folder / RUNS, f"[\n{lines}\n]\n")
    if records.runs:
        config = portable(records.runs[0].result["config"])
        write_atomically(folder / CONFIGURATION, json.dumps(config, indent=1) + "\n")
    for path in write_figures(folder, aggregates):
        if path.suffix == ".png":
            written.append(path)
        else:
            path.unlink()
    return [*written, folder / RUNS]


def _kept(result: Mapping[str, Any]) -> dict[str, Any]:
    """A run without what is bulky, and without the other tasks' epochs, which stand in their own lines."""
    kept = {key: value for key, value in result.items() if key not in _BULKY}
    if "epochs" in kept:
        kept["epochs"] = [
            {
                name: value
                for name, value in epoch.items()
                if name.count("/") < 2 or name.split("/")[1] == result["task"]
            }
            for epoch in kept["epochs"]
        ]
    return kept


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, list):
        return [_rounded(entry) for entry in value]
    return {key: _rounded(entry) for key, entry in value.items()} if isinstance(value, dict) else value


def build(folder: Path, records: Records, aggregates: Sequence[Cell], *, title: str | None = None) -> list[Path]:
    """Writes tables, `report.html` and `figures/` to `folder`; returns what was written, first `summary.csv` and the page."""
    folder.mkdir(parents=True, exist_ok=True)
    remove_temporaries(folder / "figures")  # of a report that was killed
    summary, *more = write_tables(folder, records, aggregates)
    page = write_page(folder, records, aggregates, title=title)
    return [summary, page, *more, *write_figures(folder / "figures", aggregates)]
