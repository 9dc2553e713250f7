"""SAL by layer and epoch, learnable layers over epochs, and the distribution of SAL around β."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from unlearnable.report.charts._figure import figure, known, line
from unlearnable.report.style import SEQUENTIAL, Look, faint
from unlearnable.results.cells import Cell
from unlearnable.results.records import Run


def sal_maps(run: Run) -> tuple[go.Figure, go.Figure]:
    """SAL of one run and of its clean reference, layer × epoch on one logarithmic scale; a dot marks SAL > β."""
    both = np.concatenate([run.sal.ravel(), run.clean_sal.ravel()])
    positive = both[np.isfinite(both) & (both > 0)]
    low, high = (math.log10(positive.min()), math.log10(positive.max())) if positive.size else (-1.0, 0.0)
    beta = float(run.result["beta"])
    high = max(high, low + 1e-6)
    return _sal_map(run, run.clean_sal, beta, low, high), _sal_map(run, run.sal, beta, low, high)


def _sal_map(run: Run, sal: np.ndarray, beta: float, low: float, high: float) -> go.Figure:
    layers, epochs = list(run.result["layers"]), list(run.result["sal_epochs"])
    marked = math.log10(beta) if beta > 0 else math.inf
    decades = range(math.ceil(low), math.floor(high) + 1)
    free = [float(tick) for tick in decades if abs(tick - marked) > 0.12 * (high - low)]  # the labels would overlap
    ticks = [*free, *([marked] if math.isfinite(marked) else [])]
    names = [*(f"{10.0**tick:g}" for tick in free), *([f"<b>β {beta:.2g}</b>"] if math.isfinite(marked) else [])]
    chart = figure(
        x="epoch",
        y="",
        height=150 + 21 * len(layers),
        x_axis={"showgrid": False, "type": "category" if len(epochs) <= 12 else "linear"},
        y_axis={"type": "category", "autorange": "reversed", "showgrid": False, "tickfont": {"size": 11}},
    )
    chart.update_layout(showlegend=False)
    with np.errstate(divide="ignore", invalid="ignore"):
        logarithm = np.log10(np.where(sal > 0, sal, np.nan))
    chart.add_heatmap(
        z=logarithm.T.astype(np.float32),
        x=epochs,
        y=layers,
        customdata=sal.T.astype(np.float32),
        colorscale=SEQUENTIAL[0],
        zmin=low,
        zmax=high,
        colorbar={"title": {"text": "SAL", "side": "right"}, "tickvals": ticks, "ticktext": names, "thickness": 12},
        hovertemplate="%{y}<br>epoch %{x}: SAL %{customdata:.4g}<extra></extra>",
    )
    rows, columns = np.nonzero(np.nan_to_num(sal) > beta)
    chart.add_scatter(
        x=[epochs[row] for row in rows],
        y=[layers[column] for column in columns],
        mode="markers",
        marker={"symbol": "circle", "size": 6, "color": "#000", "line": {"color": "#fff", "width": 1}},
        hoverinfo="skip",
    )
    return chart


def learnable_chart(cells: Sequence[Cell], looks: Mapping[str, Look]) -> go.Figure:
    """Learnable layers over the epochs, mean over the seeds, and those of the clean references."""
    chart = figure(x="epoch", y="learnable layers (SAL > β)", height=400, y_axis={"rangemode": "tozero"})
    references = [cell for cell in cells if cell.is_clean] or sorted(cells, key=lambda cell: -len(cell.runs))[:1]
    series = [("clean", references[0].runs, "clean_learnable_layers")] if references else []
    series += [(cell.first.label, cell.runs, "learnable_layers") for cell in cells if not cell.is_clean]
    for name, runs, key in series:
        counts = np.array([run.result[key] for run in runs], dtype=np.float64)
        epochs = list(runs[0].result["sal_epochs"])
        _band(chart, epochs, counts, looks[name])
        chart.add_scatter(
            x=epochs,
            y=counts.mean(axis=0).round(3).tolist(),
            mode="lines+markers",
            name=name,
            line=line(looks[name]),
            marker={"symbol": looks[name].marker[0], "size": 7},
            hovertemplate=f"{name}, epoch %{{x}}: %{{y:.2f}}<extra></extra>",
        )
    return chart


def distribution_chart(cells: Sequence[Cell], looks: Mapping[str, Look]) -> go.Figure:
    """SAL of all layers and epochs, a box a method, on a logarithmic scale with β as a line."""
    chart = figure(x="", y="SAL", height=400, y_axis={"type": "log", "tickformat": "~g", "dtick": 1})
    chart.update_layout(showlegend=False)
    series = [("clean", [run.clean_sal for run in cells[0].runs])] if not any(cell.is_clean for cell in cells) else []
    series += [(cell.first.label, [run.sal for run in cell.runs]) for cell in cells]
    for name, arrays in series:
        values = np.concatenate([array.ravel() for array in arrays])
        values = np.sort(values[np.isfinite(values) & (values > 0)])
        if not values.size:
            continue
        low, q1, median, q3, high = np.quantile(values, [0.025, 0.25, 0.5, 0.75, 0.975])
        chart.add_box(
            x=[name],
            lowerfence=[low],
            q1=[q1],
            median=[median],
            q3=[q3],
            upperfence=[high],
            name=name,
            marker={"color": looks[name].colour},
            width=0.5,
        )
    beta = cells[0].figure("beta")[0]
    if beta > 0:
        chart.add_hline(y=beta, line={"color": "#000", "width": 1.5, "dash": "dash"})
        # On a logarithmic axis a note's place is the logarithm.
        place = {"x": 1, "xref": "paper", "xanchor": "right", "y": math.log10(beta), "yanchor": "bottom"}
        chart.add_annotation(text=f"β = {beta:.3g}", showarrow=False, font={"size": 12}, **place)
    return chart


def curve_chart(cells: Sequence[Cell], looks: Mapping[str, Look], metric: str) -> go.Figure:
    """A metric over the epochs, mean over the seeds with their standard deviation as a band."""
    is_accuracy = metric.endswith("acc")
    chart = figure(
        x="epoch", y=metric, height=400, y_axis={"tickformat": ".0%"} if is_accuracy else {"rangemode": "tozero"}
    )
    for cell in cells:
        rows = [[epoch.get(metric, math.nan) for epoch in run.epoch_metrics] for run in cell.runs]
        shortest = min(map(len, rows), default=0)
        values = np.array([row[:shortest] for row in rows], dtype=np.float64)
        if not values.size or not np.isfinite(values).any():
            continue
        name, epochs = cell.first.label, list(range(1, shortest + 1))
        _band(chart, epochs, values, looks[name])
        chart.add_scatter(
            x=epochs,
            y=[known(float(value)) for value in values.mean(axis=0).round(5)],
            mode="lines+markers",
            name=name,
            line=line(looks[name]),
            marker={"symbol": looks[name].marker[0], "size": 6},
            hovertemplate=f"{name}, epoch %{{x}}: %{{y:{'.1%' if is_accuracy else '.4g'}}}<extra></extra>",
        )
    return chart


def _band(chart: go.Figure, epochs: Sequence[int], values: np.ndarray, look: Look) -> None:
    """Mean ± standard deviation over the rows of `values` `[seeds, epochs]`; nothing for one seed."""
    if len(values) < 2:
        return
    centre, spread = values.mean(axis=0), values.std(axis=0, ddof=1)
    edges = np.concatenate([centre + spread, (centre - spread)[::-1]]).clip(min=0).round(4)  # none can be negative
    chart.add_scatter(
        x=[*epochs, *epochs[::-1]],
        y=[known(float(edge)) for edge in edges],
        fill="toself",
        fillcolor=faint(look.colour, 0.1),
        line={"width": 0},
        mode="lines",
        hoverinfo="skip",
        showlegend=False,
    )
