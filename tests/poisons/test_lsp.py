from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression

from tests._inputs import seeded
from unlearnable.poisons.lsp import LSP

from ._inputs import grey_set


def test_clusters_have_the_statistics_of_make_classification() -> None:
    size, count = 12, 4000
    mixing = torch.rand(size, size, generator=seeded(0), dtype=torch.float64) * 2 - 1
    centre = torch.full((size,), 10.0, dtype=torch.float64)
    drawn = LSP.draw(centre, mixing, count, seeded(1))
    # z·A + m has mean m and covariance AᵀA.
    assert (drawn.mean(0) - centre).abs().max() < 0.15
    covariance = torch.cov(drawn.T)
    assert (covariance - mixing.T @ mixing).norm() / covariance.norm() < 0.1
    # scikit-learn's clusters: centres at ±class_sep and, in the mean over A, the variance d/3 of each value.
    data, labels = make_classification(
        n_samples=4000, n_features=size, n_informative=size, n_redundant=0, n_classes=4, n_clusters_per_class=1,
        class_sep=10.0, flip_y=0.0, random_state=0,
    )  # fmt: skip
    theirs = np.array([data[labels == label].mean(0) for label in range(4)])
    assert np.abs(np.abs(theirs) - 10).max() < 0.5
    within = np.mean([data[labels == label].var(0).mean() for label in range(4)])
    assert abs(within - size / 3) < 1.5
    ours = np.mean([
        LSP.draw(centre, torch.rand(size, size, generator=seeded(s), dtype=torch.float64) * 2 - 1, 500, seeded(s)).var(0).mean()
        for s in range(40)
    ])  # fmt: skip
    assert abs(ours - size / 3) < 0.4


def noise_of(method: LSP, count: int = 200, classes: int = 10, size: int = 32) -> tuple[torch.Tensor, torch.Tensor]:
    grey = grey_set(count, classes, size)
    return (method.apply(grey, seed=0).inputs.float() - 128) / 255, grey.labels


def test_noise_is_constant_on_patches_of_eight_pixels_and_linearly_separable() -> None:
    noise, labels = noise_of(LSP(radius=1.304))
    patches = noise.view(200, 3, 4, 8, 4, 8)
    assert torch.equal(patches, patches[:, :, :, :1, :, :1].expand_as(patches))
    coarse = patches[:, :, :, 0, :, 0].flatten(1).numpy()
    model = LogisticRegression(max_iter=2000, C=1e3).fit(coarse[:100], labels[:100])
    assert model.score(coarse[100:], labels[100:]) == 1.0  # separable, and the same clusters for images not seen


def test_every_image_uses_its_budget() -> None:
    noise, _ = noise_of(LSP(radius=1.304))
    # The 64 equal values of a patch round together, so the longest rounded form that fits can be 2 % short.
    length = noise.flatten(1).norm(dim=1)
    assert length.max() <= 1.304 + 1e-6
    assert length.min() > 0.98 * 1.304


def test_more_classes_than_corners_is_an_error() -> None:
    with pytest.raises(ValueError, match="`patch_size` leaves 3 numbers per image, whose 8 corners"):
        noise_of(LSP(radius=0.5, patch_size=32), count=20, classes=10)
