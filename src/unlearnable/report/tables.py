"""The page's tables: methods over seeds, jobs, tasks."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence

from unlearnable.report.layout import Column, Field, Row, Table
from unlearnable.report.words import pm, said
from unlearnable.results.cells import GEOMETRIC, UD, Cell, figure
from unlearnable.results.comparison import Comparison
from unlearnable.results.records import AXES, Failure, Records

_Shown = Callable[[Cell], Field]


def number(value: float, spread: float = math.nan, *, digits: int = 2, percent: bool = False) -> Field:
    """A number with its standard deviation, sorted by its value."""
    if math.isnan(value):
        return Field("–")
    text = pm(100 * value, 100 * spread, 1) + " %" if percent else pm(value, spread, digits)
    return Field(text, repr(value))


def significant(value: float) -> Field:
    """A number with three significant digits."""
    return Field("–") if math.isnan(value) else Field(f"{value:.3g}", repr(value))


def value_of(cell: Cell, distance: str) -> Field:
    """A distance over a cell's seeds."""
    value = cell.value(distance)
    return Field("–") if math.isnan(value) else Field(said(cell, distance), repr(value))


def headline(compared: Sequence[Comparison], failures: Sequence[Failure]) -> Table:
    """Method × (UD ± spread and geometric distance with their verdicts, β, accuracies, budget), the published beside."""
    cells = [cell for one in compared for cell in one.cells]
    columns = {
        name: shown
        for name, shown in _columns(cells).items()
        if name in ("method", "UD") or any(shown(cell).text != "–" for cell in cells)
    }
    rows = [
        Row([shown(cell) for shown in columns.values()], "clean" if cell.is_clean else "", one.title)
        for one in compared
        for cell in one.ordered
    ]
    for (poison, status), count in Counter((one.poison or one.job, one.status) for one in failures).items():
        entries = [Field(poison, poison), Field(f"{count} {status}", badge="no")]
        rows.append(Row([*entries, *[Field("")] * (len(columns) - 2)], "failed"))
    headings = [Column(name, name not in _WORDS, _HINTS.get(name, "")) for name in columns]
    caption = "Each method over its seeds, mean ± standard deviation or [95 % interval]; a heading sorts."
    return Table(caption, headings, rows, sortable=True)


def remarks(compared: Sequence[Comparison]) -> list[str]:
    """What is to be known of the published figures that the table shows."""
    shown = {str(cell.first.result["poison"]): cell.published for one in compared for cell in one.methods}
    texts = [
        f"The published test accuracy of {name} is not comparable: {found.unlike}."
        for name, found in sorted(shown.items())
        if found.unlike and found.test_acc is not None
    ]
    if any(found.ud is not None for found in shown.values()):
        texts.append(
            'Published UDs are as reported, unverified: a secondary source puts TAP\'s 1.639 on a ViT, and "OPS lowest" '
            "contradicts EM's 0.139."
        )
    return texts


_WORDS = (
    "method",
    "verdict",
    "geometric verdict",
    "settings",
    "dataset",
    "model",
    "task",
    "defense",
    "solver",
    "budget used",
    "seeds",
)
_HINTS = {
    "UD": "Mean over the seeds, each against the clean run of its seed. Lower means more unlearnable, 1 means like clean data.",
    "UD, reported": "Ye, Su and Qian (ICLR 2025): as reported, unverified",
    "verdict": "Do the learnable layers of poisoned and clean runs differ in the mean? Two-sample t-test, 5 %.",
    "geometric": "SAL over the clean runs', geometric mean over epochs, layers and seeds, with its 95 % interval",
    "geometric verdict": "Do the runs' mean log SALs differ? t-test over the seeds, 5 %.",
    "seeds needed": "Seeds that would tell the geometric distance with a power of 0.8, at this scatter",
    "clean vs clean": "UD of clean runs against clean runs with other seeds: what chance alone does",
    "β": "Learnability threshold, from the clean runs",
    "learnable layers": "Layers with SAL > β, mean over epochs and seeds",
    "of clean": "The clean runs' learnable layers",
    "test acc, APBench": "200 epochs, ResNet-18; some are of another algorithm and not comparable",
    "budget used": "Largest norms over the training images; of texts the mean share of changed words",
    "prior": "The better of what needs no input: one prediction for all, or one a pixel, from the training targets",
    "skill": "(M − prior) / (clean − prior) of the test metric M: 1 is like clean data, 0 like predictions without an input",
    "for this task": "Unlearnable at a skill of at most 0.1, learnable from 0.5 on",
}


def _columns(cells: Sequence[Cell]) -> dict[str, _Shown]:
    axes = {
        {"eps": "ε"}.get(axis, axis): _axis(axis)
        for axis in AXES[1:]
        if len({cell.first.axis(axis) for cell in cells}) > 1
    }
    return {
        "method": lambda cell: Field(cell.first.label, cell.first.label),
        **axes,
        "UD": _value(UD),
        "UD, reported": _reported,
        "verdict": _verdict(UD),
        "geometric": _value(GEOMETRIC),
        "geometric verdict": _verdict(GEOMETRIC),
        "seeds needed": _seeds_needed,
        "test acc": lambda cell: number(*cell.figure("test_acc"), percent=True),
        "peak": lambda cell: number(*cell.figure("test_acc_peak"), percent=True),
        "test acc, APBench": _apbench,
        "clean test acc": lambda cell: number(*cell.figure("clean_test_acc"), percent=True),
        "skill": lambda cell: number(cell.skill.mean, cell.skill.std),
        "certified": lambda cell: number(*cell.figure("certificate.certified"), percent=True),
        "recovered": lambda cell: number(*cell.figure("certificate.recovered"), percent=True),
        "train acc": lambda cell: number(*cell.figure("train_acc"), percent=True),
        # Long where unlike experiments are put together.
        "settings": lambda cell: Field(cell.first.settings or "–", cell.first.settings),
        "clean vs clean": lambda cell: (
            number(cell.spread.clean_mean, cell.spread.clean_std) if cell.spread else Field("–")
        ),
        "β": lambda cell: significant(cell.figure("beta")[0]),
        "learnable layers": lambda cell: number(*cell.figure("learnable_layers")),
        "of clean": lambda cell: number(*cell.figure("clean_learnable_layers")),
        "budget used": _budget,
        "seeds": lambda cell: Field(", ".join(map(str, cell.seeds)), str(len(cell.seeds))),
        "minutes a job": lambda cell: number(cell.figure("seconds.total")[0] / 60, digits=1),
    }


def _axis(name: str) -> _Shown:
    return lambda cell: Field(str(cell.first.axis(name)), str(cell.first.axis(name)))


def _reported(cell: Cell) -> Field:
    value = cell.published.ud
    return Field("–") if value is None else Field(f"{value:.3f}, unverified", repr(value))


def _apbench(cell: Cell) -> Field:
    found = cell.published
    if found.test_acc is None:
        return Field("–")
    shown = number(found.test_acc, percent=True)
    return Field(f"{shown.text}, not comparable", shown.key) if found.unlike else shown


def _value(distance: str) -> _Shown:
    return lambda cell: value_of(cell, distance)


def _verdict(distance: str) -> _Shown:
    def shown(cell: Cell) -> Field:
        badge = "" if cell.is_clean else {True: "yes", False: "no", None: "open"}[cell.told(distance)]
        p_value, words = cell.p_value(distance), cell.short_verdict(distance)
        return Field(words + ("" if math.isnan(p_value) else f", p = {p_value:.2g}"), words, badge)

    return shown


def _seeds_needed(cell: Cell) -> Field:
    needed = cell.spreads[GEOMETRIC].seeds_needed if GEOMETRIC in cell.spreads and not cell.is_clean else None
    return Field("–") if needed is None else Field(str(needed), str(needed))


def _budget(cell: Cell) -> Field:
    linf, l2, l0 = (cell.figure(f"noise.{norm}_max")[0] for norm in ("linf", "l2", "l0"))
    words = cell.figure("noise.tokens_mean")[0]
    if (math.isnan(linf) and math.isnan(words)) or cell.is_clean:
        return Field("–")
    changed = cell.figure("noise.changed")[0]
    share = "" if changed == 1 else f", {100 * changed:.3g}% of {'images' if math.isnan(words) else 'texts'}"
    if not math.isnan(words):
        return Field(f"{words:.1%} of the words{share}", repr(words))
    return Field(f"ℓ∞ {255 * linf:.0f}/255 · ℓ2 {l2:.2f} · {l0:.0f} px{share}", repr(linf))


def jobs(records: Records) -> Table:
    """Every job with its overrides' outcome, failures included."""
    columns = ["job", "method", "seed", "ε", "steps", "UD", "geometric", "test acc", "minutes", "from the store"]
    rows = []
    for run in records.runs:
        result = run.result
        task = f" · {run.task}" if result.get("tasks") else ""
        rows.append(
            Row(
                [
                    Field(
                        f"{run.sweep.name}/{run.job}{task}{'' if run.status == 'done' else f' · {run.status}'}", run.job
                    ),
                    Field(run.label, run.label),
                    Field(str(run.seed), str(run.seed)),
                    Field(f"{result['eps']:g}", str(result["eps"])),
                    Field(str(result["steps"]), str(result["steps"])),
                    number(figure(result, "ud"), digits=3),
                    number(figure(result, "distances.geometric"), digits=3),
                    number(figure(result, "test_acc"), percent=True),
                    number(result["seconds"]["total"] / 60, digits=1),
                    Field(", ".join(result.get("reused", [])) or "–"),
                ]
            )
        )
    for failure in records.failures:
        cells = [Field(f"{failure.sweep.name}/{failure.job}"), Field(failure.poison), Field(failure.status, badge="no")]
        rows.append(Row([*cells, *[Field("")] * (len(columns) - 3)], "failed"))
    words = ("job", "method", "from the store")
    return Table("Every job.", [Column(name, name not in words) for name in columns], rows, sortable=True, folded=True)


def tasks(cells: Sequence[Cell]) -> Table:
    """Method × task: both distances, the task's own metric and how it compares with the clean model."""
    names = [
        "method",
        "task",
        "UD",
        "verdict",
        "geometric",
        "geometric verdict",
        "metric",
        "poisoned",
        "clean",
        "prior",
        "skill",
        "for this task",
        "relative",
    ]
    rows = []
    for cell in cells:
        metric = str(cell.first.result.get("metric") or "–")
        relative = cell.figure("relative")
        rows.append(
            Row(
                [
                    Field(cell.first.label, cell.first.label),
                    Field(cell.first.task, cell.first.task),
                    *(shown(cell) for name in (UD, GEOMETRIC) for shown in (_value(name), _verdict(name))),
                    Field(metric, metric),
                    number(*cell.figure("test_metric"), digits=3),
                    number(*cell.figure("clean_test_metric"), digits=3),
                    number(cell.figure("prior")[0], digits=3),
                    number(cell.skill.mean, cell.skill.std),
                    _learnable(cell),
                    Field("–") if math.isnan(relative[0]) else Field(pm(*relative, 1) + " %", repr(relative[0])),
                ],
                "clean" if cell.is_clean else "",
            )
        )
    words = ("method", "task", "verdict", "geometric verdict", "metric", "for this task")
    caption = (
        "Each task by its own metric. Skill: of what the clean model learnt beyond the prior, the share that is left; at most "
        "0.1 is unlearnable, at least 0.5 learnable. Relative: change against the clean model in per cent, negative is worse."
    )
    headings = [Column(name, name not in words, _HINTS.get(name, "")) for name in names]
    return Table(caption, headings, rows, sortable=True)


def _learnable(cell: Cell) -> Field:
    word = cell.skill.verdict
    return Field(word or "–", word, {"unlearnable": "yes", "learnable": "no", "in between": "open"}.get(word, ""))
