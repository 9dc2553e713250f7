"""Measuring leaves no trace, whatever happens inside."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.probing._models import ResNet, Transformer, batched, images, seeded_model, trained
from unlearnable.measures.sal import measure_sal


class Counting(nn.Module):
    """Writes to a buffer in every forward pass and replaces another."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(1))
        self.register_buffer("last", torch.zeros(2))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        self.last = x.detach().flatten()[:2].clone()
        return x


def model_with_everything() -> nn.Module:
    x, y = images()
    model = nn.Sequential(trained(seeded_model(ResNet), F.cross_entropy, [(x, y)], 3), Counting())
    F.cross_entropy(model(x), y).backward()  # some .grad
    model.train()
    model[0].bn1.eval()  # a mixed mode, as where BatchNorm is frozen
    model[0].conv1.weight.requires_grad_(False)
    model[0].fc.register_forward_hook(lambda module, inputs, outputs: None)
    return model


def snapshot(model: nn.Module) -> dict[str, Any]:
    return {
        "tensors": {name: (t.data_ptr(), t.detach().clone()) for name, t in model.state_dict(keep_vars=True).items()},
        "grads": {n: (id(p.grad), None if p.grad is None else p.grad.clone()) for n, p in model.named_parameters()},
        "flags": {n: p.requires_grad for n, p in model.named_parameters()},
        "modes": [module.training for module in model.modules()],
        "hooks": [list(module._forward_hooks) for module in model.modules()],
        "attributes": [sorted(module.__dict__) for module in model.modules()],
        # Python's own state is tested in a process of its own: the shape checker of the tests draws from it.
        "random": (torch.get_rng_state(), np.random.get_state()),  # noqa: NPY002
        "grad mode": torch.is_grad_enabled(),
        "fused": torch.backends.mha.get_fastpath_enabled(),
    }


def assert_same(first: Any, second: Any) -> None:
    if isinstance(first, Tensor):
        assert torch.equal(first, second)
    elif isinstance(first, dict):
        assert first.keys() == second.keys()
        for key in first:
            assert_same(first[key], second[key])
    elif isinstance(first, list | tuple):
        assert len(first) == len(second)
        for one, other in zip(first, second, strict=True):
            assert_same(one, other)
    else:
        assert np.array_equal(first, second)


class Failing:
    """Batches that consume every kind of random state, and raise in the given pass."""

    def __init__(self, error: type[BaseException] | None, at: int) -> None:
        self.error, self.left, self.data = error, at, batched(*images(40), 20)

    def __iter__(self) -> Iterator[Any]:
        self.left -= 1
        for batch in self.data:
            torch.rand(1), random.random(), np.random.rand()  # noqa: NPY002
            yield batch
            if self.error is not None and self.left < 0:
                raise self.error("in the middle")


@pytest.mark.parametrize("solver", ["fast", "reference", "pgd"])
def test_the_model_comes_back_bit_for_bit(solver: str) -> None:
    model = model_with_everything()
    before = snapshot(model)
    measure_sal(model, F.cross_entropy, Failing(None, 0), solver=solver, steps=2)
    assert_same(before, snapshot(model))


def test_the_random_state_of_python_comes_back() -> None:
    program = """
import random, torch
from unlearnable.measures.sal import measure_sal
class Batches:
    def __iter__(self):
        random.random()
        return iter([(torch.ones(2, 3), torch.zeros(2, dtype=torch.long))])
before = random.getstate()
measure_sal(torch.nn.Linear(3, 2), torch.nn.functional.cross_entropy, Batches(), steps=1)
assert random.getstate() == before
"""
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize("at", [1, 3, 5])
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("solver", ["fast", "reference"])
def test_the_model_comes_back_after_an_exception(solver: str, error: type[BaseException], at: int) -> None:
    model = model_with_everything()
    before = snapshot(model)
    with pytest.raises(error, match="in the middle"):
        measure_sal(model, F.cross_entropy, Failing(error, at), solver=solver, steps=3)
    assert_same(before, snapshot(model))


def test_batches_stay_as_they_are() -> None:
    x, y = images()
    copies = x.clone(), y.clone()
    measure_sal(seeded_model(ResNet), F.cross_entropy, [(x, y)], steps=2)
    assert torch.equal(x, copies[0])
    assert torch.equal(y, copies[1])


def test_values_do_not_depend_on_mode_flags_or_what_surrounds_the_call() -> None:
    batches = batched(*images(), 20)
    model = seeded_model(Transformer)
    plain = measure_sal(model.eval(), F.cross_entropy, batches, steps=3).measured().to_dict()
    model.train().requires_grad_(False)
    with torch.no_grad():
        assert measure_sal(model, F.cross_entropy, batches, steps=3).measured().to_dict() == plain
    with torch.inference_mode():
        made_inside = [(x.clone(), y.clone()) for x, y in batches]
        assert measure_sal(model, F.cross_entropy, made_inside, steps=3).measured().to_dict() == plain
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert measure_sal(model, F.cross_entropy, batches, steps=3).measured().to_dict() == plain
        assert torch.is_autocast_enabled("cpu")


def test_half_precision_models_are_measured_in_float32() -> None:
    batches = batched(*images(), 20)
    model = seeded_model(ResNet).bfloat16()
    before = snapshot(model)
    sal = measure_sal(model, F.cross_entropy, batches, steps=3)
    assert_same(before, snapshot(model))
    assert (
        sal.measured().to_dict() == measure_sal(model.float(), F.cross_entropy, batches, steps=3).measured().to_dict()
    )


def test_zero_weights_have_no_relative_ball() -> None:
    model = seeded_model(ResNet)
    nn.init.zeros_(model.fc.weight)  # type: ignore[union-attr, arg-type]
    sal = measure_sal(model, F.cross_entropy, [images()])
    assert sal.values[sal.names.index("fc")] == 0
    assert np.isfinite(sal.values).all()


def test_a_layer_that_the_loss_does_not_see_has_no_sharpness() -> None:
    class Unused(ResNet):
        def __init__(self) -> None:
            super().__init__()
            self.spare = nn.Linear(3, 3)

    sal = measure_sal(seeded_model(Unused), F.cross_entropy, [images()])
    assert sal.values[sal.names.index("spare")] == 0
