"""Thin adapters from Lightning's hooks to the core and the analyses."""

from unlearnable.callbacks.conflict import TaskConflict
from unlearnable.callbacks.progress import EpochLines
from unlearnable.callbacks.sal import SharpnessAwareLearnability
from unlearnable.callbacks.trajectory import TrajectoryWriter
from unlearnable.callbacks.ud import UnlearnableDistance

__all__ = ["EpochLines", "SharpnessAwareLearnability", "TaskConflict", "TrajectoryWriter", "UnlearnableDistance"]
