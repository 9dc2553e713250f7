"""Checks a record: its form, its digests, that its figures follow from its runs, and, if asked, one of its runs."""

from __future__ import annotations

import math
from pathlib import Path
from statistics import stdev

from pydantic import BaseModel
from scipy.stats import t as student_t

from unlearnable.results.cells import GEOMETRIC
from unlearnable.sharing.benchmarking import benchmark
from unlearnable.sharing.figures import task_figures
from unlearnable.sharing.protocols import protocol_digest, protocols
from unlearnable.sharing.schema import Interval, Record, SeedRun, TaskFigures

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
    for name, runs in (("runs", record.runs), ("clean_runs", record.clean_runs)):
        if len({run.seed for run in runs}) < len(runs):
            found.append(f"`{name}` must have each seed once.")
        found += [wrong for run in runs for wrong in _form(record, run)]
    return found or _figures(record)


def notes(record: Record) -> list[str]:
    """What a record that is as it says leaves open."""
    if all(run.data is not None for run in (*record.runs, *record.clean_runs)):
        return []
    return [
        "`data` is null: which samples the runs were trained on was not kept. A run of a seed again can be compared by its "
        "distance, and cannot show that the samples are the same."
    ]


def _form(record: Record, run: SeedRun) -> list[str]:
    """In what one run does not have the record's tasks, epochs and layers."""
    if run.tasks.keys() != record.tasks.keys():
        return [f"`tasks` of seed {run.seed} must be {', '.join(record.tasks)}; got {', '.join(run.tasks)}."]
    found = []
    for task, one in run.tasks.items():
        epochs, layers = len(record.epochs), len(record.tasks[task].layers)
        if len(one.sal) != epochs or {len(row) for row in one.sal} != {layers}:
            found.append(f"`sal` of {task}, seed {run.seed}, must have {epochs} epochs and {layers} layers.")
        if one.loss is not None and len(one.loss) != epochs:
            found.append(f"`loss` of {task}, seed {run.seed}, must have {epochs} epochs.")
    return found


def _figures(record: Record) -> list[str]:
    """The figures that do not follow from the runs."""
    wrong = []
    for task, own in record.tasks.items():
        known = {name: getattr(own, name) for name in ("metric", "higher_is_better", "prior", "layers", "parameters")}
        try:
            again = task_figures(task, record.runs, record.clean_runs, **known)
        except ValueError as error:
            return [f"its runs cannot be compared: {error}"]
        said, follows = _flat(own), _flat(again)
        wrong += [
            f"`tasks.{task}.{name}` does not follow from the runs."
            for name in sorted({*said, *follows})
            if not _same(said.get(name), follows.get(name))
        ]
    return wrong


def _flat(figures: TaskFigures) -> dict[str, BaseModel | None]:
    """Figure, by its name → its numbers."""
    return {
        **{f"distances.{name}": distance for name, distance in figures.distances.items()},
        **{name: getattr(figures, name) for name in ("ud", "score", "clean_score", "skill")},
    }


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

    The data must be the same to the bit. The geometric distance may differ from the record's of that seed as runs of two
    seeds do (95 % of such pairs): machines round differently, and training makes of that another run.

    Args:
        record: The record.
        folder: The poisoned training set.
        seed: One of the record's.
        data_dir: Where the clean data are, for protocols whose data are not embedded.
        out: Where the job's folder, and a record of this seed alone, go; None takes outputs/verified/<name>-<protocol>.

    Raises:
        ValueError: if the record has no such seed.
    """
    own = next((run for run in record.runs if run.seed == seed), None)
    if own is None:
        raise ValueError(f"`seed` must be one of the record's, {record.seeds}; got {seed}.")
    # Not where the record itself may lie, which has all its seeds.
    place = Path("outputs/verified") / f"{record.method}-{record.protocol}" if out is None else out
    again = benchmark(
        folder, protocol=record.protocol, seeds=[seed], data_dir=data_dir, name=record.method, by=record.by, out=place
    )
    return _compared(record, own, again)


def _apart(distance: Interval) -> float:
    """How far the logarithms of two runs' distances lie apart, in 95 % of pairs."""
    logs = [math.log(value) for value in distance.by_seed.values() if value]
    if len(logs) < 2:
        return _ONE_SEED
    return float(student_t.ppf(0.975, len(logs) - 1)) * math.sqrt(2) * stdev(logs)


def _compared(record: Record, own: SeedRun, again: Record) -> list[str]:
    found = []
    if own.data is not None and again.runs[0].data != own.data:
        found.append(f"the data of seed {own.seed} are others: the folder, or the clean data, are not the record's.")
    for task, figures in record.tasks.items():
        distance = figures.distances.get(GEOMETRIC)
        before = distance and distance.by_seed.get(own.seed)
        measured = again.tasks[task].distances.get(GEOMETRIC) if task in again.tasks else None
        now = measured and measured.value
        where = f"the geometric distance of seed {own.seed}" + (f", {task}," if len(record.tasks) > 1 else "")
        if not (distance and before and now):
            found.append(f"{where} is not there to compare.")
            continue
        allowed = _apart(distance)
        if abs(math.log(now / before)) > allowed:
            found.append(
                f"{where} is {now:.3f}, the record's {before:.3f}: they differ by more than a factor of "
                f"{math.exp(allowed):.2f}."
            )
    return found
