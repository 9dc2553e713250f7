"""Draws a chart for the page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from unlearnable.report.chart import Axis, Chart, Heat, Place, Series, lifts, reaches
from unlearnable.report.style import CLEAN_COLOUR, Look, faint

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
_GRID = "#e6e6e6"
_WIDTH = 400  # of a plot in pixels, about, where two stand side by side
_DASHED = {"color": CLEAN_COLOUR, "width": 1.5, "dash": "dash"}


def draw(chart: Chart) -> go.Figure:
    """The chart as a plotly figure."""
    figure = go.Figure(layout=_layout(chart))
    if chart.heat is not None:
        _heat(figure, chart.heat, chart)
    if chart.span is not None:
        _span(figure, *chart.span)
    for guide in chart.guides:
        if guide.x is not None:
            figure.add_vline(x=guide.x, line=_DASHED, layer="below")
        if guide.y is not None:
            figure.add_hline(y=guide.y, line=_DASHED, layer="below")
            if guide.words:
                place = {"x": 1, "xref": "paper", "xanchor": "right", "y": _on(chart.y, guide.y), "yanchor": "bottom"}
                figure.add_annotation(text=guide.words, showarrow=False, **place)
    for box in chart.boxes:
        sides = {"lowerfence": [box.low], "q1": [box.first_quartile], "median": [box.median]}
        sides |= {"q3": [box.third_quartile], "upperfence": [box.high]}
        figure.add_box(x=[box.name], name=box.name, marker={"color": box.look.colour}, width=0.5, **sides)
    for series in chart.series:
        if len(series.band):
            _band(figure, series)
    for series in chart.series:
        figure.add_scatter(**_scatter(series, chart))
    _label(figure, chart)
    return figure


def _layout(chart: Chart) -> dict[str, Any]:
    return {
        "template": None,
        "height": _height(chart),
        "margin": {"l": 10, "r": 12, "t": 16, "b": 10},
        "font": {"family": FONT, "size": 13, "color": "#222"},
        "paper_bgcolor": "white",
        "plot_bgcolor": "white",
        "legend": {"orientation": "h", "yanchor": "bottom", "y": 1.02, "x": 0, "xanchor": "left"},
        "showlegend": chart.legend and chart.heat is None,
        "hoverlabel": {"font": {"family": FONT}},
        "xaxis": _axis(chart.x, chart, upwards=False),
        "yaxis": _axis(chart.y, chart, upwards=True),
        # The page scrolls wide matrices on narrow screens.
        **({"meta": {"columns": len(chart.heat.columns)}} if chart.heat is not None and chart.heat.texts else {}),
    }


def _height(chart: Chart) -> int:
    if chart.heat is not None:
        longest = max((len(str(name)) for name in chart.heat.columns), default=0)
        return 150 + (42 if chart.heat.texts else 21) * len(chart.heat.rows) + (7 * longest if longest > 12 else 0)
    return 150 + 44 * len(chart.y.categories) if chart.y.scale == "category" else 400


def _axis(axis: Axis, chart: Chart, *, upwards: bool) -> dict[str, Any]:
    made: dict[str, Any] = {
        "gridcolor": _GRID,
        "zeroline": False,
        "linecolor": "#888",
        "ticks": "outside",
        "automargin": True,
        "title": {"text": axis.title},
        "type": axis.scale,
        "showgrid": chart.heat is None,
    }
    if axis.percent:
        made["tickformat"] = ".0%"
    if axis.whole:
        places = [float(place) for series in chart.series for place in series.x]
        made |= {"tick0": 0, "dtick": _step(max(places, default=1) - min(places, default=0))}
    if axis.from_zero:
        made["rangemode"] = "tozero"
    if axis.ticks:
        made |= {"tickvals": list(axis.ticks), "ticktext": [f"{tick:g}" for tick in axis.ticks]}
    if axis.categories:
        made |= {"categoryorder": "array", "categoryarray": list(axis.categories)}
    if upwards and axis.scale == "category":
        made["autorange"] = "reversed"  # the first name is at the top
        if chart.heat is not None and not chart.heat.texts:
            made["tickfont"] = {"size": 11}
    return made


def _scatter(series: Series, chart: Chart) -> dict[str, Any]:
    looks = series.look if isinstance(series.look, Sequence) else [series.look]
    marker: dict[str, Any] = {"size": 7 if series.joined else 11, "symbol": [look.marker[0] for look in looks]}
    marker["color"] = [look.colour for look in looks]
    if len(looks) == 1:
        marker |= {"symbol": looks[0].marker[0], "color": looks[0].colour}
    if not series.joined and looks[0].marker[0].endswith("-open"):
        marker |= {"size": 13, "line": {"width": 1.5}}
    value, other = ("%{x", "%{y") if chart.y.scale == "category" else ("%{y", "%{x")
    percent = chart.x.percent if value == "%{x" else chart.y.percent
    text = f"{series.name}, {other}}}: {value}:{'.1%' if percent else '.4g'}}}"
    made: dict[str, Any] = {
        "x": _known(series.x),
        "y": _known(series.y),
        "name": series.name,
        "mode": "lines+markers" if series.joined else "markers",
        "marker": marker,
        "hovertemplate": text + ("<br>%{customdata}" if len(series.notes) else "") + "<extra></extra>",
    }
    if series.joined:
        made["line"] = {"color": looks[0].colour, "dash": looks[0].dash[0], "width": 2}
    if len(series.notes):
        made["customdata"] = list(series.notes)
    for name, places, ranges in (("error_x", series.x, series.x_range), ("error_y", series.y, series.y_range)):
        if len(ranges):
            below, above = reaches(places, ranges).tolist()
            made[name] = {"array": above, "arrayminus": below, "symmetric": False, "thickness": 1.5, "width": 5}
    return made


def _step(span: float) -> int:
    """A whole distance of ticks, of which no more than ten cover a span."""
    return next(
        step * 10**power for power in range(9) for step in (1, 2, 5) if span <= 10 * step * 10**power or power == 8
    )


def _label(figure: go.Figure, chart: Chart) -> None:
    """Writes each point's name beside it, one above the other where points are close."""
    points = [
        (series.labels[place], _on(chart.x, series.x[place]), _on(chart.y, series.y[place]))
        for series in chart.series
        for place in range(len(series.labels))
    ]
    points = [point for point in points if math.isfinite(point[1] + point[2])]
    columns = _pixels([x for _, x, _ in points], chart.x, _WIDTH)
    rows = _pixels([y for _, _, y in points], chart.y, _height(chart) - 100)
    above = lifts(list(zip(columns, rows, strict=True)), near=70, line=14)
    for (name, x, y), column, lift in zip(points, columns, above, strict=True):
        side, shift = ("right", -6) if column > 0.75 * _WIDTH else ("left", 6)
        figure.add_annotation(
            text=name, showarrow=False, x=x, y=y, xanchor=side, xshift=shift, yshift=lift, font={"size": 12}
        )


def _on(axis: Axis, place: Place) -> float:
    """Where a number lies for annotations, which on a logarithmic axis take its logarithm."""
    if axis.scale != "log":
        return float(place)
    return math.log10(float(place)) if float(place) > 0 else math.nan


def _pixels(values: Sequence[float], axis: Axis, length: float) -> list[float]:
    """About how far values lie along an axis of this length."""
    low, high = min(values, default=0), max(values, default=1)
    low = min(low, 0) if axis.from_zero else low
    return [length * (value - low) / (high - low or 1) for value in values]


def _known(values: Sequence[Place]) -> list[Place | None]:
    """Numbers to eight digits, None for NaN: plotly leaves it out."""
    shown: list[Place | None] = []
    for value in values:
        if isinstance(value, str):
            shown.append(value)
        else:
            shown.append(None if math.isnan(value) else float(f"{value:.8g}"))
    return shown


def _band(figure: go.Figure, series: Series) -> None:
    look = series.look
    assert isinstance(look, Look)
    centre, half = np.array(series.y, dtype=np.float64), np.array(series.band, dtype=np.float64)
    edges = np.concatenate([centre + half, (centre - half)[::-1]]).clip(min=0)  # what has a band is never negative
    figure.add_scatter(
        x=[*series.x, *reversed(series.x)],
        y=_known(edges.tolist()),
        fill="toself",
        fillcolor=faint(look.colour, 0.1),
        line={"width": 0},
        mode="lines",
        hoverinfo="skip",
        showlegend=False,
    )


def _span(figure: go.Figure, name: str, low: float, high: float) -> None:
    figure.add_vrect(x0=low, x1=high, fillcolor="#777", opacity=0.16, line_width=0, layer="below")
    square = {"symbol": "square", "size": 13, "color": faint("#777777", 0.3)}
    figure.add_scatter(x=[None], y=[None], mode="markers", name=name, marker=square)


def _heat(figure: go.Figure, heat: Heat, chart: Chart) -> None:
    columns, rows = [str(name) for name in heat.columns], list(heat.rows)
    scale: dict[str, Any] = {"zmin": heat.low, "zmax": heat.high}
    bar: dict[str, Any] = {"title": {"text": heat.unit, "side": "right"}, "thickness": 12}
    values = heat.values
    if heat.logarithmic:
        with np.errstate(divide="ignore", invalid="ignore"):
            values = np.log10(np.where(values > 0, values, np.nan))
        low, high = math.log10(heat.low), math.log10(heat.high)
        scale, bar = {"zmin": low, "zmax": high}, {**bar, **_ticks(heat, low, high)}
    x, y = chart.x.title or "", chart.y.title or ""
    said = "%{text}" if heat.texts else "%{customdata}" if heat.notes else "%{customdata:.4g}"
    figure.add_heatmap(
        z=_short(values),
        x=columns,
        y=rows,
        colorscale=heat.colours[0],
        colorbar=bar,
        **scale,
        **(
            {"text": [list(row) for row in heat.texts], "texttemplate": "%{text}", "xgap": 2, "ygap": 2}
            if heat.texts
            else {"customdata": [list(row) for row in heat.notes] or _short(heat.values)}
        ),
        hovertemplate=f"{y} %{{y}}<br>{x} %{{x}}: {said}<extra></extra>",
    )
    if heat.dots is not None:
        places = list(zip(*np.nonzero(heat.dots), strict=True))
        figure.add_scatter(
            x=[columns[column] for _, column in places],
            y=[rows[row] for row, _ in places],
            mode="markers",
            marker={"symbol": "circle", "size": 6, "color": "#000", "line": {"color": "#fff", "width": 1}},
            hoverinfo="skip",
        )


def _ticks(heat: Heat, low: float, high: float) -> dict[str, Any]:
    """Powers of ten on the scale and the marked value, whose label must not overlap theirs."""
    marked = None if heat.mark is None else math.log10(heat.mark[0])
    free = [
        float(decade)
        for decade in range(math.ceil(low), math.floor(high) + 1)
        if marked is None or abs(decade - marked) > 0.12 * (high - low)
    ]
    names = [f"{10.0**tick:g}" for tick in free]
    if heat.mark is not None and marked is not None:
        free.append(marked)
        names.append(f"<b>{heat.mark[1]} {heat.mark[0]:.2g}</b>")
    return {"tickvals": free, "ticktext": names}


def _short(values: np.ndarray) -> list[list[float | None]]:
    """Rows of numbers with four digits, which keeps the page small."""
    return [[None if math.isnan(value) else float(f"{value:.4g}") for value in row] for row in values.tolist()]
