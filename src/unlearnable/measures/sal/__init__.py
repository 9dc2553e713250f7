"""Sharpness-aware learnability (SAL): its definition, its solvers, and the measure of a run."""

from unlearnable.measures.sal.definition import measure_sal
from unlearnable.measures.sal.sal import Sal

__all__ = ["Sal", "measure_sal"]
