"""What a job's and a sweep's W&B runs show beyond metrics: tables, figures, artifacts. docs/wandb.md lists it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unlearnable.results.noise import PREVIEW
from unlearnable.results.result import RESULT

if TYPE_CHECKING:
    from unlearnable.results.cells import Cell
    from unlearnable.results.records import Records


def log_sal(run: Any, result: Mapping[str, Any], folder: Path) -> None:
    """SAL as a table and the job's figures."""
    import wandb

    columns = ["task", "epoch", "layer", "sal", "clean_sal", "beta", "learnable"]
    run.log({"sal/table": wandb.Table(columns=columns, data=sal_rows(result))})
    for name, figure in _figures(folder).items():
        run.log({f"figures/{name}": wandb.Image(figure)})


def summary_values(result: Mapping[str, Any]) -> dict[str, Any]:
    """One flat row of a job: every column of the sweep's table; of a multi-task job each task's under `<task>/`."""
    values = {key: value for key, value in result.items() if isinstance(value, int | float | str)}
    for task, figures in (result.get("tasks") or {"": result}).items():
        prefix = f"{task}/" if task else ""
        values |= {f"{prefix}{key}": value for key, value in figures.items() if isinstance(value, int | float | str)}
        for counts in ("learnable_layers", "clean_learnable_layers"):
            values[f"{prefix}{counts}"] = sum(figures[counts]) / len(figures[counts])
    values |= {f"noise/{key}": value for key, value in (result.get("noise") or {}).items()}
    return values | {f"seconds/{key}": value for key, value in result["seconds"].items()}


def sal_rows(result: Mapping[str, Any]) -> list[list[Any]]:
    """SAL as rows (task, epoch, layer, SAL, clean SAL, β, whether SAL > β): what W&B makes a heat map of."""
    rows = []
    for task, figures in (result.get("tasks") or {result["task"]: result}).items():
        for place, epoch in enumerate(result["sal_epochs"]):
            for layer, sal, clean in zip(
                figures["layers"], figures["sal"][place], figures["clean_sal"][place], strict=True
            ):
                above = None if sal is None else sal > figures["beta"]
                rows.append([task, epoch, layer, sal, clean, figures["beta"], above])
    return rows


def _figures(folder: Path) -> dict[str, Any]:
    """SAL beside the clean reference's and learnable layers over epochs, as for papers."""
    from unlearnable.report.build import read
    from unlearnable.report.figures import methods
    from unlearnable.report.figures._canvas import style
    from unlearnable.report.style import looks
    from unlearnable.results.comparison import comparisons

    _, cells = read([folder])
    first = comparisons(cells)[0]
    if not first.methods:
        return {}
    look = looks(cell.first.label for cell in cells)
    with style():
        return {"sal": methods.sal_maps(first), "learnable_layers": methods.learnable(first, look)}


def log_artifacts(run: Any, result: Mapping[str, Any], folder: Path, poison: Path | None, log_poison: str) -> None:
    """The poison, which the run uses, and the result, which it makes."""
    import wandb

    preview = folder / PREVIEW
    if poison is not None:
        # Named by the store's digest of all that the images depend on: jobs that share a poison share the artifact.
        metadata = {"poison": result["config"].get("poison"), "noise": result.get("noise"), "seed": result["seed"]}
        made = wandb.Artifact(f"poison-{result['poison']}-{poison.parent.name[:12]}", type="poison", metadata=metadata)
        if log_poison == "upload":
            made.add_file(str(poison))
        else:
            made.add_reference(poison.as_uri())
        if preview.exists():
            made.add_file(str(preview))
        # Using an artifact needs the server; offline it is logged, and its name is in the summary.
        (run.log_artifact if run.offline else run.use_artifact)(made)
        run.summary["poison_artifact"] = made.name
    found = wandb.Artifact(f"result-{run.id}", type="result", metadata=summary_values(result))
    for path in (folder / RESULT, preview):
        if path.exists():
            found.add_file(str(path))
    run.log_artifact(found)


def log_sweep(folder: Path, records: Records, cells: Sequence[Cell], written: Sequence[Path]) -> None:
    """A run for the whole sweep: its tables, page and figures. Does nothing unless its jobs were logged to W&B.

    Args:
        folder: The sweep's folder.
        records: Its jobs.
        cells: The same over seeds.
        written: The report's files.
    """
    from unlearnable.loggers.base import JobInfo, LoggerWarning
    from unlearnable.loggers.wandb import start_run

    configurations = [run.result["config"].get("logger") or {} for run in records.runs]
    used = [one for one in configurations if str(one.get("_target_", "")).endswith("wandb_logger")]
    if not used:
        return
    settings = {key: value for key, value in used[0].items() if key not in ("_target_", "log_poison")}
    info = JobInfo(folder=folder, name=f"summary-{folder.name}", group=folder.name, job_type="summary")
    try:
        project, entity, mode = settings.pop("project"), settings.pop("entity"), settings.pop("mode")
        run = start_run(info, project=project, entity=entity, mode=mode, id_=None, settings=settings)
        try:
            _log_sweep(run, records, cells, written)
        finally:
            run.finish()
    except Exception as error:  # whatever wandb raises: the sweep's files are written
        warnings.warn(
            f"The sweep's summary could not be logged to Weights & Biases: {error}", LoggerWarning, stacklevel=2
        )


def _log_sweep(run: Any, records: Records, cells: Sequence[Cell], written: Sequence[Path]) -> None:
    import wandb

    from unlearnable.report.sweep import job_rows
    from unlearnable.results.cells import row

    for name, rows in (("jobs", job_rows(records)), ("methods", [row(cell) for cell in cells])):
        if rows:
            columns = list(rows[0])
            data = [[_plain(entry.get(column)) for column in columns] for entry in rows]
            run.log({name: wandb.Table(columns=columns, data=data, allow_mixed_types=True)})
    report = wandb.Artifact(f"report-{run.id}", type="report")
    for path in written:
        report.add_file(str(path), name=f"figures/{path.name}" if path.parent.name == "figures" else path.name)
        if path.suffix == ".html":
            run.log({"report": wandb.Html(path.read_text(encoding="utf-8"), inject=False)})
        elif path.suffix == ".png":
            run.log({f"figures/{path.stem}": wandb.Image(str(path))})
    run.log_artifact(report)


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and value != value else value
