"""`report.html`: one page that needs no network, from one or several sweeps."""

from __future__ import annotations

import base64
import gzip
import json
import logging
import re
from collections.abc import Sequence
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

from unlearnable.files import write_atomically
from unlearnable.report import sections, sections_across, sections_defended, tables
from unlearnable.report.findings import findings, warnings
from unlearnable.report.layout import Panel, Section
from unlearnable.report.passages import as_html
from unlearnable.report.style import looks
from unlearnable.results.cells import Cell
from unlearnable.results.comparison import comparisons
from unlearnable.results.records import Records

log = logging.getLogger(__name__)

PAGE = "report.html"
#: A size that mail servers and review systems still accept.
LARGEST_BYTES = 6_000_000
_TEMPLATES = files("unlearnable.report") / "templates"


def write_page(folder: Path, records: Records, cells: Sequence[Cell], *, title: str | None = None) -> Path:
    """Writes the page and returns its path.

    Args:
        folder: Where to write.
        records: The jobs.
        cells: The same over seeds.
        title: Heading; by default it names the methods and data sets.
    """
    text = page(records, cells, title=title)
    if len(text.encode()) > LARGEST_BYTES:
        log.warning("%s is larger than %.0f MB; build it over fewer jobs.", PAGE, LARGEST_BYTES / 1e6)
    path = folder / PAGE
    write_atomically(path, text)
    return path


def page(records: Records, cells: Sequence[Cell], *, title: str | None = None) -> str:
    """The page's HTML."""
    from jinja2 import Environment, select_autoescape
    from markupsafe import Markup, escape
    from plotly.offline import get_plotlyjs

    parts = _sections(records, cells)
    panels = [panel for section in parts for panel in section.panels]

    def read(name: str) -> Markup:  # our own files: not to be escaped
        return Markup((_TEMPLATES / name).read_text(encoding="utf-8"))

    environment = Environment(autoescape=select_autoescape(default=True), trim_blocks=True, lstrip_blocks=True)
    environment.filters["code"] = lambda text: Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))
    environment.filters["passages"] = lambda text: Markup(as_html(text))
    return environment.from_string((_TEMPLATES / "page.html").read_text(encoding="utf-8")).render(
        title=title or _title(cells),
        css=read("page.css"),
        script=read("tables.js") + read("page.js"),
        facts=_facts(records, cells),
        warnings=warnings(records, cells),
        findings=findings(comparisons(cells), cells),
        sections=parts,
        footer=_footer(records),
        figures=_packed(json.dumps({panel.id: _figures(panel) for panel in panels}, separators=(",", ":"))),
        plotly=_packed(get_plotlyjs()),
    )


def _sections(records: Records, cells: Sequence[Cell]) -> list[Section]:
    compared = comparisons(cells)
    cells = [cell for one in compared for cell in one.cells]  # the published measurement first
    look = looks(cell.first.label for cell in cells)
    parts = [
        sections.headline_section(records, compared, look),
        sections.accuracy_section(compared, look),
        sections.sharpness_section(compared, look),
        sections.curves_section(compared, look),
        sections_defended.defenses_section(cells, look),
        sections_across.measures_section(compared),
        sections_across.sensitivity_section(cells, look),
        sections_across.transfer_section(cells),
        sections_across.tasks_section(records, cells, look),
    ]
    shown = [part for part in parts if part is not None]
    return [*shown, Section("jobs", "Jobs", tables=[tables.jobs(records)])]


def _figures(panel: Panel) -> list[list[Any]]:
    from unlearnable.report.render_plotly import draw

    return [[json.loads(draw(chart).to_json()) for chart in choice.charts] for choice in panel.choices]


def _packed(text: str) -> str:
    """Gzip as base64: the plotting library takes 2 MB of the page instead of 5; the browser unpacks it."""
    return base64.b64encode(gzip.compress(text.encode(), 9, mtime=0)).decode()


def _title(cells: Sequence[Cell]) -> str:
    methods = list(dict.fromkeys(str(cell.first.result["poison"]) for cell in cells if not cell.is_clean))
    datasets = list(dict.fromkeys(str(cell.first.result["dataset"]) for cell in cells))
    named = ", ".join(methods[:6]) + (" …" if len(methods) > 6 else "")
    return (
        f"How unlearnable? {named or 'clean data'} on {', '.join(datasets)}" if cells else "How unlearnable? No results"
    )


def _facts(records: Records, cells: Sequence[Cell]) -> list[tuple[str, str]]:
    """The protocol in a few words: what all jobs share as one value, else the values."""

    def values(*path: str) -> str:
        found: dict[str, None] = {}
        for run in records.runs:
            value: Any = run.result
            for part in path:
                value = value.get(part, "–") if isinstance(value, dict) else "–"
            found[str(value)] = None
        return ", ".join(found)

    if not cells:
        return []
    return [
        ("jobs", str(records.jobs)),
        ("data set", values("dataset")),
        ("model", values("model")),
        ("defence", values("defense")),
        ("epochs", values("config", "trainer", "max_epochs")),
        ("seeds", ", ".join(map(str, sorted({run.seed for run in records.runs})))),
        ("ε", values("eps")),
        ("steps", values("steps")),
        ("solver", values("solver")),
        ("probe", values("config", "sal", "samples")),
    ]


def _footer(records: Records) -> str:
    found = [run.sweep for run in records.runs] + [failure.sweep for failure in records.failures]
    sweeps = ", ".join(dict.fromkeys(map(str, found)))
    versions = records.runs[0].result.get("versions", {}) if records.runs else {}
    said = ", ".join(f"{name} {version}" for name, version in versions.items())
    return f"Made {datetime.now():%Y-%m-%d %H:%M} from {sweeps}. {said}"
