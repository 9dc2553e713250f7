"""EM's claims: a step is the paper's, the surrogate's loss falls, λ ends it, and it goes on where it was stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.testing import assert_close

from unlearnable.poisons import em
from unlearnable.poisons.em import EM

from ._asserts import interrupt_at
from ._inputs import RADIUS, TinyNet, image_set, training_set
from ._methods import build


@pytest.mark.parametrize("classwise", [False, True])
def test_the_surrogate_s_loss_falls(classwise: bool, factory: Any, kept_nets: list[nn.Module], loss_on: Any) -> None:
    clean = image_set()
    method = EM(surrogate=factory, radius=RADIUS, max_rounds=3, surrogate_steps=3, classwise=classwise)
    poisoned = method.apply(clean, seed=0)
    assert loss_on(kept_nets[-1], poisoned) < 0.7 * loss_on(kept_nets[-1], clean)


@pytest.mark.parametrize("classwise", [False, True])
def test_a_step_goes_against_the_sign_of_the_gradient(classwise: bool) -> None:
    clean, net = image_set(), TinyNet(4).eval().requires_grad_(False)
    clean = clean.replace(inputs=clean.inputs.clamp(10, 245))  # at black and white themselves a clamp has no gradient
    batch = training_set(clean).read(torch.arange(60))
    method = EM(surrogate=TinyNet, radius=RADIUS, noise_steps=1, step_size=0.01, classwise=classwise)
    images = batch.images.clone().requires_grad_(True)
    F.cross_entropy(net(images), batch.labels, reduction="sum").backward()
    assert images.grad is not None
    noise = torch.zeros(4 if classwise else 60, 3, 16, 16)
    method._descend(net, noise, batch, torch.Generator())
    if classwise:  # the class's gradient is the sum of its images'
        total = torch.zeros(4, 3, 16, 16).index_add_(0, batch.labels, images.grad)
        assert_close(noise, -0.01 * total.sign())
    else:
        assert_close(noise, -0.01 * images.grad.sign())


def test_it_stops_when_the_surrogate_s_accuracy_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    accuracies = iter([0.5, 0.995, 0.5])
    monkeypatch.setattr(em, "loss_and_accuracy", lambda *_: (0.0, next(accuracies)))
    EM(surrogate=TinyNet, radius=RADIUS, noise_steps=1).apply(image_set(), seed=0)
    assert next(accuracies) == 0.5  # two of three were asked for


def test_it_goes_on_after_the_last_finished_round(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clean, method = image_set(), build("em", stop_accuracy=1.0, max_rounds=4)
    whole = method.apply(clean, seed=0)
    calls = interrupt_at(3, em, "loss_and_accuracy", monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        method.apply(clean, seed=0, work_dir=tmp_path)
    again = method.apply(clean, seed=0, work_dir=tmp_path)
    assert len(calls) == 3 + 2  # two rounds were kept, two are made
    assert torch.equal(again.inputs, whole.inputs)
