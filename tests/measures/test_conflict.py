"""Conflict of identical and opposed tasks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from unlearnable.measures.base import Context
from unlearnable.measures.conflict import TaskConflict, cosine_matrix, gradient_conflict, sal_conflict
from unlearnable.measures.sal import measure_sal
from unlearnable.tasks import JointLoss


class TwoOutputs(nn.Module):
    """A shared linear map with normalisation and dropout, which must be in eval mode while measured."""

    def __init__(self) -> None:
        super().__init__()
        self.shared = nn.Linear(4, 2, bias=False)
        self.norm = nn.BatchNorm1d(2)
        self.drop = nn.Dropout(0.5)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"y": self.drop(self.norm(self.shared(x)))}


def losses() -> dict[str, object]:
    return {
        "up": lambda outputs, targets: outputs["y"][:, 0].mean(),
        "again": lambda outputs, targets: 3 * outputs["y"][:, 0].mean(),
        "down": lambda outputs, targets: -outputs["y"][:, 0].mean(),
        "other": lambda outputs, targets: outputs["y"][:, 1].mean(),
        "nothing": lambda outputs, targets: outputs["y"].sum() * 0,
    }


def batches() -> list[tuple[torch.Tensor, dict[str, torch.Tensor]]]:
    x = torch.randn(10, 4, generator=torch.Generator().manual_seed(0))
    return [(x[:7], {"t": torch.zeros(7)}), (x[7:], {"t": torch.zeros(3)})]


def test_identical_tasks_agree_opposed_tasks_oppose_and_independent_ones_are_orthogonal() -> None:
    net = TwoOutputs()
    matrix = gradient_conflict(net, losses(), batches(), list(net.shared.parameters()))
    np.testing.assert_allclose(matrix[0, :4], [1, 1, -1, 0], atol=1e-6)
    np.testing.assert_allclose(matrix, matrix.T)
    assert np.isnan(matrix[4]).all()


def test_the_gradient_is_of_the_mean_over_all_samples_whatever_the_batches() -> None:
    net = TwoOutputs()
    whole = [(torch.cat([x for x, _ in batches()]), {"t": torch.zeros(10)})]
    pair = {
        "linear": lambda outputs, targets: outputs["y"][:, 0].mean(),
        "square": lambda outputs, targets: outputs["y"].square().mean(),
    }
    parameters = list(net.shared.parameters())
    np.testing.assert_allclose(
        gradient_conflict(net, pair, batches(), parameters), gradient_conflict(net, pair, whole, parameters), atol=1e-6
    )


def test_measuring_leaves_the_net_as_it_was() -> None:
    net = TwoOutputs().train()
    net.norm.eval()
    state = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    gradient_conflict(net, losses(), batches(), list(net.shared.parameters()))
    assert net.training
    assert net.drop.training
    assert not net.norm.training
    assert net.shared.weight.grad is None
    assert all(torch.equal(tensor, state[name]) for name, tensor in net.state_dict().items())


def test_cosines_by_hand() -> None:
    matrix = cosine_matrix(torch.tensor([[1.0, 0], [1, 1], [0, 2]]))
    np.testing.assert_allclose(matrix, [[1, 0.5**0.5, 0], [0.5**0.5, 1, 0.5**0.5], [0, 0.5**0.5, 1]], atol=1e-12)


def test_sal_conflict_is_over_the_layers_that_all_tasks_have() -> None:
    x = torch.randn(8, 4, generator=torch.Generator().manual_seed(1))
    y = torch.arange(8) % 2
    torch.manual_seed(0)
    one = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2))
    sal = measure_sal(one, nn.functional.cross_entropy, [(x, y)], steps=3).measured()
    assert sal_conflict({"a": sal, "b": sal})[0, 1] == pytest.approx(1)
    bare = measure_sal(one[0], lambda o, t: o.square().mean(), [(x, y)], steps=3).measured()
    with pytest.raises(ValueError, match="no layer in common"):
        sal_conflict({"a": sal, "b": bare})


def test_the_measure_has_a_row_of_the_matrix_a_task_and_no_row_for_the_joint_loss() -> None:
    net = TwoOutputs()
    shared = net.shared
    everything = {**losses(), "joint": JointLoss({})}
    context = Context(1, lambda epoch: {}, shared=list(shared.parameters()))
    found = TaskConflict().measure(net, everything, batches(), context)
    matrix = gradient_conflict(net, losses(), batches(), list(shared.parameters()))
    assert list(found) == list(losses())
    assert all(found[task].names == tuple(losses()) for task in found)
    np.testing.assert_array_equal(np.stack([found[task].values for task in found]), matrix)


def test_it_rests_where_there_is_one_task() -> None:
    one = {"up": losses()["up"]}
    assert TaskConflict().rests(one)
    assert TaskConflict().rests({**one, "joint": JointLoss({})})
    assert not TaskConflict().rests(losses())


def test_a_loss_that_sees_nothing_shared_has_no_number() -> None:
    net = TwoOutputs()
    head = nn.Parameter(torch.ones(1))
    pair = {"up": losses()["up"], "head": lambda outputs, targets: head.sum()}
    matrix = gradient_conflict(net, pair, batches(), list(net.shared.parameters()))
    assert np.isnan(matrix[1]).all()
