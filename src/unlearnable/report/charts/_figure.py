"""What all figures of the page share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from unlearnable.report.style import Look

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
GRID = "#e6e6e6"


def figure(
    *, x: str, y: str, height: int = 380, x_axis: dict[str, Any] | None = None, y_axis: dict[str, Any] | None = None
) -> go.Figure:
    """An empty figure with titled axes, its legend above the plot."""
    axis = {"gridcolor": GRID, "zeroline": False, "linecolor": "#888", "ticks": "outside", "automargin": True}
    layout = {
        "template": None,
        "height": height,
        "margin": {"l": 10, "r": 12, "t": 16, "b": 10},
        "font": {"family": FONT, "size": 13, "color": "#222"},
        "paper_bgcolor": "white",
        "plot_bgcolor": "white",
        "legend": {"orientation": "h", "yanchor": "bottom", "y": 1.02, "x": 0, "xanchor": "left"},
        "hoverlabel": {"font": {"family": FONT}},
        "xaxis": {**axis, "title": {"text": x}, **(x_axis or {})},
        "yaxis": {**axis, "title": {"text": y}, **(y_axis or {})},
    }
    return go.Figure(layout=layout)


def line(look: Look) -> dict[str, Any]:
    """A method's line."""
    return {"color": look.colour, "dash": look.dash[0], "width": 2}


def marker(look: Look, **more: Any) -> dict[str, Any]:
    """A method's marker."""
    return {"color": look.colour, "symbol": look.marker[0], "size": 9, **more}


def known(value: float) -> float | None:
    """The number, or None for NaN, which plotly leaves out."""
    return None if math.isnan(value) else value


def heat(
    values: np.ndarray,
    *,
    columns: Sequence[str],
    rows: Sequence[str],
    x: str,
    y: str,
    colours: str,
    low: float,
    high: float,
    unit: str,
    texts: Sequence[Sequence[str]] | None = None,
    height: int | None = None,
) -> go.Figure:
    """A small matrix `[rows, columns]` as a heat map whose cells say their values."""
    if texts is None:
        texts = [["–" if math.isnan(value) else f"{value:.2f}" for value in row] for row in values]
    chart = figure(
        x=x,
        y=y,
        height=height or 150 + 42 * len(rows),
        x_axis={"type": "category", "showgrid": False},
        y_axis={"type": "category", "autorange": "reversed", "showgrid": False},
    )
    chart.update_layout(meta={"columns": len(columns)})  # the page scrolls wide ones on narrow screens
    chart.add_heatmap(
        z=[[known(float(value)) for value in row] for row in values],
        x=list(columns),
        y=list(rows),
        text=[list(row) for row in texts],
        texttemplate="%{text}",
        colorscale=colours,
        zmin=low,
        zmax=high,
        xgap=2,
        ygap=2,
        colorbar={"title": {"text": unit, "side": "right"}, "thickness": 12},
        hovertemplate=f"{y} %{{y}}<br>{x} %{{x}}<br>%{{text}}<extra></extra>",
    )
    return chart
