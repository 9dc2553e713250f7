"""Thin adapters from Lightning's hooks to measures, distances and the trajectory's files."""

from unlearnable.callbacks.distances import DistanceLog
from unlearnable.callbacks.divergence import DivergedError, Divergence
from unlearnable.callbacks.measuring import Measuring
from unlearnable.callbacks.progress import EpochLines
from unlearnable.callbacks.trajectory import TrajectoryWriter

__all__ = ["DistanceLog", "DivergedError", "Divergence", "EpochLines", "Measuring", "TrajectoryWriter"]
