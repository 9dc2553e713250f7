"""Checks of constructor arguments that several methods share."""

from __future__ import annotations

import math


def at_least_one(**values: int) -> None:
    """Raises `ValueError` naming the first argument below 1."""
    for name, value in values.items():
        if value < 1:
            raise ValueError(f"`{name}` must be at least 1; got {value}.")


def positive(**values: float) -> None:
    """Raises `ValueError` naming the first argument that is not a positive, finite number."""
    for name, value in values.items():
        if not math.isfinite(value) or value <= 0:
            raise ValueError(f"`{name}` must be a positive, finite number; got {value}.")
