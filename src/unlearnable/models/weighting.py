"""How the tasks' losses become one step: weights, or an aggregation of their gradients."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import override


class Equal(nn.Module):
    """The sum of the losses.

    Args:
        tasks: Names of the tasks.
    """

    def __init__(self, tasks: Sequence[str]) -> None:
        super().__init__()
        self.tasks = tuple(tasks)

    @override
    def forward(self, losses: Mapping[str, Tensor]) -> Tensor:
        return torch.stack([losses[task] for task in self.tasks]).sum()

    def epoch_ended(self, means: Mapping[str, float]) -> None:
        """Is told each task's mean training loss of the epoch."""


class Uncertainty(Equal):
    """Weights by homoscedastic uncertainty (Kendall, Gal and Cipolla, CVPR 2018): Σ_t exp(−s_t) L_t + s_t/2.

    s_t = log σ_t² is learnt. The paper's factor 1/2 before the losses of regressions, which comes of a Gaussian
    likelihood, is left out, since the regressions here have L1 and cosine losses.
    """

    def __init__(self, tasks: Sequence[str]) -> None:
        super().__init__(tasks)
        self.log_variance = nn.Parameter(torch.zeros(len(self.tasks)))

    @override
    def forward(self, losses: Mapping[str, Tensor]) -> Tensor:
        stacked = torch.stack([losses[task] for task in self.tasks])
        return (stacked * (-self.log_variance).exp() + self.log_variance / 2).sum()


class DynamicWeightAverage(Equal):
    """Dynamic weight average (Liu, Johns and Davison, CVPR 2019): w_t ∝ exp(r_t / T), where r_t = L_t(e−1) / L_t(e−2).

    The weights sum to the number of tasks; they are 1 in the first two epochs.

    Args:
        tasks: Names of the tasks.
        temperature: T; the paper's is 2.
    """

    weights: Tensor
    history: Tensor

    def __init__(self, tasks: Sequence[str], *, temperature: float = 2.0) -> None:
        super().__init__(tasks)
        self.temperature = temperature
        # Buffers, so that a resumed run goes on with them.
        self.register_buffer("weights", torch.ones(len(self.tasks)))
        self.register_buffer("history", torch.zeros(len(self.tasks)))

    @override
    def forward(self, losses: Mapping[str, Tensor]) -> Tensor:
        return (self.weights * torch.stack([losses[task] for task in self.tasks])).sum()

    @override
    def epoch_ended(self, means: Mapping[str, float]) -> None:
        now = self.weights.new_tensor([means[task] for task in self.tasks])
        if (self.history > 0).all():
            self.weights.copy_(len(self.tasks) * torch.softmax(now / self.history / self.temperature, 0))
        self.history.copy_(now)


WEIGHTINGS: Mapping[str, type[Equal]] = {
    "equal": Equal,
    "uncertainty": Uncertainty,
    "dwa": DynamicWeightAverage,
}

# Where the papers' own values are arguments without a default: CAGrad's c (Liu et al., 2021, 0.4), FairGrad's α
# (Ban and Ji, 2024, 2).
_AGGREGATORS: Mapping[str, Callable[[Any, int], Any]] = {
    "upgrad": lambda library, _: library.UPGrad(),
    "pcgrad": lambda library, _: library.PCGrad(),
    "gradvac": lambda library, _: library.GradVac(),
    "cagrad": lambda library, _: library.CAGrad(c=0.4),
    "mgda": lambda library, _: library.MGDA(),
    "nashmtl": lambda library, count: library.NashMTL(n_tasks=count),
    "alignedmtl": lambda library, _: library.AlignedMTL(),
    "imtlg": lambda library, _: library.IMTLG(),
    "dualproj": lambda library, _: library.DualProj(),
    "config": lambda library, _: library.ConFIG(),
    "fairgrad": lambda library, _: library.FairGrad(alpha=2.0),
    "mean": lambda library, _: library.Mean(),
}
AGGREGATORS = tuple(_AGGREGATORS)


def make_aggregator(name: str, tasks: int, *, what: str = "task.aggregator") -> Any:
    """TorchJD's aggregator of that name for a Jacobian with one row a task.

    Raises:
        ValueError: if there is none of that name.
        ImportError: if TorchJD, or the solver that this aggregator needs, is not installed.
    """
    if name not in _AGGREGATORS:
        raise ValueError(f"`{what}` must be null or one of {', '.join(AGGREGATORS)}; got {name!r}.")
    try:
        import torchjd.aggregation

        return _AGGREGATORS[name](torchjd.aggregation, tasks)
    except ImportError as error:
        raise ImportError(
            f"`{what}` = {name} needs TorchJD and its solvers: pip install unlearnable[multitask]."
        ) from error


def forget(aggregator: Any) -> None:
    """Has an aggregator that remembers earlier steps, as `gradvac` and `nashmtl` do, begin anew."""
    if hasattr(aggregator, "reset"):
        aggregator.reset()
