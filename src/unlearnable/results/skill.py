"""Skill: how much of what clean data teach about a task, beyond what needs no input, a model has learnt."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, stdev

#: A poison makes data unlearnable for a task up to the first skill; from the second on they are learnable for it.
UNLEARNABLE, LEARNABLE = 0.1, 0.5
#: What can be said of a task.
VERDICTS = ("unlearnable", "in between", "learnable", "undefined")


@dataclass(frozen=True)
class Skill:
    """Skill of one run, or of several that differ in the seed alone.

    Attributes:
        values: One a run; empty where it is undefined, and for what has no metric, such as the sum of all losses.
        undefined: Why it is undefined; else empty.
    """

    values: tuple[float, ...] = ()
    undefined: str = ""

    @property
    def mean(self) -> float:
        """Over the runs; NaN where it is undefined."""
        return mean(self.values) if self.values else math.nan

    @property
    def std(self) -> float:
        """Standard deviation over the runs; NaN for one, and where it is undefined."""
        return stdev(self.values) if len(self.values) > 1 else math.nan

    @property
    def verdict(self) -> str:
        """What the mean says in a word or two; empty where there is nothing to say."""
        if not self.values:
            return "undefined" if self.undefined else ""
        return "unlearnable" if self.mean <= UNLEARNABLE else "learnable" if self.mean >= LEARNABLE else "in between"


def skill(
    values: Sequence[float], clean: Sequence[float], prior: float, *, metric: str, higher_is_better: bool
) -> Skill:
    """(M − M_prior) / (M_clean − M_prior) of each run: 1 is like clean data, 0 like the prior, below 0 worse than it.

    Undefined where the clean runs do not beat the prior by more than their own standard deviation (one clean run: where
    it does not beat it at all), since then nothing is known to have been there to be learnt.

    Args:
        values: The test metric M of each run.
        clean: The same of the clean runs; M_clean is their mean.
        prior: M_prior, see :func:`best_prior`.
        metric: Its name, for messages.
        higher_is_better: Its direction.
    """
    if math.isnan(prior):
        return Skill(undefined="there is no prior to compare with")
    if not all(map(math.isfinite, (*values, *clean))):
        return Skill(undefined=f"a test {metric} is no number")
    sign = 1 if higher_is_better else -1
    gain, spread = mean(sign * (value - prior) for value in clean), stdev(clean) if len(clean) > 1 else 0.0
    if gain > spread:
        return Skill(tuple(sign * (value - prior) / gain for value in values))
    if len(clean) == 1:
        return Skill(undefined=f"the clean model does not beat the prior: {metric} {clean[0]:.3g} and {prior:.3g}")
    found = f"{metric} {mean(clean):.3g} ± {spread:.2g} and {prior:.3g}"
    return Skill(undefined=f"the clean models do not beat the prior by more than their spread: {found}")


def best_prior(
    priors: Mapping[str, Mapping[str, float]], metric: str, *, higher_is_better: bool
) -> tuple[str | None, float]:
    """The better of the priors on the test set, by name, with its value; (None, NaN) if there is none.

    Args:
        priors: Prior → metric → value on the test set.
        metric: What the task is judged by.
        higher_is_better: Its direction.
    """
    known = {name: found[metric] for name, found in priors.items() if math.isfinite(found[metric])}
    if not known:
        return None, math.nan
    name = (max if higher_is_better else min)(known, key=known.__getitem__)
    return name, known[name]
