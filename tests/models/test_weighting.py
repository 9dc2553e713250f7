"""How losses become one: weights by hand and from theory, aggregators of gradients."""

from __future__ import annotations

import math

import pytest
import torch

from tests._inputs import seeded
from unlearnable.models.weighting import AGGREGATORS, DynamicWeightAverage, Uncertainty, make_aggregator


def test_dynamic_weights_by_hand() -> None:
    weighting = DynamicWeightAverage(["a", "b"])
    losses = {"a": torch.tensor(1.0), "b": torch.tensor(10.0)}
    weighting.epoch_ended({"a": 2.0, "b": 4.0})
    assert weighting(losses).item() == 11.0
    weighting.epoch_ended({"a": 1.0, "b": 4.0})  # a halves, b stands still: b counts for more
    share = math.exp(1 / 2) / (math.exp(1 / 4) + math.exp(1 / 2))
    assert weighting(losses).item() == pytest.approx(2 * (1 - share) + 20 * share, rel=1e-5)


def test_uncertainty_starts_as_the_sum_and_settles_where_theory_says() -> None:
    weighting = Uncertainty(["a", "b"])
    losses = {"a": torch.tensor(0.5), "b": torch.tensor(3.0)}
    assert weighting(losses).item() == pytest.approx(3.5)
    optimizer = torch.optim.SGD(weighting.parameters(), lr=0.2)
    for _ in range(400):
        optimizer.zero_grad()
        weighting(losses).backward()
        optimizer.step()
    # d/ds (L exp(−s) + s/2) = 0 at exp(s) = 2L.
    torch.testing.assert_close(weighting.log_variance.exp(), torch.tensor([1.0, 6.0]), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", AGGREGATORS)
@pytest.mark.filterwarnings("ignore::UserWarning")  # of the solvers
def test_every_aggregator_makes_one_gradient_of_three(name: str) -> None:
    aggregate = make_aggregator(name, 3)
    assert aggregate(torch.randn(3, 7, generator=seeded(0))).shape == (7,)
