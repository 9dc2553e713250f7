"""Transfer of β: whether a threshold that was found on one data set (or model) serves on another.

β is made from a clean run. If it transfers, a new data set's poisons can be judged without one more clean training; if it
does not, a UD only means something against its own clean run. Both runs that UD compares stay the target's own; the
threshold alone is foreign.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import mean

import numpy as np
from jaxtyping import Float64
from numpy.typing import ArrayLike

from unlearnable.distances import UndefinedDistanceError, distance_report, learnability_threshold
from unlearnable.results.ranking import rank_correlation


@dataclass(frozen=True)
class SettingRuns:
    """SAL of one setting (a data set with a model).

    Attributes:
        clean: Seed → SAL of the clean run, ``[T, L]``.
        poisoned: Method → seed → SAL, ``[T, L]``; every seed has a clean run.
    """

    clean: Mapping[int, ArrayLike]
    poisoned: Mapping[str, Mapping[int, ArrayLike]]


@dataclass(frozen=True)
class Transfer:
    """UD at foreign thresholds.

    Attributes:
        settings: Names of the settings, ``S``.
        methods: Names of the methods, ``M``.
        beta: Threshold of each setting, mean over its seeds, ``[S]``.
        ud: ``[source, target, method]``: UD on the target at the source's β, mean over the seeds; on the diagonal β is
            the setting's own mean too. NaN where it was not measured, or no clean layer of the target is above the
            source's β, so that UD is undefined.
        tau: ``[source, target]``: Kendall's τ-b of the methods' order at the source's β and at the target's own; NaN
            below three methods.
        largest_change: ``[source, target]``: largest change of a method's UD against the own β; NaN without one.
    """

    settings: tuple[str, ...]
    methods: tuple[str, ...]
    beta: Float64[np.ndarray, " settings"]
    ud: Float64[np.ndarray, "settings settings methods"]
    tau: Float64[np.ndarray, "settings settings"]
    largest_change: Float64[np.ndarray, "settings settings"]


def transfer_thresholds(measured: Mapping[str, SettingRuns]) -> Transfer:
    """UD of every setting's methods at every setting's β.

    Args:
        measured: Setting → its SAL. Settings may differ in their numbers of epochs and layers: β is one number.

    Raises:
        ValueError: If there are fewer than two settings, or a setting's arrays are not SAL arrays.
    """
    if len(measured) < 2:
        raise ValueError(
            f"`measured` must hold at least two settings to transfer β between; got {list(measured)}. Sweep a second data "
            "set or model, as in dataset=digits,cifar10."
        )
    settings = tuple(measured)
    methods = tuple(dict.fromkeys(method for setting in measured.values() for method in setting.poisoned))
    beta = np.array([mean(learnability_threshold(sal) for sal in entry.clean.values()) for entry in measured.values()])
    shape = (len(settings), len(settings))
    ud = np.full((*shape, len(methods)), np.nan)
    tau, change = np.full(shape, np.nan), np.full(shape, np.nan)
    for target, entry in enumerate(measured.values()):
        for source in range(len(settings)):
            for place, method in enumerate(methods):
                ud[source, target, place] = _distance(entry, method, float(beta[source]))
        for source in range(len(settings)):
            agreement = rank_correlation(ud[source, target], ud[target, target])
            tau[source, target] = agreement.tau if agreement.n >= 3 else math.nan
            differences = np.abs(ud[source, target] - ud[target, target])
            if np.isfinite(differences).any():
                change[source, target] = np.nanmax(differences)
    return Transfer(settings, methods, beta, ud, tau, change)


def _distance(entry: SettingRuns, method: str, beta: float) -> float:
    """Mean UD over the seeds; NaN if there is none, or a clean run has no layer above β."""
    values = []
    for seed, sal in entry.poisoned.get(method, {}).items():
        try:
            values.append(distance_report(sal, entry.clean[seed], beta=beta).value)
        except UndefinedDistanceError:
            return math.nan
    return mean(values) if values else math.nan
