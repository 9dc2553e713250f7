"""UD of every method, and UD against test accuracy."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from unlearnable.report.charts._figure import figure, known, marker
from unlearnable.report.style import PUBLISHED_COLOUR, Look, faint
from unlearnable.results.cells import Cell
from unlearnable.results.published import published


def distance_chart(cells: Sequence[Cell], looks: Mapping[str, Look]) -> go.Figure:
    """UD per method, lowest first: mean ± standard deviation, each seed, clean against clean, the published value."""
    shown = sorted((cell for cell in cells if not cell.is_clean and cell.spread), key=lambda cell: -cell.ud)
    names = [cell.first.label for cell in shown]
    chart = figure(
        x="UD (1: like clean data)",
        y="",
        height=150 + 44 * len(shown),
        x_axis={"rangemode": "tozero"},
        y_axis={"type": "category", "categoryorder": "array", "categoryarray": names, "showgrid": True},
    )
    _clean_band(chart, cells)
    chart.add_scatter(
        x=[ud for cell in shown if cell.spread for ud in cell.spread.by_seed.values()],
        y=[cell.first.label for cell in shown if cell.spread for _ in cell.spread.by_seed],
        text=[f"seed {seed}" for cell in shown if cell.spread for seed in cell.spread.by_seed],
        mode="markers",
        name="one seed",
        marker={"symbol": "line-ns-open", "size": 13, "color": "#666", "line": {"width": 1.5}},
        hovertemplate="%{y}, %{text}: %{x:.3f}<extra></extra>",
    )
    chart.add_scatter(
        x=[cell.ud for cell in shown],
        y=names,
        error_x={
            "array": [0 if math.isnan(cell.ud_std) else cell.ud_std for cell in shown],
            "thickness": 2,
            "width": 6,
        },
        mode="markers",
        name="mean ± standard deviation",
        marker={
            "size": 11,
            "symbol": [looks[name].marker[0] for name in names],
            "color": [looks[name].colour for name in names],
        },
        text=[cell.verdict for cell in shown],
        hovertemplate="%{y}: UD %{x:.3f}<br>%{text}<extra></extra>",
    )
    paper = [
        (cell, published(str(cell.first.result["dataset"]), str(cell.first.result["poison"])).ud) for cell in shown
    ]
    if any(ud is not None for _, ud in paper):
        chart.add_scatter(
            x=[ud for _, ud in paper if ud is not None],
            y=[cell.first.label for cell, ud in paper if ud is not None],
            mode="markers",
            name="paper (ResNet-18)",
            marker={"symbol": "diamond-tall-open", "size": 13, "color": PUBLISHED_COLOUR, "line": {"width": 1.5}},
            hovertemplate="%{y}, paper: %{x}<extra></extra>",
        )
    return chart


def _clean_band(chart: go.Figure, cells: Sequence[Cell]) -> None:
    """The line at 1 and the UDs of clean against clean as a band around it."""
    spread = next((cell.spread for cell in cells if cell.spread and cell.spread.clean_pairs), None)
    if spread is not None:
        low, high = min(spread.clean_pairs.values()), max(spread.clean_pairs.values())
        chart.add_vrect(x0=low, x1=high, fillcolor="#777", opacity=0.16, line_width=0, layer="below")
        chart.add_scatter(
            x=[None],
            y=[None],
            mode="markers",
            name="clean against clean, all pairs of seeds",
            marker={"symbol": "square", "size": 13, "color": faint("#777777", 0.3)},
        )
    chart.add_vline(x=1, line={"color": "#444", "width": 1.5, "dash": "dash"}, layer="below")


def accuracy_chart(cells: Sequence[Cell], looks: Mapping[str, Look]) -> go.Figure:
    """UD against test accuracy after the last epoch, each method a point with its standard deviations."""
    chart = figure(
        x="test accuracy, last epoch",
        y="UD",
        height=430,
        x_axis={"tickformat": ".0%", "rangemode": "tozero"},
        y_axis={"rangemode": "tozero"},
    )
    chart.update_layout(showlegend=False)
    chart.add_hline(y=1, line={"color": "#444", "width": 1.5, "dash": "dash"}, layer="below")
    if not any(cell.is_clean for cell in cells) and cells and not math.isnan(cells[0].figure("clean_test_acc")[0]):
        clean = cells[0].figure("clean_test_acc")[0]
        chart.add_scatter(
            x=[clean],
            y=[1],
            mode="markers+text",
            text=["clean"],
            textposition="bottom left",
            marker=marker(looks["clean"], size=12),
            hovertemplate="clean reference<br>test accuracy %{x:.1%}<extra></extra>",
        )
    for cell in cells:
        accuracy, spread = cell.figure("test_acc")
        if not cell.spread or math.isnan(accuracy):
            continue
        name = cell.first.label
        chart.add_scatter(
            x=[accuracy],
            y=[cell.ud],
            error_x={"array": [known(spread) or 0], "thickness": 1, "width": 4, "color": looks[name].colour},
            error_y={"array": [known(cell.ud_std) or 0], "thickness": 1, "width": 4, "color": looks[name].colour},
            mode="markers+text",
            text=[name],
            textposition="top right" if accuracy < 0.6 else "top left",
            cliponaxis=False,
            name=name,
            marker=marker(looks[name], size=12),
            hovertemplate=f"{name}<br>test accuracy %{{x:.1%}}<br>UD %{{y:.3f}}<extra></extra>",
        )
    return chart
