"""The paper's count at the threshold of the published code: scikit-learn's K-means with one start."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from unlearnable.distances.arrays import sal_array
from unlearnable.distances.threshold import two_means


def published_threshold(clean_sal: ArrayLike) -> float:
    """β as :func:`unlearnable.learnability_threshold`, with each epoch's two clusters found as in the published code.

    That is scikit-learn's ``KMeans`` from one k-means++ start with the random state 0, which often ends in a local
    optimum; the exact split does not.

    Args:
        clean_sal: SAL of the clean run, ``[T, L]``. Entries that are not finite are left out of their epoch.

    Raises:
        ValueError: As :func:`unlearnable.learnability_threshold`.
    """
    from sklearn.cluster import KMeans

    middles = []
    for epoch, row in enumerate(sal_array(clean_sal, "clean_sal")):
        two_means(row, epoch)  # raises where there are no two clusters
        values = row[np.isfinite(row)]
        middles.append(KMeans(n_clusters=2, n_init=1, random_state=0).fit(values[:, None]).cluster_centers_.mean())
    return float(np.mean(middles))
