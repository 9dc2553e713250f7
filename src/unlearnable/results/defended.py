"""Poison × defence: what each defence gives back of the accuracy that a poison takes, and whether SAL says so too."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import mean, median

import numpy as np
from jaxtyping import Float64

from unlearnable.results.cells import GEOMETRIC, NONE, Cell, figure
from unlearnable.results.comparison import by_defense, defense_label
from unlearnable.results.published import published
from unlearnable.results.ranking import RankCorrelation, order, rank_correlation

#: Shares of what a poison takes are undefined where it takes less test accuracy than this: they would be noise.
LEAST_TAKEN = 0.05


@dataclass(frozen=True)
class Defended:
    """Methods × defences under one setting.

    Attributes:
        title: What tells the setting from the others.
        cells: Method → defence → cell; clean data are a method too.
        defenses: `none` first.
    """

    title: str
    cells: Mapping[str, Mapping[str, Cell]]
    defenses: Sequence[str]

    @property
    def methods(self) -> list[str]:
        """The methods that are not clean data."""
        return [name for name, row in self.cells.items() if not next(iter(row.values())).is_clean]

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Each method with each defence under which it was run."""
        return [(method, name) for method in self.methods for name in self.defenses if name in self.cells[method]]

    @cached_property
    def clean_acc(self) -> Mapping[str, float]:
        """Defence → test accuracy of the clean runs with it, mean over their seeds; NaN if no result says it."""
        found = {}
        for name in self.defenses:
            by_seed: dict[int, float] = {}
            for row in self.cells.values():
                if name in row:
                    by_seed |= _by_seed(row[name], "clean_test_acc")
            found[name] = mean(by_seed.values()) if by_seed else math.nan
        return found

    def cost(self, defense: str) -> float:
        """What a defence costs on clean data: the clean runs' test accuracy without it less that with it."""
        return self.clean_acc.get(NONE, math.nan) - self.clean_acc[defense]

    def accuracy(self, method: str, defense: str) -> float:
        """Test accuracy after the last epoch, mean over the seeds; NaN if there is none."""
        cell = self.cells[method].get(defense)
        return math.nan if cell is None else cell.figure("test_acc")[0]

    def distance(self, method: str, defense: str, distance: str) -> float:
        """UD or another distance to the clean runs with the same defence; NaN if there is none."""
        cell = self.cells[method].get(defense)
        return math.nan if cell is None else cell.value(distance)

    def recovered(self, method: str, defense: str) -> float:
        """The share of the accuracy that the poison takes which the defence gives back, over the seeds that both have.

        `(defended − undefended) / (clean − undefended)`, all of poisoned data but `clean`, the undefended run on clean
        data: 0 without a defence, 1 for all of it, negative where the defence makes it worse. NaN where the poison takes
        less than `LEAST_TAKEN`.
        """
        own, bare = self.cells[method].get(defense), self.cells[method].get(NONE)
        if own is None or bare is None:
            return math.nan
        defended, undefended = _by_seed(own, "test_acc"), _by_seed(bare, "test_acc")
        clean = _by_seed(bare, "clean_test_acc")
        seeds = {*defended} & {*undefended} & {*clean}
        taken = mean(clean[seed] - undefended[seed] for seed in seeds) if seeds else math.nan
        if not taken >= LEAST_TAKEN:
            return math.nan
        return mean(defended[seed] - undefended[seed] for seed in seeds) / taken

    def table(self, of: Callable[[str, str], float], methods: Sequence[str]) -> Float64[np.ndarray, "methods defenses"]:
        """A figure of every method under every defence."""
        return np.array([[of(method, name) for name in self.defenses] for method in methods], dtype=np.float64)

    @cached_property
    def correlation(self) -> RankCorrelation:
        """Of the geometric distance and the recovered share over all pairs: whether it rises where accuracy comes back."""
        return self._correlation(self.methods)

    @property
    def within(self) -> float:
        """The same method by method, median of Spearman's ρ: methods differ in their distance without a defence too."""
        found = [self._correlation([method]).rho for method in self.methods]
        known = [rho for rho in found if not math.isnan(rho)]
        return median(known) if known else math.nan

    def _correlation(self, methods: Sequence[str]) -> RankCorrelation:
        pairs = [pair for pair in self.pairs if pair[0] in methods]
        recovered = [self.recovered(*pair) for pair in pairs]
        return rank_correlation([self.distance(*pair, GEOMETRIC) for pair in pairs], recovered)


@dataclass(frozen=True)
class Agreement:
    """The order of methods by test accuracy under one defence, here and in APBench's table.

    Attributes:
        defense: The defence; empty for all of them together.
        here: Methods, lowest accuracy first; empty for all together.
        reported: The same as reported.
        correlation: Of the accuracies.
    """

    defense: str
    here: Sequence[str]
    reported: Sequence[str]
    correlation: RankCorrelation


def defended(cells: Sequence[Cell]) -> list[Defended]:
    """The matrices of these cells, one a setting with two defences or more."""
    found = []
    for title, family in by_defense(cells).items():
        rows: dict[str, dict[str, Cell]] = {}
        for cell in family:
            rows.setdefault(cell.first.label, {})[defense_label(cell)] = cell
        names = dict.fromkeys(map(defense_label, family))
        found.append(Defended(title, rows, sorted(names, key=lambda name: name != NONE)))  # else as they came
    return found


def against_published(matrix: Defended) -> list[Agreement]:
    """The agreement under each defence with two methods or more in both tables, and first over all their cells.

    Methods whose published figures are of another algorithm are left out, and so are options that differ from the
    defaults.
    """
    here: dict[tuple[str, str], float] = {}
    reported: dict[tuple[str, str], float] = {}
    for method, name in matrix.pairs:
        one = published(str(matrix.cells[method][name].first.result["dataset"]), method)
        there, ours = one.test_acc if name == NONE else one.defended.get(name), matrix.accuracy(method, name)
        if there is not None and not one.unlike and not math.isnan(ours):
            here[method, name], reported[method, name] = ours, there
    found = []
    for defense in matrix.defenses:
        own = {method: value for (method, name), value in here.items() if name == defense}
        theirs = {method: value for (method, name), value in reported.items() if name == defense}
        if len(own) > 1:
            ranks = rank_correlation(list(own.values()), list(theirs.values()))
            found.append(Agreement(defense, order(own), order(theirs), ranks))
    together = rank_correlation(list(here.values()), list(reported.values()))
    return [Agreement("", (), (), together), *found] if found else []


def _by_seed(cell: Cell, name: str) -> dict[int, float]:
    """Seed → a figure of its result, where it is known."""
    found = {run.seed: figure(run.result, name) for run in cell.runs}
    return {seed: value for seed, value in found.items() if not math.isnan(value)}
