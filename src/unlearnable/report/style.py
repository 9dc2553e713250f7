"""How methods look in every figure: the same colour, marker and dash, told apart without colour too."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

# Okabe and Ito's palette, made for colour-blind readers, without the yellow that vanishes on white; then Tol's muted.
_COLOURS = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#56B4E9",
    "#E69F00",
    "#332288",
    "#882255",
    "#117733",
    "#999933",
)
_MARKERS = (
    ("circle", "o"),
    ("square", "s"),
    ("diamond", "D"),
    ("triangle-up", "^"),
    ("cross", "P"),
    ("triangle-down", "v"),
    ("x", "X"),
    ("star", "*"),
    ("pentagon", "p"),
    ("hexagon", "h"),
)
_DASHES = (("solid", "-"), ("dash", "--"), ("dot", ":"), ("dashdot", "-."))

CLEAN_COLOUR = "#444444"
#: Sequential and diverging colour maps that keep their order for colour-blind readers and in grey.
SEQUENTIAL, DIVERGING = ("Cividis", "cividis"), ("PuOr", "PuOr")


@dataclass(frozen=True)
class Look:
    """The look of one method: plotly's name of each property, then matplotlib's.

    Attributes:
        colour: Of lines and markers.
        marker: Symbol.
        dash: Of lines.
        hollow: Whether the marker is an outline.
    """

    colour: str
    marker: tuple[str, str]
    dash: tuple[str, str | tuple[int, tuple[int, ...]]]
    hollow: bool = False


def looks(labels: Iterable[str]) -> dict[str, Look]:
    """A look for each label, clean data dark grey, the others by their place in the alphabet."""
    found: dict[str, Look] = {}
    methods = sorted({label for label in labels if label != "clean"})
    for place, label in enumerate(methods):
        rounds, offset = divmod(place, len(_COLOURS))
        found[label] = Look(
            _COLOURS[offset], _MARKERS[(offset + 3 * rounds) % len(_MARKERS)], _DASHES[(place + rounds) % len(_DASHES)]
        )
    found["clean"] = Look(CLEAN_COLOUR, ("circle-open", "o"), ("longdash", (0, (8, 2))))
    return found


#: Of single seeds, and of what was published in contrast to what was measured here.
SEED = Look("#666666", ("line-ns-open", "|"), ("solid", "-"))
PUBLISHED = Look("#000000", ("diamond-tall-open", "d"), ("solid", "-"), hollow=True)


def faint(colour: str, alpha: float) -> str:
    """A colour of `looks` as a transparent one."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{alpha:g})"
