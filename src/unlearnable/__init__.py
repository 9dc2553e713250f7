"""How far are we from true unlearnability? SAL and UD of unlearnable examples.

sal = unlearnable.measure_sal(model, loss_fn, batches, eps=0.05, steps=10)
beta = unlearnable.learnability_threshold(clean_sal)
ud = unlearnable.unlearnable_distance(poisoned_sal, clean_sal)
ratio = unlearnable.geometric_distance(poisoned_sal, clean_sal)
record = unlearnable.benchmark("my_poison/", protocol="digits-v1", seeds=3)
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unlearnable.distances import DistanceSpread as DistanceSpread
    from unlearnable.distances import distance_report as distance_report
    from unlearnable.distances import distance_spread as distance_spread
    from unlearnable.distances import geometric_distance as geometric_distance
    from unlearnable.distances import geometric_report as geometric_report
    from unlearnable.distances import learnability_threshold as learnability_threshold
    from unlearnable.distances import learnable_layers as learnable_layers
    from unlearnable.distances import unlearnable_distance as unlearnable_distance
    from unlearnable.measures.sal import Sal as Sal
    from unlearnable.measures.sal import measure_sal as measure_sal
    from unlearnable.probing.layers import select_layers as select_layers
    from unlearnable.sharing.benchmarking import benchmark as benchmark
    from unlearnable.sharing.zoo import load_poison as load_poison
    from unlearnable.sharing.zoo import save_poison as save_poison

# Loaded on first use: `python run.py --help` needs none of it.
_HOMES = {
    "Sal": "measures.sal",
    "benchmark": "sharing.benchmarking",
    "distance_report": "distances",
    "DistanceSpread": "distances",
    "distance_spread": "distances",
    "geometric_distance": "distances",
    "geometric_report": "distances",
    "select_layers": "probing.layers",
    "learnability_threshold": "distances",
    "learnable_layers": "distances",
    "load_poison": "sharing.zoo",
    "measure_sal": "measures.sal",
    "save_poison": "sharing.zoo",
    "unlearnable_distance": "distances",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name == "__version__":  # of the installation, as in result files; no key has it, and no file of the package
        from importlib.metadata import version

        return version(__name__)
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}.")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
