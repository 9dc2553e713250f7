"""What a job's and a sweep's W&B runs show beyond metrics: tables, figures, artifacts. docs/wandb.md lists it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unlearnable.files import finite
from unlearnable.logged import JOBS, METHODS, REPORT, SAL_TABLE, figure_key
from unlearnable.loggers.base import SweepInfo
from unlearnable.report.passages import as_html
from unlearnable.report.pictures import draw_job
from unlearnable.results.cells import figure
from unlearnable.results.records import RESULT
from unlearnable.results.rows import cell_row, columns_of, job_rows


def log_sal(run: Any, result: Mapping[str, Any], folder: Path) -> None:
    """SAL as a table and the job's figures."""
    import wandb

    columns = ["task", "epoch", "layer", "sal", "clean_sal", "beta", "learnable"]
    run.log({SAL_TABLE: wandb.Table(columns=columns, data=sal_rows(result))})
    for name, drawn in draw_job(folder).items():
        run.log({figure_key(name): wandb.Image(drawn)})


def summary_values(result: Mapping[str, Any]) -> dict[str, Any]:
    """One flat row of a job: every column of the sweep's table; of a multi-task job each task's under `<task>/`."""
    values = {key: value for key, value in result.items() if isinstance(value, int | float | str)}
    for task, figures in (result.get("tasks") or {"": result}).items():
        prefix = f"{task}/" if task else ""
        values |= {f"{prefix}{key}": value for key, value in figures.items() if isinstance(value, int | float | str)}
        for name in ("learnable_layers", "clean_learnable_layers", "distances.geometric"):
            values[prefix + name.removeprefix("distances.")] = figure(figures, name)
        values |= {f"{prefix}distances/{key}": of for key, of in figures["distances"].items() if of is not None}
    values |= {f"noise/{key}": value for key, value in (result.get("noise") or {}).items() if value is not None}
    return values | {f"seconds/{key}": value for key, value in result["seconds"].items()}


def sal_rows(result: Mapping[str, Any]) -> list[list[Any]]:
    """SAL as rows (task, epoch, layer, SAL, clean SAL, β, whether SAL > β): what W&B makes a heat map of."""
    rows = []
    for task, figures in (result.get("tasks") or {result["task"]: result}).items():
        for place, epoch in enumerate(result["sal_epochs"]):
            for layer, sal, clean in zip(
                figures["layers"], figures["sal"][place], figures["clean_sal"][place], strict=True
            ):
                above = None if None in (sal, figures["beta"]) else sal > figures["beta"]
                rows.append([task, epoch, layer, sal, clean, figures["beta"], above])
    return rows


def log_text(run: Any, key: str, path: Path) -> None:
    """A preview of texts, its changes marked as on the page."""
    import wandb

    run.log({key: wandb.Html(as_html(path.read_text(encoding="utf-8")))})


def log_artifacts(run: Any, result: Mapping[str, Any], folder: Path, poison: Path | None, log_poison: str) -> None:
    """The poison, which the run uses, and the result, which it makes."""
    import wandb

    preview = folder / result["preview"] if result.get("preview") else None
    if poison is not None:
        # Named by the digest of all that the samples depend on: jobs that share a poison share the artifact.
        metadata = {"poison": result["config"].get("poison"), "noise": result.get("noise"), "seed": result["seed"]}
        digest = str(result["keys"]["poison"])[:12]
        made = wandb.Artifact(f"poison-{result['poison']}-{digest}", type="poison", metadata=metadata)
        if log_poison != "upload":
            made.add_reference(poison.as_uri())
        elif poison.is_dir():
            made.add_dir(str(poison))
        else:
            made.add_file(str(poison))
        if preview is not None:
            made.add_file(str(preview))
        # Using an artifact needs the server; offline it is logged, and its name is in the summary.
        (run.log_artifact if run.offline else run.use_artifact)(made)
        run.summary["poison_artifact"] = made.name
    found = wandb.Artifact(f"result-{run.id}", type="result", metadata=summary_values(result))
    for path in (folder / RESULT, preview):
        if path is not None:
            found.add_file(str(path))
    run.log_artifact(found)


def log_report(run: Any, sweep: SweepInfo) -> None:
    """A sweep's tables, page and figures."""
    import wandb

    for name, rows in ((JOBS, job_rows(sweep.records)), (METHODS, [cell_row(cell) for cell in sweep.cells])):
        if rows:
            columns = columns_of(rows)
            data = [[finite(row.get(column)) for column in columns] for row in rows]
            run.log({name: wandb.Table(columns=columns, data=data, allow_mixed_types=True)})
    report = wandb.Artifact(f"report-{run.id}", type="report")
    for path in sweep.written:
        report.add_file(str(path), name=f"figures/{path.name}" if path.parent.name == "figures" else path.name)
        if path.suffix == ".html":
            run.log({REPORT: wandb.Html(path.read_text(encoding="utf-8"), inject=False)})
        elif path.suffix == ".png":
            run.log({figure_key(path.stem): wandb.Image(str(path))})
    run.log_artifact(report)
