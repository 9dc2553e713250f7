"""The page's sections that go across comparisons: sensitivity, transfer of β, tasks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from unlearnable.report import tables
from unlearnable.report.charts import comparison as compare
from unlearnable.report.charts._figure import heat
from unlearnable.report.layout import Choice, Panel, Section
from unlearnable.report.style import DIVERGING, Look
from unlearnable.results.cells import Cell
from unlearnable.results.comparison import axis_series, families, numeric_axes, stabilities, transfers
from unlearnable.results.records import Records


def sensitivity_section(cells: Sequence[Cell], looks: Mapping[str, Look]) -> Section:
    """5: UD over the settings of the measurement, and whether the order of methods is stable."""
    panels: list[Panel] = []
    for axis in numeric_axes(cells):
        series = axis_series(cells, axis)
        if not series:
            continue
        places = [place for points in series.values() for line in points.values() for place, _, _ in line]
        spread_out = min(places) > 0 and max(places) / min(places) >= 5
        title = {"eps": "ε", "steps": "SAL steps"}.get(axis, axis)
        charts = [
            Choice(name, [compare.axis_chart(methods, looks, axis=title, logarithmic=spread_out)])
            for name, methods in series.items()
        ]
        caption = (
            f"UD when only {title} changes, ± standard deviation over the seeds. Lines that cross change the order of "
            "methods."
        )
        panels.append(Panel(f"axis-{len(panels)}", f"UD over {title}", caption, charts))
    grids = []
    for title, family in families(cells, free=("eps", "steps")).items():
        for method in dict.fromkeys(cell.first.label for cell in family if not cell.is_clean):
            own = [cell for cell in family if cell.first.label == method]
            if (
                len({cell.first.result["eps"] for cell in own}) > 1
                and len({cell.first.result["steps"] for cell in own}) > 1
            ):
                grids.append(
                    Choice(method if title == "all jobs" else f"{method} · {title}", [compare.grid_chart(own)])
                )
    if grids:
        panels.append(Panel("grid", "UD over ε × steps", "Mean ± standard deviation over the seeds.", grids, "Method"))
    stable = [
        Choice(
            title,
            [compare.stability_chart(stability)],
            f"Mean τ over all pairs {stability.mean_tau:.2f}." if not math.isnan(stability.mean_tau) else "",
        )
        for title, stability in stabilities(cells).items()
        if stability.least
    ]
    if stable:
        caption = (
            "Kendall's τ of the methods' order by UD between two ways of measuring: 1 is the same order, −1 the reverse, "
            "0 no relation."
        )
        panels.append(Panel("stability", "Is the order of methods stable?", caption, stable))
    notes = (
        []
        if panels
        else [
            "Only one way of measuring SAL here. `python run.py -m experiment=ablation` sweeps ε × steps on stored trainings."
        ]
    )
    if panels and not stable:
        notes = ["Fewer than three methods share two ways of measuring: no rank stability."]
    return Section("sensitivity", "Sensitivity", panels=panels, notes=notes)


def transfer_section(records: Records, cells: Sequence[Cell]) -> Section:
    """6: β from one data set or model, used on another."""
    clean = {id(cell): records.clean_runs(cell.first) for cell in cells}
    found = transfers(cells, clean)
    if not found:
        return Section(
            "transfer",
            "Transfer of β",
            notes=[
                "One data set and model only. `python run.py -m experiment=transfer` adds others; or build the report over "
                "several sweeps."
            ],
        )
    panels = []
    for number, (title, transfer) in enumerate(found.items()):
        where = "" if title == "all jobs" else f" ({title})"
        choices = [Choice(method, [compare.transfer_chart(transfer, method)]) for method in transfer.methods]
        caption = (
            "Rows: where β comes from; columns: the runs that are compared. The diagonal is each setting's own UD; – means "
            "that no clean layer is above the foreign β."
        )
        panels.append(Panel(f"transfer-{number}", f"UD at a foreign β{where}", caption, choices, "Method"))
        tau = heat(
            transfer.tau,
            columns=[f"on {name}" for name in transfer.settings],
            rows=[f"β of {name}" for name in transfer.settings],
            x="",
            y="",
            colours=DIVERGING[0],
            low=-1,
            high=1,
            unit="Kendall's τ",
        )
        if np.isfinite(transfer.tau).any():
            caption = "Kendall's τ between the methods' order at the foreign β and at the own one."
            panels.append(
                Panel(f"transfer-tau-{number}", f"Does the order survive?{where}", caption, [Choice("all", [tau])])
            )
    return Section("transfer", "Transfer of β", panels=panels)


def tasks_section(records: Records, cells: Sequence[Cell], looks: Mapping[str, Look]) -> Section:
    """7: multi-task jobs: the per-task table and both conflict matrices."""
    multi = [cell for cell in cells if cell.first.result.get("tasks")]
    if not multi:
        return Section("tasks", "Tasks", notes=["No multi-task job here."])
    choices = [
        Choice(title, [compare.tasks_chart(family, looks)]) for title, family in families(multi, free=("task",)).items()
    ]
    panels = [Panel("task-ud", "UD of each task", "Mean ± standard deviation over the seeds.", choices)]
    conflicts = {}
    for run in records.runs:
        conflict = run.result.get("conflict")
        if conflict and run.folder not in conflicts:
            charts = [
                compare.conflict_chart(np.array(conflict[kind][-1], dtype=np.float64), conflict["tasks"])
                for kind in ("sal", "gradient")
            ]
            conflicts[run.folder] = Choice(f"{run.label} · seed {run.seed} · {run.job}", charts)
    if conflicts:
        caption = (
            "Cosine similarity between tasks after the last measured epoch: of their SAL over the shared layers, and of "
            "their gradients on the shared parameters. Gradients below 0 oppose each other."
        )
        panels.append(
            Panel("conflict", "Conflict between tasks", caption, list(conflicts.values()), "Job", ("SAL", "gradients"))
        )
    return Section("tasks", "Tasks", tables=[tables.tasks(multi)], panels=panels)
