"""Figures of one comparison: methods under one setting."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import PercentFormatter

from unlearnable.report.figures._canvas import COLUMN, PAGE, canvas, look
from unlearnable.report.style import CLEAN_COLOUR, SEQUENTIAL, Look
from unlearnable.results.cells import Cell
from unlearnable.results.comparison import Comparison
from unlearnable.results.published import published

_MOST_MAPS = 9


def distances(one: Comparison, looks: Mapping[str, Look]) -> Figure:
    """UD per method, lowest first: mean ± standard deviation, each seed, clean against clean, the published value."""
    shown = sorted(one.methods, key=lambda cell: cell.ud)
    figure = canvas(COLUMN, 0.9 + 0.24 * len(shown))
    axes = figure.subplots()
    handles: list[Line2D | Patch] = []
    pairs = next((cell.spread.clean_pairs for cell in one.cells if cell.spread and cell.spread.clean_pairs), None)
    if pairs:
        axes.axvspan(min(pairs.values()), max(pairs.values()), color="#777", alpha=0.18, linewidth=0)
        handles.append(Patch(color="#777", alpha=0.18, label="clean against clean"))
    axes.axvline(1, color=CLEAN_COLOUR, linestyle="--", linewidth=0.9)
    for row, cell in enumerate(shown):
        assert cell.spread is not None
        of = looks[cell.first.label]
        spread = 0 if math.isnan(cell.ud_std) else cell.ud_std
        axes.errorbar(
            cell.ud, row, xerr=spread, fmt=of.marker[1], color=of.colour, capsize=2.5, markersize=5, linewidth=1.2
        )
        axes.plot(list(cell.spread.by_seed.values()), [row] * len(cell.spread.by_seed), "|", color="#555", markersize=5)
        paper = published(str(cell.first.result["dataset"]), str(cell.first.result["poison"])).ud
        if paper is not None:
            axes.plot(paper, row, "d", markerfacecolor="none", markeredgecolor="k", markersize=5, markeredgewidth=0.8)
            if not any(handle.get_label() == "paper" for handle in handles):
                handles.append(
                    Line2D([], [], marker="d", color="k", markerfacecolor="none", linestyle="", label="paper")
                )
    handles.append(Line2D([], [], marker="|", color="#555", linestyle="", label="one seed"))
    axes.set(yticks=range(len(shown)), xlabel="UD (lower: more unlearnable)", ylim=(len(shown) - 0.5, -0.5))
    axes.set_yticklabels([cell.first.label for cell in shown])
    axes.set_xlim(left=min(0.0, axes.get_xlim()[0]))
    figure.legend(handles=handles, loc="outside upper center", ncols=3)
    return figure


def accuracy(one: Comparison, looks: Mapping[str, Look]) -> Figure | None:
    """UD against test accuracy; the title has the rank correlation."""
    shown = [cell for cell in one.cells if cell.spread and math.isfinite(cell.figure("test_acc")[0])]
    if not shown:
        return None
    figure = canvas(COLUMN, 2.6)
    axes = figure.subplots()
    axes.axhline(1, color=CLEAN_COLOUR, linestyle="--", linewidth=0.9)
    for cell in shown:
        of = looks[cell.first.label]
        value, spread = cell.figure("test_acc")
        errors: dict[str, Any] = {
            "xerr": spread if spread > 0 else None,
            "yerr": cell.ud_std if cell.ud_std > 0 else None,
        }
        axes.errorbar(value, cell.ud, fmt=of.marker[1], color=of.colour, capsize=2, markersize=5, linewidth=1, **errors)
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.set(xlabel="test accuracy, last epoch", ylabel="UD")
    axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
    _name(axes, [(cell.first.label, cell.figure("test_acc")[0], cell.ud) for cell in shown])
    correlation = one.correlation()
    if not math.isnan(correlation.low):
        axes.set_title(
            f"Spearman's ρ = {correlation.rho:.2f} [{correlation.low:.2f}, {correlation.high:.2f}], n = {correlation.n}"
        )
    return figure


def _name(axes: Axes, points: Sequence[tuple[str, float, float]]) -> None:
    """Writes each point's name beside it, one above the other where points are close."""
    right = axes.get_xlim()[1] - 0.2 * (axes.get_xlim()[1] - axes.get_xlim()[0])
    heights: list[tuple[float, float]] = []
    for name, x, y in sorted(points, key=lambda point: point[2]):
        column, row = axes.transData.transform((x, y)) * 72 / axes.figure.dpi  # in points
        lift = 4.0
        while any(abs(column - other) < 35 and abs(row + lift - height) < 7 for other, height in heights):
            lift += 1
        heights.append((column, row + lift))
        side, align = (4, "left") if x < right else (-4, "right")
        axes.annotate(name, (x, y), textcoords="offset points", fontsize=7, xytext=(side, lift), ha=align)


def sal_maps(one: Comparison) -> Figure:
    """SAL, layer × epoch, of the clean reference and of each method's first seed, on one logarithmic scale."""
    cells = sorted(one.methods, key=lambda cell: cell.ud)[:_MOST_MAPS]
    runs = [min(cell.runs, key=lambda run: run.seed) for cell in cells]
    maps = [("clean", runs[0].clean_sal, runs[0])] + [
        (f"{run.label}, UD {run.result['ud']:.2f}", run.sal, run) for run in runs
    ]
    values = np.concatenate([sal.ravel() for _, sal, _ in maps])
    positive = values[np.isfinite(values) & (values > 0)]
    norm = LogNorm(float(positive.min()), float(positive.max())) if positive.size else None
    columns = min(len(maps), 5)
    rows = -(-len(maps) // columns)
    layers = max(sal.shape[1] for _, sal, _ in maps)
    figure = canvas(PAGE, 0.4 + rows * (0.5 + 0.085 * layers))
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.ravel()[len(maps) :]:
        axes.set_axis_off()
    for place, (title, sal, run) in enumerate(maps):
        axes = grid.ravel()[place]
        epochs = run.result["sal_epochs"]
        image = axes.pcolormesh(
            np.arange(sal.shape[0] + 1) + 0.5, np.arange(sal.shape[1] + 1) - 0.5, np.ma.masked_invalid(sal.T),
            norm=norm, cmap=SEQUENTIAL[1], rasterized=True,
        )  # fmt: skip
        above = np.nan_to_num(sal) > run.result["beta"]
        axes.scatter(np.nonzero(above)[0] + 1, np.nonzero(above)[1], s=2.5, c="k", linewidths=0.3, edgecolors="w")
        ticks = np.unique(np.linspace(1, len(epochs), min(len(epochs), 4)).round().astype(int))
        axes.set(title=title, ylim=(sal.shape[1] - 0.5, -0.5), xticks=ticks)
        axes.set_xticklabels([str(epochs[tick - 1]) for tick in ticks])
        axes.grid(visible=False)
        first_column = place % columns == 0
        axes.set_yticks(range(sal.shape[1]), run.result["layers"] if first_column else [], fontsize=4.5)
        axes.tick_params(length=1.5)
        if place + columns >= len(maps):
            axes.set_xlabel("epoch")
    figure.colorbar(image, ax=grid, label="SAL (dot: SAL > β)", shrink=0.9, pad=0.01, aspect=30)
    return figure


def learnable(one: Comparison, looks: Mapping[str, Look]) -> Figure:
    """Learnable layers over the epochs, mean ± standard deviation over the seeds."""
    figure = canvas(COLUMN, 2.3)
    axes = figure.subplots()
    reference = max(one.cells, key=lambda cell: (cell.is_clean, len(cell.runs)))
    series = [("clean", reference, "clean_learnable_layers")]
    for name, cell, key in [*series, *((cell.first.label, cell, "learnable_layers") for cell in one.methods)]:
        counts = np.array([run.result[key] for run in cell.runs], dtype=np.float64)
        epochs = cell.first.result["sal_epochs"]
        axes.plot(epochs, counts.mean(axis=0), label=name, **_line(looks[name], len(epochs)))
        _band(axes, epochs, counts, looks[name])
    axes.set(xlabel="epoch", ylabel="learnable layers")
    axes.set_ylim(bottom=0)
    figure.legend(loc="outside upper center", ncols=4)
    return figure


def curves(one: Comparison, looks: Mapping[str, Look]) -> Figure | None:
    """Test accuracy and training loss over the epochs, mean ± standard deviation over the seeds."""
    known = {name for cell in one.cells for epoch in cell.first.epoch_metrics for name in epoch}
    metrics = [name for name in ("test/acc", "train/acc", "train/loss") if name in known]
    if not metrics:
        return None
    figure = canvas(PAGE, 2.3)
    for axes, metric in zip(figure.subplots(1, len(metrics), squeeze=False)[0], metrics, strict=True):
        for cell in one.cells:
            values = _metric(cell, metric)
            epochs = np.arange(1, values.shape[1] + 1)
            axes.plot(
                epochs, values.mean(axis=0), label=cell.first.label, **_line(looks[cell.first.label], len(epochs))
            )
            _band(axes, epochs, values, looks[cell.first.label])
        axes.set(xlabel="epoch", ylabel=metric)
        if metric.endswith("acc"):
            axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
            axes.set_ylim(0, 1.02)
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=8)
    return figure


def _metric(cell: Cell, name: str) -> np.ndarray:
    rows = [[epoch.get(name, math.nan) for epoch in run.epoch_metrics] for run in cell.runs]
    shortest = min(map(len, rows))
    return np.array([row[:shortest] for row in rows], dtype=np.float64)


def _line(of: Look, points: int) -> dict[str, Any]:
    """Markers on a few points only, so that long runs stay lines."""
    return look(of, markevery=max(1, points // 8))


def _band(axes, epochs, values: np.ndarray, of: Look) -> None:  # type: ignore[no-untyped-def]
    if len(values) > 1:
        centre, spread = values.mean(axis=0), values.std(axis=0, ddof=1)
        axes.fill_between(
            epochs, (centre - spread).clip(min=0), centre + spread, color=of.colour, alpha=0.1, linewidth=0
        )
