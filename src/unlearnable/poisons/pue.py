"""Provably unlearnable examples: EM on an ensemble of noisy weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Generator, Tensor, nn
from torch.nn import functional as F
from typing_extensions import override

from unlearnable.options import Number, number, whole
from unlearnable.poisons.em import EM
from unlearnable.poisons.image.descent import Objective
from unlearnable.probing.weight_space import moved, neighbour

#: From one standard deviation to the next.
_STEP = 0.05


class PUE(EM):
    """EM whose noise descends on the mean loss of randomly moved surrogates, so that it holds in a region of weights.

    From `Provably Unlearnable Data Examples <https://arxiv.org/abs/2405.03316>`_ (Wang et al., NDSS 2025): class-wise EM
    whose gradient is summed over Gaussian noise on all weights, of standard deviation 0.05·j for j = 0, 1, … σ/0.05,
    `draws` times each (once for j = 0, where there is nothing to draw). The paper's σ is 0.25 and its draws 10: a step
    costs 51 of EM's, so the default here is one draw.

    Args:
        sigma: σ; 0 is EM.
        draws: Draws of the weights' noise for each standard deviation, in each step.
        classwise: See `EM`.
        **options: All else is EM's.
    """

    def __init__(self, *, sigma: Number = 0.25, draws: int = 1, classwise: bool = True, **options: Any) -> None:
        super().__init__(classwise=classwise, **options)
        self.sigma = number("sigma", sigma, at_least=0)
        self.draws = whole("draws", draws)

    @override
    def objective(self, net: nn.Module, labels: Tensor, draws: Generator) -> Objective:
        deviations = [_STEP * j for j in range(1, round(self.sigma / _STEP) + 1) for _ in range(self.draws)]

        def loss(images: Tensor) -> Tensor:
            networks: list[Callable[[Tensor], Tensor]] = [
                net,
                *(moved(net, neighbour(net, std, draws)) for std in deviations),
            ]
            losses = [F.cross_entropy(network(images), labels, reduction="sum") for network in networks]
            return sum(losses[1:], losses[0]) / len(losses)

        return loss
