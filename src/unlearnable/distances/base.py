"""What distances are computed from, and what a distance is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64
from numpy.typing import ArrayLike
from typing_extensions import override

from unlearnable.distances.arrays import checked_epoch, layer_weights, loss_array, sal_array, sal_pair
from unlearnable.files import finite


@dataclass(frozen=True)
class Report:
    """A distance with its parts."""

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and lists for JSON; NaN becomes ``None``."""
        return dict(finite(asdict(self)))


@dataclass(frozen=True)
class Pair:
    """A poisoned run and its clean reference.

    Attributes:
        poisoned: SAL of the run on poisoned data, ``[T, L]``.
        clean: SAL of the run on clean data, ``[T, L]``.
        weights: Parameters per layer, ``[L]``; None if not known.
        converged_epoch: Epoch index at which the clean model has converged; the last one if it is not known.
        losses: The poisoned run's loss on its probe, ``[T]``; None if not known.
        clean_losses: The same of the clean run; None if not known.
    """

    poisoned: Float64[np.ndarray, "epochs layers"]
    clean: Float64[np.ndarray, "epochs layers"]
    weights: Float64[np.ndarray, " layers"] | None
    converged_epoch: int
    losses: Float64[np.ndarray, " epochs"] | None
    clean_losses: Float64[np.ndarray, " epochs"] | None

    @classmethod
    def of(
        cls,
        poisoned: ArrayLike,
        clean: ArrayLike,
        *,
        weights: ArrayLike | None = None,
        converged_epoch: int | None = None,
        losses: ArrayLike | None = None,
        clean_losses: ArrayLike | None = None,
    ) -> Pair:
        """Checks the arrays.

        Raises:
            ValueError: If they are not SAL arrays, or do not fit each other.
        """
        own, reference = sal_pair(poisoned, clean)
        epochs, layers = reference.shape
        return cls(
            own,
            reference,
            None if weights is None else layer_weights(weights, layers),
            checked_epoch(converged_epoch, epochs),
            None if losses is None else loss_array(losses, epochs, "losses"),
            None if clean_losses is None else loss_array(clean_losses, epochs, "clean_losses"),
        )


@dataclass(frozen=True, eq=False)
class Runs:
    """Runs of one kind that differ in their seed alone; equal by content.

    Attributes:
        seeds: One a run, ``n``.
        sal: ``[n, T, L]``.
        losses: Losses on their probes, ``[n, T]``; None if one is not known.
        weights: Parameters per layer, ``[L]``; None if not known.
    """

    seeds: tuple[int, ...]
    sal: Float64[np.ndarray, "runs epochs layers"]
    losses: Float64[np.ndarray, "runs epochs"] | None = None
    weights: Float64[np.ndarray, " layers"] | None = None

    @classmethod
    def of(
        cls,
        sal: Mapping[int, ArrayLike],
        name: str,
        *,
        losses: Mapping[int, ArrayLike] | None = None,
        weights: ArrayLike | None = None,
    ) -> Runs:
        """Checks the arrays of the runs, by seed.

        Args:
            sal: Seed → SAL, ``[T, L]``.
            name: What the caller's ``sal`` is called, for the messages.
            losses: Seed → losses, ``[T]``; ignored if a seed is missing.
            weights: Parameters per layer, ``[L]``.

        Raises:
            ValueError: If there is no run, or they are not SAL arrays of one shape.
        """
        if not sal:
            raise ValueError(f"`{name}` must hold at least one seed's SAL; it is empty.")
        arrays = {seed: sal_array(values, f"{name}[{seed}]") for seed, values in sal.items()}
        shapes = {seed: array.shape for seed, array in arrays.items()}
        if len(set(shapes.values())) > 1:
            raise ValueError(
                f"`{name}` must hold runs with the same epochs and layers [T, L]; got {shapes}, by seed. Measure all with the "
                "same model, layers and epochs."
            )
        epochs, layers = next(iter(shapes.values()))
        known = None
        if losses is not None and set(arrays) <= set(losses):
            known = np.stack([loss_array(losses[seed], epochs, f"losses of seed {seed}") for seed in arrays])
        sizes = None if weights is None else layer_weights(weights, layers)
        return cls(tuple(arrays), np.stack(list(arrays.values())), known, sizes)

    @cached_property
    def _content(self) -> tuple[Any, ...]:
        arrays = (self.sal, self.losses, self.weights)
        return (self.seeds, *((one.shape, one.tobytes()) if one is not None else None for one in arrays))

    @override
    def __eq__(self, other: object) -> bool:
        return isinstance(other, Runs) and self._content == other._content

    @override
    def __hash__(self) -> int:
        return hash(self._content)

    def pick(self, seeds: tuple[int, ...]) -> Runs:
        """The runs of these seeds, in this order."""
        rows = [self.seeds.index(seed) for seed in seeds]
        return Runs(seeds, self.sal[rows], None if self.losses is None else self.losses[rows], self.weights)

    def check_fits(self, clean: Runs) -> None:
        """Raises ``ValueError`` unless these runs have the epochs and layers of the clean ones."""
        if self.sal.shape[1:] != clean.sal.shape[1:]:
            raise ValueError(
                "`poisoned_sal` and `clean_sal` must have the same epochs and layers [T, L]; got "
                f"{self.sal.shape[1:]} and {clean.sal.shape[1:]}. Measure both with the same model, layers and epochs."
            )


def pairs_first(poisoned: Runs, clean: Runs) -> tuple[Runs, Runs, int]:
    """Both groups with the seeds that they share at the start, in the same order, and how many these are."""
    shared = tuple(seed for seed in poisoned.seeds if seed in clean.seeds)
    own, reference = (
        runs.pick(shared + tuple(seed for seed in runs.seeds if seed not in shared)) for runs in (poisoned, clean)
    )
    return own, reference, len(shared)


class Observations(NamedTuple):
    """One number a run, such that the difference of two runs' is the logarithm of the distance between them.

    Attributes:
        poisoned: ``[n_p]``; NaN if nothing can be compared.
        clean: ``[n_c]``.
        left_out: Entries (or epochs) that are not finite in one of the runs and were left out of all.
        rounding_poisoned: Variance that rounding hides from the poisoned observations.
        rounding_clean: The same of the clean observations.
    """

    poisoned: Float64[np.ndarray, " poisoned_runs"]
    clean: Float64[np.ndarray, " clean_runs"]
    left_out: int
    rounding_poisoned: float = 0.0
    rounding_clean: float = 0.0


#: What a distance sees of each run of two groups, poisoned and clean; None where an input that it needs is None.
Observer = Callable[[Runs, Runs], Observations | None]


@dataclass(frozen=True)
class Distance:
    """How far a poisoned run is from its clean reference.

    Attributes:
        between: The distance of two runs; NaN where an input that it needs is None. Raises `UndefinedDistanceError` where it
            has no value.
        observe: What it sees of each run, for its spread over seeds; None for a distance that is no comparison of such
            numbers.
        neutral: The distance of equal runs: 1 for a ratio, 0 for a difference of logarithms.
    """

    between: Callable[[Pair], float]
    observe: Observer | None = None
    neutral: float = 1.0
