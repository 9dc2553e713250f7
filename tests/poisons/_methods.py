"""Every poison that has a configuration, at arguments that take no time, in each form that it offers.

A new method is found by its file in `conf/poison`: no list of names is kept here.
"""

from __future__ import annotations

import sys
from functools import cache
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import get_class, instantiate
from omegaconf import OmegaConf

from tests._inputs import ROOT, composed
from unlearnable.poisons.image.base import ImagePoison
from unlearnable.poisons.text.base import TextPoison

from ._inputs import RADIUS

#: Budgets on the images of `image_set`.
RADII = {"linf": RADIUS, "l2": 0.7, "l0": 4}

#: Arguments that cost time, by name, whichever method has them.
TINY = {
    "adversarial_steps": 2,
    "batch_size": 20,
    "epochs": 1,
    "iterations": 3,
    "max_rounds": 2,
    "noise_steps": 3,
    "samples": 2,
    "steps": 3,
    "surrogate_steps": 3,
    "trials": 1,
    "validation_size": 30,
    "width": 4,
}


def surrogate(name: str) -> dict[str, Any]:
    """The configuration of one of `_inputs`'s networks."""
    return {"_target_": f"tests.poisons._inputs.{name}", "_partial_": True}


def names() -> list[str]:
    """The options of `poison=`."""
    return sorted(path.stem for path in (ROOT / "conf" / "poison").glob("*.yaml"))


@cache
def arguments(name: str) -> dict[str, Any]:
    """A method's configuration, as it is composed for digits, with a tiny network and tiny counts."""
    config = composed(f"poison={name}")
    config.dataset.surrogate = surrogate("TinyNet")
    config.dataset.crop, config.dataset.flip = 2, True
    del config.poison.task, config.poison.export
    chosen: Any = OmegaConf.to_container(config.poison, resolve=not OmegaConf.missing_keys(config.poison))
    chosen |= {key: value for key, value in TINY.items() if key in chosen}
    if "radius" in chosen and "norm" in chosen:
        chosen["radius"] = RADII[chosen["norm"]] if chosen["norm"] != "l0" else chosen["radius"]
    return chosen


def build(name: str, **changes: Any) -> Any:
    """The method, with some arguments changed."""
    return instantiate({**arguments(name), **changes})


def for_images() -> list[str]:
    """Those that change images within a budget."""
    return [name for name in names() if issubclass(get_class(arguments(name)["_target_"]), ImagePoison)]


def by_rounds() -> list[str]:
    """Those that keep their state after each round of a long generation."""
    classes = {name: get_class(arguments(name)["_target_"]) for name in for_images()}
    return [name for name, method in classes.items() if any(_keeps(one.__module__) for one in method.__mro__)]


def _keeps(module: str) -> bool:
    return hasattr(sys.modules[module], "Checkpoint")


def for_texts() -> list[str]:
    """Those that change texts."""
    return [name for name in names() if issubclass(get_class(arguments(name)["_target_"]), TextPoison)]


@cache
def forms() -> dict[str, tuple[str, dict[str, Any]]]:
    """Label → method and changes: each method as it is, within every norm that it admits, and with each switch turned."""
    found: dict[str, tuple[str, dict[str, Any]]] = {}
    for name in for_images():
        found[name] = (name, {})
        given = arguments(name)
        for norm, radius in RADII.items():
            if norm != given["norm"] and _admits(name, norm=norm, radius=radius):
                found[f"{name}-{norm}"] = (name, {"norm": norm, "radius": radius})
        for key, value in given.items():
            if isinstance(value, bool):
                found[f"{name}-{key}={not value}".lower()] = (name, {key: not value})
    return found


def make(form: str, **changes: Any) -> Any:
    """The method in one of its `forms`."""
    name, own = forms()[form]
    return build(name, **{**own, **changes})


def _admits(name: str, **changes: Any) -> bool:
    try:
        build(name, **changes)
    except InstantiationException as error:
        if "`norm` must be" not in str(error):
            raise
        return False
    return True
