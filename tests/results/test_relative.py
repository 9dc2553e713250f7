"""Relative performance by hand."""

from __future__ import annotations

import math

import pytest

from unlearnable.results.relative import delta_m, relative_performance


def test_relative_performance_by_hand() -> None:
    assert relative_performance(0.4, 0.8, higher_is_better=True) == pytest.approx(-50)
    assert relative_performance(1.2, 1.0, higher_is_better=False) == pytest.approx(-20)
    assert relative_performance(0.9, 1.0, higher_is_better=False) == pytest.approx(10)
    assert delta_m([-50.0, -20.0, 10.0]) == pytest.approx(-20)
    assert math.isnan(relative_performance(1.0, 0.0, higher_is_better=True))
    assert math.isnan(delta_m([1.0, math.nan]))
