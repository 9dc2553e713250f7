"""The solvers against each other and against the published procedure, written down a second time."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.probing._models import (
    Batches,
    MultiHead,
    ResNet,
    Transformer,
    accuracy,
    batched,
    images,
    multi_loss,
    seeded_model,
    trained,
)
from unlearnable.measures.sal import measure_sal
from unlearnable.measures.sal.ball import Ball
from unlearnable.measures.sal.solvers import Problem
from unlearnable.measures.sal.solvers.climb import Climb, Rules
from unlearnable.probing.layers import select_layers
from unlearnable.probing.probe import Reading

EARLY, LATE = 15, 150  # steps of training


def setting(kind: str, *, poison: bool, steps: int) -> tuple[nn.Module, Callable[..., Tensor], Batches]:
    """A trained model with its loss and probe."""
    x, y = images(160, poison=poison)
    build = {"resnet": ResNet, "vit": Transformer, "multi": MultiHead}[kind]
    loss_fn: Callable[..., Tensor] = F.cross_entropy
    inputs: object = x
    targets: object = y
    if kind == "multi":
        loss_fn = multi_loss
        inputs, targets = {"image": x}, {"class": y, "depth": torch.stack([x.mean((1, 2, 3)), x.std((1, 2, 3))], 1)}
    batches = batched(inputs, targets, 80)
    return trained(seeded_model(build), loss_fn, batches, steps, lr=0.1), loss_fn, batches


@pytest.mark.parametrize(
    ("poison", "steps"),
    [
        (False, EARLY),
        pytest.param(False, LATE, marks=pytest.mark.slow),
        pytest.param(True, EARLY, marks=pytest.mark.slow),
        (True, LATE),
    ],
)
@pytest.mark.parametrize("kind", ["resnet", "vit", "multi"])
def test_fast_reaches_the_maximum_of_projected_gradient_ascent(kind: str, poison: bool, steps: int) -> None:
    model, loss_fn, batches = setting(kind, poison=poison, steps=steps)
    eps = 0.2 if kind == "vit" else 0.05  # a ball in which there is something to be found
    fast = measure_sal(model, loss_fn, batches, eps=eps)
    truth = measure_sal(model, loss_fn, batches, eps=eps, solver="pgd", steps=20, restarts=1)
    large = truth.values > 0.02
    assert large.any()
    assert np.all(fast.values[large] >= 0.98 * truth.values[large]), dict(
        zip(fast.names, (fast.values / truth.values).round(3).tolist(), strict=True)
    )
    assert fast.forwards < 0.5 * truth.forwards


def test_a_large_probe_is_explored_in_part_and_measured_whole() -> None:
    x, y = images(512)
    batches = batched(x, y, 128)
    model = trained(seeded_model(ResNet), F.cross_entropy, batches, EARLY, lr=0.1)
    fast = measure_sal(model, F.cross_entropy, batches)
    truth = measure_sal(model, F.cross_entropy, batches, solver="pgd", steps=15, restarts=0)
    large = truth.values > 0.02
    assert large.any()
    assert np.all(fast.values[large] >= 0.98 * truth.values[large])
    assert np.all(fast.values <= 1.05 * truth.values + 0.01)  # no value of a quarter's own, higher maximum
    assert fast.samples == 512
    assert fast.forwards < 0.2 * truth.forwards


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_every_point_that_counts_lies_in_the_ball(norm: str) -> None:
    # The loss is the squared distance from the start in that norm, so that no rise can exceed ε².
    start = torch.tensor([[1.0, -2.0, 0.5]])
    model = nn.Linear(3, 1, bias=False)
    model.weight.data = start.clone()

    def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
        moved = outputs[:, 0] - targets @ start[0]
        return (moved.square().sum() if norm == "l2" else moved.abs().max() ** 2) + 0.01 * outputs.sum()

    x = torch.eye(3)
    for solver in ("fast", "pgd", "reference"):
        sal = measure_sal(model, loss_fn, [(x, x)], eps=0.3, radius="absolute", norm=norm, solver=solver)
        assert sal.rise[0] <= 0.09 + 0.01 * 0.3 * (3 if norm == "linf" else 3**0.5) + 1e-6


def published(
    model: nn.Module, batches: Batches, *, eps: float, passes: int, lr: float
) -> dict[str, tuple[float, float, float]]:
    """The published procedure with copies of the model and torch's own SGD: module name → highest loss, lowest loss, origin."""

    def loss_over(net: nn.Module) -> float:
        with torch.no_grad():
            return sum(float(F.cross_entropy(net(x), y)) * len(y) for x, y in batches) / sum(len(y) for _, y in batches)

    model = copy.deepcopy(model).eval()
    origin, found = loss_over(model), {}
    for name, module in model.named_modules():
        if not isinstance(module, nn.Conv2d | nn.Linear):
            continue
        losses = {}
        for sign in (+1, -1):
            net = copy.deepcopy(model)
            weight = net.get_submodule(name).weight
            start = weight.detach().clone()
            optimizer = torch.optim.SGD([weight], lr=lr)
            losses[sign] = []
            for _ in range(passes):
                for x, y in batches:
                    optimizer.zero_grad()
                    (-sign * F.cross_entropy(net(x), y)).backward()
                    optimizer.step()
                with torch.no_grad():
                    ratio = (weight - start).norm() / start.norm()
                    if ratio > eps:
                        weight.copy_(start + (weight - start) / ratio * eps)
                losses[sign].append(loss_over(net))
        found[name] = (max(losses[+1]), min(losses[-1]), origin)
    return found


@pytest.mark.parametrize("steps", [EARLY, LATE])
def test_reference_is_the_published_procedure(steps: int) -> None:
    model, loss_fn, batches = setting("resnet", poison=True, steps=steps)
    batches = batched(batches[0][0], batches[0][1], 50)  # an uneven last batch
    sal = measure_sal(model, loss_fn, batches, solver="reference", steps=3, eps=0.03)
    expected = published(model, batches, eps=0.03, passes=3, lr=0.1)
    assert sal.names == tuple(expected)
    for index, (high, low, origin) in enumerate(expected.values()):
        assert sal.rise[index] == pytest.approx(max(high - origin, 0), rel=1e-3, abs=1e-5)
        assert sal.fall[index] == pytest.approx(max(origin - low, 0), rel=1e-3, abs=1e-5)


def test_published_origin_moves_rise_and_fall() -> None:
    model, loss_fn, batches = setting("resnet", poison=False, steps=EARLY)
    exact = measure_sal(model, loss_fn, batches[:1], solver="reference", steps=1, layers=["fc"], accuracy_fn=accuracy)
    shifted = measure_sal(
        model,
        loss_fn,
        batches[:1],
        solver="reference",
        steps=1,
        layers=["fc"],
        origin_loss=exact.loss + 0.01,
        accuracy_fn=accuracy,
    )
    assert shifted.rise[0] == pytest.approx(max(exact.rise[0] - 0.01, 0), abs=1e-6)
    assert shifted.fall[0] == pytest.approx(exact.fall[0] + 0.01, abs=1e-6)
    assert shifted.loss == exact.loss


def test_another_origin_has_both_sides_solved() -> None:
    model, loss_fn, batches = setting("resnet", poison=False, steps=EARLY)
    origin = measure_sal(model, loss_fn, batches).loss + 0.3  # above L(θ): what is skipped from there decides from here
    fast = measure_sal(model, loss_fn, batches, origin_loss=origin)
    both = measure_sal(model, loss_fn, batches, origin_loss=origin, both_sides=True)
    assert both.settled.all()
    assert fast.values.tolist() == both.values.tolist()
    assert (fast.values > origin - fast.loss + 1e-3).any()


def test_skipped_sides_are_the_smaller_ones() -> None:
    for poison, steps in ((False, EARLY), (True, LATE)):
        model, loss_fn, batches = setting("resnet", poison=poison, steps=steps)
        fast = measure_sal(model, loss_fn, batches)
        both = measure_sal(model, loss_fn, batches, both_sides=True)
        assert both.settled.all()
        assert fast.values == pytest.approx(both.values, rel=0.01)
        assert fast.forwards <= both.forwards


def test_an_absolute_tolerance_saves_steps_on_what_is_negligible() -> None:
    model, loss_fn, batches = setting("resnet", poison=False, steps=EARLY)
    exact = measure_sal(model, loss_fn, batches, eps=0.001, atol=0.0, tol=0.001, both_sides=True)
    loose = measure_sal(model, loss_fn, batches, eps=0.001, atol=1e-3, tol=0.001, both_sides=True)
    assert loose.forwards < exact.forwards
    assert np.all(loose.values >= exact.values - 3e-3)
    assert np.all(measure_sal(model, loss_fn, batches, eps=1e-5).values > 0)  # far below `atol`, and not 0
    for wrong in (-1e-3, float("nan")):
        with pytest.raises(ValueError, match="atol"):
            measure_sal(model, loss_fn, batches, atol=wrong)


def test_a_side_is_left_when_its_slope_does_not_promise_to_reach_the_other() -> None:
    layer = select_layers(nn.Linear(1, 1, bias=False))[0]
    problem = Problem(layer, Ball("l2", 0.1), Reading(loss=1.0, gradient=torch.ones(1), accuracy=None))
    rules = Rules(steps=10, tol=0.01, atol=0.0, floor=0.0, both_sides=False)
    promise = 0.1 / (1 - 0.6)  # all steps together, each 0.6 of the one before
    assert Climb(problem, -1, rules, rival=2.1 * promise).done
    assert not Climb(problem, -1, rules, rival=1.9 * promise).done


def test_a_side_that_was_left_does_not_count_as_solved() -> None:
    # L = w + 50 w² at w = 0, |v| ≤ 0.1: a rise of 0.6; the fall is 0.005, and its slope promises 0.25 at the most.
    model = nn.Linear(1, 1, bias=False)
    model.weight.data.zero_()

    def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
        return (outputs + 50 * outputs.square()).mean()

    batches = [(torch.ones(1, 1), torch.ones(1))]
    left, both = (
        measure_sal(model, loss_fn, batches, eps=0.1, radius="absolute", loss_floor=None, both_sides=sides)
        for sides in (False, True)
    )
    assert left.values[0] == both.values[0] == pytest.approx(0.6, rel=1e-5)
    assert not left.settled[0]
    assert both.settled[0]


def test_a_loss_without_floor_keeps_its_falls() -> None:
    # L = w²/2 − 10 w at w = 1 (L = −9.5): the fall is larger than the rise and than any floor at 0 would let it be.
    model = nn.Linear(1, 1, bias=False)
    model.weight.data.fill_(1.0)

    def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
        return (outputs.square() / 2 - 10 * outputs).mean()

    sal = measure_sal(model, loss_fn, [(torch.ones(1, 1), torch.ones(1))], eps=1.0)
    # At w = 2: −18, a fall of 8.5; at w = 0: 0, a rise of 9.5.
    assert sal.rise[0] == pytest.approx(9.5, rel=1e-4)
    both = measure_sal(model, loss_fn, [(torch.ones(1, 1), torch.ones(1))], eps=1.0, both_sides=True)
    assert both.fall[0] == pytest.approx(8.5, rel=1e-4)


def test_a_gradient_too_small_to_be_scaled_to_the_ball_is_none() -> None:
    tiny = torch.full((4,), 1e-40)
    assert Ball("l2", 10.0).farthest(tiny).tolist() == [0.0] * 4
    assert Ball("l2", 10.0).farthest(torch.tensor([3e-20, 4e-20])).tolist() == pytest.approx([6.0, 8.0])
    assert Ball("l2", 10.0).farthest(torch.zeros(2)).tolist() == [0.0, 0.0]
