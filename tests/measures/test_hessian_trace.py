"""Curvature against closed forms and against the whole Hessian by autograd."""

from __future__ import annotations

import importlib.util
import math
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.probing._models import Transformer, batched, images, seeded_model
from unlearnable.measures.base import Context
from unlearnable.measures.hessian_trace import HessianTrace
from unlearnable.measures.sal import measure_sal

pytest.importorskip("hessian_eigenthings")


def no_weights(epoch: int) -> Any:
    raise KeyError(epoch)


CONTEXT = Context(1, no_weights)


def small_net() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(36, 3), nn.Tanh(), nn.BatchNorm1d(3), nn.Linear(3, 4), nn.Dropout(0.5))


def blocks(model: nn.Module, x: Tensor, y: Tensor) -> dict[str, Tensor]:
    """Each linear layer's block of the Hessian, by differentiating twice."""
    parameters = dict(model.named_parameters())
    found = {}
    for name in [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]:
        weight = parameters[f"{name}.weight"]

        def loss(flat: Tensor, name: str = name, weight: Tensor = weight) -> Tensor:
            changed = {f"{name}.weight": flat.view_as(weight)}
            return F.cross_entropy(torch.func.functional_call(model, changed, (x,)), y)

        found[name] = torch.func.hessian(loss)(weight.detach().flatten())
    return found


def test_a_squared_loss_has_the_curvature_of_its_inputs() -> None:
    # L(w) = ‖Xw − y‖² / n has the Hessian 2 XᵀX / n; with X = diag(1, 2, 3), n = 3: eigenvalues 2/3, 8/3, 6.
    model = nn.Linear(3, 1, bias=False)
    x, y = torch.diag(torch.tensor([1.0, 2.0, 3.0])), torch.zeros(3, 1)
    found = HessianTrace(products=9).measure(model, {"class": F.mse_loss}, [(x, y)], CONTEXT)["class"]
    assert found.values[0] == pytest.approx(2 / 3 + 8 / 3 + 6, rel=1e-5)
    assert found.details["largest"][0] == pytest.approx(6, rel=1e-5)


def test_every_layer_has_the_trace_and_the_largest_eigenvalue_of_its_block() -> None:
    model = seeded_model(small_net)
    x, y = images(50)
    expected = blocks(model.eval(), x, y)
    found = HessianTrace(products=330, steps=60).measure(
        model.train(), {"class": F.cross_entropy}, batched(x, y, 40), CONTEXT
    )["class"]  # uneven batches
    assert found.names == tuple(expected)
    for index, block in enumerate(expected.values()):
        assert found.values[index] == pytest.approx(float(block.trace()), rel=1e-3)
        assert found.details["largest"][index] == pytest.approx(float(torch.linalg.eigvalsh(block)[-1]), rel=1e-3)


def test_the_usual_number_of_products_estimates_the_trace_within_its_error() -> None:
    model = seeded_model(small_net).eval()
    x, y = images(50)
    expected = np.array([float(block.trace()) for block in blocks(model, x, y).values()])
    found = HessianTrace().measure(model, {"class": F.cross_entropy}, [(x, y)], CONTEXT)["class"]
    assert np.all(abs(found.values - expected) <= 4 * found.details["error"] + 1e-4)
    assert np.all(found.details["error"] < 0.5 * abs(expected) + 1e-4)


def test_attention_is_differentiated_twice_and_measuring_leaves_no_trace() -> None:
    model = seeded_model(Transformer).train()
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    measure = HessianTrace(products=6, steps=2)
    first, second = (measure.measure(model, {"class": F.cross_entropy}, [images(8)], CONTEXT) for _ in range(2))
    assert first["class"].to_dict() == second["class"].to_dict()
    assert np.isfinite(first["class"].values).all()
    assert first["class"].names == measure_sal(model, F.cross_entropy, [images(8)], steps=1).names
    assert model.training
    assert all(p.requires_grad and p.grad is None for p in model.parameters())
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())


def test_a_layer_without_curvature_has_none_and_one_without_numbers_is_nan() -> None:
    model = nn.Linear(3, 1, bias=False)
    x, y = torch.ones(2, 3), torch.zeros(2, 1)
    losses = {
        "straight": lambda outputs, _: outputs.mean(),
        "broken": lambda outputs, _: outputs.square().sum() * math.inf,
    }
    found = HessianTrace(products=6).measure(model, losses, [(x, y)], CONTEXT)
    assert found["straight"].values[0] == found["straight"].details["largest"][0] == 0
    assert np.isnan(found["broken"].values[0])


def test_without_the_library_a_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"pip install 'unlearnable\[hessian\]'"):
        HessianTrace()


@pytest.mark.parametrize(("options", "match"), [({"products": 5}, "products"), ({"steps": 0}, "steps")])
def test_unfit_arguments_are_refused(options: dict[str, int], match: str) -> None:
    with pytest.raises(ValueError, match=f"`hessian_trace.{match}` must be"):
        HessianTrace(**options)
