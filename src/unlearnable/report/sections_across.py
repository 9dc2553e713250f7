"""The page's sections that go across comparisons: sensitivity, transfer of β, tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from unlearnable.report import tables
from unlearnable.report.figures import across, maps, methods
from unlearnable.report.layout import Choice, Panel, Section
from unlearnable.report.style import Look
from unlearnable.report.words import signed
from unlearnable.results.cells import GEOMETRIC, UD, Cell
from unlearnable.results.comparison import (
    Comparison,
    axis_series,
    families,
    measures_of,
    numeric_axes,
    stabilities,
    transferred_orders,
    transfers,
)
from unlearnable.results.ranking import RankingStability
from unlearnable.results.records import Records

#: Of panels that show both distances.
_NAMES = tuple(methods.SHOWN.values())
_BARS = "Bars: ± standard deviation over the seeds for UD, the 95 % interval for the geometric distance."
_SKILL = (
    "Mean and ± standard deviation over the seeds. 1 is what the clean model learns, 0 what the training targets alone give "
    "without any input. Tasks whose clean model does not beat that are left out."
)
#: Runs whose maps of a measure are shown at most.
_MOST_MAPS = 40


def measures_section(compared: Sequence[Comparison]) -> Section | None:
    """Whatever was measured layer by layer beside SAL, clean beside poisoned; None if nothing was."""
    cells = [cell for one in compared for cell in one.methods]
    panels = []
    for number, measure in enumerate(measures_of(cells)):
        # A measure does not depend on how SAL is measured: of each job's task one map.
        choices = [
            Choice(f"{cell.first.label} · seed {run.seed}{_where(one, compared)}", maps.measure_maps(run, measure))
            for one in compared
            for cell in one.methods
            for run in cell.runs
            if measure in run.result.get("measures", {})
        ][:_MOST_MAPS]
        caption = f"{measure} after each epoch at which it was measured, one colour scale for both."
        names = ("clean reference", "poisoned")
        panels.append(Panel(f"measure-{number}", f"{measure} by layer and epoch", caption, choices, "Run", names))
    return Section("measures", "Other measures", panels=panels) if panels else None


def _where(one: Comparison, compared: Sequence[Comparison]) -> str:
    return "" if len(compared) == 1 else f" · {one.title}"


def sensitivity_section(cells: Sequence[Cell], looks: Mapping[str, Look]) -> Section:
    """Both distances over the settings of the measurement, and whether the order of methods is stable."""
    panels: list[Panel] = []
    for axis in numeric_axes(cells):
        series = axis_series(cells, axis)
        if not series:
            continue
        title = across.NAMES.get(axis, axis)
        charts = [
            Choice(name, [across.over_axis(lines, looks, axis, distance) for distance in methods.SHOWN])
            for name, lines in series.items()
        ]
        caption = f"When only {title} changes. {_BARS} Lines that cross change the order of methods."
        panels.append(Panel(f"axis-{len(panels)}", f"Distances over {title}", caption, charts, names=_NAMES))
    grids = []
    for title, family in families(cells, free=("eps", "steps")).items():
        for method in dict.fromkeys(cell.first.label for cell in family if not cell.is_clean):
            own = [cell for cell in family if cell.first.label == method]
            if (
                len({cell.first.result["eps"] for cell in own}) > 1
                and len({cell.first.result["steps"] for cell in own}) > 1
            ):
                both = [across.grid(own, distance) for distance in methods.SHOWN]
                grids.append(Choice(method if title == "all jobs" else f"{method} · {title}", both))
    if grids:
        caption = (
            "UD as mean ± standard deviation over the seeds. The geometric distance is on a logarithmic scale around 1."
        )
        panels.append(Panel("grid", "Distances over ε × steps", caption, grids, "Method", names=_NAMES))
    stable = _orders(stabilities(cells, UD), stabilities(cells, GEOMETRIC))
    if stable:
        caption = (
            "Kendall's τ of the methods' order between two ways of measuring: 1 is the same order, −1 the reverse, 0 no "
            "relation."
        )
        panels.append(Panel("stability", "Is the order of methods stable?", caption, stable, names=_NAMES))
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


def _orders(by_ud: Mapping[str, RankingStability], geometric: Mapping[str, RankingStability]) -> list[Choice]:
    """Agreement of the methods' orders, by UD and by the geometric distance; none where too few methods are shared."""
    choices = []
    for title, one in by_ud.items():
        found = (one, geometric[title])
        means = " and ".join(signed(of.mean_tau) for of in found)
        if any(of.least for of in found):
            note = f"Mean τ over all pairs {means}, by UD and by the geometric distance."
            choices.append(Choice(title, [across.stability(of) for of in found], note))
    return choices


def transfer_section(cells: Sequence[Cell]) -> Section:
    """β from one data set or model, used on another."""
    found = transfers(cells)
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
        choices = [Choice(method, [across.transfer(transfer, method)]) for method in transfer.methods]
        caption = (
            "Rows: where β comes from; columns: the runs that are compared. The diagonal is each setting's own UD; – means "
            "that no clean layer is above the foreign β."
        )
        panels.append(Panel(f"transfer-{number}", f"UD at a foreign β{where}", caption, choices, "Method"))
        if np.isfinite(transfer.tau).any():
            caption = "Kendall's τ between the methods' order at the foreign β and at the own one."
            choices = [Choice("all", [across.transfer_order(transfer)])]
            panels.append(Panel(f"transfer-tau-{number}", f"Does the order survive?{where}", caption, choices))
    if orders := _orders(transferred_orders(cells, UD), transferred_orders(cells, GEOMETRIC)):
        caption = (
            "Kendall's τ of the methods' order between data sets and models, each with its own β; the geometric distance needs "
            "none."
        )
        panels.append(Panel("transfer-orders", "Is the order the same elsewhere?", caption, orders, names=_NAMES))
    return Section("transfer", "Transfer of β", panels=panels)


def tasks_section(records: Records, cells: Sequence[Cell], looks: Mapping[str, Look]) -> Section:
    """Multi-task jobs: the per-task table and both conflict matrices."""
    multi = [cell for cell in cells if cell.first.result.get("tasks")]
    if not multi:
        return Section("tasks", "Tasks", notes=["No multi-task job here."])
    by_setting = families(multi, free=("task",))
    skills = [
        Choice(title, [chart])
        for title, family in by_setting.items()
        if (chart := methods.task_skills(family, looks)) is not None
    ]
    panels = [Panel("task-skill", "Skill of each task", _SKILL, skills)] if skills else []
    choices = [
        Choice(title, [methods.task_distances(family, looks, distance) for distance in methods.SHOWN])
        for title, family in by_setting.items()
    ]
    panels.append(Panel("task-ud", "Distances of each task", _BARS, choices, names=_NAMES))
    conflicts = {}
    for run in records.runs:
        conflict = run.result.get("conflict")
        if conflict and conflict["epochs"] and run.folder not in conflicts:
            charts = [across.conflict(conflict[kind][-1], conflict["tasks"]) for kind in ("sal", "gradient")]
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
