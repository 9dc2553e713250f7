"""Sharpness-aware error-minimising noise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Generator, Tensor, nn
from torch.nn import functional as F
from typing_extensions import override

from unlearnable.options import Number, number
from unlearnable.poisons.em import EM
from unlearnable.poisons.image.descent import Objective
from unlearnable.probing.weight_space import moved, worst_point


class SharpEM(EM):
    """EM whose noise descends at the worst point near the surrogate, so that what it hides stays hidden around it.

    From `Sharpness-Aware Data Poisoning Attack <https://arxiv.org/abs/2305.14851>`_ (SAPA, He et al., ICLR 2024), the
    unlearnable form: min_δ max_{‖v‖ ≤ ρ} L(x + δ, y; θ + v), in EM's alternation. The ball is SAL's, layer by layer and
    relative to the layer's norm: ‖v_l‖ ≤ ρ‖θ_l‖; the paper has one ball for all weights. The worst point is found anew in
    each step for the batch as a whole, to first order (see `worst_point`); the paper's public code leaves this step out by
    mistake. A step costs twice EM's, so that half of EM's steps take the same time: the default.

    Args:
        rho: ρ, in (0, 1).
        noise_steps: See `EM`.
        **options: All else is EM's.
    """

    def __init__(self, *, rho: Number = 0.05, noise_steps: int = 10, **options: Any) -> None:
        super().__init__(noise_steps=noise_steps, **options)
        self.rho = number("rho", rho, above=0, below=1)

    @override
    def objective(self, net: nn.Module, labels: Tensor, draws: Generator) -> Objective:
        def loss(images: Tensor) -> Tensor:
            def of(network: Callable[[Tensor], Tensor], seen: Tensor) -> Tensor:
                return F.cross_entropy(network(seen), labels, reduction="sum")

            worst = worst_point(net, lambda network: of(network, images.detach()), self.rho)
            return of(moved(net, worst), images)

        return loss
