"""The conflict between tasks, drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from unlearnable.report.conflict import draw_conflict


def test_heat_maps_are_drawn_also_with_missing_numbers(tmp_path: Path) -> None:
    matrix = np.array([[1.0, np.nan], [np.nan, 1.0]])
    draw_conflict(tmp_path / "map.png", ["a", "b"], {"clean": matrix, "em": matrix}, title="t")
    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")
