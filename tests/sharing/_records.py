"""Made-up sweeps by a protocol: what records are made from, without training anything."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from tests.results._sweeps import LAYERS, result, write_sweep
from unlearnable.identity import plain
from unlearnable.sharing.making import records_of
from unlearnable.sharing.protocols import protocol
from unlearnable.sharing.schema import Record


@cache
def _protocol() -> dict[str, Any]:
    config: dict[str, Any] = plain(protocol("digits-v1"))
    return config


def job(poison: str, seed: int, **changed: Any) -> dict[str, Any]:
    """A job's result by digits-v1; `changed` replaces groups of its configuration."""
    made = result(poison, seed=seed, dataset="digits")
    own = {name: made["config"][name] for name in ("poison", "seed", "choices")}
    made["config"] = {**_protocol(), **own, **changed}
    made["parameters"] = [100] * len(LAYERS)
    made |= {"test_metric": made["test_acc"], "clean_test_metric": made["clean_test_acc"]}
    return made


def sweep(folder: Path, *poisons: str, seeds: int = 3) -> Path:
    """A sweep over poisons and seeds."""
    return write_sweep(folder, *(job(poison, seed) for poison in poisons for seed in range(seeds)))


def records(folder: Path, *poisons: str, seeds: int = 3) -> list[Record]:
    """Its records."""
    made = sweep(folder, *poisons, seeds=seeds)
    return records_of([made], protocol="digits-v1", by="me", hardware="CPU, x86_64")
