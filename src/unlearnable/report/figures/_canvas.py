"""What all figures for papers share: sizes, fonts, formats."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from unlearnable.files import whole_file
from unlearnable.report.style import Look

#: Width in inches of a text column and of a page in the usual templates.
COLUMN, PAGE = 3.4, 6.9

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
    """Matplotlib's settings, for the figures made meanwhile only."""
    import matplotlib as mpl

    logging.getLogger("fontTools").setLevel(logging.WARNING)  # says what it does with each font, in every job's log
    with mpl.rc_context(dict(_STYLE)):
        yield


def canvas(width: float, height: float) -> Figure:
    """An empty figure that no display and no global state knows of."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Writes PNG (200 dots an inch) and PDF, each whole or not at all."""
    paths = []
    for kind in ("png", "pdf"):
        path = folder / f"{name}.{kind}"
        with whole_file(path) as temporary:
            # No date: the same numbers give the same file.
            figure.savefig(temporary, dpi=200, metadata={"CreationDate": None} if kind == "pdf" else None)
        paths.append(path)
    return paths


def look(of: Look, **more: Any) -> dict[str, Any]:
    """A method's colour, marker and dash for `plot`."""
    return {
        "color": of.colour,
        "marker": of.marker[1],
        "linestyle": of.dash[1],
        "markersize": 4,
        "linewidth": 1.2,
        **more,
    }


def heat_texts(
    axis: Axes, values: Any, text: Callable[[int, int], str], *, dark_above: float, dark_below: float
) -> None:
    """Writes each cell's value so that it can be read on its colour."""
    for row in range(len(values)):
        for column in range(len(values[0])):
            dark = values[row][column] > dark_above or values[row][column] < dark_below
            axis.text(column, row, text(row, column), ha="center", va="center", fontsize=6, color="w" if dark else "k")
