"""Figures that go across comparisons: sensitivity, transfer of β, tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from unlearnable.report.figures._canvas import COLUMN, PAGE, canvas, heat_texts, look
from unlearnable.report.style import CLEAN_COLOUR, DIVERGING, SEQUENTIAL, Look
from unlearnable.results.cells import Cell
from unlearnable.results.ranking import RankingStability
from unlearnable.results.thresholds import Transfer


def axis(series: Mapping[str, Sequence[tuple[float, float, float]]], looks: Mapping[str, Look], name: str) -> Figure:
    """UD over one option of the measurement; `series` as for the page's `axis_chart`."""
    figure = canvas(COLUMN, 2.4)
    axes = figure.subplots()
    axes.axhline(1, color=CLEAN_COLOUR, linestyle="--", linewidth=0.9)
    for method, points in series.items():
        places, means, spreads = (np.array(column, dtype=np.float64) for column in zip(*points, strict=True))
        axes.errorbar(places, means, yerr=np.nan_to_num(spreads), label=method, capsize=2, **look(looks[method]))
    ticks = sorted({place for points in series.values() for place, _, _ in points})
    if ticks[0] > 0 and ticks[-1] / ticks[0] >= 5:
        axes.set_xscale("log")
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.set(xlabel={"eps": "SAL's ε", "steps": "SAL steps"}.get(name, name), ylabel="UD")
    axes.set_ylim(bottom=0)
    figure.legend(loc="outside upper center", ncols=4)
    return figure


def stability(of: RankingStability) -> Figure:
    """Kendall's τ of the methods' order between each two ways of measuring."""
    size = len(of.settings)
    figure = canvas(min(PAGE, 1.9 + 0.36 * size), 1.3 + 0.34 * size)
    axes = figure.subplots()
    image = axes.imshow(of.tau, vmin=-1, vmax=1, cmap=DIVERGING[1])
    heat_texts(axes, of.tau, lambda i, j: _number(of.tau[i, j]), dark_above=0.6, dark_below=-0.6)
    _names(axes, of.settings, of.settings)
    figure.colorbar(image, ax=axes, label="Kendall's τ", shrink=0.8)
    return figure


def transfer(of: Transfer) -> Figure:
    """UD of each method at each source's β, a panel a method."""
    highest = float(np.nanmax(of.ud)) if np.isfinite(of.ud).any() else 1.0
    columns = min(len(of.methods), 4)
    rows = -(-len(of.methods) // columns)
    figure = canvas(PAGE, rows * (1.0 + 0.28 * len(of.settings)) + 0.6)
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.ravel()[len(of.methods) :]:
        axes.set_axis_off()
    for place, method in enumerate(of.methods):
        axes, values = grid.ravel()[place], of.ud[:, :, place]
        image = axes.imshow(values, vmin=0, vmax=max(highest, 1e-9), cmap=SEQUENTIAL[1], aspect="auto")
        heat_texts(axes, values, lambda i, j, v=values: _number(v[i, j]), dark_above=np.inf, dark_below=0.5 * highest)  # type: ignore[misc]
        _names(axes, of.settings, of.settings if place % columns == 0 else [""] * len(of.settings))
        axes.set_title(method)
        if place % columns == 0:
            axes.set_ylabel("β of")
    figure.colorbar(image, ax=grid, label="UD", shrink=0.8)
    return figure


def tasks(cells: Sequence[Cell], looks: Mapping[str, Look]) -> Figure:
    """UD of each task, methods side by side."""
    names = list(dict.fromkeys(cell.first.task for cell in cells))
    methods = list(dict.fromkeys(cell.first.label for cell in cells if not cell.is_clean))
    figure = canvas(COLUMN if len(names) < 6 else PAGE, 2.4)
    axes = figure.subplots()
    axes.axhline(1, color=CLEAN_COLOUR, linestyle="--", linewidth=0.9)
    for place, method in enumerate(methods):
        shown = [cell for cell in cells if cell.first.label == method]
        offset = (place - (len(methods) - 1) / 2) * 0.7 / max(len(methods), 1)
        axes.errorbar(
            [names.index(cell.first.task) + offset for cell in shown],
            [cell.ud for cell in shown],
            yerr=np.nan_to_num([cell.ud_std for cell in shown]),
            label=method,
            capsize=2,
            **look(looks[method], linestyle=""),
        )
    axes.set_xticks(range(len(names)), names, rotation=20, ha="right")
    axes.set(ylabel="UD")
    axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
    figure.legend(loc="outside upper center", ncols=4)
    return figure


def _names(axes, columns: Sequence[str], rows: Sequence[str]) -> None:  # type: ignore[no-untyped-def]
    axes.set_xticks(range(len(columns)), columns, rotation=45, ha="right", fontsize=6)
    axes.set_yticks(range(len(rows)), rows, fontsize=6)
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _number(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:.2f}"
