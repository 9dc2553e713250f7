"""Draws charts for papers: PNG and PDF, as wide as a column of text or as a page."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from unlearnable.files import whole_file
from unlearnable.report.chart import Chart, Heat, Place, Series, lifts, reaches
from unlearnable.report.style import CLEAN_COLOUR, DIVERGING, Look

#: Width in inches of a text column and of a page in the usual templates.
COLUMN, PAGE = 3.4, 6.9
#: Characters of titles for which a page has room, side by side.
TITLES = 80

_STYLE: Mapping[str, Any] = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.6,
    "pdf.fonttype": 42,  # text stays text: journals refuse Type 3 fonts
    "savefig.bbox": "tight",
    "savefig.pad_inches": 0.02,
}


@contextmanager
def style() -> Iterator[None]:
    """Matplotlib's settings, for the figures made within the block only."""
    import matplotlib as mpl

    logging.getLogger("fontTools").setLevel(logging.WARNING)  # says what it does with each font, in every job's log
    with mpl.rc_context(dict(_STYLE)):
        yield


def canvas(width: float, height: float) -> Figure:
    """An empty figure, apart from any display and from pyplot's state."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save(figure: Figure, folder: Path, name: str, kinds: Sequence[str] = ("png", "pdf")) -> list[Path]:
    """Writes PNG (200 dots an inch) and PDF, each whole or not at all."""
    paths = []
    for kind in kinds:
        path = folder / f"{name}.{kind}"
        with whole_file(path) as temporary:
            # No date: the same numbers give the same file.
            figure.savefig(temporary, format=kind, dpi=200, metadata={"CreationDate": None} if kind == "pdf" else None)
        paths.append(path)
    return paths


def draw(charts: Sequence[Chart], *, columns: int = 0) -> Figure:
    """Charts as one figure, side by side in `columns`, by default all in a row; matrices share one colour scale."""
    columns = min(columns or len(charts), len(charts))
    if (first := charts[0].heat) is not None and first.texts:  # as many as leave the texts room
        columns = max(1, min(columns, int(PAGE / (0.7 + 0.36 * len(first.columns)))))
    rows = -(-len(charts) // columns)
    figure = canvas(*_size(charts, rows))
    grid = figure.subplots(rows, columns, squeeze=False)
    for place, axes in enumerate(grid.ravel()):
        if place >= len(charts):
            axes.set_axis_off()
            continue
        _draw(axes, charts[place], first_column=place % columns == 0, last_row=place + columns >= len(charts))
        if len(axes.get_title()) > TITLES / columns:  # else it runs into its neighbour's
            axes.set_title(axes.get_title().replace(", ", "\n", 1))
    heat = charts[-1].heat
    if heat is not None:
        shared = len(charts) > 1
        bar = figure.colorbar(
            grid.ravel()[len(charts) - 1].collections[0],
            ax=grid,
            label=heat.unit,
            shrink=0.9 if shared else 0.8,
            pad=0.01 if shared else 0.05,
            aspect=30 if shared else 20,
        )
        if heat.mark is not None and len({chart.heat.mark for chart in charts if chart.heat}) == 1:
            bar.ax.axhline(heat.mark[0], color="k", linewidth=1.2)
            at_left: dict[str, Any] = {"transform": bar.ax.get_yaxis_transform(), "ha": "right", "va": "center"}
            bar.ax.text(-0.3, heat.mark[0], heat.mark[1], fontsize=7, **at_left)
    handles = {label: handle for axes in grid.ravel() for handle, label in zip(*axes.get_legend_handles_labels())}  # noqa: B905
    if handles and charts[0].legend:
        figure.legend(handles.values(), handles.keys(), loc="outside upper center", ncols=3 if len(handles) < 4 else 4)
    return figure


def _size(charts: Sequence[Chart], rows: int) -> tuple[float, float]:
    """Inches."""
    first = charts[0]
    if first.heat is not None:
        names = max(len(chart.heat.rows) for chart in charts if chart.heat)
        if not first.heat.texts:
            height = 0.13 if _named(first.heat) else 0.085
            return (PAGE if len(charts) > 1 else COLUMN, 0.4 + rows * (0.5 + height * names))
        if len(charts) == 1:
            return min(PAGE, 1.9 + 0.36 * len(first.heat.columns)), 1.3 + 0.34 * names
        return PAGE, rows * (1.0 + 0.28 * names) + 0.6
    if first.y.scale == "category":
        return COLUMN if len(charts) == 1 else PAGE, 0.9 + 0.24 * len(first.y.categories)
    return (COLUMN if len(charts) == 1 and len(first.x.categories) < 6 else PAGE), 2.4 * rows


def _named(heat: Heat) -> bool:
    """Whether every column has a name to be read, where numbers can be left out."""
    return bool(heat.texts) or isinstance(heat.columns[0], str)


def _draw(axes: Axes, chart: Chart, *, first_column: bool, last_row: bool) -> None:
    if chart.heat is not None:
        _heat(axes, chart.heat, first_column=first_column)
    if chart.span is not None:
        axes.axvspan(*chart.span[1:], color="#777", alpha=0.18, linewidth=0, label=chart.span[0])
    for guide in chart.guides:
        if guide.x is not None:
            axes.axvline(guide.x, color=CLEAN_COLOUR, linestyle="--", linewidth=0.9)
        if guide.y is not None:
            axes.axhline(guide.y, color=CLEAN_COLOUR, linestyle="--", linewidth=0.9)
            if guide.words:
                place = (0.99, guide.y)
                axes.text(
                    *place, guide.words, transform=axes.get_yaxis_transform(), ha="right", va="bottom", fontsize=7
                )
    _boxes(axes, chart)
    for number, series in enumerate(chart.series):
        _series(axes, series, chart, number)
    if chart.heat is None:
        _scales(axes, chart)
    if last_row or chart.heat is None:
        axes.set_xlabel(chart.x.title)
    if first_column or chart.heat is None:
        axes.set_ylabel(chart.y.title)
    if chart.title:
        axes.set_title(chart.title)
    labelled = [
        (series.labels[i], series.x[i], series.y[i]) for series in chart.series for i in range(len(series.labels))
    ]
    _label(axes, labelled)


def _scales(axes: Axes, chart: Chart) -> None:
    for axis, of in ((axes.xaxis, chart.x), (axes.yaxis, chart.y)):
        if of.scale == "log":
            (axes.set_xscale if axis is axes.xaxis else axes.set_yscale)("log")
        if of.categories:
            axis.set_ticks(range(len(of.categories)), of.categories)
        if of.ticks:
            axis.set_ticks(of.ticks, [f"{tick:g}" for tick in of.ticks])
            axis.set_ticks([], minor=True)
        if of.whole:
            axis.set_major_locator(MaxNLocator(integer=True))
        if of.percent:
            axis.set_major_formatter(PercentFormatter(1, decimals=0))
    if chart.x.from_zero:
        axes.set_xlim(left=min(0.0, axes.dataLim.x0))
    if chart.y.from_zero:
        axes.set_ylim(bottom=min(0.0, axes.dataLim.y0))
    if chart.y.scale == "category":
        axes.set_ylim(len(chart.y.categories) - 0.5, -0.5)  # the first name is at the top
    if chart.x.scale == "category":
        for label in axes.get_xticklabels():
            label.set(rotation=20, ha="right")


def _places(values: Sequence[Place], categories: Sequence[str]) -> list[float]:
    return [float(categories.index(value) if isinstance(value, str) else value) for value in values]


def _series(axes: Axes, series: Series, chart: Chart, number: int) -> None:
    x, y = _places(series.x, chart.x.categories), _places(series.y, chart.y.categories)
    if chart.x.scale == "category":  # side by side within a category
        offset = (number - (len(chart.series) - 1) / 2) * 0.7 / len(chart.series)
        x = [place + offset for place in x]
    ranges = (("xerr", series.x, series.x_range), ("yerr", series.y, series.y_range))
    errors: dict[str, Any] = {name: reaches(places, ends) for name, places, ends in ranges if len(ends)}
    errors = {name: error for name, error in errors.items() if error.any()}
    if isinstance(series.look, Look):
        line = _look(series.look, joined=series.joined, points=len(x))
        label = series.name if chart.legend else None
        axes.errorbar(x, y, label=label, capsize=2, **errors, **line)
        if len(series.band):
            centre, half = np.array(y), np.array(series.band, dtype=np.float64)
            axes.fill_between(
                x, (centre - half).clip(min=0), centre + half, color=series.look.colour, alpha=0.1, linewidth=0
            )
        return
    for place, look in enumerate(series.look):
        own = {name: error[:, place : place + 1] for name, error in errors.items()}
        axes.errorbar(x[place : place + 1], y[place : place + 1], capsize=2.5, **own, **_look(look))


def _look(of: Look, *, joined: bool = False, points: int = 1) -> dict[str, Any]:
    """A method's colour, marker and dash for `errorbar`; markers on a few points only, so that long runs stay lines."""
    made: dict[str, Any] = {
        "color": of.colour,
        "marker": of.marker[1],
        "markersize": 4 if joined else 5,
        "linewidth": 1.2,
    }
    made |= {"linestyle": of.dash[1], "markevery": max(1, points // 8)} if joined else {"linestyle": ""}
    return made | ({"markerfacecolor": "none", "markeredgewidth": 0.8} if of.hollow else {})


def _boxes(axes: Axes, chart: Chart) -> None:
    if not chart.boxes:
        return
    sides = [
        {
            "med": b.median,
            "q1": b.first_quartile,
            "q3": b.third_quartile,
            "whislo": b.low,
            "whishi": b.high,
            "label": b.name,
        }
        for b in chart.boxes
    ]
    drawn = axes.bxp(sides, positions=range(len(sides)), showfliers=False, widths=0.5)
    for number, box in enumerate(chart.boxes):
        parts = [drawn["boxes"][number], drawn["medians"][number]]
        for part in [
            *parts,
            *drawn["whiskers"][2 * number : 2 * number + 2],
            *drawn["caps"][2 * number : 2 * number + 2],
        ]:
            part.set_color(box.look.colour)


def _heat(axes: Axes, heat: Heat, *, first_column: bool) -> None:
    rows, columns = heat.values.shape
    edges = (np.arange(columns + 1) - 0.5, np.arange(rows + 1) - 0.5)
    axes.pcolormesh(*edges, np.ma.masked_invalid(heat.values), norm=_norm(heat), cmap=heat.colours[1], rasterized=True)
    if heat.dots is not None:
        places = np.nonzero(heat.dots)
        axes.scatter(places[1], places[0], s=2.5, c="k", linewidths=0.3, edgecolors="w")
    for row, texts in enumerate(heat.texts):
        for column, text in enumerate(texts):
            axes.text(
                column, row, text, ha="center", va="center", fontsize=6, color=_ink(heat, heat.values[row, column])
            )
    axes.set_ylim(rows - 0.5, -0.5)
    named = _named(heat)
    few = range(columns) if named else np.unique(np.linspace(0, columns - 1, min(columns, 4)).round().astype(int))
    turned: dict[str, Any] = {"rotation": 45, "ha": "right", "fontsize": 6} if named else {}
    axes.set_xticks(list(few), [str(heat.columns[place]) for place in few], **turned)
    axes.set_yticks(range(rows), heat.rows if first_column else [], fontsize=6 if named else 4.5)
    axes.tick_params(length=1.5)
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _ink(heat: Heat, value: float) -> str:
    """White where the colour is dark: at both ends of a diverging map, at the low end of a sequential one."""
    share = float(_norm(heat)(value))
    if np.isnan(share):
        return "k"
    return "w" if (share < 0.2 or share > 0.8 if heat.colours == DIVERGING else share < 0.5) else "k"


def _norm(heat: Heat) -> Normalize:
    return LogNorm(heat.low, heat.high) if heat.logarithmic else Normalize(heat.low, heat.high)


def _label(axes: Axes, points: Sequence[tuple[str, Any, Any]]) -> None:
    """Writes each point's name beside it, one above the other where points are close."""
    right = axes.get_xlim()[1] - 0.2 * (axes.get_xlim()[1] - axes.get_xlim()[0])
    places = [tuple(axes.transData.transform((x, y)) * 72 / axes.figure.dpi) for _, x, y in points]
    for (name, x, y), lift in zip(points, lifts(places, near=35, line=7), strict=True):
        side, align = (4, "left") if x < right else (-4, "right")
        axes.annotate(name, (x, y), textcoords="offset points", fontsize=7, xytext=(side, lift), ha=align)
