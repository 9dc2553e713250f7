"""Rank correlations against values worked by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from unlearnable.results.ranking import order, rank_correlation, ranking_stability


def test_spearman_kendall_and_their_interval_are_those_worked_by_hand() -> None:
    # Two neighbours swapped twice: Σd² = 4, ρ = 1 − 6·4/(5·24) = 0.8; 2 of 10 pairs are discordant, τ = 0.6.
    found = rank_correlation([1, 2, 3, 4, 5], [2, 1, 4, 3, 5])
    assert (found.n, found.rho, found.tau) == (5, pytest.approx(0.8), pytest.approx(0.6))
    # Bonett and Wright: √((1 + 0.64/2)/2) = 0.8124; atanh 0.8 = 1.0986; ± 1.96 · 0.8124 = 1.5923.
    assert found.low == pytest.approx(math.tanh(1.0986 - 1.5923), abs=1e-3)
    assert found.high == pytest.approx(math.tanh(1.0986 + 1.5923), abs=1e-3)


def test_the_p_value_of_few_methods_is_exact() -> None:
    # Of the 4! = 24 orders, the same and the reverse one are as extreme as full agreement.
    assert rank_correlation([1, 2, 3, 4], [10, 20, 30, 40]).p_value == pytest.approx(2 / 24)


def test_full_agreement_of_few_methods_keeps_a_wide_interval() -> None:
    few, many = (rank_correlation(np.arange(n), np.arange(n)) for n in (4, 30))
    assert few.high == many.high == 1
    assert few.low < 0 < many.low


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    # Normal pairs with correlation 0.6 have Spearman's ρ = 6/π · asin(0.3) = 0.582.
    rng = np.random.default_rng(0)
    truth, hits = 6 / math.pi * math.asin(0.3), 0
    for _ in range(400):
        x = rng.normal(size=12)
        found = rank_correlation(x, 0.6 * x + 0.8 * rng.normal(size=12))
        hits += found.low <= truth <= found.high
    assert 0.91 < hits / 400 < 0.985


def test_unknown_and_constant_figures_give_no_correlation() -> None:
    assert math.isnan(rank_correlation([1, 1, 1], [1, 2, 3]).rho)
    assert rank_correlation([1, math.nan, 3], [1, 2, 3]).n == 2
    with pytest.raises(ValueError, match="equal length"):
        rank_correlation([1, 2], [1, 2, 3])


def test_stability_compares_settings_over_the_methods_they_share() -> None:
    values = {
        "a": {"em": 1.0, "tap": 2.0, "ops": 3.0},
        "b": {"em": 1.0, "tap": 3.0, "ops": 2.0, "ar": 9.0},
        "c": {"em": 3.0, "tap": 2.0, "ops": 1.0},
        "d": {"em": 1.0, "tap": 2.0},
    }
    found = ranking_stability(values)
    assert found.tau[0, 1] == pytest.approx(1 / 3)  # one of three pairs swapped
    assert found.tau[0, 2] == pytest.approx(-1)
    assert math.isnan(found.tau[0, 3])  # two methods only
    assert found.common[1].tolist() == [3, 4, 3, 2]
    assert found.least == ("a", "c", pytest.approx(-1))
    with pytest.raises(ValueError, match="at least one setting"):
        ranking_stability({})


def test_order_is_from_low_to_high_and_leaves_out_what_is_unknown() -> None:
    assert order({"a": 2.0, "b": 1.0, "c": math.nan}) == ["b", "a"]
