"""Records from what jobs left behind, and a record in plain words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np

from unlearnable.distances import all_spreads, distance_spread
from unlearnable.files import finite
from unlearnable.results.cells import GEOMETRIC, Cell, cells
from unlearnable.results.reading import read_sweeps
from unlearnable.results.records import Records, array
from unlearnable.sharing.protocols import differences, digest, protocol_digest
from unlearnable.sharing.schema import Budget, Counted, Interval, Mean, Record, SeedRun

_DIGITS = 7  # of SAL and losses: as many as single precision has
_FEW_PIXELS = 16  # of an image; a change of no more is taken to be bounded in ℓ0


def records_of(
    folders: Sequence[str | Path], *, protocol: str, by: str, link: str = "", hardware: str, name: str = ""
) -> list[Record]:
    """A record for each method that sweeps measured by a protocol.

    Args:
        folders: Of sweeps or jobs.
        protocol: The protocol's name.
        by: Who measured.
        link: Where the method is from.
        hardware: What it ran on.
        name: The method's; empty takes that of its configuration.

    Raises:
        FileNotFoundError, ValueError: if a folder holds no results, a job was not run by the protocol, or no method was.
    """
    found = read_sweeps(folders)
    for run in {digest(run.result["config"]): run for run in found.runs}.values():
        if changed := differences(run.result["config"], protocol):
            raise ValueError(f"{run.folder} was not run by {protocol}: {'; '.join(changed)}.")
    many = [cell for cell in cells(found) if not cell.is_clean]
    if not many:
        raise ValueError(f"{', '.join(map(str, folders))}: there is no finished job on poisoned data.")
    more = {"protocol": protocol, "protocol_digest": protocol_digest(protocol), "by": by, "link": link}
    return [_record(found, cell, method=name or cell.first.label, hardware=hardware, **more) for cell in many]


def _record(found: Records, cell: Cell, **more: Any) -> Record:
    first = cell.first.result
    accuracies = found.clean_metrics(cell.runs)
    runs = [
        _seed_run(run.seed, run.sal, run.losses, run.result.get("test_acc"), run.result.get("keys", {}))
        for run in sorted(cell.runs, key=lambda run: run.seed)
    ]
    setting = [run for run in found.runs if run.setting == cell.first.setting]
    references = {run.seed: _reference(run.result) for run in (*setting, *cell.runs)}
    clean = [
        _seed_run(seed, sal, cell.clean_losses.get(seed), accuracies.get(seed), references.get(seed, {}))
        for seed, sal in sorted(cell.clean.items())
    ]
    return Record(
        **more,
        made=datetime.now(UTC).date(),
        budget=_budget(first["noise"], first["config"]),
        layers=first["layers"],
        parameters=first["parameters"],
        epochs=first["sal_epochs"],
        runs=runs,
        clean_runs=clean,
        ud=ud_of(runs, clean),
        distances=distances_of(runs, clean, first["parameters"]),
        accuracy=mean_of(runs),
        clean_accuracy=mean_of(clean),
        versions=first["versions"],
    ).signed()


def distances_of(runs: Sequence[SeedRun], clean: Sequence[SeedRun], parameters: Sequence[int]) -> dict[str, Interval]:
    """Every distance with its interval and verdict; it follows from the runs' SAL and losses.

    Raises:
        ValueError: if the runs do not fit each other.
    """
    more: dict[str, Any] = {"weights": parameters}
    if all(run.loss is not None for run in (*runs, *clean)):
        more |= {"losses": losses_of(runs), "clean_losses": losses_of(clean)}
    spreads = all_spreads(sal_of(runs), sal_of(clean), **more)
    return {
        name: Interval(**finite({field: getattr(spread, field) for field in Interval.model_fields}))
        for name, spread in spreads.items()
    }


def ud_of(runs: Sequence[SeedRun], clean: Sequence[SeedRun]) -> Counted | None:
    """The paper's UD over the seeds, with its verdict; None if it is not defined for these runs."""
    try:
        spread = distance_spread(sal_of(runs), sal_of(clean))
    except ValueError:
        return None
    return Counted(**finite({field: getattr(spread, field) for field in Counted.model_fields}))


def sal_of(runs: Sequence[SeedRun]) -> dict[int, np.ndarray]:
    """Seed → SAL, `[epochs, layers]`."""
    return {run.seed: array(run.sal) for run in runs}


def losses_of(runs: Sequence[SeedRun]) -> dict[int, np.ndarray]:
    """Seed → losses, `[epochs]`, of runs that have them."""
    return {run.seed: array([run.loss or []])[0] for run in runs}


def mean_of(runs: Sequence[SeedRun]) -> Mean:
    """Test accuracy over the runs."""
    known = [run.test_acc for run in runs if run.test_acc is not None]
    return Mean(mean=mean(known) if known else None, std=stdev(known) if len(known) > 1 else None)


def in_words(record: Record) -> str:
    """What a record says, for people."""
    seeds = ", ".join(map(str, record.seeds))
    lines = [
        f"{record.method}, by {record.protocol}, seeds {seeds} against {len(record.clean_runs)} clean runs:",
        f"- A model trained on it reaches a test accuracy of {_said(record.accuracy)}; on clean data "
        f"{_said(record.clean_accuracy)}.",
    ]
    found, ud = record.distances.get(GEOMETRIC), record.ud
    if found is not None and found.value is not None:
        ends = "" if found.low is None else f" [{found.low:.2f}, {found.high:.2f}]"
        lines.append(
            f"- Its layers' sharpness (SAL) is {found.value:.2f}{ends} times that of clean data, on the geometric mean: "
            f"{verdict(found.value, found)}."
        )
    if ud is not None and ud.mean is not None:
        spread = "" if ud.std is None else f" ± {ud.std:.2f}"
        lines.append(f"- The paper's UD is {ud.mean:.2f}{spread}: {verdict(ud.mean, ud)}.")
    return "\n".join(lines)


def verdict(value: float, found: Interval | Counted) -> str:
    """What a ratio to clean data says, in plain words."""
    if found.distinguishable is None:
        return "no verdict, which takes two seeds or more"
    p_value = f"(p = {found.p_value:.2g})"
    if not found.distinguishable:
        return f"it cannot be told from clean data {p_value}"
    return f"{'less' if value < 1 else 'more'} learnable than clean data {p_value}"


def _said(accuracy: Mean) -> str:
    if accuracy.mean is None:
        return "an unknown share"
    return f"{accuracy.mean:.3f}" + ("" if accuracy.std is None else f" ± {accuracy.std:.3f}")


def _seed_run(
    seed: int, sal: np.ndarray, losses: np.ndarray | None, accuracy: float | None, keys: Mapping[str, Any]
) -> SeedRun:
    known = accuracy is not None and math.isfinite(accuracy)
    return SeedRun(
        seed=seed,
        test_acc=accuracy if known else None,
        sal=[_rounded(row) for row in sal],
        loss=None if losses is None else _rounded(losses),
        data=keys.get("data"),
        trajectory=keys.get("trajectory"),
    )


def _reference(result: Mapping[str, Any]) -> Mapping[str, Any]:
    """The digests of a job's clean run, which may be the job itself."""
    keys: Mapping[str, Any] = result.get("keys", {})
    return keys if result["is_clean"] else keys.get("reference", {})


def _rounded(values: np.ndarray) -> list[float | None]:
    return [float(f"{value:.{_DIGITS}g}") if math.isfinite(value) else None for value in values.tolist()]


def _budget(noise: Mapping[str, Any], config: Mapping[str, Any]) -> Budget:
    """The method's own norm and radius; for imported files what is told from the change."""
    declared = config["poison"]
    used = {"linf": noise["linf_max"], "l2": noise["l2_max"], "l0": noise["l0_max"]}
    norm, radius = declared.get("norm"), declared.get("radius")
    if norm not in used:
        norm, radius = ("l0" if used["l0"] <= _FEW_PIXELS else "linf"), None
    return Budget(norm=norm, radius=used[norm] if radius is None else radius, changed=noise["changed"], **used)
