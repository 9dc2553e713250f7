"""Pictures of a single job, for its folder and for loggers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unlearnable.report.figures import across

#: The conflict matrices' picture, in the job's folder.
CONFLICT_PICTURE = "conflict"


def draw_conflict(result: Mapping[str, Any], folder: Path) -> Path | None:
    """Draws the conflict between tasks after the last measured epoch into the job's folder; None for a job without.

    Args:
        result: What `result.json` holds.
        folder: The job's folder.
    """
    if not result.get("conflict", {}).get("epochs"):
        return None
    from unlearnable.report.render_matplotlib import draw, save, style

    runs = {str(result["poison"]): result["conflict"]}
    if not result["is_clean"]:
        runs["clean reference"] = result.get("clean_conflict", {})
    charts = [
        across.conflict(conflict[kind][-1], conflict["tasks"], f"{run}, {what}")
        for run, conflict in runs.items()
        if conflict.get("epochs")
        for kind, what in (("sal", "SAL"), ("gradient", "gradients"))
    ]
    with style():
        (path,) = save(draw(charts), folder, CONFLICT_PICTURE, kinds=("png",))
    return path


def draw_job(folder: Path) -> dict[str, Any]:
    """A finished job's maps of all measures and its learnable layers, as matplotlib figures by name; none for clean data."""
    from unlearnable.report.papers import job_sheets
    from unlearnable.report.render_matplotlib import draw, style
    from unlearnable.report.style import looks
    from unlearnable.results.cells import cells
    from unlearnable.results.comparison import comparisons
    from unlearnable.results.reading import read_sweeps

    found = cells(read_sweeps([folder]))
    first = comparisons(found)[0]
    if not first.methods:
        return {}
    with style():
        sheets = job_sheets(first, looks(cell.first.label for cell in found))
        return {name: draw(charts) for name, charts in sheets.items()}
