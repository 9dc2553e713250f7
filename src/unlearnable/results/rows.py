"""What was found as flat rows, and as CSV: a row a job, a row a cell over its seeds, rows for what goes across settings."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from unlearnable.distances import DISTANCES, Spread, all_calibrations
from unlearnable.distances.calibration import LEAST_SEEDS
from unlearnable.files import write_atomically
from unlearnable.results.cells import GEOMETRIC, UD, Cell, figure
from unlearnable.results.comparison import comparisons, stabilities, transferred_orders, transfers
from unlearnable.results.defended import defended
from unlearnable.results.records import AXES, Records, Run, natural_order

SUMMARY, AGGREGATES = "summary.csv", "aggregates.csv"
SENSITIVITY, TRANSFER, CALIBRATION = "sensitivity.csv", "transfer.csv", "calibration.csv"
DEFENDED = "defended.csv"

Rows = list[dict[str, Any]]

#: The columns of `summary.csv`, beside one for each distance that the jobs have.
COLUMNS = (
    *("job", "status", "poison", "dataset", "model", "task", "defense", "variant", "settings", "seed"),
    *("eps", "steps", "solver"),
    *("beta", "learnable_layers", "clean_learnable_layers", "ud", "ud_parameter_weighted", "ud_until_convergence"),
    *("train_acc", "test_acc", "test_acc_peak", "clean_test_acc"),
    *("metric", "test_metric", "test_metric_peak", "clean_test_metric", "prior", "prior_by"),
    *("skill", "skill_verdict", "relative", "delta_m", "seconds", "error"),
)
#: Figures of a job that are averaged over the seeds; `noise.…` is what the perturbation used of its budget.
AVERAGED = (
    *("beta", "learnable_layers", "clean_learnable_layers"),
    *("train_acc", "test_acc", "test_acc_peak", "clean_test_acc", "test_metric", "clean_test_metric", "relative"),
    *("certificate.certified", "certificate.recovered"),
    *("noise.changed", "noise.linf_max", "noise.l2_max", "noise.l0_max", "noise.tokens_mean"),
)


def job_rows(records: Records) -> Rows:
    """One row for each job, finished or failed, in the order of their numbers; a multi-task job has one a task."""
    rows = [job_row(run) for run in records.runs]
    rows += [
        {"job": failure.job, "status": failure.status, "poison": failure.poison, "error": failure.error}
        for failure in records.failures
    ]
    return sorted(rows, key=lambda row: natural_order(str(row["job"])))  # a stable sort: tasks stay in their order


def job_row(run: Run) -> dict[str, Any]:
    """One task of a job."""
    result = run.result
    counts = {name: figure(result, name) for name in ("learnable_layers", "clean_learnable_layers")}
    return {
        **{column: result.get(column) for column in COLUMNS},
        **counts,
        **{f"distance_{name}": value for name, value in result.get("distances", {}).items()},
        "job": run.job,
        "status": run.status,
        "variant": run.variant,
        "settings": run.settings,
        "seconds": result["seconds"]["total"],
        "error": "",
    }


def cell_row(cell: Cell) -> dict[str, Any]:
    """A cell over its seeds; what is not known is NaN."""
    first, spread = cell.first, cell.spread
    figures = {name.replace(".", "_"): cell.figure(name) for name in AVERAGED}
    more: dict[str, Any] = {}
    for name in DISTANCES:
        if (found := cell.spreads.get(name)) is not None:
            more |= _spread_columns(f"distance_{name}", cell, found)
        else:  # no spread is defined for it, or there is none here
            figures[f"distance_{name}"] = cell.figure(f"distances.{name}")
    seeds = sorted({seed for pair in spread.clean_pairs for seed in pair}) if spread else []
    return {
        **dict(zip(AXES, first.axes, strict=True)),
        "variant": first.variant,
        "settings": first.settings,
        "seeds": " ".join(map(str, cell.seeds)),
        "ud": cell.ud,
        "ud_std": cell.ud_std,
        "clean_ud": spread.clean_mean if spread else math.nan,
        "clean_ud_std": spread.clean_std if spread else math.nan,
        "clean_seeds": " ".join(map(str, seeds)),
        "p_value": cell.p_value(UD),
        "resolution": spread.resolution if spread else math.nan,
        "verdict": cell.verdict(UD),
        **more,
        **{name: mean for name, (mean, _) in figures.items()},
        **{f"{name}_std": deviation for name, (_, deviation) in figures.items()},
        "ud_as_reported_unverified": cell.published.ud,
        "metric": first.result.get("metric", ""),
        "prior": first.result.get("prior"),
        "skill": cell.skill.mean,
        "skill_std": cell.skill.std,
        "skill_verdict": cell.skill.verdict,
        "seconds": cell.figure("seconds.total")[0],
    }


def _spread_columns(name: str, cell: Cell, found: Spread) -> dict[str, Any]:
    """A distance over the seeds: itself, its 95 % interval, clean against clean, and the verdict."""
    low, high = cell.interval(found.distance)
    return {
        name: found.value,
        f"{name}_low": low,
        f"{name}_high": high,
        f"{name}_clean_low": found.clean_low,
        f"{name}_clean_high": found.clean_high,
        f"{name}_p": cell.p_value(found.distance),
        f"{name}_resolution": found.resolution,
        f"{name}_seeds_needed": None if cell.is_clean else found.seeds_needed,
        f"{name}_verdict": cell.short_verdict(found.distance),
    }


def sensitivity_rows(cells: Sequence[Cell]) -> Rows:
    """One row for each two ways of measuring: Kendall's τ of their orders of methods, and over how many methods."""
    rows = []
    geometric = stabilities(cells, GEOMETRIC)
    for title, stability in stabilities(cells).items():
        for i, first in enumerate(stability.settings):
            for j, second in enumerate(stability.settings[i + 1 :], i + 1):
                agreement = {"tau": float(stability.tau[i, j]), "tau_geometric": float(geometric[title].tau[i, j])}
                agreement["methods"] = int(stability.common[i, j])
                rows.append({"data": title, "setting": first, "other": second, **agreement})
    return rows


def transfer_rows(cells: Sequence[Cell]) -> Rows:
    """One row for each source of β, target and method: UD at that β and at the target's own, and what needs no β."""
    rows = []
    for title, found in transfers(cells).items():
        geometric = transferred_orders(cells, GEOMETRIC)[title]
        for i, source in enumerate(found.settings):
            for j, target in enumerate(found.settings):
                own = dict(zip(geometric.methods, geometric.values[geometric.settings.index(target)], strict=True))
                rows += [
                    {
                        "measured": title,
                        "beta_of": source,
                        "beta": float(found.beta[i]),
                        "on": target,
                        "poison": method,
                        "ud": float(found.ud[i, j, k]),
                        "own_ud": float(found.ud[j, j, k]),
                        "own_geometric": float(own[method]),
                        "order_tau": float(found.tau[i, j]),
                    }
                    for k, method in enumerate(found.methods)
                ]
    return rows


def defended_rows(cells: Sequence[Cell]) -> Rows:
    """One row for each setting with several defences, method and defence: what comes back, and what it costs."""
    return [
        {
            "setting": one.title,
            "poison": method,
            "defense": name,
            "test_acc": one.accuracy(method, name),
            "recovered": one.recovered(method, name),
            "ud": one.distance(method, name, UD),
            "geometric": one.distance(method, name, GEOMETRIC),
            "clean_test_acc": one.clean_acc[name],
            "clean_cost": one.cost(name),
        }
        for one in defended(cells)
        for method, name in one.pairs
    ]


def calibration_rows(cells: Sequence[Cell]) -> Rows:
    """One row for each setting with enough clean seeds and distance: how often its verdict is wrong, and its power."""
    rows = []
    for one in comparisons(cells):
        cell = max(one.cells, key=lambda cell: len(cell.clean_losses))
        if len(cell.clean) < LEAST_SEEDS:
            continue
        found = all_calibrations(
            cell.clean, weights=cell.first.result.get("parameters"), clean_losses=cell.clean_losses
        )
        for name, of in found.items():
            powers = {f"power_{ratio:g}": share for ratio, share in of.power.items()}
            shares = {"false_positives": of.false_positives, "false_positives_paired": of.false_positives_paired}
            rows.append(
                {"setting": one.title, "distance": name, "seeds": of.seeds, "splits": of.splits, **shares, **powers}
            )
    return rows


def write_tables(folder: Path, records: Records, cells: Sequence[Cell]) -> list[Path]:
    """Writes the tables that these jobs allow, numbers in full precision; the first is `summary.csv`."""
    jobs = job_rows(records)
    distances = dict.fromkeys(name for row in jobs for name in row if name.startswith("distance_"))
    at = COLUMNS.index("train_acc")
    write_csv(folder / SUMMARY, [*COLUMNS[:at], *distances, *COLUMNS[at:]], jobs)
    written = [folder / SUMMARY]
    for name, rows in (
        (AGGREGATES, [cell_row(cell) for cell in cells]),
        (SENSITIVITY, sensitivity_rows(cells)),
        (TRANSFER, transfer_rows(cells)),
        (DEFENDED, defended_rows(cells)),
    ):
        if rows:
            write_csv(folder / name, columns_of(rows), rows)
            written.append(folder / name)
    return written


def columns_of(rows: Rows) -> list[str]:
    """The columns that some row has, in their order."""
    return list(dict.fromkeys(column for row in rows for column in row))


def write_csv(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes rows as CSV, numbers in full precision, nothing for NaN."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction="ignore", restval="")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: "" if isinstance(v, float) and math.isnan(v) else v for name, v in row.items()})
    write_atomically(path, text.getvalue())
