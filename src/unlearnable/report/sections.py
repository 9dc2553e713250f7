"""The page's sections, from the headline table to the list of jobs."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from unlearnable.report import tables
from unlearnable.report.figures import curves, maps, methods
from unlearnable.report.findings import correlation_text
from unlearnable.report.layout import Choice, Image, Panel, Passage, Section
from unlearnable.report.style import Look
from unlearnable.report.words import short
from unlearnable.results.cells import Cell, figure
from unlearnable.results.comparison import Comparison, trainings
from unlearnable.results.records import Records

#: Above this number of runs, SAL maps show one seed a method.
_MOST_MAPS = 80
_MOST_LANDSCAPES = 12


def headline_section(records: Records, compared: Sequence[Comparison], looks: Mapping[str, Look]) -> Section:
    """The table, and UD and the geometric distance as a picture."""
    shown = [one for one in compared if one.methods]
    choices = [Choice(one.title, [methods.distances(one, looks, name) for name in methods.SHOWN]) for one in shown]
    panel = Panel(
        "distances",
        "How far each method is from clean data",
        "Tick marks are single seeds, each against the clean run of its seed. The grey bands are clean runs against clean "
        "runs with other seeds, all UDs and 95 % of the geometric distances: a method inside may be chance. Published UDs are "
        "as reported and unverified.",
        choices,
        names=("UD, as published", "geometric distance of SAL"),
    )
    notes = [] if choices else ["No poisoned job has a result yet."]
    notes += tables.remarks(compared)
    return Section(
        "table",
        "Methods",
        tables=[tables.headline(compared, records.failures)],
        panels=[panel] if choices else [],
        notes=notes,
    )


def accuracy_section(compared: Sequence[Comparison], looks: Mapping[str, Look]) -> Section:
    """The distances beside accuracy, and whether one says what the other does not."""
    choices = []
    for one in compared:
        charts = [chart for name in methods.SHOWN if (chart := methods.accuracy(one, looks, name)) is not None]
        if not charts or not one.methods:
            continue
        note = " ".join(correlation_text(one, name) for name in methods.SHOWN)
        choices.append(Choice(one.title, [replace(chart, title="") for chart in charts], note))
    panel = Panel(
        "accuracy",
        "Distances against test accuracy",
        "Each point is a method; bars are standard deviations over the seeds, of the geometric distance 95 % intervals. "
        "Methods at the same height but different accuracy, or the reverse, are told apart by one of the two only. Clean data "
        "are shown but not in the correlation.",
        choices,
        names=tuple(methods.SHOWN.values()),
    )
    notes = [] if choices else ["No poisoned job has a test accuracy."]
    return Section("ud-accuracy", "Distances and accuracy", panels=[panel] if choices else [], notes=notes)


def sharpness_section(compared: Sequence[Comparison], looks: Mapping[str, Look]) -> Section:
    """SAL by layer and epoch, which layers differ, learnable layers, the distribution."""
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
    choices = []
    for one, cell, run in runs:
        where = "" if len(compared) == 1 else f" · {one.title}"
        choices.append(
            Choice(
                f"{cell.first.label} · seed {run.seed}{where}",
                maps.sal_maps(run),
                f"UD {short(run.result['ud'])}, geometric distance {short(figure(run.result, 'distances.geometric'))}.",
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
                choices,
                "Run",
                ("clean reference", "poisoned"),
            ),
            *_layers_panel(compared),
            Panel(
                "learnable",
                "Learnable layers over epochs",
                "Mean over the seeds, ± standard deviation as a band. UD is the ratio of the areas under a method's line and "
                "the clean one.",
                [Choice(one.title, [maps.learnable(one, looks)]) for one in shown],
            ),
            Panel(
                "distribution",
                "Distribution of SAL",
                "All layers, epochs and seeds: quartiles, and whiskers from 2.5 % to 97.5 %. The dashed line is β, mean over "
                "the seeds.",
                [Choice(one.title, [maps.distribution(one, looks)]) for one in shown],
            ),
        ],
        notes=notes,
    )


def _layers_panel(compared: Sequence[Comparison]) -> list[Panel]:
    choices = [Choice(one.title, [chart]) for one in compared if (chart := methods.layers(one)) is not None]
    caption = (
        "How many times larger each layer's SAL is than the clean runs', geometric mean over epochs and seeds. A dot marks a "
        "layer that differs at q < 0.05 (t-tests over the seeds; of all dots of a method no more than 5 % are expected to be "
        "chance). One seed has no dots."
    )
    return [Panel("layers", "Which layers differ?", caption, choices)] if choices else []


def curves_section(compared: Sequence[Comparison], looks: Mapping[str, Look]) -> Section:
    """Loss and accuracy curves, previews."""
    metrics = curves.metrics_of([cell for one in compared for cell in one.cells])
    # Training does not depend on how SAL is measured: one comparison for each way of training is enough.
    trained = trainings([cell for one in compared for cell in one.cells])
    choices = []
    for title, family in trained.items():
        unique = list({cell.first.label: cell for cell in family}.values())
        where = "" if len(trained) == 1 else f" · {title}"
        choices += [Choice(f"{metric}{where}", [curves.curve(unique, looks, metric)]) for metric in metrics]
    panel = Panel(
        "curves",
        "Learning curves",
        "Mean over the seeds, ± standard deviation as a band. Test data are clean.",
        choices,
        "Metric",
    )
    cells = [cell for one in compared for cell in one.cells]
    images, texts, around = previews(cells), text_previews(cells), landscapes(cells)
    notes = [] if images or texts else ["No job has a picture of its poison."]
    if not around:
        notes.append(
            "The loss around a job's training: `python -m unlearnable.landscape JOB`, then build the page again."
        )
    images += around
    return Section(
        "training",
        "Training and poisons",
        panels=[panel] if choices else [],
        images=images,
        passages=texts,
        notes=notes,
    )


def previews(cells: Sequence[Cell]) -> list[Image]:
    """One picture for each poison of images on each data set."""
    found = []
    for (dataset, method), (path, seed) in _shown(cells, ".png").items():
        caption = f"{method} on {dataset}: clean, noise (scaled, grey is no change), poisoned; seed {seed}"
        found.append(Image(_source(path), f"Three rows of images: clean, noise of {method}, poisoned", caption))
    return found


def text_previews(cells: Sequence[Cell]) -> list[Passage]:
    """Some texts with their changes marked for each poison of texts on each data set."""
    return [
        Passage(
            path.read_text(encoding="utf-8"),
            f"{method} on {dataset}: [old→new] is a changed word, [+new] an added one, [−old] one that is gone; seed {seed}",
        )
        for (dataset, method), (path, seed) in _shown(cells, ".txt").items()
    ]


def _shown(cells: Sequence[Cell], suffix: str) -> dict[tuple[str, str], tuple[Path, int]]:
    """(Data set, method) → the preview of its first run that has one of this kind, and the run's seed."""
    found: dict[tuple[str, str], tuple[Path, int]] = {}
    for cell in cells:
        key = (str(cell.first.result["dataset"]), cell.first.label)
        for run in cell.runs:
            path = run.folder / str(run.result.get("preview", "preview.png"))
            if key not in found and path.suffix == suffix and path.exists():
                found[key] = (path, run.seed)
    return found


def landscapes(cells: Sequence[Cell]) -> list[Image]:
    """The loss landscapes that were drawn into the jobs' folders."""
    found = []
    for folder in dict.fromkeys(run.folder for cell in cells for run in cell.runs):
        for path in sorted(folder.glob("landscape*.png"))[:_MOST_LANDSCAPES]:
            layer = path.stem.removeprefix("landscape").removeprefix("-")
            what = f"layer {layer}" if layer else "all weights"
            caption = f"Loss around the trainings of {folder.name}, {what}: the plane in which they vary most"
            found.append(Image(_source(path), f"Contours of the loss with both trajectories, {what}", caption))
    return found[:_MOST_LANDSCAPES]


def _source(path: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()
