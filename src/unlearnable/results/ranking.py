"""Do two figures order the methods alike? Rank correlations, with intervals fit for a handful of methods."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float64, Int64
from numpy.typing import ArrayLike

_NORMAL_975 = 1.959963984540054


@dataclass(frozen=True)
class RankCorrelation:
    """Agreement of two orders of the same ``n`` methods.

    Attributes:
        n: Methods that both figures know.
        rho: Spearman's ρ; NaN below 3 methods or where one figure is constant.
        low: Lower end of the 95 % confidence interval of ρ; NaN below 4 methods.
        high: Its upper end.
        p_value: Of ρ = 0, two-sided; NaN where ρ is.
        tau: Kendall's τ-b; NaN below 2 methods or where one figure is constant.
    """

    n: int
    rho: float
    low: float
    high: float
    p_value: float
    tau: float


def rank_correlation(first: ArrayLike, second: ArrayLike) -> RankCorrelation:
    """Spearman's ρ with a confidence interval, and Kendall's τ-b, of two figures of the same methods.

    The interval is Fisher's with the standard error ``√((1 + ρ²/2) / (n − 3))`` of `Bonett and Wright (2000)
    <https://doi.org/10.1007/BF02294183>`_. Fisher's transform is infinite at ``|ρ| = 1``; there the ends are those of
    the highest ρ below 1 that ``n`` methods can have, ``1 − 12/(n³ − n)``, and 1: few methods in equal order are not
    certainty.

    Args:
        first: One figure, ``[M]``.
        second: The other, ``[M]``. Methods for which either is not finite are left out.

    Raises:
        ValueError: If the two are not vectors of the same length.
    """
    from scipy import stats

    x, y = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if x.ndim != 1 or x.shape != y.shape:
        raise ValueError(f"`first` and `second` must be vectors of equal length; got shapes {x.shape} and {y.shape}.")
    known = np.isfinite(x) & np.isfinite(y)
    x, y, n = x[known], y[known], int(known.sum())
    if n < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return RankCorrelation(n, math.nan, math.nan, math.nan, math.nan, math.nan)
    tau = float(stats.kendalltau(x, y).statistic)
    if n < 3:
        return RankCorrelation(n, math.nan, math.nan, math.nan, math.nan, tau)
    rho = float(np.clip(stats.spearmanr(x, y).statistic, -1, 1))
    return RankCorrelation(n, rho, *_interval(rho, n), _p_value(x, y), tau)


def _interval(rho: float, n: int) -> tuple[float, float]:
    if n < 4:
        return math.nan, math.nan
    inner = math.copysign(min(abs(rho), 1 - 12 / (n**3 - n)), rho)
    half = _NORMAL_975 * math.sqrt((1 + inner**2 / 2) / (n - 3))
    low, high = math.tanh(math.atanh(inner) - half), math.tanh(math.atanh(inner) + half)
    if abs(rho) > abs(inner):
        return (low, 1.0) if rho > 0 else (-1.0, high)
    return low, high


def _p_value(x: np.ndarray, y: np.ndarray) -> float:
    """Exact over all orders for up to 8 methods, where the usual approximation is off; else that approximation."""
    from itertools import permutations

    from scipy import stats

    if len(x) > 8:
        return float(stats.spearmanr(x, y).pvalue)
    ranks, other = stats.rankdata(x), stats.rankdata(y)
    orders = np.array(list(permutations(range(len(x)))))
    products = (ranks[orders] - ranks.mean()) @ (other - other.mean())
    observed = (ranks - ranks.mean()) @ (other - other.mean())
    return float(np.mean(np.abs(products) >= abs(observed) - 1e-9))


@dataclass(frozen=True)
class RankingStability:
    """How far the order of methods depends on the setting it was measured with.

    Attributes:
        settings: Names of the settings, ``S``.
        methods: Names of the methods, ``M``.
        values: The figure, ``[S, M]``; NaN where it was not measured.
        tau: Kendall's τ-b between two settings' orders over the methods both have, ``[S, S]``; NaN if they share fewer
            than 3, since two methods always agree or disagree fully.
        common: How many methods two settings share, ``[S, S]``.
    """

    settings: tuple[str, ...]
    methods: tuple[str, ...]
    values: Float64[np.ndarray, "settings methods"]
    tau: Float64[np.ndarray, "settings settings"]
    common: Int64[np.ndarray, "settings settings"]

    @property
    def mean_tau(self) -> float:
        """Mean of τ over the pairs of different settings; NaN without one."""
        pairs = self.tau[np.triu_indices(len(self.settings), 1)]
        return float(np.nanmean(pairs)) if np.isfinite(pairs).any() else math.nan

    @property
    def compared(self) -> tuple[str, ...]:
        """The settings whose order can be compared with another's."""
        others = self.tau[~np.eye(len(self.settings), dtype=bool)].reshape(len(self.settings), -1)
        return tuple(name for name, own in zip(self.settings, np.isfinite(others).any(1), strict=True) if own)

    @property
    def least(self) -> tuple[str, str, float] | None:
        """The two settings that agree least, with their τ."""
        upper = np.where(np.triu(np.ones_like(self.tau), 1) > 0, self.tau, np.nan)
        if not np.isfinite(upper).any():
            return None
        i, j = divmod(int(np.nanargmin(upper)), len(self.settings))
        return self.settings[i], self.settings[j], float(upper[i, j])


def ranking_stability(values: Mapping[str, Mapping[str, float]]) -> RankingStability:
    """Compares the order of methods between all pairs of settings by Kendall's τ-b.

    Args:
        values: Setting → method → figure (such as UD).

    Raises:
        ValueError: If there is no setting.
    """
    if not values:
        raise ValueError("`values` must hold at least one setting; it is empty.")
    settings = tuple(values)
    methods = tuple(dict.fromkeys(method for row in values.values() for method in row))
    table = np.array(
        [[float(values[setting].get(method, math.nan)) for method in methods] for setting in settings], dtype=np.float64
    ).reshape(len(settings), len(methods))
    known = np.isfinite(table).astype(np.int64)
    tau = np.full((len(settings), len(settings)), np.nan)
    for i in range(len(settings)):
        for j in range(len(settings)):
            agreement = rank_correlation(table[i], table[j])
            if agreement.n >= 3:
                tau[i, j] = agreement.tau
    return RankingStability(settings, methods, table, tau, known @ known.T)


def order(values: Mapping[str, float]) -> Sequence[str]:
    """The methods from the lowest figure to the highest; those without one are left out."""
    return sorted((method for method, value in values.items() if math.isfinite(value)), key=lambda name: values[name])


def in_order(values: Mapping[str, float]) -> str:
    """The same in words, methods with equal figures by name: `em = ops < tap`."""
    names = sorted(order(values), key=lambda name: (values[name], name))
    signs = ["=" if values[one] == values[other] else "<" for one, other in pairwise(names)]
    return "".join([*names[:1], *(f" {sign} {name}" for sign, name in zip(signs, names[1:], strict=True))])
