"""Figures across ways of measuring."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.results._sweeps import result, write_sweep
from unlearnable.report.build import read
from unlearnable.report.figures.across import grid


@pytest.mark.parametrize("distance", ["ud", "geometric"])
def test_the_grid_of_radius_and_steps_has_either_distance(distance: str, tmp_path: Path) -> None:
    made = [result("em", eps=eps, steps=steps) for eps in (0.01, 0.1) for steps in (5, 20) if (eps, steps) != (0.1, 20)]
    _, cells = read([write_sweep(tmp_path, *made)])
    heat = grid(cells, distance).heat
    assert heat is not None
    assert (heat.rows, heat.columns) == (["0.01", "0.1"], ["5", "20"])
    by_place = {(cell.first.axis("eps"), cell.first.axis("steps")): cell.value(distance) for cell in cells}
    assert heat.values.ravel()[:3].tolist() == [by_place[0.01, 5], by_place[0.01, 20], by_place[0.1, 5]]
    assert heat.texts[1][1] == "–"  # not measured
    # A ratio of 1 is in the middle of its scale.
    assert heat.logarithmic == (distance == "geometric")
    assert distance == "ud" or heat.low * heat.high == pytest.approx(1)
