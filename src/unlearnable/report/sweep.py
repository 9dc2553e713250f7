"""The end of a sweep: tables in the terminal, `summary.csv` (a row a job) and `aggregates.csv` (a row a cell of seeds)."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unlearnable.files import write_atomically
from unlearnable.results.cells import Cell, row
from unlearnable.results.records import AXES, Records, Run

if TYPE_CHECKING:
    from rich.console import Console

SUMMARY = "summary.csv"
AGGREGATES = "aggregates.csv"

_COLUMNS = (
    *(
        "job",
        "status",
        "poison",
        "dataset",
        "model",
        "task",
        "defense",
        "variant",
        "settings",
        "seed",
        "eps",
        "steps",
        "solver",
    ),
    *("beta", "learnable_layers", "clean_learnable_layers", "ud", "ud_parameter_weighted", "ud_until_convergence"),
    *("train_acc", "test_acc", "test_acc_peak", "clean_test_acc"),
    *("metric", "test_metric", "test_metric_peak", "clean_test_metric", "relative", "delta_m", "seconds", "error"),
)
_SHOWN: Mapping[str, str] = {
    "poison": "poison",
    "task": "task",
    "variant": "variant",
    "settings": "settings",
    "seed": "seed",
    "eps": "ε",
    "steps": "steps",
    "beta": "β",
    "learnable_layers": "learnable layers",
    "ud": "UD",
    "train_acc": "train acc",
    "test_acc": "test acc",
    "test_acc_peak": "peak",
    "clean_test_acc": "clean test acc",
    "metric": "metric",
    "test_metric": "test",
    "clean_test_metric": "clean test",
    "relative": "against clean, %",
    "seconds": "seconds",
}
_ACCURACIES = ("train_acc", "test_acc", "test_acc_peak", "clean_test_acc")
_OTHER_METRICS = ("metric", "test_metric", "clean_test_metric", "relative")
#: Above as many jobs the terminal shows the cells alone.
_MOST_JOBS_SHOWN = 40


def job_rows(records: Records) -> list[dict[str, Any]]:
    """One row for each job, finished or failed, in the order of their numbers; a multi-task job has one a task."""
    rows = [_job_row(run) for run in records.runs]
    rows += [
        {"job": failure.job, "status": failure.status, "poison": failure.poison, "error": failure.error}
        for failure in records.failures
    ]
    return sorted(rows, key=lambda row: _number(str(row["job"])))  # a stable sort: tasks stay in their order


def _number(job: str) -> tuple[str, int]:
    """Sweep and number of a job named `[<sweep>/]<number>-<poison>`."""
    sweep, _, name = job.rpartition("/")
    number = name.split("-")[0]
    return sweep, int(number) if number.isdigit() else 0


def write_summary(folder: Path, records: Records, cells: Sequence[Cell]) -> Path:
    """Writes both files, numbers in full precision, and returns the path of `summary.csv`."""
    write_csv(folder / SUMMARY, _COLUMNS, job_rows(records))
    aggregates = [row(cell) for cell in cells]
    if aggregates:
        write_csv(folder / AGGREGATES, tuple(aggregates[0]), aggregates)
    return folder / SUMMARY


def print_tables(records: Records, cells: Sequence[Cell]) -> None:
    """Shows the jobs, the cells over seeds and the failures in the terminal."""
    console = wide_console()
    seeds = max((len(cell.runs) for cell in cells), default=0)
    if len(records.runs) <= _MOST_JOBS_SHOWN or seeds < 2:
        _print_jobs(console, records)
    if seeds > 1:
        _print_cells(console, cells)
    elif cells:
        console.print("One seed: UD without a spread says little. Add e.g. seed=0,1,2 for ± and a verdict.")
    for failure in records.failures:
        console.print(f"[red]{failure.job} {failure.status}:[/red] {failure.error}", highlight=False)


def wide_console() -> Console:
    """The terminal; a log file counts as wide enough for whole rows."""
    from rich.console import Console

    console = Console()
    return console if console.is_terminal else Console(width=180)


def _print_jobs(console: Console, records: Records) -> None:
    from rich.table import Table

    rows = [_job_row(run) for run in records.runs]
    shown = [
        name for name in _SHOWN if name not in ("task", "variant", "settings") or len({row[name] for row in rows}) > 1
    ]
    # Accuracies where all jobs have one; else each task's own metric.
    accuracies = all(row.get("test_acc") is not None for row in rows)
    shown = [name for name in shown if name not in (_OTHER_METRICS if accuracies else _ACCURACIES)]
    table = Table(title="UD: lower means more unlearnable; 1 means like clean data")
    for name in shown:
        table.add_column(_SHOWN[name], justify="left" if name in ("poison", "task", "variant", "settings") else "right")
    for entry in rows:
        table.add_row(*(_shown(entry.get(name)) for name in shown))
    for failure in records.failures:
        table.add_row(failure.poison or failure.job, *["" for _ in shown[2:]], failure.status, style="red")
    console.print(table)


def _print_cells(console: Console, cells: Sequence[Cell]) -> None:
    from rich.table import Table

    columns: dict[str, Callable[[Cell], str]] = {
        "poison": lambda cell: cell.first.label,
        **{axis: _axis(axis) for axis in AXES[1:] if len({str(_axis(axis)(cell)) for cell in cells}) > 1},
        "settings": lambda cell: cell.first.settings,
        "seeds": lambda cell: str(len(cell.seeds)),
        "UD": lambda cell: pm(cell.ud, cell.ud_std),
        "clean vs clean": lambda cell: (
            pm(cell.spread.clean_mean, cell.spread.clean_std) if cell.spread and cell.spread.clean_pairs else "–"
        ),
        "verdict": lambda cell: cell.short_verdict,
        "p": lambda cell: "–" if cell.is_clean or not cell.spread else _shown(cell.spread.p_value),
        "resolves": lambda cell: "–" if not cell.spread else _shown(cell.spread.resolution),
        "train acc": lambda cell: pm(*cell.figure("train_acc")),
        "test acc": lambda cell: pm(*cell.figure("test_acc")),
        "peak": lambda cell: pm(*cell.figure("test_acc_peak")),
    }
    if not any(cell.first.settings for cell in cells):
        del columns["settings"]
    table = Table(title="Over seeds: mean ± standard deviation")
    for name in columns:
        table.add_column(name, justify="right" if name in ("seeds", "UD", "clean vs clean", "eps", "steps") else "left")
    for cell in cells:
        table.add_row(*(text(cell) for text in columns.values()))
    console.print(table)


def _axis(axis: str) -> Callable[[Cell], str]:
    place = AXES.index(axis)
    return lambda cell: str(cell.first.axes[place])


def pm(value: float, spread: float, digits: int = 3) -> str:
    """`0.452 ± 0.031`; without the spread where there is none, a dash where there is no value."""
    if math.isnan(value):
        return "–"
    return f"{value:.{digits}f}" + ("" if math.isnan(spread) else f" ± {spread:.{digits}f}")


def _job_row(run: Run) -> dict[str, Any]:
    result = run.result
    entry = {column: result.get(column) for column in _COLUMNS}
    for counts in ("learnable_layers", "clean_learnable_layers"):
        entry[counts] = sum(result[counts]) / len(result[counts])
    total = result["seconds"]["total"]
    return {
        **entry,
        "job": run.job,
        "status": "done",
        "variant": run.variant,
        "settings": run.settings,
        "seconds": total,
        "error": "",
    }


def write_csv(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes rows as CSV, numbers in full precision, nothing for NaN."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction="ignore", restval="")
    writer.writeheader()
    for entry in rows:
        writer.writerow({name: "" if isinstance(v, float) and math.isnan(v) else v for name, v in entry.items()})
    write_atomically(path, text.getvalue())


def _shown(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, float) and math.isnan(value):
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
