"""Checks a record: its form, its digests, that its figures follow from its runs, and, if asked, one of its runs."""

from __future__ import annotations

import math
from pathlib import Path

from pydantic import BaseModel

from unlearnable.results.cells import GEOMETRIC
from unlearnable.sharing.benchmarking import benchmark
from unlearnable.sharing.making import distances_of, mean_of, ud_of
from unlearnable.sharing.protocols import protocol_digest, protocols
from unlearnable.sharing.schema import Record, SeedRun

_ROUNDING = 1e-4  # relative, of figures that are computed again by other versions of NumPy and SciPy
#: What another machine may change of a single run where the record, of one seed, has no scatter to compare with.
_ONE_SEED = 0.1


def problems(record: Record) -> list[str]:
    """What is wrong with a record of the right form; empty if nothing is."""
    found = []
    if record.digest != record.signed().digest:
        found.append("`digest` is not that of its content: it was edited after it was written.")
    if record.protocol not in protocols():
        found.append(f"`protocol` is not known here: {record.protocol!r}; known are {', '.join(protocols())}.")
    elif record.protocol_digest != protocol_digest(record.protocol):
        found.append(f"`protocol_digest` is not that of {record.protocol}: the jobs ran by another configuration.")
    shape = (len(record.epochs), len(record.layers))
    for run in (*record.runs, *record.clean_runs):
        if len(run.sal) != shape[0] or {len(row) for row in run.sal} != {shape[1]}:
            found.append(f"`sal` of seed {run.seed} must have {shape[0]} epochs and {shape[1]} layers.")
    for name, runs in (("runs", record.runs), ("clean_runs", record.clean_runs)):
        if len({run.seed for run in runs}) < len(runs):
            found.append(f"`{name}` must have each seed once.")
    return found or _figures(record)


def _figures(record: Record) -> list[str]:
    """The figures that do not follow from the runs."""
    try:
        distances = distances_of(record.runs, record.clean_runs, record.parameters)
    except ValueError as error:
        return [f"its runs cannot be compared: {error}"]
    again = {
        **{f"distances.{name}": distance for name, distance in distances.items()},
        "ud": ud_of(record.runs, record.clean_runs),
        "accuracy": mean_of(record.runs),
        "clean_accuracy": mean_of(record.clean_runs),
    }
    own = {
        **{f"distances.{name}": distance for name, distance in record.distances.items()},
        **{name: getattr(record, name) for name in ("ud", "accuracy", "clean_accuracy")},
    }
    wrong = [name for name in sorted({*own, *again}) if not _same(own.get(name), again.get(name))]
    return [f"`{name}` does not follow from the runs." for name in wrong]


def _same(one: BaseModel | None, other: BaseModel | None) -> bool:
    """Whether all numbers of two figures are equal but for rounding."""
    if one is None or other is None:
        return one is other
    own, again = one.model_dump(), other.model_dump()
    own |= {f"seed {seed}": value for seed, value in own.pop("by_seed", {}).items()}
    again |= {f"seed {seed}": value for seed, value in again.pop("by_seed", {}).items()}
    return own.keys() == again.keys() and all(_close(own[name], again[name]) for name in own)


def _close(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return math.isclose(one, other, rel_tol=_ROUNDING, abs_tol=1e-9)


def rerun(
    record: Record, folder: str | Path, *, seed: int, data_dir: str | Path | None = None, out: str | Path | None = None
) -> list[str]:
    """Runs one seed again and compares it with what the record says; empty if it is reproduced.

    The data must be the same to the bit. The geometric distance may differ from the record's of that seed by as much as
    the record's interval is wide to either side: machines round differently, and training makes that large.

    Args:
        record: The record.
        folder: The poisoned training set.
        seed: One of the record's.
        data_dir: Where the clean data are, for protocols whose data are not embedded.
        out: Where the job's folder goes.

    Raises:
        ValueError: if the record has no such seed.
    """
    own = next((run for run in record.runs if run.seed == seed), None)
    if own is None:
        raise ValueError(f"`seed` must be one of the record's, {record.seeds}; got {seed}.")
    again = benchmark(
        folder, protocol=record.protocol, seeds=[seed], data_dir=data_dir, name=record.method, by=record.by, out=out
    )
    return _compared(record, own, again)


def _compared(record: Record, own: SeedRun, again: Record) -> list[str]:
    found = []
    if own.data is not None and again.runs[0].data != own.data:
        found.append(f"the data of seed {own.seed} are others: the folder, or the clean data, are not the record's.")
    distance = record.distances.get(GEOMETRIC)
    before = distance and distance.by_seed.get(own.seed)
    now = again.distances[GEOMETRIC].value if GEOMETRIC in again.distances else None
    if not (distance and before and now):
        return [*found, "there is no geometric distance to compare."]
    allowed = math.log(distance.high / distance.low) / 2 if distance.high and distance.low else _ONE_SEED
    if abs(math.log(now / before)) > allowed:
        found.append(
            f"the geometric distance of seed {own.seed} is {now:.3f}, the record's {before:.3f}: they differ by more than "
            f"a factor of {math.exp(allowed):.2f}."
        )
    return found
