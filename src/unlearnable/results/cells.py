"""Cells over seeds: UD as mean ± standard deviation, every other distance as an interval, each with its verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from statistics import mean, stdev
from typing import Any

import numpy as np

from unlearnable.distances import DistanceSpread, Spread, all_spreads, distance_spread
from unlearnable.results.published import Published, published
from unlearnable.results.records import Records, Run, number
from unlearnable.results.skill import Skill, skill

#: The distances that tables and figures show; `distances` of a result has more.
UD, GEOMETRIC = "ud", "geometric"
#: The defence of runs that have none.
NONE = "none"


@dataclass(frozen=True)
class Cell:
    """One method under one setting, over its seeds.

    Attributes:
        runs: Its runs, one a seed.
        clean: Seed → SAL of the clean runs in its setting, `[T, L]`.
        spread: UD over the seeds and the verdict; None if there is none.
        note: Why `spread` is None.
        spreads: Distance → the same of every other distance that has a spread; empty if the runs can not be compared.
        clean_losses: Seed → losses of the clean runs, `[T]`, as far as they are known.
        skill: How much is left of what the clean runs learnt, run by run.
    """

    runs: Sequence[Run]
    clean: Mapping[int, np.ndarray]
    spread: DistanceSpread | None
    note: str = ""
    spreads: Mapping[str, Spread] = field(default_factory=dict)
    clean_losses: Mapping[int, np.ndarray] = field(default_factory=dict)
    skill: Skill = field(default_factory=Skill)

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
    def published(self) -> Published:
        """What papers give for its method, as it is published, on its data set under its defence."""
        if self.first.variant:
            return Published()
        found = published(str(self.first.result["dataset"]), str(self.first.result["poison"]))
        if (defense := str(self.first.result["defense"])) == NONE:
            return found
        return replace(found, ud=None, test_acc=found.defended.get(defense), test_acc_iss=None)

    @property
    def ud(self) -> float:
        """Mean UD; NaN if there is none."""
        return self.value(UD)

    @property
    def ud_std(self) -> float:
        """Standard deviation of UD over the seeds; NaN for one seed."""
        return self.spread.std if self.spread else math.nan

    def of(self, distance: str) -> DistanceSpread | Spread | None:
        """A distance over the seeds; None if there is none."""
        return self.spread if distance == UD else self.spreads.get(distance)

    def value(self, distance: str) -> float:
        """A distance over the seeds: UD's mean, or that of all the runs to all the clean ones; NaN if there is none."""
        found = self.of(distance)
        return math.nan if found is None else found.value if isinstance(found, Spread) else found.mean

    def interval(self, distance: str) -> tuple[float, float]:
        """Its 95 % interval, or UD's mean less and plus its standard deviation; NaN for one seed, and for clean data."""
        found = self.of(distance)
        if isinstance(found, Spread):
            return (math.nan, math.nan) if self.is_clean else (found.low, found.high)
        return self.ud - self.ud_std, self.ud + self.ud_std

    def told(self, distance: str) -> bool | None:
        """Whether the method can be told from clean data by a distance; None without a verdict, and for clean data."""
        found = self.of(distance)
        return None if found is None or self.is_clean else found.distinguishable

    def p_value(self, distance: str) -> float:
        """Of that verdict; NaN without one, and for clean data."""
        found = self.of(distance)
        return math.nan if found is None or self.is_clean else found.p_value

    def verdict(self, distance: str) -> str:
        """The same in words, with the numbers that decide it."""
        found = self.of(distance)
        if found is None:
            return self.note
        return "reference" if self.is_clean else found.verdict

    def short_verdict(self, distance: str) -> str:
        """The same in two or three words."""
        if math.isnan(self.value(distance)):
            return "no value"
        if self.is_clean:
            return "reference"
        return {None: "no verdict", True: "differs from clean", False: "not told from clean"}[self.told(distance)]

    def figure(self, name: str) -> tuple[float, float]:
        """Mean and standard deviation over the seeds of one of the result's figures, lists by their mean; NaN if absent."""
        values = [value for run in self.runs if not math.isnan(value := figure(run.result, name))]
        return (mean(values) if values else math.nan, stdev(values) if len(values) > 1 else math.nan)


def cells(records: Records) -> list[Cell]:
    """The cells in the order of their first jobs."""
    return [_cell(records, runs) for runs in records.cells.values()]


def _cell(records: Records, runs: Sequence[Run]) -> Cell:
    # A run that stopped early shortens what its cell is compared over, and no other's.
    epochs = sorted(set.intersection(*({*run.sal_epochs} for run in runs)))
    places = {run.seed: run.places(epochs) for run in runs}
    clean, clean_losses = records.clean_runs(runs, epochs)
    own = {run.seed: run.sal[places[run.seed]] for run in runs}
    losses = {run.seed: found[places[run.seed]] for run in runs if (found := run.losses) is not None}
    spread, note, spreads = None, "", {}
    try:
        spread = distance_spread(own, clean)
    except ValueError as error:
        note = f"no UD: {error}"
    with suppress(ValueError):  # the runs do not fit each other: the note says so
        weights = runs[0].result.get("parameters")
        spreads = all_spreads(own, clean, weights=weights, losses=losses, clean_losses=clean_losses)
    return Cell(runs, clean, spread, note, spreads, clean_losses, _skill(records, runs))


def _skill(records: Records, runs: Sequence[Run]) -> Skill:
    """Against the mean of all clean runs in the setting; none for results without a prior."""
    first = runs[0].result
    if "prior" not in first:
        return Skill()
    return skill(
        [number(run.result["test_metric"]) for run in runs],
        list(records.clean_metrics(runs).values()),
        number(first["prior"]),
        metric=first["metric"],
        higher_is_better=first["higher_is_better"],
    )


def figure(result: Mapping[str, Any], name: str) -> float:
    """A figure of a result by its keys, joined by dots; a list by the mean of what is known of it, NaN if absent."""
    value: Any = result
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    if isinstance(value, list):
        known = [entry for entry in value if entry is not None]
        value = mean(known) if known else None
    return float(value) if isinstance(value, int | float) else math.nan
