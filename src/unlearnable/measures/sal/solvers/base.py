"""What all solvers share: the problem they are given and the answer they return."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from unlearnable.measures.sal.ball import Ball
from unlearnable.probing.host import to_host
from unlearnable.probing.layers import Layer
from unlearnable.probing.probe import Probe, Reading


@dataclass(eq=False)
class Problem:
    """Find the highest and the lowest loss for ``layer`` moved within ``ball``; holds the best found so far.

    Attributes:
        layer: The layer.
        ball: Its ball.
        origin: Loss at the unmoved weights, and its gradient.
        slope: What a loss that is linear would rise by within the ball: its gradient at the unmoved weights times the
            farthest point; None has it computed.
        high: Highest loss seen, at or above the origin's.
        low: Lowest loss seen, at or below the origin's.
        finite: Whether all losses and gradients seen were finite.
        settled: Whether both sides were solved.
        corrections: Gradients taken, both sides together.
    """

    layer: Layer
    ball: Ball
    origin: Reading
    slope: float | None = None
    high: float = field(init=False)
    low: float = field(init=False)
    accuracy_high: float | None = field(init=False)
    accuracy_low: float | None = field(init=False)
    finite: bool = field(init=False)
    settled: bool = True
    corrections: int = 0

    def __post_init__(self) -> None:
        self.high = self.low = self.origin.loss
        self.accuracy_high = self.accuracy_low = self.origin.accuracy
        self.finite = self.origin.finite
        if self.slope is None:
            self.slope = float(self.gradient @ self.ball.farthest(self.gradient))

    @property
    def gradient(self) -> Float[Tensor, " n"]:
        """The gradient at the unmoved weights."""
        assert self.origin.gradient is not None
        return self.origin.gradient

    @property
    def trivial(self) -> bool:
        """Whether there is nothing to solve: a ball of one point, or numbers that are not finite."""
        return self.ball.radius == 0 or not self.finite

    def see(self, reading: Reading) -> None:
        """Takes note of the loss at a point of the ball."""
        self.corrections += reading.gradient is not None
        if not reading.finite:
            self.finite = False
        elif reading.loss > self.high:
            self.high, self.accuracy_high = reading.loss, reading.accuracy
        elif reading.loss < self.low:
            self.low, self.accuracy_low = reading.loss, reading.accuracy

    def include(self, smaller: Problem) -> None:
        """Takes over what was found in a smaller ball around the same weights."""
        self.finite = self.finite and smaller.finite
        if smaller.high > self.high:
            self.high, self.accuracy_high = smaller.high, smaller.accuracy_high
        if smaller.low < self.low:
            self.low, self.accuracy_low = smaller.low, smaller.accuracy_low

    @property
    def rise(self) -> float:
        """Highest loss over the origin's so far."""
        return self.high - self.origin.loss if self.finite else math.nan

    @property
    def fall(self) -> float:
        """Origin's loss over the lowest so far."""
        return self.origin.loss - self.low if self.finite else math.nan


def pose(layers: Sequence[Layer], balls: Sequence[Ball], origins: Sequence[Reading]) -> list[Problem]:
    """The problem of each layer, with all slopes brought to the host in one transfer."""
    gradients = [origin.gradient for origin in origins if origin.gradient is not None]
    (slopes,) = to_host([g @ ball.farthest(g) for g, ball in zip(gradients, balls, strict=True)])
    return [Problem(*parts) for parts in zip(layers, balls, origins, slopes, strict=True)]


class Solver(ABC):
    """A way to solve problems; a subclass is a solver, with a file of its own beside this one.

    Its constructor takes the solver's own arguments and checks them.
    """

    #: The solver's name, in the configuration and in results.
    name: ClassVar[str]
    #: Whether it evaluates many layers in one pass, so that the activations before each may be replayed.
    replay: bool = False
    #: Whether its answer means something where the batches differ from pass to pass.
    resamples: bool = False

    def both(self) -> Solver:
        """This solver, or one like it, such that both sides are solved whichever is larger.

        The side that is smaller from ``L(θ)`` may be the larger one from another origin.
        """
        return self

    @abstractmethod
    def solve(self, probe: Probe, problems: Sequence[Problem], *, steps: int, report: Callable[[str], None]) -> None:
        """Solves all problems in place: afterwards they hold the highest and the lowest loss that were found.

        Args:
            probe: The loss as a function of a layer's weights. What a solver draws at random is drawn from ``probe.seed``.
            problems: The problems; a layer may have several balls.
            steps: Upper bound on the steps.
            report: Is told about the progress, a line at a time.
        """
