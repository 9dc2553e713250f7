"""Pictures of a single job."""

from __future__ import annotations

from pathlib import Path

from tests.results._sweeps import multi_task, result
from unlearnable.report.pictures import draw_conflict


def test_conflict_between_tasks_is_drawn_also_with_missing_numbers(tmp_path: Path) -> None:
    made = multi_task("em")
    made["conflict"]["sal"][-1][0][1] = None
    path = draw_conflict(made, tmp_path)
    assert path is not None
    assert path.read_bytes().startswith(b"\x89PNG")
    assert draw_conflict(result("em"), tmp_path) is None
