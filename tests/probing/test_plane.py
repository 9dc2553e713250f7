"""The plane of trajectories against numpy's SVD, and its losses on a quadratic that is known."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from unlearnable.probing.plane import filter_norms, loss_rows, trajectory_plane

CURVATURE = torch.tensor([4.0, 1.0, 0.25], dtype=torch.float64)


class Quadratic(nn.Module):
    """Its output is the loss ``½ Σ λ_i θ_i²`` itself, whatever the input."""

    def __init__(self) -> None:
        super().__init__()
        self.theta = nn.Parameter(torch.zeros(3, dtype=torch.float64))

    def forward(self, inputs: Tensor) -> Tensor:
        return 0.5 * (CURVATURE * self.theta**2).sum() + 0 * inputs.sum()


def descent(start: list[float], rate: float = 0.2, steps: int = 8) -> list[dict[str, Tensor]]:
    """Gradient descent in closed form: ``θ_t = (1 − ηλ)^t θ_0``."""
    theta = torch.tensor(start, dtype=torch.float64)
    return [{"theta": (1 - rate * CURVATURE) ** step * theta} for step in range(steps + 1)]


def test_plane_coordinates_and_shares_are_those_of_the_singular_value_decomposition() -> None:
    trajectories = {"clean": descent([1.0, -2.0, 3.0]), "em": descent([1.0, -2.0, 3.0], rate=0.05)}
    plane = trajectory_plane(trajectories, ["theta"])
    rows = torch.stack([point["theta"] for series in trajectories.values() for point in series]).numpy()
    centred = rows - rows.mean(axis=0)
    _, singular, axes = np.linalg.svd(centred, full_matrices=False)
    np.testing.assert_allclose(plane.shares, (singular**2 / (singular**2).sum())[:2], rtol=1e-9)
    found = np.concatenate(list(plane.coordinates.values()))
    np.testing.assert_allclose(np.abs(found), np.abs(centred @ axes[:2].T), atol=1e-9)
    first, second = (direction["theta"].numpy() for direction in plane.directions)
    np.testing.assert_allclose([first @ first, second @ second, first @ second], [1, 1, 0], atol=1e-9)


def test_a_trajectory_in_a_plane_lies_on_it_and_the_loss_there_is_the_quadratics() -> None:
    # The third coordinate stays 0, so the plane holds every point: its losses are the trajectory's own.
    series = descent([1.0, -2.0, 0.0])
    plane = trajectory_plane({"clean": series}, ["theta"])
    assert sum(plane.shares) == pytest.approx(1)
    points = plane.coordinates["clean"]
    for point, weights in zip(points, series, strict=True):
        torch.testing.assert_close(plane.at(*map(float, point))["theta"], weights["theta"])
        ((_, losses),) = loss_rows(Quadratic(), _identity, BATCHES, plane, point[:1], point[1:])
        assert losses[0] == pytest.approx(float(0.5 * (CURVATURE * weights["theta"] ** 2).sum()))


def _identity(outputs: Tensor, _targets: Tensor) -> Tensor:
    return outputs


BATCHES = [(torch.zeros(2, 1), torch.zeros(2)), (torch.zeros(1, 1), torch.zeros(1))]


def test_rows_that_are_known_are_skipped() -> None:
    plane = trajectory_plane({"clean": descent([1.0, -2.0, 0.0])}, ["theta"])
    xs, ys = plane.grid(4)
    rows = dict(loss_rows(Quadratic(), _identity, BATCHES, plane, xs, ys, skip={0, 2}))
    assert sorted(rows) == [1, 3]


def test_the_grid_covers_all_trajectories() -> None:
    plane = trajectory_plane({"a": descent([1.0, -2.0, 3.0]), "b": descent([1.0, -2.0, 3.0], rate=0.05)}, ["theta"])
    xs, ys = plane.grid(5, margin=0.1)
    points = np.concatenate(list(plane.coordinates.values()))
    assert xs[0] < points[:, 0].min() <= points[:, 0].max() < xs[-1]
    assert ys[0] < points[:, 1].min() <= points[:, 1].max() < ys[-1]


def test_filter_norms_are_those_of_each_filter_and_never_zero() -> None:
    weights = torch.tensor([[[3.0, 4.0]], [[0.0, 0.0]]])
    assert filter_norms(weights).flatten().tolist() == [5.0, 1.0]
    assert filter_norms(torch.tensor([3.0, 4.0])).tolist() == [5.0]


def test_filter_normalised_planes_do_not_change_when_a_filter_is_rescaled() -> None:
    generator = torch.Generator().manual_seed(0)
    series = [{"w": torch.randn(2, 3, generator=generator, dtype=torch.float64)} for _ in range(5)]
    factor = torch.tensor([[1.0], [100.0]], dtype=torch.float64)
    scaled = [{"w": factor * point["w"]} for point in series]
    one = trajectory_plane({"a": series}, ["w"], scale=series[-1])
    other = trajectory_plane({"a": scaled}, ["w"], scale=scaled[-1])
    np.testing.assert_allclose(one.coordinates["a"], other.coordinates["a"], atol=1e-9)
    torch.testing.assert_close(other.directions[0]["w"], factor * one.directions[0]["w"])


def test_a_model_is_left_as_it_was_and_batch_statistics_are_the_batchs() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    before = copy.deepcopy(net.state_dict())
    series = [{name: value + 0.1 * step for name, value in net.named_parameters()} for step in range(3)]
    series[1] = {name: value * 1.3 for name, value in series[1].items()}
    plane = trajectory_plane({"a": series}, [name for name, _ in net.named_parameters()])
    inputs, targets = torch.randn(8, 3), torch.tensor([0, 1] * 4)
    ((_, losses),) = loss_rows(
        net, nn.functional.cross_entropy, [(inputs, targets)], plane, *plane.coordinates["a"][2:].T
    )
    for name, value in net.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)
    own = copy.deepcopy(net).train()
    own.load_state_dict(plane.at(*map(float, plane.coordinates["a"][2])), strict=False)
    assert losses[0] == pytest.approx(float(nn.functional.cross_entropy(own(inputs), targets)), rel=1e-5)


def test_points_that_are_all_the_same_have_no_plane() -> None:
    with pytest.raises(ValueError, match="All points"):
        trajectory_plane({"a": [{"w": torch.ones(2)}] * 3}, ["w"])
    with pytest.raises(ValueError, match="at least three points"):
        trajectory_plane({"a": [{"w": torch.ones(2)}] * 2}, ["w"])
