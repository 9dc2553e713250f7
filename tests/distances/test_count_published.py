"""β by the published code's K-means."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.cluster import KMeans

from unlearnable.distances import UndefinedDistanceError, all_distances, learnability_threshold, unlearnable_distance
from unlearnable.distances.count_published import published_threshold


def test_two_plain_clusters_have_the_exact_threshold() -> None:
    sal = np.array([[0.0, 1.0, 10.0, 12.0], [1.0, 1.0, 4.0, np.nan]])
    # Centres 0.5 and 11, then 1 and 4.
    assert published_threshold(sal) == pytest.approx((5.75 + 2.5) / 2)
    assert published_threshold(sal) == pytest.approx(learnability_threshold(sal))


def test_one_start_is_never_better_than_the_exact_split_and_at_times_worse() -> None:
    rng = np.random.default_rng(0)
    rows = np.exp(rng.normal(0, 2, (40, 21)))
    differs = 0
    for row in rows:
        ends = np.sort(KMeans(2, n_init=1, random_state=0).fit(row[:, None]).cluster_centers_.ravel())
        assert published_threshold(row[None]) == pytest.approx(ends.mean())
        differs += abs(published_threshold(row[None]) / learnability_threshold(row[None]) - 1) > 1e-6
    assert differs


def test_it_is_a_distance_by_name() -> None:
    rng = np.random.default_rng(1)
    own, clean = np.exp(rng.normal(0, 2, (2, 3, 21)))
    expected = unlearnable_distance(own, clean, beta=published_threshold(clean))
    assert all_distances(own, clean)["count_published"] == expected


def test_constant_sal_has_no_threshold() -> None:
    with pytest.raises(UndefinedDistanceError, match="two different finite values"):
        published_threshold(np.ones((2, 4)))
