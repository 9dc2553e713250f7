"""SAL against closed forms and the plain definition."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests._inputs import seeded
from tests.probing._models import ResNet, batched, images, seeded_model, trained
from unlearnable.measures.base import Measured
from unlearnable.measures.sal import measure_sal
from unlearnable.measures.sal.solvers import Problem, Solver
from unlearnable.measures.sal.solvers.pgd import Pgd
from unlearnable.probing.probe import Point, Probe

SOLVERS = ["fast", "pgd"]


def linear(weights: Tensor) -> nn.Linear:
    model = nn.Linear(weights.shape[1], weights.shape[0], bias=False)
    model.weight.data = weights.clone()
    return model


def how(solver: str) -> dict[str, Any]:
    """Enough steps, and both sides."""
    return {"solver": "pgd", "steps": 60} if solver == "pgd" else {"solver": "fast", "steps": 20, "both_sides": True}


@pytest.mark.parametrize("solver", SOLVERS)
def test_squared_loss_with_white_inputs_has_a_closed_form(solver: str) -> None:
    # Rows of X: √n e_i, so that L(w + v) = L(w) + ⟨g, v⟩ + ‖v‖², with g = 2(w − y). Rise r‖g‖ + r²; fall r‖g‖ − r² for
    # r ≤ ‖g‖/2.
    n = 5
    x, y = math.sqrt(n) * torch.eye(n), math.sqrt(n) * torch.arange(1.0, n + 1)[:, None]
    model = linear(torch.ones(1, n))
    gradient = 2 * np.linalg.norm(1 - np.arange(1, n + 1))
    radius = 0.05 * math.sqrt(n)
    sal = measure_sal(model, F.mse_loss, [(x, y)], eps=0.05, **how(solver))
    assert sal.loss == pytest.approx(30.0)  # 0 + 1 + 4 + 9 + 16
    assert sal.rise[0] == pytest.approx(radius * gradient + radius**2, rel=1e-4)
    assert sal.fall[0] == pytest.approx(radius * gradient - radius**2, rel=1e-3)


def test_fall_finds_a_minimum_inside_the_ball() -> None:
    # As above with w − y = 0.01 e_1: the minimum, 0, lies at distance 0.01, well inside a ball of radius 1.
    x, y = math.sqrt(3) * torch.eye(3), math.sqrt(3) * torch.tensor([[1.0], [1.0], [1.0]])
    model = linear(torch.tensor([[1.01, 1.0, 1.0]]))
    sal = measure_sal(model, F.mse_loss, [(x, y)], eps=1.0, radius="absolute", steps=20, atol=0.0, both_sides=True)
    assert sal.fall[0] == pytest.approx(1e-4, rel=1e-3)
    assert sal.rise[0] == pytest.approx(0.02 + 1, rel=1e-4)


@pytest.mark.parametrize("solver", SOLVERS)
def test_logistic_loss_on_one_sample_has_a_closed_form(solver: str) -> None:
    # The margin m = ⟨w, x⟩ moves by r‖x‖ either way: rise softplus(r‖x‖ − m) − softplus(−m).
    w, x = torch.tensor([[0.5, -1.0, 2.0]]), torch.tensor([[1.0, 2.0, 0.5]])

    def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
        return F.softplus(-targets * outputs).mean()

    sal = measure_sal(linear(w), loss_fn, [(x, torch.ones(1, 1))], eps=0.1, **how(solver))
    margin, reach = float(w @ x.T), 0.1 * float(w.norm() * x.norm())
    softplus = lambda value: math.log1p(math.exp(value))  # noqa: E731
    assert sal.rise[0] == pytest.approx(softplus(reach - margin) - softplus(-margin), rel=1e-4)
    assert sal.fall[0] == pytest.approx(softplus(-margin) - softplus(-reach - margin), rel=1e-4)


def best_of_quadratic(h: np.ndarray, g: np.ndarray, radius: float) -> float:
    """``max ½vᵀHv + gᵀv`` over ``‖v‖ ≤ radius``, by the secular equation ``‖(μI − H)⁻¹g‖ = radius``."""
    eigenvalues, vectors = np.linalg.eigh(h)
    b = vectors.T @ g
    low, high = max(eigenvalues[-1], 0) + 1e-12, abs(eigenvalues).max() + np.linalg.norm(b) / radius + 1
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if np.linalg.norm(b / (middle - eigenvalues)) > radius else (low, middle)
    v = b / (high - eigenvalues)
    return float(0.5 * v @ (eigenvalues * v) + b @ v)


@pytest.mark.parametrize("seed", range(4))
def test_indefinite_quadratic_meets_the_trust_region_solution(seed: int) -> None:
    # The weights are the outputs, and the loss ½yᵀHy − bᵀy has no floor, which has to be noticed.
    generator = seeded(seed)
    h = torch.randn(8, 8, generator=generator)
    h, b, w = (h + h.T) / 4, torch.randn(8, generator=generator), torch.randn(8, generator=generator)

    def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
        return 0.5 * outputs[0] @ targets[0] @ outputs[0] - b @ outputs[0]

    sal = measure_sal(linear(w[:, None]), loss_fn, [(torch.ones(1, 1), h[None])], eps=0.5, steps=40, tol=1e-4)
    matrix, gradient = h.double().numpy(), (h @ w - b).double().numpy()
    radius = 0.5 * float(w.norm())
    rise, fall = best_of_quadratic(matrix, gradient, radius), best_of_quadratic(-matrix, -gradient, radius)
    assert sal.values[0] == pytest.approx(max(rise, fall), rel=5e-3)


def test_maximum_norm_ball_of_a_linear_loss_has_its_corner_as_maximum() -> None:
    # L = ⟨x, w⟩ over a box of half-width 0.1·max|w| = 0.3: rise and fall 0.3·‖x‖₁ = 0.3·6.
    x = torch.tensor([[1.0, -2.0, 3.0]])

    def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
        return outputs.mean()

    sal = measure_sal(linear(torch.tensor([[3.0, 1.0, 1.0]])), loss_fn, [(x, x)], eps=0.1, norm="linf", both_sides=True)
    assert sal.rise[0] == pytest.approx(1.8, rel=1e-5)
    assert sal.fall[0] == pytest.approx(1.8, rel=1e-5)


def test_absolute_radius_is_eps_itself() -> None:
    x, y = images()
    model = seeded_model(ResNet)
    norm = float(model.fc.weight.norm())  # type: ignore[union-attr]
    relative = measure_sal(model, F.cross_entropy, [(x, y)], eps=0.05, layers=["fc"])
    absolute = measure_sal(model, F.cross_entropy, [(x, y)], eps=0.05 * norm, radius="absolute", layers=["fc"])
    assert relative.values == pytest.approx(absolute.values, rel=1e-6)


@pytest.mark.parametrize("solver", ["fast", "pgd"])
def test_batches_count_by_their_samples(solver: str) -> None:
    x, y = images(50)
    model = trained(seeded_model(ResNet), F.cross_entropy, [(x, y)], 5)
    options: dict[str, Any] = {"solver": solver, "steps": 4, "layers": ["conv1", "fc"], "restarts": 0}
    options |= {"both_sides": True, "tol": 0.0} if solver == "fast" else {}
    # In one batch of 50; in batches of 40 and 10. Neither has a part to explore on: half of the probe at most, 128 at
    # least.
    whole = measure_sal(model, F.cross_entropy, [(x, y)], **options)
    uneven = measure_sal(model, F.cross_entropy, batched(x, y, 40), **options)
    assert uneven.loss == pytest.approx(whole.loss, rel=1e-6)
    assert uneven.rise == pytest.approx(whole.rise, rel=1e-4)
    assert uneven.fall == pytest.approx(whole.fall, rel=1e-4)


def test_measuring_twice_gives_the_same_bits() -> None:
    x, y = images()
    model = seeded_model(ResNet)
    first, second = (measure_sal(model, F.cross_entropy, batched(x, y, 20)) for _ in range(2))
    assert first.measured().to_dict() == second.measured().to_dict()


def test_several_eps_are_each_what_they_are_alone_and_do_not_fall_with_eps() -> None:
    x, y = images()
    model = trained(seeded_model(ResNet), F.cross_entropy, [(x, y)], 10)
    together = measure_sal(model, F.cross_entropy, [(x, y)], eps=[0.05, 0.01])
    alone = [measure_sal(model, F.cross_entropy, [(x, y)], eps=size) for size in (0.05, 0.01)]
    assert [sal.eps for sal in together] == [0.05, 0.01]
    for one, other in zip(together, alone, strict=True):
        assert one.values == pytest.approx(other.values, rel=1e-6)
    assert np.all(together[0].rise >= together[1].rise)
    assert together[0].forwards < alone[0].forwards + alone[1].forwards


def test_a_ball_of_one_point_has_no_sharpness() -> None:
    x, y = images()
    sal = measure_sal(seeded_model(ResNet), F.cross_entropy, [(x, y)], eps=0.0)
    assert np.all(sal.values == 0)


def test_published_accuracy_change_is_the_larger_of_drop_and_gain() -> None:
    # One weight, two samples at ±1, targets both +1: moving w from 0.1 by ±0.5 flips the sample on the other side.
    model = linear(torch.tensor([[0.1]]))
    x, y = torch.tensor([[1.0], [0.2]]), torch.ones(2, 1)

    def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
        return F.softplus(-targets * outputs).mean()

    def accuracy_fn(outputs: Tensor, targets: Tensor) -> Tensor:
        return (outputs * targets > 0).float().mean()

    sal = measure_sal(model, loss_fn, [(x, y)], eps=0.5, radius="absolute", accuracy_fn=accuracy_fn, both_sides=True)
    assert sal.accuracy == 1.0
    assert sal.accuracy_drop is not None
    assert sal.accuracy_change is not None
    assert sal.accuracy_drop[0] == 1.0  # at w = −0.4 both are wrong
    assert sal.accuracy_change[0] == 1.0


def test_non_finite_losses_mark_their_layer_alone() -> None:
    # exp(200·w) is finite at w = 0.3 and overflows float32 at w = 0.6; the other layer is a plain factor.
    class Steep(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tame, self.steep = linear(torch.tensor([[1.0]])), linear(torch.tensor([[0.3]]))

        def forward(self, x: Tensor) -> Tensor:
            return self.tame(x) * torch.exp(200 * self.steep(x))

    def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
        return outputs.mean()

    with pytest.warns(UserWarning, match=r"NaN for steep: "):
        sal = measure_sal(Steep(), loss_fn, [(torch.ones(2, 1), torch.ones(2))], eps=0.3, radius="absolute")
    assert sal.names == ("tame", "steep")
    assert np.isnan(sal.values).tolist() == [False, True]
    assert np.isnan(sal.rise[1])
    stored = sal.measured().to_dict()
    assert stored["values"][1] is None
    assert Measured.from_dict(stored).to_dict() == stored


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"eps": -0.1}, "`eps` must be"),
        ({"eps": []}, "`eps` must be"),
        ({"steps": 0}, "`steps` must be"),
        ({"solver": "best"}, "`solver` must be one of fast, pgd, reference"),
        ({"norm": "l1"}, "`norm` must be one of"),
        ({"radius": "big"}, "`radius` must be one of"),
        ({"tol": 1.0}, "`tol` must be a part of the gain"),
        ({"layers": ["nothing*"]}, "fits no layer"),
    ],
)
def test_unfit_arguments_are_refused(options: dict[str, object], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        measure_sal(seeded_model(ResNet), F.cross_entropy, [images()], **options)  # type: ignore[call-overload]


def test_arguments_of_another_solver_are_refused() -> None:
    with pytest.raises(TypeError, match="'pgd' has no argument tol; it has restarts"):
        measure_sal(seeded_model(ResNet), F.cross_entropy, [images()], solver="pgd", tol=0.1)
    with pytest.raises(TypeError, match="tol: give these to the constructor of Pgd"):
        measure_sal(seeded_model(ResNet), F.cross_entropy, [images()], solver=Pgd(), tol=0.1)


def test_a_solver_may_be_given_by_name_or_as_an_object() -> None:
    model = seeded_model(ResNet)
    by_name = measure_sal(model, F.cross_entropy, [images()], solver="pgd", steps=3, restarts=1)
    by_object = measure_sal(model, F.cross_entropy, [images()], solver=Pgd(restarts=1), steps=3)
    assert by_name.measured().to_dict() == by_object.measured().to_dict()


def test_a_solver_that_someone_defines_goes_by_its_name() -> None:
    class Halfway(Solver):
        name = "halfway"

        def __init__(self, *, part: float) -> None:
            self.part = part

        def solve(
            self, probe: Probe, problems: Sequence[Problem], *, steps: int, report: Callable[[str], None]
        ) -> None:
            for problem in problems:
                shift = self.part * problem.ball.farthest(problem.gradient)
                problem.see(probe.evaluate([Point(problem.layer, shift)])[0])

    # L = ⟨x, w⟩: half of the way to the boundary is half of the rise, r‖x‖ / 2.
    x, w = torch.tensor([[3.0, 4.0]]), torch.tensor([[1.0, 0.0]])
    sal = measure_sal(linear(w), lambda o, _: o.mean(), [(x, x)], eps=0.1, solver="halfway", part=0.5)
    assert sal.rise[0] == pytest.approx(0.5 * 0.1 * 5)
    assert sal.solver == "halfway"


@pytest.mark.parametrize(
    ("batches", "match"),
    [
        ([], "empty"),
        (iter([images()]), "re-iterable"),
        ([images()[0]], "pairs"),
        ([("text", images()[1])], "must hold a tensor"),
    ],
)
def test_unfit_batches_are_refused(batches: object, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        measure_sal(seeded_model(ResNet), F.cross_entropy, batches)  # type: ignore[call-overload]


def test_batches_that_change_between_passes_are_refused() -> None:
    class Shrinking:
        def __init__(self) -> None:
            self.size = 40

        def __iter__(self):  # type: ignore[no-untyped-def]
            self.size -= 1
            return iter([images(self.size)])

    with pytest.raises(ValueError, match="same samples in every pass"):
        measure_sal(seeded_model(ResNet), F.cross_entropy, Shrinking())
