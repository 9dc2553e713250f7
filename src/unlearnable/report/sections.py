"""The page's sections, from the headline table to the list of jobs."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence

import numpy as np

from unlearnable.report import tables
from unlearnable.report.aggregate import Cell
from unlearnable.report.charts import comparison as compare
from unlearnable.report.charts import headline, sharpness
from unlearnable.report.comparison import Comparison, axis_series, families, numeric_axes, stabilities, transfers
from unlearnable.report.findings import correlation_text
from unlearnable.report.layout import Choice, Image, Panel, Section
from unlearnable.report.noise import PREVIEW
from unlearnable.report.records import Records
from unlearnable.report.style import Look

#: Above as many runs, SAL maps show one seed a method.
_MOST_MAPS = 80
_CURVES = ("test/acc", "train/acc", "train/loss")


def headline_section(records: Records, compared: Sequence[Comparison], looks: Mapping[str, Look]) -> Section:
    """1: the table and UD as a picture."""
    choices = [Choice(one.title, [headline.distance_chart(one.cells, looks)]) for one in compared if one.methods]
    panel = Panel(
        "distances",
        "UD of each method",
        "Tick marks are single seeds, each against the clean run of its seed. The grey band spans the UDs of clean runs "
        "against clean runs with other seeds: a method inside it may be chance.",
        choices,
    )
    notes = [] if choices else ["No poisoned job has a result yet."]
    return Section(
        "table",
        "Methods",
        tables=[tables.headline(compared, records.failures)],
        panels=[panel] if choices else [],
        notes=notes,
    )


def accuracy_section(compared: Sequence[Comparison], looks: Mapping[str, Look]) -> Section:
    """2: does UD say what accuracy does not?"""
    choices = []
    for one in compared:
        if not any(math.isfinite(cell.figure("test_acc")[0]) for cell in one.methods):
            continue
        correlation = one.correlation()
        enough = not math.isnan(correlation.rho)
        note = f"{correlation_text(correlation)}." if enough else "Fewer than three methods: no rank correlation."
        choices.append(Choice(one.title, [headline.accuracy_chart(one.cells, looks)], note))
    panel = Panel(
        "accuracy",
        "UD against test accuracy",
        "Each point is a method; bars are standard deviations over the seeds. Methods at the same height but different "
        "accuracy, or the reverse, are told apart by one of the two only. Clean data are shown but not in the correlation.",
        choices,
    )
    notes = [] if choices else ["No poisoned job has a test accuracy."]
    return Section("ud-accuracy", "UD and accuracy", panels=[panel] if choices else [], notes=notes)


def sharpness_section(records: Records, compared: Sequence[Comparison], looks: Mapping[str, Look]) -> Section:
    """3: SAL by layer and epoch, learnable layers, the distribution."""
    runs = [
        (one, cell, run) for one in compared for cell in one.methods for run in sorted(cell.runs, key=lambda r: r.seed)
    ]
    notes = []
    if len(runs) > _MOST_MAPS:
        runs = [(one, cell, min(cell.runs, key=lambda run: run.seed)) for one in compared for cell in one.methods][
            :_MOST_MAPS
        ]
        notes.append(f"The SAL maps show one seed a method, {len(runs)} in all; result.json of each job has its own.")
    if not runs:
        return Section("sal", "Sharpness-aware learnability", notes=["No poisoned job has a result yet."])
    maps = []
    for one, cell, run in runs:
        where = "" if len(compared) == 1 else f" · {one.title}"
        maps.append(
            Choice(
                f"{cell.first.label} · seed {run.seed}{where}",
                sharpness.sal_maps(run),
                f"UD {run.result['ud']:.3f}." if run.result["ud"] is not None else "",
            )
        )
    shown = [one for one in compared if one.methods]
    return Section(
        "sal",
        "Sharpness-aware learnability",
        panels=[
            Panel(
                "sal-maps",
                "SAL by layer and epoch",
                "One logarithmic colour scale for both. A dot marks a learnable layer (SAL > β); β is marked on the scale. "
                "UD is the number of dots on the right over the number on the left.",
                maps,
                "Run",
                ("clean reference", "poisoned"),
            ),
            Panel(
                "learnable",
                "Learnable layers over epochs",
                "Mean over the seeds, ± standard deviation as a band. UD is the ratio of the areas under a method's and the clean line.",
                [Choice(one.title, [sharpness.learnable_chart(one.cells, looks)]) for one in shown],
            ),
            Panel(
                "distribution",
                "Distribution of SAL",
                "All layers, epochs and seeds: quartiles, and whiskers from 2.5 % to 97.5 %. The dashed line is β, mean over the seeds.",
                [Choice(one.title, [sharpness.distribution_chart(one.cells, looks)]) for one in shown],
            ),
        ],
        notes=notes,
    )


def curves_section(compared: Sequence[Comparison], looks: Mapping[str, Look]) -> Section:
    """4: loss and accuracy curves, previews."""
    known = {name for one in compared for cell in one.cells for epoch in cell.first.epoch_metrics for name in epoch}
    metrics = [name for name in _CURVES if name in known] + sorted(known - set(_CURVES))
    # Training does not depend on how SAL is measured: one comparison for each way of training is enough.
    trained = families(
        [cell for one in compared for cell in one.cells], free=("eps", "steps", "solver", "settings", "task")
    )
    choices = []
    for title, family in trained.items():
        unique = list({cell.first.label: cell for cell in family}.values())
        where = "" if len(trained) == 1 else f" · {title}"
        choices += [Choice(f"{metric}{where}", [sharpness.curve_chart(unique, looks, metric)]) for metric in metrics]
    panel = Panel(
        "curves",
        "Learning curves",
        "Mean over the seeds, ± standard deviation as a band. Test images are clean.",
        choices,
        "Metric",
    )
    images = previews([cell for one in compared for cell in one.cells])
    notes = [] if images else [f"No job has a preview of its poison ({PREVIEW})."]
    return Section("curves", "Training and poisons", panels=[panel] if choices else [], images=images, notes=notes)


def previews(cells: Sequence[Cell]) -> list[Image]:
    """One preview for each poison on each data set."""
    found: dict[tuple[str, str], Image] = {}
    for cell in cells:
        key = (str(cell.first.result["dataset"]), cell.first.label)
        for run in cell.runs:
            path = run.folder / PREVIEW
            if key not in found and path.exists():
                source = "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()
                caption = f"{key[1]} on {key[0]}: clean, noise (scaled, grey is no change), poisoned; seed {run.seed}"
                found[key] = Image(source, f"Three rows of images: clean, noise of {key[1]}, poisoned", caption)
    return list(found.values())


def sensitivity_section(cells: Sequence[Cell], looks: Mapping[str, Look]) -> Section:
    """5: UD over the settings of the measurement, and whether the order of methods is stable."""
    panels = []
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
        caption = f"UD when only {title} changes, ± standard deviation over the seeds. Lines that cross change the order of methods."
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
        caption = "Kendall's τ of the methods' order by UD between two ways of measuring: 1 is the same order, −1 the reverse, 0 no relation."
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
                "One data set and model only. `python run.py -m experiment=transfer` adds others; or build the report over several sweeps."
            ],
        )
    panels = []
    for number, (title, transfer) in enumerate(found.items()):
        where = "" if title == "all jobs" else f" ({title})"
        choices = [Choice(method, [compare.transfer_chart(transfer, method)]) for method in transfer.methods]
        caption = "Rows: where β comes from; columns: the runs that are compared. The diagonal is each setting's own UD; – means that no clean layer is above the foreign β."
        panels.append(Panel(f"transfer-{number}", f"UD at a foreign β{where}", caption, choices, "Method"))
        tau = compare.heat(
            transfer.tau,
            columns=[f"on {name}" for name in transfer.settings],
            rows=[f"β of {name}" for name in transfer.settings],
            x="",
            y="",
            colours="PuOr",
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
        caption = "Cosine similarity between tasks after the last measured epoch: of their SAL over the shared layers, and of their gradients on the shared parameters. Gradients below 0 oppose each other."
        panels.append(
            Panel("conflict", "Conflict between tasks", caption, list(conflicts.values()), "Job", ("SAL", "gradients"))
        )
    return Section("tasks", "Tasks", tables=[tables.tasks(multi)], panels=panels)
