"""Criticality against losses of models whose layers were put back by hand."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.probing._models import MultiHead, ResNet, batched, images, multi_loss, seeded_model, trained
from unlearnable.measures.base import Context
from unlearnable.measures.criticality import Criticality


def context(states: Mapping[int, Mapping[str, Tensor]], **more: object) -> Context:
    return Context(3, lambda epoch: states[epoch], **more)  # type: ignore[arg-type]


def test_the_loss_with_one_layer_back_at_its_first_weights_less_the_loss() -> None:
    x, y = images(50)
    start = seeded_model(ResNet)
    before = copy.deepcopy(start.state_dict())
    model = trained(start, F.cross_entropy, [(x, y)], 15)
    after = copy.deepcopy(model.state_dict())
    found = Criticality().measure(model, {"class": F.cross_entropy}, batched(x, y, 40), context({0: before}))["class"]

    def loss_with(name: str | None) -> float:
        net = ResNet().eval()
        net.load_state_dict(after if name is None else {**after, f"{name}.weight": before[f"{name}.weight"]})
        with torch.no_grad():
            return float(F.cross_entropy(net(x), y))

    assert found.details["loss"] == pytest.approx(loss_with(None), rel=1e-5)
    expected = [loss_with(name) - loss_with(None) for name in found.names]
    assert found.values == pytest.approx(expected, rel=1e-3, abs=1e-5)
    assert max(expected) > 0.1
    assert model.training
    assert all(torch.equal(tensor, after[name]) for name, tensor in model.state_dict().items())


def test_a_linear_loss_by_hand() -> None:
    # L = mean of ⟨w, x⟩ over x = (1, 2): w goes from (3, 3) back to (1, 0): L falls from 9 to 1.
    model = nn.Linear(2, 1, bias=False)
    model.weight.data = torch.tensor([[3.0, 3.0]])
    states = {0: {"weight": torch.zeros(1, 2)}, 2: {"weight": torch.tensor([[1.0, 0.0]])}}
    found = Criticality(to_epoch=2).measure(
        model,
        {"class": lambda outputs, _: outputs.mean()},
        [(torch.tensor([[1.0, 2.0]]), torch.ones(1))],
        context(states),
    )["class"]
    assert found.values.tolist() == [-8.0]
    assert found.details == {"loss": 9.0, "to_epoch": 2}


def test_each_task_is_measured_on_the_part_that_its_loss_depends_on() -> None:
    x, y = images(20)
    inputs, targets = {"image": x}, {"class": y, "depth": torch.zeros(20, 2)}
    model = seeded_model(MultiHead)
    before = copy.deepcopy(model.state_dict())
    with torch.no_grad():
        model.depth.weight.zero_()  # type: ignore[union-attr, operator]
    losses = {"all": multi_loss, "class": lambda outputs, targets: F.cross_entropy(outputs["class"], targets["class"])}
    found = Criticality().measure(model, losses, [(inputs, targets)], context({0: before}))
    assert found["class"].values == pytest.approx(np.zeros(len(found["class"].names)), abs=1e-6)
    assert found["all"].values[found["all"].names.index("depth")] > 1e-4


def test_when_it_is_due_and_what_it_needs() -> None:
    measure = Criticality(to_epoch=2, every_n_epochs=2)
    assert [epoch for epoch in range(1, 6) if measure.due(epoch, 5)] == [2, 4, 5]
    assert measure.needs_weights(4, 5) == (2, 4)
    with pytest.raises(ValueError, match=r"`criticality\.to_epoch` = 2 is after the run's last epoch, 1"):
        measure.due(1, 1)
    with pytest.raises(ValueError, match=r"`criticality\.to_epoch` must be a whole number, at least 0"):
        Criticality(to_epoch=-1)
