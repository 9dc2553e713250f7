"""Methods under one setting: a distance of each, alone, against test accuracy, task by task and layer by layer."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from unlearnable.distances import Spread, layer_differences
from unlearnable.report.chart import Axis, Chart, Guide, Heat, Series, decades, ratio_ends
from unlearnable.report.style import DIVERGING, PUBLISHED, SEED, Look
from unlearnable.results.cells import GEOMETRIC, UD, Cell
from unlearnable.results.comparison import Comparison
from unlearnable.results.ranking import RankCorrelation

#: The distances that figures show, in their order, and how they are called.
SHOWN: Mapping[str, str] = {UD: "UD", GEOMETRIC: "geometric distance"}
#: What the bars around a distance are.
BARS: Mapping[str, str] = {UD: "mean ± standard deviation", GEOMETRIC: "value and 95 % interval"}


def axis_of(distance: str, cells: Sequence[Cell], more: str = "") -> Axis:
    """The axis of a distance: UD from zero, ratios on a logarithmic scale that holds the intervals of these cells."""
    if distance == UD:
        return Axis(SHOWN[distance] + more, from_zero=True)
    values = [value for cell in cells for value in (1.0, cell.value(distance), *cell.interval(distance))]
    return Axis(SHOWN[distance] + more, "log", ticks=decades(values))


def distances(one: Comparison, looks: Mapping[str, Look], distance: str = UD) -> Chart:
    """A distance per method, lowest UD first, with its bars, each seed, clean against clean, and UD as reported."""
    shown = one.methods
    names = [cell.first.label for cell in shown]
    seeds = [
        (cell.first.label, seed, value)
        for cell in shown
        if (found := cell.of(distance)) is not None
        for seed, value in found.by_seed.items()
    ]
    reported = [(cell.first.label, ud) for cell in shown if (ud := cell.published.ud) is not None and distance == UD]
    series = [
        Series(
            "one seed",
            [value for _, _, value in seeds],
            [name for name, _, _ in seeds],
            SEED,
            notes=[f"seed {seed}" for _, seed, _ in seeds],
        ),
        Series(
            BARS[distance],
            [cell.value(distance) for cell in shown],
            names,
            [looks[name] for name in names],
            x_range=[cell.interval(distance) for cell in shown],
            notes=[cell.verdict(distance) for cell in shown],
        ),
    ]
    if reported:
        values = [ud for _, ud in reported]
        series.append(Series("as reported, unverified", values, [name for name, _ in reported], PUBLISHED))
    return Chart(
        axis_of(distance, shown, " (lower: more unlearnable; 1: like clean data)" if distance == UD else ""),
        Axis(scale="category", categories=names),
        series,
        guides=[Guide(x=1)],
        span=_null_band(one, distance),
    )


def _null_band(one: Comparison, distance: str) -> tuple[str, float, float] | None:
    """Clean against clean: the range of UD, the interval that holds 95 % of any other distance."""
    for cell in one.cells:
        found = cell.of(distance)
        if isinstance(found, Spread) and math.isfinite(found.clean_low):
            return "clean against clean", found.clean_low, found.clean_high
        if found is not None and not isinstance(found, Spread) and found.clean_pairs:
            return "clean against clean", min(found.clean_pairs.values()), max(found.clean_pairs.values())
    return None


def layers(one: Comparison) -> Chart | None:
    """Each layer's SAL over the clean runs', method by method; a dot where the difference is no false discovery."""
    cells = [cell for cell in one.methods if cell.spreads]
    if not cells or any(cell.first.result["layers"] != cells[0].first.result["layers"] for cell in cells):
        return None
    found = [layer_differences({run.seed: run.sal for run in cell.runs}, cell.clean) for cell in cells]
    ratios = np.exp(np.stack([one.log_ratio for one in found], axis=1))
    q_values = np.stack([one.q_value for one in found], axis=1)
    heat = Heat(
        ratios,
        cells[0].first.result["layers"],
        [cell.first.label for cell in cells],
        "SAL ratio (dot: q < 0.05)",
        *ratio_ends(ratios),
        logarithmic=True,
        colours=DIVERGING,
        dots=np.stack([one.differs for one in found], axis=1),
        notes=[
            [f"{ratio:.3g}, q = {q:.2g}" for ratio, q in zip(*row, strict=True)]
            for row in zip(ratios, q_values, strict=True)
        ],
    )
    return Chart(Axis(scale="category"), Axis(scale="category"), heat=heat)


def accuracy(one: Comparison, looks: Mapping[str, Look], distance: str = UD) -> Chart | None:
    """A distance against test accuracy after the last epoch, each method a point with its bars."""
    shown = [cell for cell in one.cells if cell.spreads and math.isfinite(cell.figure("test_acc")[0])]
    if not shown:
        return None
    points = [_point(cell, looks, distance) for cell in shown if math.isfinite(cell.value(distance))]
    clean = one.cells[0].figure("clean_test_acc")[0]
    if not any(cell.is_clean for cell in shown) and math.isfinite(clean):
        points.append(Series("clean", [clean], [1.0], looks["clean"], labels=["clean"]))
    return Chart(
        Axis("test accuracy, last epoch", percent=True, from_zero=True),
        axis_of(distance, shown),
        points,
        guides=[Guide(y=1)],
        title=correlation_title(one.correlation(distance)),
        legend=False,
    )


def correlation_title(found: RankCorrelation) -> str:
    """Spearman's ρ with its interval; nothing where there is none."""
    if math.isnan(found.low):
        return ""
    return f"Spearman's ρ = {found.rho:.2f} [{found.low:.2f}, {found.high:.2f}], n = {found.n}"


def task_distances(cells: Sequence[Cell], looks: Mapping[str, Look], distance: str = UD) -> Chart:
    """A distance of each task, methods side by side."""
    poisoned = [cell for cell in cells if not cell.is_clean]

    def value(cell: Cell) -> tuple[float, tuple[float, float]]:
        return cell.value(distance), cell.interval(distance)

    return _by_task(cells, looks, value, axis_of(distance, poisoned), [Guide(y=1)])


def task_skills(cells: Sequence[Cell], looks: Mapping[str, Look]) -> Chart | None:
    """Skill of each task, methods side by side; None where none has one."""
    cells = [cell for cell in cells if cell.skill.values]
    if all(cell.is_clean for cell in cells):
        return None

    def value(cell: Cell) -> tuple[float, tuple[float, float]]:
        mean, std = cell.skill.mean, cell.skill.std
        return mean, (mean - std, mean + std)

    lines = [Guide(y=1, words="clean data"), Guide(y=0, words="prior")]
    return _by_task(cells, looks, value, Axis("skill"), lines)


def _by_task(
    cells: Sequence[Cell],
    looks: Mapping[str, Look],
    value: Callable[[Cell], tuple[float, tuple[float, float]]],
    axis: Axis,
    lines: Sequence[Guide],
) -> Chart:
    """The poisoned cells task by task, a series a method; `value` is a cell's place and the ends of its bar."""
    poisoned = [cell for cell in cells if not cell.is_clean]
    tasks = list(dict.fromkeys(cell.first.task for cell in cells))
    series = []
    for name in dict.fromkeys(cell.first.label for cell in poisoned):
        own = [(cell.first.task, *value(cell)) for cell in poisoned if cell.first.label == name]
        places, values, ranges = zip(*own, strict=True)
        series.append(Series(name, places, values, looks[name], y_range=ranges))
    return Chart(Axis(scale="category", categories=tasks), axis, series, guides=lines)


def _point(cell: Cell, looks: Mapping[str, Look], distance: str) -> Series:
    accuracy, spread = cell.figure("test_acc")
    name, around = cell.first.label, [(accuracy - spread, accuracy + spread)]
    reach = [] if cell.is_clean else [cell.interval(distance)]
    return Series(name, [accuracy], [cell.value(distance)], looks[name], x_range=around, y_range=reach, labels=[name])
