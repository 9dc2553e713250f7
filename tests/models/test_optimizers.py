from __future__ import annotations

import pytest
import torch
from hydra.utils import instantiate
from torch import nn

from tests._inputs import composed
from unlearnable.models.optimizers import adamw


def test_adamw_follows_its_definition_with_the_momentum_as_beta_1() -> None:
    weight = nn.Parameter(torch.tensor([2.0]))
    optimizer = adamw([weight], lr=0.1, momentum=0.5, weight_decay=0.2)
    for gradient in (3.0, -1.0):
        weight.grad = torch.tensor([gradient])
        optimizer.step()
    # Step 1: 2 · (1 − 0.1 · 0.2) − 0.1 · 3/√9 = 1.86. Step 2: mean 0.5 · 1.5 − 0.5 = 0.25, over 1 − 0.5² = 1/3; mean
    # square 0.999 · 0.009 + 0.001 = 0.009991, over 1 − 0.999² = 4.99800; 1.86 · 0.98 − 0.1 · (1/3) / √4.99800.
    assert weight.item() == pytest.approx(1.8228 - 0.1 / 3 / 4.998**0.5, abs=1e-4)


def test_data_choose_the_optimizer_and_the_command_line_its_numbers() -> None:
    weights = [nn.Parameter(torch.ones(1))]
    assert isinstance(instantiate(composed().model.optimizer)(weights), torch.optim.SGD)
    chosen = instantiate(composed("dataset=rooms", "task=multi", "model.optimizer.lr=0.5").model.optimizer)(weights)
    assert isinstance(chosen, torch.optim.AdamW)
    assert chosen.defaults["lr"] == 0.5
