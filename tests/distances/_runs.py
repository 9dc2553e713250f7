"""Simulated SALs for the tests of distances: layers over four decades, with epochs and layers correlated."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

Draw = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]


def _normal(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.normal(size=shape)


def _heavy(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.standard_t(3, size=shape) / np.sqrt(3)


def _skewed(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.exponential(size=shape) - 1


DRAWS: dict[str, Draw] = {"normal": _normal, "heavy": _heavy, "skewed": _skewed}


def log_sal(
    rng: np.random.Generator, runs: int, *, draw: Draw = _normal, epochs: int = 8, layers: int = 12, level: float = 0.0
) -> np.ndarray:
    """``[runs, T, L]``: medians from 10⁻³ to 10 over the layers; each run has its own level, which all its layers share and
    which stays over the epochs, a slow drift over the epochs, and noise of each layer and epoch."""
    medians = np.linspace(np.log(1e-3), np.log(10.0), layers)
    drift = draw(rng, (runs, epochs, 1))
    for epoch in range(1, epochs):
        drift[:, epoch] = 0.8 * drift[:, epoch - 1] + 0.6 * drift[:, epoch]
    own = draw(rng, (runs, 1, 1)), draw(rng, (runs, 1, layers))
    noise = draw(rng, (runs, epochs, layers))
    return medians + level + 0.2 * own[0] + 0.2 * own[1] + 0.3 * drift + 0.3 * noise


def simulated(rng: np.random.Generator, runs: int, **options: object) -> dict[int, np.ndarray]:
    """Seed → SAL, ``[T, L]``."""
    return dict(enumerate(np.exp(log_sal(rng, runs, **options))))  # type: ignore[arg-type]


seeded = partial(np.random.default_rng)
