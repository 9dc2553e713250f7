"""Cells over seeds: UD as mean ± standard deviation, clean against clean beside it, and whether the two differ."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, stdev
from typing import Any

from unlearnable.distances import DistanceSpread, distance_spread
from unlearnable.results.records import AXES, Records, Run


@dataclass(frozen=True)
class Cell:
    """One method under one setting, over its seeds.

    Attributes:
        runs: Its runs, one a seed.
        spread: UD over the seeds and the verdict; None if it can not be had.
        note: Why `spread` is None.
    """

    runs: Sequence[Run]
    spread: DistanceSpread | None
    note: str = ""

    @property
    def first(self) -> Run:
        """Any of its runs, for what they share."""
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
    try:
        spread = distance_spread({run.seed: run.sal for run in runs}, records.clean_runs(runs[0]))
    except ValueError as error:
        return Cell(runs, None, f"no UD: {error}")
    return Cell(runs, spread)


def _number(result: Mapping[str, Any], name: str) -> float:
    value: Any = result
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    if isinstance(value, list):
        known = [entry for entry in value if entry is not None]
        value = mean(known) if known else None
    return float(value) if isinstance(value, int | float) else math.nan


#: Figures of a job that are averaged over the seeds; `noise.…` is what the perturbation used of its budget.
FIGURES = (
    "beta",
    "learnable_layers",
    "clean_learnable_layers",
    "train_acc",
    "test_acc",
    "test_acc_peak",
    "clean_test_acc",
    "test_metric",
    "clean_test_metric",
    "relative",
    "noise.changed",
    "noise.linf_max",
    "noise.l2_max",
    "noise.l0_max",
)


def row(cell: Cell) -> dict[str, Any]:
    """A cell as one flat row; what is not known is NaN."""
    first, spread = cell.first, cell.spread
    figures = {name: cell.figure(name) for name in FIGURES}
    return {
        **dict(zip(AXES, first.axes, strict=True)),
        "variant": first.variant,
        "settings": first.settings,
        "seeds": " ".join(map(str, cell.seeds)),
        "ud": cell.ud,
        "ud_std": cell.ud_std,
        "clean_ud": spread.clean_mean if spread else math.nan,
        "clean_ud_std": spread.clean_std if spread else math.nan,
        "clean_seeds": " ".join(map(str, sorted({seed for pair in spread.clean_pairs for seed in pair})))
        if spread
        else "",
        "p_value": math.nan if spread is None or cell.is_clean else spread.p_value,
        "resolution": spread.resolution if spread else math.nan,
        "verdict": cell.verdict,
        **{name.replace(".", "_"): value for name, (value, _) in figures.items()},
        **{f"{name.replace('.', '_')}_std": spread for name, (_, spread) in figures.items()},
        "metric": first.result.get("metric", ""),
        "seconds": cell.figure("seconds.total")[0],
    }
