"""Sensitivity of UD to how SAL is measured, transfer of β, and multi-task jobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from unlearnable.report.charts._figure import figure, heat, known, line, marker
from unlearnable.report.style import DIVERGING, SEQUENTIAL, Look
from unlearnable.report.sweep import pm
from unlearnable.results.cells import Cell
from unlearnable.results.ranking import RankingStability
from unlearnable.results.thresholds import Transfer


def axis_chart(
    series: Mapping[str, Sequence[tuple[float, float, float]]],
    looks: Mapping[str, Look],
    *,
    axis: str,
    logarithmic: bool,
) -> go.Figure:
    """UD over one numeric axis.

    Args:
        series: Method → (place on the axis, mean UD, its standard deviation), ascending.
        looks: Of the methods.
        axis: The axis' title.
        logarithmic: Whether its places are spread over orders of magnitude.
    """
    chart = figure(
        x=axis, y="UD", height=400, x_axis={"type": "log" if logarithmic else "linear"}, y_axis={"rangemode": "tozero"}
    )
    places = sorted({place for points in series.values() for place, _, _ in points})
    chart.update_xaxes(tickvals=places, ticktext=[f"{place:g}" for place in places])
    chart.add_hline(y=1, line={"color": "#444", "width": 1.5, "dash": "dash"}, layer="below")
    for name, points in series.items():
        chart.add_scatter(
            x=[place for place, _, _ in points],
            y=[known(mean) for _, mean, _ in points],
            error_y={"array": [known(spread) or 0 for _, _, spread in points], "thickness": 1, "width": 4},
            mode="lines+markers",
            name=name,
            line=line(looks[name]),
            marker=marker(looks[name]),
            hovertemplate=f"{name}, {axis} %{{x}}: UD %{{y:.3f}}<extra></extra>",
        )
    return chart


def grid_chart(cells: Sequence[Cell]) -> go.Figure:
    """UD of one method over ε × steps."""
    radii = sorted({float(cell.first.result["eps"]) for cell in cells})
    steps = sorted({int(cell.first.result["steps"]) for cell in cells})
    values = np.full((len(radii), len(steps)), np.nan)
    texts = [["–"] * len(steps) for _ in radii]
    for cell in cells:
        row, column = radii.index(float(cell.first.result["eps"])), steps.index(int(cell.first.result["steps"]))
        values[row, column], texts[row][column] = cell.ud, pm(cell.ud, cell.ud_std, 2)
    highest = float(np.nanmax(values)) if np.isfinite(values).any() else 1.0
    return heat(
        values,
        columns=[str(step) for step in steps],
        rows=[f"{radius:g}" for radius in radii],
        x="SAL steps",
        y="ε",
        colours=SEQUENTIAL[0],
        low=0,
        high=max(highest, 1e-9),
        unit="UD",
        texts=texts,
    )


def stability_chart(stability: RankingStability) -> go.Figure:
    """Kendall's τ of the methods' order between each two settings."""
    return heat(
        stability.tau,
        columns=stability.settings,
        rows=stability.settings,
        x="",
        y="",
        colours=DIVERGING[0],
        low=-1,
        high=1,
        unit="Kendall's τ",
        height=220 + 40 * len(stability.settings),
    )


def transfer_chart(transfer: Transfer, method: str) -> go.Figure:
    """UD of one method on each target at each source's β."""
    values = transfer.ud[:, :, transfer.methods.index(method)]
    highest = float(np.nanmax(values)) if np.isfinite(values).any() else 1.0
    rows = [f"β of {name} ({beta:.3g})" for name, beta in zip(transfer.settings, transfer.beta, strict=True)]
    return heat(
        values,
        columns=[f"on {name}" for name in transfer.settings],
        rows=rows,
        x="",
        y="",
        colours=SEQUENTIAL[0],
        low=0,
        high=max(highest, 1e-9),
        unit="UD",
    )


def conflict_chart(matrix: np.ndarray, tasks: Sequence[str]) -> go.Figure:
    """Cosine similarity between tasks: −1 opposed, 1 agreed."""
    return heat(
        matrix,
        columns=tasks,
        rows=tasks,
        x="",
        y="",
        colours=DIVERGING[0],
        low=-1,
        high=1,
        unit="cosine",
        height=260 + 34 * len(tasks),
    )


def tasks_chart(cells: Sequence[Cell], looks: Mapping[str, Look]) -> go.Figure:
    """UD of each task, methods side by side."""
    chart = figure(x="", y="UD", height=420, y_axis={"rangemode": "tozero"}, x_axis={"type": "category"})
    chart.add_hline(y=1, line={"color": "#444", "width": 1.5, "dash": "dash"}, layer="below")
    for name in dict.fromkeys(cell.first.label for cell in cells if not cell.is_clean):
        shown = [cell for cell in cells if cell.first.label == name]
        chart.add_scatter(
            x=[cell.first.task for cell in shown],
            y=[known(cell.ud) for cell in shown],
            error_y={"array": [known(cell.ud_std) or 0 for cell in shown], "thickness": 1, "width": 4},
            mode="markers",
            name=name,
            marker=marker(looks[name], size=11),
            hovertemplate=f"{name}, %{{x}}: UD %{{y:.3f}}<extra></extra>",
        )
    return chart
