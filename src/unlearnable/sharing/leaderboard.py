"""The leaderboard: one page from records, without a server and without a network."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from unlearnable.files import write_atomically
from unlearnable.results.cells import GEOMETRIC
from unlearnable.sharing.ranking import Rank, ranks
from unlearnable.sharing.schema import Mean, Record, read_record
from unlearnable.sharing.verifying import problems

_TEMPLATES = files("unlearnable.report") / "templates"
_WIDTH, _MARGIN = 160, 6  # of an interval's drawing, in pixels
_NORMS = {"linf": "ℓ∞", "l2": "ℓ2", "l0": "ℓ0", "words": "words"}
#: Heading, whether it holds numbers, whether it sorts.
_COLUMNS = (
    *(("method", False, True), ("rank", True, True), ("geometric", True, True), ("protocol", False, True)),
    *(("task", False, True), ("interval", False, False), ("against clean", False, True)),
    *(("not told from", False, True), ("test", True, True), ("clean", True, True), ("skill", True, True)),
    *(("UD", True, True), ("norm", False, True), ("radius", True, True), ("seeds", True, True)),
    *(("hardware", False, True), ("by", False, True), ("file", False, False)),
)


def write_leaderboard(folder: Path, page: Path) -> list[Record]:
    """Writes the page from all records below a folder, and returns these.

    Raises:
        FileNotFoundError: if there is none.
        ValueError: if one is not as it says.
    """
    paths = sorted(folder.rglob("*.json"))
    if not paths:
        raise FileNotFoundError(f"{folder} holds no records (*.json).")
    records = [read_record(path) for path in paths]
    for path, record in zip(paths, records, strict=True):
        if found := problems(record):
            raise ValueError(f"{path}: {found[0]}")
    page.parent.mkdir(parents=True, exist_ok=True)
    links = [Path(os.path.relpath(path, page.parent)).as_posix() for path in paths]
    write_atomically(page, leaderboard(records, links))
    return records


def leaderboard(records: Sequence[Record], links: Sequence[str]) -> str:
    """The page's HTML.

    Args:
        records: What is shown.
        links: Where each record lies, seen from the page.
    """
    from jinja2 import Environment, select_autoescape
    from markupsafe import Markup

    def read(name: str) -> Markup:  # our own files: not to be escaped
        return Markup((_TEMPLATES / name).read_text(encoding="utf-8"))

    ends = [
        end
        for record in records
        for figures in record.tasks.values()
        if (found := figures.distances.get(GEOMETRIC)) is not None
        for end in (found.value, found.low, found.high)
        if end
    ]
    scale = (min([0.5, *ends]), max([2.0, *ends]))
    rows = [
        _row(record, task, rank, link, scale, [records[other].method for other in rank.alike])
        for record, placed, link in zip(records, ranks(records), links, strict=True)
        for task, rank in placed.items()
    ]
    rows.sort(key=lambda row: (row["protocol"], row["task"], row["value"] == "", row["value"]))
    filters = [
        {"name": name, "title": name, "options": list(dict.fromkeys(sorted(row[name] for row in rows)))}
        for name in ("protocol", "task", "norm", "radius")
    ]
    environment = Environment(autoescape=select_autoescape(default=True), trim_blocks=True, lstrip_blocks=True)
    return environment.from_string((_TEMPLATES / "leaderboard.html").read_text(encoding="utf-8")).render(
        css=read("page.css"),
        script=read("tables.js") + read("leaderboard.js"),
        columns=_COLUMNS,
        filters=filters,
        rows=rows,
        low=f"{scale[0]:.2g}",
        high=f"{scale[1]:.2g}",
    )


def _row(
    record: Record, task: str, rank: Rank, link: str, scale: tuple[float, float], alike: Sequence[str]
) -> dict[str, Any]:
    figures = record.tasks[task]
    distance, ud = figures.distances.get(GEOMETRIC), figures.ud
    value, low, high = (distance.value, distance.low, distance.high) if distance else (None, None, None)
    told = distance.distinguishable if distance else None
    words = {None: "no verdict", True: "differs", False: "not told"}[told]
    return {
        "record": record,
        "task": task,
        "metric": figures.metric,
        "rank": rank.place,
        "path": link,
        "protocol": record.protocol,
        "norm": _NORMS[record.budget.norm],
        "radius": _radius(record),
        "value": "" if value is None else value,
        "said": "–" if value is None else f"{value:.2f}" + (f" [{low:.2f}, {high:.2f}]" if low and high else ""),
        "clean": _place(1.0, scale),
        "at": value and _place(value, scale),
        "from": low and _place(low, scale),
        "to": high and _place(high, scale),
        "verdict": words,
        "badge": {None: "open", True: "yes", False: "no"}[told],
        "apart": ", ".join(alike),
        **_number("ud", None if ud is None else Mean(mean=ud.mean, std=ud.std), 2),
        **_number("score", figures.score, 3),
        **_number("clean_score", figures.clean_score, 3),
        **_number("skill", figures.skill, 2),
    }


def _number(name: str, found: Mean | None, digits: int) -> dict[str, Any]:
    """What is shown of a figure, and what it is sorted by."""
    if found is None or found.mean is None:
        return {name: "–", f"{name}_value": ""}
    said = f"{found.mean:.{digits}f}" + ("" if found.std is None else f" ± {found.std:.{digits}f}")
    return {name: said, f"{name}_value": found.mean}


def _radius(record: Record) -> str:
    """A budget as its norm has it: grey levels, a length, pixels, a share of the words."""
    radius = record.budget.radius
    if record.budget.norm == "linf":
        return f"{radius * 255:.3g}/255"
    return f"{radius:.0%} (mean)" if record.budget.norm == "words" else f"{radius:.3g}"


def _place(value: float, scale: tuple[float, float]) -> float:
    """Where a value lies in an interval's drawing, on the logarithmic scale."""
    share = math.log(value / scale[0]) / math.log(scale[1] / scale[0])
    return round(_MARGIN + share * (_WIDTH - 2 * _MARGIN), 1)
