"""Everything that is written at the end of a sweep, and again by `python -m unlearnable.report FOLDER…`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from unlearnable.report.across import write_across
from unlearnable.report.aggregate import Cell, cells
from unlearnable.report.records import Records, read_sweeps
from unlearnable.report.sweep import write_summary


def read(folders: Sequence[str | Path]) -> tuple[Records, list[Cell]]:
    """The jobs of sweeps, and the same over seeds.

    Raises:
        FileNotFoundError, ValueError: as `read_sweeps`.
    """
    records = read_sweeps(folders)
    return records, cells(records)


def build(folder: Path, records: Records, aggregates: Sequence[Cell], *, title: str | None = None) -> list[Path]:
    """Writes tables, `report.html` and `figures/` to `folder`; returns what was written, first `summary.csv` and the page."""
    from unlearnable.report.figures import write_figures
    from unlearnable.report.page import write_page

    folder.mkdir(parents=True, exist_ok=True)
    written = [write_summary(folder, records, aggregates), write_page(folder, records, aggregates, title=title)]
    written += write_across(folder, records, aggregates)
    return [*written, *write_figures(folder / "figures", records, aggregates)]
