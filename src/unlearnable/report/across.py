"""What goes across settings as tables: `sensitivity.csv` (order of methods) and `transfer.csv` (β used elsewhere)."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from unlearnable.report.findings import signed
from unlearnable.report.sweep import pm, wide_console, write_csv
from unlearnable.results.cells import Cell
from unlearnable.results.comparison import comparisons, stabilities, transfers
from unlearnable.results.records import Records

SENSITIVITY, TRANSFER = "sensitivity.csv", "transfer.csv"

Rows = list[dict[str, Any]]


def sensitivity_rows(_records: Records, cells: Sequence[Cell]) -> Rows:
    """One row for each two ways of measuring: Kendall's τ of their orders of methods, and over how many methods."""
    rows = []
    for title, stability in stabilities(cells).items():
        for i, first in enumerate(stability.settings):
            for j, second in enumerate(stability.settings[i + 1 :], i + 1):
                agreement = {"tau": float(stability.tau[i, j]), "methods": int(stability.common[i, j])}
                rows.append({"data": title, "setting": first, "other": second, **agreement})
    return rows


def transfer_rows(records: Records, cells: Sequence[Cell]) -> Rows:
    """One row for each source of β, target and method: UD at that β and at the target's own."""
    clean = {id(cell): records.clean_runs(cell.first) for cell in cells}
    rows = []
    for title, transfer in transfers(cells, clean).items():
        for i, source in enumerate(transfer.settings):
            for j, target in enumerate(transfer.settings):
                for k, method in enumerate(transfer.methods):
                    figures = {"ud": float(transfer.ud[i, j, k]), "own_ud": float(transfer.ud[j, j, k])}
                    row = {
                        "measured": title,
                        "beta_of": source,
                        "beta": float(transfer.beta[i]),
                        "on": target,
                        "poison": method,
                    }
                    rows.append({**row, **figures, "order_tau": float(transfer.tau[i, j])})
    return rows


def write_across(folder: Path, records: Records, cells: Sequence[Cell]) -> list[Path]:
    """Writes the files that these jobs allow."""
    written = []
    for name, make in ((SENSITIVITY, sensitivity_rows), (TRANSFER, transfer_rows)):
        if rows := make(records, cells):
            write_csv(folder / name, tuple(rows[0]), rows)
            written.append(folder / name)
    return written


def print_sensitivity(_records: Records, cells: Sequence[Cell]) -> None:
    """UD of every method under every setting, and how far the settings agree on the order."""
    from rich.table import Table

    console, compared = wide_console(), comparisons(cells)
    methods = list(dict.fromkeys(cell.first.label for one in compared for cell in one.methods))
    table = Table(title="UD, mean ± standard deviation over seeds")
    for name in ("setting", *methods):
        table.add_column(name, justify="left" if name == "setting" else "right")
    for one in compared:
        own = {cell.first.label: pm(cell.ud, cell.ud_std) for cell in one.methods}
        table.add_row(one.title, *(own.get(method, "–") for method in methods))
    console.print(table)
    for title, stability in stabilities(cells).items():
        if least := stability.least:
            console.print(
                f"{title}: mean Kendall's τ {signed(stability.mean_tau)} between {len(stability.settings)} settings; "
                f"lowest {signed(least[2])} between {least[0]} and {least[1]}."
            )


def print_transfer(records: Records, cells: Sequence[Cell]) -> None:
    """UD on each target at each source's β."""
    from rich.table import Table

    rows = transfer_rows(records, cells)
    methods = list(dict.fromkeys(row["poison"] for row in rows))
    table = Table(title="UD at the β of another setting")
    for name in ("measured", "β of", "on", *methods, "order's τ"):
        table.add_column(name, justify="left" if name in ("measured", "β of", "on") else "right")
    for key in dict.fromkeys((row["measured"], row["beta_of"], row["on"]) for row in rows):
        own = {row["poison"]: row for row in rows if (row["measured"], row["beta_of"], row["on"]) == key}
        values = [pm(own[method]["ud"], float("nan")) if method in own else "–" for method in methods]
        table.add_row(*key, *values, pm(next(iter(own.values()))["order_tau"], float("nan"), 2))
    wide_console().print(table)


def command(
    name: str,
    description: str | None,
    show: Callable[[Records, Sequence[Cell]], None],
    rows_of: Callable[[Records, Sequence[Cell]], Rows],
    needs: str,
    arguments: Sequence[str] | None,
) -> int:
    """Shows a table and writes it as CSV; returns the exit code."""
    parser = argparse.ArgumentParser(prog=f"python -m unlearnable.report.{Path(name).stem}", description=description)
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help="a sweep's folder")
    parser.add_argument("--out", type=Path, help=f"where to write {name}; by default the first folder")
    options = parser.parse_args(arguments)

    from unlearnable.report.build import read

    try:
        records, cells = read(options.folders)
        rows = rows_of(records, cells)
        if not rows:
            raise ValueError(needs)
    except (FileNotFoundError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    show(records, cells)
    folder = options.out or options.folders[0]
    folder.mkdir(parents=True, exist_ok=True)
    write_csv(folder / name, tuple(rows[0]), rows)
    print(folder / name)
    return 0
