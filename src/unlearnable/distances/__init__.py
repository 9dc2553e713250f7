"""From SAL arrays to numbers: pure functions of the SALs of a poisoned and a clean run, `[epochs, layers]` each.

A new distance is a function in a file of its own and an entry of `DISTANCES`; `result.json` then has it.
"""

from unlearnable.distances.arrays import TAU, UndefinedDistanceError
from unlearnable.distances.base import Distance, Observations, Pair, Runs
from unlearnable.distances.calibration import Calibration, all_calibrations, calibration_of
from unlearnable.distances.convergence import convergence_epoch
from unlearnable.distances.count import (
    EpochDistance,
    UnlearnableDistance,
    distance_report,
    per_epoch,
    unlearnable_distance,
)
from unlearnable.distances.count_log import LogCount, count_log_report, log_threshold
from unlearnable.distances.count_spread import DistanceSpread, distance_spread
from unlearnable.distances.geometric import GeometricDistance, geometric_distance, geometric_report
from unlearnable.distances.layerwise import LayerDifferences, layer_differences
from unlearnable.distances.loss import EqualLoss, equal_loss, loss_ratio, relative_sharpness
from unlearnable.distances.named import DISTANCES, all_distances
from unlearnable.distances.spread import Spread, all_spreads, spread_of
from unlearnable.distances.threshold import learnability_threshold, learnable_layers

__all__ = [
    "DISTANCES",
    "TAU",
    "Calibration",
    "Distance",
    "DistanceSpread",
    "EpochDistance",
    "EqualLoss",
    "GeometricDistance",
    "LayerDifferences",
    "LogCount",
    "Observations",
    "Pair",
    "Runs",
    "Spread",
    "UndefinedDistanceError",
    "UnlearnableDistance",
    "all_calibrations",
    "all_distances",
    "all_spreads",
    "calibration_of",
    "convergence_epoch",
    "count_log_report",
    "distance_report",
    "distance_spread",
    "equal_loss",
    "geometric_distance",
    "geometric_report",
    "layer_differences",
    "learnability_threshold",
    "learnable_layers",
    "log_threshold",
    "loss_ratio",
    "per_epoch",
    "relative_sharpness",
    "spread_of",
    "unlearnable_distance",
]
