from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests._inputs import seeded
from unlearnable.data.samples import Samples
from unlearnable.defenses.orthogonal import OrthogonalProjection, projected

from ._inputs import CLASSES, CPU, TASKS, purified, training_set


def test_nothing_is_left_in_the_span() -> None:
    basis = torch.linalg.qr(torch.randn(40, 4, generator=seeded(0)).double()).Q
    points = torch.randn(10, 40, generator=seeded(1)).double()
    found = projected(points, basis)
    torch.testing.assert_close(found @ basis, torch.zeros(10, 4).double(), atol=1e-12, rtol=0)  # xᵀQ = 0
    torch.testing.assert_close(projected(found, basis), found)
    rest = points - found
    torch.testing.assert_close(rest, rest @ basis @ basis.T)  # and what is taken out lies in it


def test_class_wise_noise_is_gone_and_a_linear_classifier_at_chance(tmp_path: Path) -> None:
    count, size = 400, 16
    labels = torch.arange(count) % CLASSES
    noise = torch.randint(0, 2, (CLASSES, 3, size, size), generator=seeded(2)) * 32 - 16
    content = torch.randint(60, 196, (count, 3, size, size), generator=seeded(3))
    train = Samples((content + noise[labels]).to(torch.uint8), labels, TASKS)
    defense = OrthogonalProjection()
    found = purified(defense, train, tmp_path / "a").inputs
    left = torch.stack([(found[labels == c].float() - content[labels == c]).mean(0) for c in range(CLASSES)])
    left = left - left.mean(0)  # what is the same for all classes tells none apart
    given = noise.float() - noise.float().mean(0)
    share = (left * given).sum((1, 2, 3)) / given.square().sum((1, 2, 3))
    assert share.max() < 0.25, share
    weights = defense.regression(train.inputs, labels, CLASSES, seed=0, device=CPU)

    def accuracy(images: torch.Tensor) -> float:
        return ((images.float() / 255).flatten(1) @ weights.T).argmax(1).eq(labels).float().mean().item()

    assert accuracy(train.inputs) == 1.0
    assert accuracy(found) < 0.5


def test_after_rounding_the_classifiers_scores_are_rounding_errors(tmp_path: Path) -> None:
    images = training_set(60).inputs // 4 + 96  # far from black and white, where nothing is clipped
    train = Samples(images, torch.arange(60) % CLASSES, TASKS)
    defense = OrthogonalProjection()
    found = purified(defense, train, tmp_path).inputs
    weights = defense.regression(train.inputs, train.labels, CLASSES, seed=0, device=CPU)
    scores = (found.float() / 255).flatten(1) @ weights.T
    # Rounding errors are uniform: the standard deviation of a score is ‖w‖ / (255 √12).
    error = weights.norm(dim=1) / (255 * 12**0.5)
    assert (scores.abs() < 5 * error).all()


def test_small_sets_have_as_many_steps_as_cifar(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = []
    monkeypatch.setattr(torch.optim.SGD, "step", lambda *_: steps.append(1))
    train = training_set(96)
    OrthogonalProjection(epochs=1).regression(train.inputs, train.labels, CLASSES, seed=0, device=CPU)
    assert len(steps) == 48


def test_numbers_are_checked() -> None:
    with pytest.raises(ValueError, match=r"`defense.lr` must be a number, above 0; got 0"):
        OrthogonalProjection(lr=0)
