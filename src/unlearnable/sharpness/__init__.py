"""Sharpness-aware learnability (SAL): its definition, its solvers, and what counts as a layer."""

from unlearnable.sharpness._layers import Layer, select_layers
from unlearnable.sharpness._measure import measure_sal
from unlearnable.sharpness._sal import Sal

__all__ = ["Layer", "Sal", "measure_sal", "select_layers"]
