"""Do the verdicts hold their level? Clean runs against clean runs, where nothing is to be found.

At least ten clean seeds are split into halves in all ways, and each half is tested against the other as if it came from
poisoned data. The share of splits called distinguishable estimates how often the verdict is wrong on clean data; it
should be 5 %. Each split is tested twice: as independent groups, which they are, and with the runs of the halves
declared to be pairs, which exercises the paired form of the test (pairs that are in truth uncorrelated).

The splits overlap, so their number says nothing about how well the share is known: that depends on the seeds. On the
same splits, a known ratio in the place of the poison shows the power.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import combinations
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from unlearnable.distances.arrays import UndefinedDistanceError
from unlearnable.distances.base import Runs
from unlearnable.distances.count_spread import count_test
from unlearnable.distances.named import missing_input, observer, with_spread
from unlearnable.distances.two_samples import SIGNIFICANCE, MeanDifference, compare
from unlearnable.files import finite

LEAST_SEEDS = 10
#: The published UD with its own test.
PUBLISHED = "ud"
#: Ratios in the place of a poison's, for the power.
RATIOS = (0.9, 0.8, 0.67, 0.5, 0.33)


@dataclass(frozen=True)
class Calibration:
    """How a distance's verdict does on clean runs.

    Attributes:
        distance: Its name; ``ud`` for the published UD with the test of :func:`unlearnable.distance_spread`.
        seeds: Number of clean runs.
        splits: Splits into halves that were tested, each half once in the place of the poison.
        false_positives: Share of the splits called distinguishable, tested as independent groups.
        false_positives_paired: The same with the runs declared to be pairs; NaN for ``ud``, which knows no pairs, and
            for halves of unequal size.
        power: Ratio → share of the splits called distinguishable (as independent groups) with one half's distance to the
            other multiplied by it; for a difference of logarithms its logarithm is added. Empty for ``ud``.
    """

    distance: str
    seeds: int
    splits: int
    false_positives: float
    false_positives_paired: float
    power: dict[float, float]

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers for JSON; NaN becomes ``None``."""
        fields = asdict(self)
        fields["power"] = {str(ratio): share for ratio, share in self.power.items()}
        return dict(finite(fields))


def calibration_of(
    distance: str,
    clean_sal: Mapping[int, ArrayLike],
    *,
    weights: ArrayLike | None = None,
    clean_losses: Mapping[int, ArrayLike] | None = None,
) -> Calibration:
    """Calibration of one distance's verdict. With ten seeds there are 252 splits.

    Args:
        distance: A name of `DISTANCES` whose distance has a spread, or ``ud``.
        clean_sal: Seed → SAL of the clean run, ``[T, L]``, at least ten.
        weights: Parameters per layer, ``[L]``, for a weighted distance.
        clean_losses: Seed → loss of the clean run on its probe, ``[T]``, for a distance that needs it.

    Raises:
        ValueError: If the distance is unknown, has no spread or lacks an input, there are fewer than ten seeds, or the
            arrays are not SAL arrays of one shape.
    """
    runs = _clean_runs(clean_sal, weights, clean_losses)
    found = _published(runs) if distance == PUBLISHED else _calibration(distance, runs)
    if found is None:
        raise ValueError(missing_input(distance))
    return found


def all_calibrations(
    clean_sal: Mapping[int, ArrayLike],
    *,
    weights: ArrayLike | None = None,
    clean_losses: Mapping[int, ArrayLike] | None = None,
) -> dict[str, Calibration]:
    """Calibration of ``ud`` and of every distance that has a verdict, by name; see :func:`calibration_of`.

    Distances whose inputs are missing, or that have no value for some split, are missing.

    Raises:
        ValueError: If there are fewer than ten seeds, or the arrays are not SAL arrays of one shape.
    """
    runs = _clean_runs(clean_sal, weights, clean_losses)
    found: dict[str, Calibration | None] = {}
    for name in (PUBLISHED, *with_spread()):
        with suppress(UndefinedDistanceError):
            found[name] = _published(runs) if name == PUBLISHED else _calibration(name, runs)
    return {name: one for name, one in found.items() if one is not None}


def _clean_runs(
    clean_sal: Mapping[int, ArrayLike], weights: ArrayLike | None, losses: Mapping[int, ArrayLike] | None
) -> Runs:
    runs = Runs.of(clean_sal, "clean_sal", losses=losses, weights=weights)
    if len(runs.seeds) < LEAST_SEEDS:
        raise ValueError(
            f"`clean_sal` must hold at least {LEAST_SEEDS} clean runs, to be split in halves; got {len(runs.seeds)}. Train "
            "the clean reference with more seeds."
        )
    return runs


def _halves(runs: Runs) -> list[tuple[Runs, Runs]]:
    chosen = combinations(runs.seeds, len(runs.seeds) // 2)
    return [(runs.pick(half), runs.pick(tuple(seed for seed in runs.seeds if seed not in half))) for half in chosen]


def _calibration(name: str, runs: Runs) -> Calibration | None:
    """Calibration of a distance; None where it lacks an input."""
    observe = observer(name)
    seen = [one for half, rest in _halves(runs) if (one := observe(half, rest)) is not None]
    if not seen:
        return None
    # [runs, splits]: all the tests at once.
    poisoned, clean = (
        np.stack(group, axis=1) for group in zip(*((one.poisoned, one.clean) for one in seen), strict=True)
    )
    own, reference = np.array([(one.rounding_poisoned, one.rounding_clean) for one in seen]).T
    told = {
        ratio: _share(compare(poisoned + math.log(ratio), clean, rounding_poisoned=own, rounding_clean=reference))
        for ratio in (1.0, *RATIOS)
    }
    paired = math.nan
    if len(poisoned) == len(clean):
        # Which runs form a pair is arbitrary, so several pairings are taken.
        paired = fmean(
            _share(
                compare(
                    poisoned,
                    np.roll(clean, shift, axis=0),
                    shared=len(clean),
                    rounding_poisoned=own,
                    rounding_clean=reference,
                )
            )
            for shift in range(len(clean))
        )
    return Calibration(name, len(runs.seeds), len(seen), told.pop(1.0), paired, told)


def _share(found: MeanDifference) -> float:
    return float((found.p_value < SIGNIFICANCE).mean())


def _published(runs: Runs) -> Calibration:
    told = [count_test(list(half.sal), list(rest.sal))[0] < SIGNIFICANCE for half, rest in _halves(runs)]
    return Calibration(PUBLISHED, len(runs.seeds), len(told), float(np.mean(told)), math.nan, {})
