"""Cells over seeds: UD as mean ± standard deviation, clean against clean beside it, and whether the two differ."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, stdev
from typing import Any

import numpy as np

from unlearnable.distances import DistanceSpread, distance_spread
from unlearnable.results.records import Records, Run


@dataclass(frozen=True)
class Cell:
    """One method under one setting, over its seeds.

    Attributes:
        runs: Its runs, one a seed.
        clean: Seed → SAL of the clean runs in its setting, `[T, L]`.
        spread: UD over the seeds and the verdict; None if there is none.
        note: Why `spread` is None.
    """

    runs: Sequence[Run]
    clean: Mapping[int, np.ndarray]
    spread: DistanceSpread | None
    note: str = ""

    @property
    def first(self) -> Run:
        """One of its runs, for what all of them share."""
        return self.runs[0]

    @property
    def is_clean(self) -> bool:
        """Whether it is clean data: the reference, whose UD is 1 by definition."""
        return self.first.is_clean

    @property
    def seeds(self) -> list[int]:
        """The seeds, ascending."""
        return sorted(run.seed for run in self.runs)

    @property
    def ud(self) -> float:
        """Mean UD; NaN if there is none."""
        return self.spread.mean if self.spread else math.nan

    @property
    def ud_std(self) -> float:
        """Standard deviation of UD over the seeds; NaN for one seed."""
        return self.spread.std if self.spread else math.nan

    @property
    def verdict(self) -> str:
        """Whether the method can be told from clean data, with the numbers that decide it."""
        if self.spread is None:
            return self.note
        return "reference (1 by definition)" if self.is_clean else self.spread.verdict

    @property
    def short_verdict(self) -> str:
        """The verdict in two or three words."""
        if self.spread is None:
            return "no UD"
        if self.is_clean:
            return "reference"
        words = {None: "no verdict", True: "differs from clean", False: "not told from clean"}
        return words[self.spread.distinguishable]

    def figure(self, name: str) -> tuple[float, float]:
        """Mean and standard deviation over the seeds of one of the result's figures, lists by their mean; NaN if absent."""
        values = [value for run in self.runs if not math.isnan(value := _number(run.result, name))]
        return (mean(values) if values else math.nan, stdev(values) if len(values) > 1 else math.nan)


def cells(records: Records) -> list[Cell]:
    """The cells in the order of their first jobs."""
    return [_cell(records, runs) for runs in records.cells.values()]


def _cell(records: Records, runs: Sequence[Run]) -> Cell:
    clean = records.clean_runs(runs)
    try:
        spread = distance_spread({run.seed: run.sal for run in runs}, clean)
    except ValueError as error:
        return Cell(runs, clean, None, f"no UD: {error}")
    return Cell(runs, clean, spread)


def _number(result: Mapping[str, Any], name: str) -> float:
    value: Any = result
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    if isinstance(value, list):
        known = [entry for entry in value if entry is not None]
        value = mean(known) if known else None
    return float(value) if isinstance(value, int | float) else math.nan
