"""What the page is made of: sections with tables, panels of interactive figures, and pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from unlearnable.report.chart import Chart


@dataclass(frozen=True)
class Column:
    """A column's heading.

    Attributes:
        title: Its words.
        numeric: Whether it is set flush right.
        hint: Explains it when pointed at.
    """

    title: str
    numeric: bool = True
    hint: str = ""


@dataclass(frozen=True)
class Field:
    """A cell of a table.

    Attributes:
        text: What is shown.
        key: What the column is sorted by; empty sorts last.
        badge: `yes`, `no` or `open` to show it as a badge.
    """

    text: str
    key: str = ""
    badge: str = ""


@dataclass(frozen=True)
class Row:
    """A row of a table; `kind` is `clean` or `failed` for rows that stand apart, the table is filtered by `setting`."""

    cells: Sequence[Field]
    kind: str = ""
    setting: str = ""


@dataclass(frozen=True)
class Table:
    """A table with its caption."""

    caption: str
    columns: Sequence[Column]
    rows: Sequence[Row]
    sortable: bool = False
    folded: bool = False

    @property
    def settings(self) -> list[str]:
        """The settings that its rows name."""
        return list(dict.fromkeys(row.setting for row in self.rows if row.setting))


@dataclass(frozen=True)
class Choice:
    """One selectable state of a panel: a chart for each of its places, and a sentence about it."""

    label: str
    charts: Sequence[Chart]
    note: str = ""


@dataclass(frozen=True)
class Panel:
    """Figures that change together when another choice is selected.

    Attributes:
        id: Unique on the page.
        title: Heading.
        caption: How to read it.
        choices: At least one.
        choice_name: What is chosen.
        names: Headings of the figures that stand side by side.
    """

    id: str
    title: str
    caption: str
    choices: Sequence[Choice]
    choice_name: str = "Setting"
    names: Sequence[str] = ("",)

    @property
    def width(self) -> int:
        """Figures in a row where there is room."""
        return len(self.names)


@dataclass(frozen=True)
class Image:
    """A picture as a data address."""

    source: str
    alt: str
    caption: str


@dataclass(frozen=True)
class Passage:
    """A preview of texts, one a line; see `passages.as_html`."""

    text: str
    caption: str


@dataclass(frozen=True)
class Section:
    """A numbered part of the page; `notes` say what it lacks and how to get it."""

    id: str
    title: str
    intro: str = ""
    tables: Sequence[Table] = ()
    panels: Sequence[Panel] = ()
    images: Sequence[Image] = ()
    passages: Sequence[Passage] = ()
    notes: Sequence[str] = field(default_factory=tuple)
