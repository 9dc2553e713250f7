"""Layer × epoch: SAL and any other measure as maps, learnable layers over the epochs, the distribution of SAL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float64

from unlearnable.report.chart import Axis, Box, Chart, Guide, Heat, Series, decades
from unlearnable.report.style import DIVERGING, SEQUENTIAL, Look
from unlearnable.results.cells import figure
from unlearnable.results.comparison import Comparison
from unlearnable.results.records import Run, array

Map = Float64[np.ndarray, "epochs layers"]

_MOST_MAPS = 9
#: If the largest value over the smallest exceeds this, colours follow the logarithm.
_DECADES = 20.0


def sal_maps(run: Run) -> tuple[Chart, Chart]:
    """SAL of a run's clean reference and of the run itself, on one logarithmic scale; a dot marks SAL > β."""
    clean, own = _sal_maps([("", run.clean_sal, run), ("", run.sal, run)])
    return clean, own


def methods_sal_maps(one: Comparison) -> list[Chart]:
    """SAL of the clean reference and of each method's first seed, lowest UD first, on one logarithmic scale."""
    runs = _first_runs(one)
    maps = [("clean", runs[0].clean_sal, runs[0])]
    maps += [(f"{run.label}, UD {_short(run.result['ud'])}", run.sal, run) for run in runs]
    return _sal_maps(maps)


def measure_maps(run: Run, measure: str) -> tuple[Chart, Chart]:
    """Another measure of a run's clean reference and of the run itself, on one scale."""
    found = run.result["measures"][measure]
    clean, own = _maps(measure, [("", array(found["clean_values"]), found), ("", array(found["values"]), found)])
    return clean, own


def methods_measure_maps(one: Comparison, measure: str) -> list[Chart]:
    """Another measure of the clean reference and of each method's first seed that has it, on one scale."""
    runs = [run for run in _first_runs(one) if measure in run.result.get("measures", {})]
    maps: list[tuple[str, Map, Mapping[str, Any]]] = []
    for run in runs:
        found = run.result["measures"][measure]
        if not maps:
            maps.append(("clean", array(found["clean_values"]), found))
        maps.append((run.label, array(found["values"]), found))
    return _maps(measure, maps)


def learnable(one: Comparison, looks: Mapping[str, Look]) -> Chart:
    """Learnable layers over the epochs, mean over the seeds, and those of the clean references."""
    reference = max(one.cells, key=lambda cell: (cell.is_clean, len(cell.runs)))
    shown = [("clean", reference, "clean_learnable_layers")]
    shown += [(cell.first.label, cell, "learnable_layers") for cell in one.cells if not cell.is_clean]
    series = []
    for name, cell, key in shown:
        counts = [run.result[key] for run in cell.runs]
        series.append(mean_line(name, cell.first.result["sal_epochs"], counts, looks[name]))
    return Chart(Axis("epoch", whole=True), Axis("learnable layers (SAL > β)", from_zero=True), series)


def distribution(one: Comparison, looks: Mapping[str, Look]) -> Chart:
    """SAL of all layers and epochs, a box a method, on a logarithmic scale with β as a line."""
    shown = []
    if not any(cell.is_clean for cell in one.cells):
        shown.append(("clean", [run.clean_sal for run in one.cells[0].runs]))
    shown += [(cell.first.label, [run.sal for run in cell.runs]) for cell in one.cells]
    boxes = []
    for name, arrays in shown:
        values = np.concatenate([one.ravel() for one in arrays])
        values = values[np.isfinite(values) & (values > 0)]
        if values.size:
            boxes.append(Box(name, looks[name], *map(float, np.quantile(values, [0.025, 0.25, 0.5, 0.75, 0.975]))))
    beta = one.cells[0].figure("beta")[0]
    guides = [Guide(y=beta, words=f"β = {beta:.3g}")] if beta > 0 else []
    ends = [beta, *(end for box in boxes for end in (box.low, box.high))]
    return Chart(
        Axis(scale="category"), Axis("SAL", "log", ticks=decades(ends)), boxes=boxes, guides=guides, legend=False
    )


def mean_line(name: str, epochs: Sequence[int], rows: Sequence[Sequence[float | None]], look: Look) -> Series:
    """The mean over the seeds, ± standard deviation as a band; `rows` are the seeds, as long as the shortest."""
    length = min(len(epochs), *map(len, rows))
    values = np.array([row[:length] for row in rows], dtype=np.float64)
    band = values.std(axis=0, ddof=1).tolist() if len(values) > 1 else ()
    return Series(name, list(epochs[:length]), values.mean(axis=0).tolist(), look, joined=True, band=band)


def _first_runs(one: Comparison) -> list[Run]:
    return [min(cell.runs, key=lambda run: run.seed) for cell in one.methods[:_MOST_MAPS]]


def _sal_maps(maps: Sequence[tuple[str, Map, Run]]) -> list[Chart]:
    every = np.concatenate([values.ravel() for _, values, _ in maps])
    positive = every[np.isfinite(every) & (every > 0)]
    low, high = (float(positive.min()), float(positive.max())) if positive.size else (0.1, 1.0)
    charts = []
    for title, values, run in maps:
        beta = figure(run.result, "beta")  # NaN if there is none
        heat = Heat(
            values.T,
            run.result["layers"],
            run.result["sal_epochs"],
            "SAL (dot: SAL > β)",
            low,
            max(high, low * 1.00001),
            logarithmic=True,
            dots=(np.nan_to_num(values) > beta).T,
            mark=(beta, "β") if beta > 0 else None,
        )
        charts.append(_map_chart(heat, title))
    return charts


def _maps(measure: str, maps: Sequence[tuple[str, Map, Mapping[str, Any]]]) -> list[Chart]:
    """Maps on one scale that suits their values: logarithmic over decades, diverging around 0 where signs differ."""
    every = np.concatenate([values.ravel() for _, values, _ in maps])
    every = every[np.isfinite(every)]
    low, high = (float(every.min()), float(every.max())) if every.size else (0.0, 1.0)
    signed, logarithmic = low < 0, 0 < low * _DECADES < high
    if signed:
        high = max(-low, high)
        low = -high
    elif not logarithmic:
        low = 0.0
    high = max(high, low + 1e-12)
    charts = []
    for title, values, found in maps:
        colours = DIVERGING if signed else SEQUENTIAL
        heat = Heat(values.T, found["layers"], found["epochs"], measure, low, high, logarithmic, colours)
        charts.append(_map_chart(heat, title))
    return charts


def _map_chart(heat: Heat, title: str) -> Chart:
    return Chart(Axis("epoch", "category"), Axis(scale="category"), heat=heat, title=title)


def _short(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
