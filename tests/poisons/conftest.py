"""Networks that a method builds, kept for the test to ask."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from unlearnable.data.samples import Samples

from ._inputs import TinyNet


@pytest.fixture
def kept_nets() -> list[nn.Module]:
    return []


@pytest.fixture
def factory(kept_nets: list[nn.Module]) -> Callable[[int], nn.Module]:
    """Builds TinyNets and remembers them, so that the test can ask the very surrogate."""

    def build(num_classes: int) -> nn.Module:
        kept_nets.append(TinyNet(num_classes))
        return kept_nets[-1]

    return build


@pytest.fixture
def loss_on() -> Callable[..., float]:
    """Cross-entropy of a network in eval mode, on the samples' own labels or others."""

    def loss(net: nn.Module, samples: Samples, labels: torch.Tensor | None = None) -> float:
        net.eval()
        with torch.no_grad():
            return float(
                F.cross_entropy(net(samples.inputs.float() / 255), samples.labels if labels is None else labels)
            )

    return loss
