"""Made-up sweeps by a protocol: what records are made from, without training anything."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from tests.results._sweeps import LAYERS, multi_task, result, write_sweep
from unlearnable.identity import plain
from unlearnable.sharing.making import records_of
from unlearnable.sharing.protocols import protocol
from unlearnable.sharing.schema import Record


@cache
def _protocol(name: str) -> dict[str, Any]:
    config: dict[str, Any] = plain(protocol(name))
    return config


def job(poison: str, seed: int, *, protocol: str = "digits-v1", tasks: bool = False, **changed: Any) -> dict[str, Any]:
    """A job's result by a protocol, with one task or three; `changed` replaces groups of its configuration."""
    made = multi_task(poison, seed=seed) if tasks else result(poison, seed=seed, dataset="digits")
    own = {name: made["config"][name] for name in ("poison", "seed", "choices")}
    made["config"] = {**_protocol(protocol), **own, **changed}
    for figures in made["tasks"].values() if tasks else (made,):
        figures["parameters"] = [100] * len(LAYERS)
    if not tasks:
        made |= {"metric": "acc", "higher_is_better": True, "prior": 0.1}
        made |= {"test_metric": made["test_acc"], "clean_test_metric": made["clean_test_acc"]}
    return made


def sweep(folder: Path, *poisons: str, seeds: int = 3, **more: Any) -> Path:
    """A sweep over poisons and seeds."""
    return write_sweep(folder, *(job(poison, seed, **more) for poison in poisons for seed in range(seeds)))


def records(folder: Path, *poisons: str, protocol: str = "digits-v1", **more: Any) -> list[Record]:
    """Its records."""
    made = sweep(folder, *poisons, protocol=protocol, **more)
    return records_of([made], protocol=protocol, by="me", hardware="CPU, x86_64")
