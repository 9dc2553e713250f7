"""How far are we from true unlearnability? SAL and UD of unlearnable examples.

sal = unlearnable.measure_sal(model, loss_fn, batches, eps=0.05, steps=10)
beta = unlearnable.learnability_threshold(clean_sal)
ud = unlearnable.unlearnable_distance(poisoned_sal, clean_sal)
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unlearnable.distance import distance_report as distance_report
    from unlearnable.distance import learnability_threshold as learnability_threshold
    from unlearnable.distance import learnable_layers as learnable_layers
    from unlearnable.distance import unlearnable_distance as unlearnable_distance
    from unlearnable.sharpness import Sal as Sal
    from unlearnable.sharpness import measure_sal as measure_sal
    from unlearnable.sharpness import select_layers as select_layers
    from unlearnable.spread import DistanceSpread as DistanceSpread
    from unlearnable.spread import distance_spread as distance_spread

__version__ = "0.1.0"

# Loaded on first use: `python run.py --help` needs none of it.
_HOMES = {
    "Sal": "sharpness",
    "distance_report": "distance",
    "DistanceSpread": "spread",
    "distance_spread": "spread",
    "select_layers": "sharpness",
    "learnability_threshold": "distance",
    "learnable_layers": "distance",
    "measure_sal": "sharpness",
    "unlearnable_distance": "distance",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}.")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
