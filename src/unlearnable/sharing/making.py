"""Records from what jobs left behind, and a record in plain words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np

from unlearnable.options import number
from unlearnable.results.cells import GEOMETRIC, Cell, cells
from unlearnable.results.reading import read_sweeps
from unlearnable.results.records import AXES, Records
from unlearnable.sharing.figures import task_figures
from unlearnable.sharing.protocols import differences, digest, protocol_digest
from unlearnable.sharing.schema import (
    Counted,
    ImageBudget,
    Interval,
    Mean,
    Record,
    SeedRun,
    TaskFigures,
    TaskRun,
    WordBudget,
)

_DIGITS = 7  # of SAL and losses: as many as single precision has
#: How metrics are called in running text, if not by their own names.
METRICS = {"acc": "accuracy"}
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
    methods: dict[tuple[Any, ...], list[Cell]] = {}
    for cell in cells(found):
        if not cell.is_clean:
            methods.setdefault(_but_task(cell), []).append(cell)
    if not methods:
        raise ValueError(f"{', '.join(map(str, folders))}: there is no finished job on poisoned data.")
    more = {"protocol": protocol, "protocol_digest": protocol_digest(protocol), "by": by, "link": link}
    return [
        _record(found, tasks, method=name or tasks[0].first.label, hardware=hardware, **more)
        for tasks in methods.values()
    ]


def _but_task(cell: Cell) -> tuple[Any, ...]:
    """What the cells of one method's tasks share."""
    place = AXES.index("task")
    return (*cell.first.cell[:place], *cell.first.cell[place + 1 :])


def _record(found: Records, tasks: Sequence[Cell], **more: Any) -> Record:
    first = tasks[0].first.result
    runs, clean = _runs(tasks), _clean_runs(found, tasks)
    return Record(
        **more,
        made=datetime.now(UTC).date(),
        budget=_budget([run.result["noise"] for run in tasks[0].runs], first["config"]),
        epochs=first["sal_epochs"],
        tasks={
            cell.first.task: task_figures(
                cell.first.task,
                runs,
                clean,
                metric=cell.first.result.get("metric") or "",
                higher_is_better=cell.first.result.get("higher_is_better", True),
                prior=cell.first.result.get("prior"),
                layers=cell.first.result["layers"],
                parameters=cell.first.result["parameters"],
            )
            for cell in tasks
        },
        runs=runs,
        clean_runs=clean,
        versions=first["versions"],
    ).signed()


def in_words(record: Record) -> str:
    """What a record says, for people."""
    seeds = ", ".join(map(str, record.seeds))
    lines = [
        f"{record.method}, by {record.protocol}, seeds {seeds} against {len(record.clean_runs)} clean runs:",
    ]
    for task, figures in record.tasks.items():
        if len(record.tasks) > 1:
            lines.append(f"{task}:")
        lines += _task_in_words(figures)
    return "\n".join(lines)


def _task_in_words(figures: TaskFigures) -> list[str]:
    lines = []
    if figures.metric:
        name = METRICS.get(figures.metric, figures.metric)
        lines.append(
            f"- A model trained on it reaches a test {name} of {_said(figures.score)}; on clean data "
            f"{_said(figures.clean_score)}."
        )
    if figures.skill.mean is not None:
        lines.append(f"- Of what clean data teach beyond the prior it learns {_said(figures.skill)}.")
    found, ud = figures.distances.get(GEOMETRIC), figures.ud
    if found is not None and found.value is not None:
        ends = "" if found.low is None else f" [{found.low:.2f}, {found.high:.2f}]"
        lines.append(
            f"- Its layers' sharpness (SAL) is {found.value:.2f}{ends} times that of clean data, on the geometric mean: "
            f"{verdict(found.value, found)}."
        )
    if ud is not None and ud.mean is not None:
        spread = "" if ud.std is None else f" ± {ud.std:.2f}"
        lines.append(f"- The paper's UD is {ud.mean:.2f}{spread}: {verdict(ud.mean, ud)}.")
    return lines


def verdict(value: float, found: Interval | Counted) -> str:
    """What a ratio to clean data says, in plain words."""
    if found.distinguishable is None:
        return "no verdict, which takes two seeds or more"
    p_value = f"(p = {found.p_value:.2g})"
    if not found.distinguishable:
        return f"it cannot be told from clean data {p_value}"
    return f"{'less' if value < 1 else 'more'} learnable than clean data {p_value}"


def _said(found: Mean) -> str:
    if found.mean is None:
        return "an unknown number"
    return f"{found.mean:.3f}" + ("" if found.std is None else f" ± {found.std:.3f}")


def _runs(tasks: Sequence[Cell]) -> list[SeedRun]:
    """The poisoned runs, one a seed."""
    found = []
    for run in sorted(tasks[0].runs, key=lambda run: run.seed):
        same = {cell.first.task: next(one for one in cell.runs if one.seed == run.seed) for cell in tasks}
        own = {task: _task_run(one.sal, one.losses, one.result.get("test_metric")) for task, one in same.items()}
        found.append(_seed_run(run.seed, own, run.result.get("keys", {})))
    return found


def _clean_runs(found: Records, tasks: Sequence[Cell]) -> list[SeedRun]:
    """The clean runs in the setting, one a seed, whichever job they were made for."""
    cell = tasks[0]
    setting = [run for run in found.runs if run.setting == cell.first.setting]
    references = {run.seed: _reference(run.result) for run in (*setting, *cell.runs)}
    scores = {one.first.task: found.clean_metrics(one.runs) for one in tasks}
    return [
        _seed_run(
            seed,
            {
                one.first.task: _task_run(one.clean[seed], one.clean_losses.get(seed), scores[one.first.task].get(seed))
                for one in tasks
            },
            references.get(seed, {}),
        )
        for seed in sorted(cell.clean)
    ]


def _seed_run(seed: int, tasks: Mapping[str, TaskRun], keys: Mapping[str, Any]) -> SeedRun:
    return SeedRun(seed=seed, data=keys.get("data"), trajectory=keys.get("trajectory"), tasks=dict(tasks))


def _task_run(sal: np.ndarray, losses: np.ndarray | None, score: float | None) -> TaskRun:
    return TaskRun(
        score=score if score is not None and math.isfinite(score) else None,
        sal=[_rounded(row) for row in sal],
        loss=None if losses is None else _rounded(losses),
    )


def _reference(result: Mapping[str, Any]) -> Mapping[str, Any]:
    """The digests of a job's clean run, which may be the job itself."""
    keys: Mapping[str, Any] = result.get("keys", {})
    return keys if result["is_clean"] else keys.get("reference", {})


def _rounded(values: np.ndarray) -> list[float | None]:
    return [float(f"{value:.{_DIGITS}g}") if math.isfinite(value) else None for value in values.tolist()]


def _budget(noises: Sequence[Mapping[str, Any]], config: Mapping[str, Any]) -> ImageBudget | WordBudget:
    """What all seeds' poisons changed at most; of images with the method's own norm and radius, else told from the change."""
    changed = max(noise["changed"] for noise in noises)
    if "tokens_mean" in noises[0]:
        return WordBudget(
            norm="words",
            radius=mean(noise["tokens_mean"] for noise in noises),
            largest=max(noise["tokens_max"] for noise in noises),
            changed=changed,
        )
    used = {norm: max(noise[f"{norm}_max"] for noise in noises) for norm in ("linf", "l2", "l0")}
    norm, radius = config["poison"].get("norm"), config["poison"].get("radius")
    if norm not in used:
        norm, radius = ("l0" if used["l0"] <= _FEW_PIXELS else "linf"), None
    bound = used[norm] if radius is None else number("poison.radius", radius)  # 8/255 is kept as it was given
    return ImageBudget(norm=norm, radius=bound, changed=changed, **used)
