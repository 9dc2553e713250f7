"""The end of a sweep: a table in the terminal and `summary.csv`."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from unlearnable.report.result import RESULT
from unlearnable.store import write_atomically

#: The job's own word that it failed: `{"error": message, "overrides": […]}`.
FAILED = "failed.json"
SUMMARY = "summary.csv"

_COLUMNS = (
    "job",
    "status",
    "poison",
    "dataset",
    "model",
    "task",
    "defense",
    "seed",
    "eps",
    "steps",
    "solver",
    "beta",
    "learnable_layers",
    "clean_learnable_layers",
    "ud",
    "train_acc",
    "test_acc",
    "test_acc_peak",
    "clean_test_acc",
    "seconds",
    "error",
)
_SHOWN = {
    "poison": "poison",
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
    "seconds": "seconds",
}


def collect(folder: Path) -> list[dict[str, Any]]:
    """One row for each job below `folder`, finished or failed, in the order of their numbers.

    A multi-task job has one row a task.
    """
    rows: list[dict[str, Any]] = []
    jobs = {path.parent for name in (RESULT, FAILED) for path in folder.glob(f"*/{name}")}
    for job in sorted(jobs, key=_job_order):
        if (job / FAILED).exists():
            record = json.loads((job / FAILED).read_text())
            rows.append({"job": job.name, "status": "failed", **record.get("choices", {}), "error": record["error"]})
        else:
            result = json.loads((job / RESULT).read_text())
            tasks: Mapping[str, Any] = result.get("tasks") or {result["task"]: result}
            rows.extend(_row(job.name, {**result, **figures, "task": task}) for task, figures in tasks.items())
    return rows


def write_summary(folder: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """Writes `summary.csv`, numbers in full precision, and returns its path."""
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, extrasaction="ignore", restval="")
    writer.writeheader()
    writer.writerows(rows)
    path = folder / SUMMARY
    write_atomically(path, text.getvalue())
    return path


def print_table(rows: Iterable[Mapping[str, Any]]) -> None:
    """Shows the rows in the terminal."""
    from rich.console import Console
    from rich.table import Table

    rows = list(rows)
    table = Table(title="UD: lower means more unlearnable; 1 means like clean data")
    for title in _SHOWN.values():
        table.add_column(title, justify="left" if title == "poison" else "right")
    for row in rows:
        if row["status"] == "failed":
            table.add_row(
                str(row.get("poison", row["job"])), *["" for _ in range(len(_SHOWN) - 2)], "failed", style="red"
            )
        else:
            table.add_row(*(_shown(row.get(column)) for column in _SHOWN))
    console = Console()
    if not console.is_terminal:
        console = Console(width=160)  # a log file is wide enough for whole rows
    console.print(table)
    for row in rows:
        if row["status"] == "failed":
            console.print(f"[red]{row['job']} failed:[/red] {row['error']}", highlight=False)


def _row(job: str, result: Mapping[str, Any]) -> dict[str, Any]:
    row = {column: result.get(column) for column in _COLUMNS}
    for counts in ("learnable_layers", "clean_learnable_layers"):
        row[counts] = sum(result[counts]) / len(result[counts])
    return {**row, "job": job, "status": "done", "seconds": result["seconds"]["total"], "error": ""}


def _shown(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _job_order(job: Path) -> tuple[int, str]:
    number = job.name.split("-")[0]
    return (int(number) if number.isdigit() else 0, job.name)
