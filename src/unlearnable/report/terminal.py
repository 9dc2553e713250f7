"""Tables in the terminal: the end of a sweep, and what goes across settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from unlearnable.report.figures.methods import BARS, SHOWN
from unlearnable.report.findings import recovery_text, undefined_skills
from unlearnable.report.words import pm, said, short, signed
from unlearnable.results.cells import GEOMETRIC, UD, Cell
from unlearnable.results.comparison import comparisons, stabilities
from unlearnable.results.defended import Defended, defended
from unlearnable.results.records import AXES, DIVERGED, Records
from unlearnable.results.rows import Rows, columns_of, job_row

if TYPE_CHECKING:
    from rich.console import Console, JustifyMethod

_SHOWN: Mapping[str, str] = {
    "poison": "poison",
    "task": "task",
    "defense": "defence",
    "variant": "variant",
    "settings": "settings",
    "seed": "seed",
    "eps": "ε",
    "steps": "steps",
    "beta": "β",
    "learnable_layers": "learnable layers",
    "ud": "UD",
    "distance_geometric": "geometric",
    "train_acc": "train acc",
    "test_acc": "test acc",
    "test_acc_peak": "peak",
    "clean_test_acc": "clean test acc",
    "metric": "metric",
    "test_metric": "test",
    "clean_test_metric": "clean test",
    "relative": "against clean, %",
    "prior": "prior",
    "skill": "skill",
    "skill_verdict": "for this task",
    "seconds": "seconds",
}
#: Columns that are neither wrapped nor shortened.
_WHOLE = ("poison", "task", "skill")
_ONLY_IF_VARIED = ("task", "defense", "variant", "settings")
_ACCURACIES = ("train_acc", "test_acc", "test_acc_peak", "clean_test_acc")
_OTHER_METRICS = ("metric", "test_metric", "clean_test_metric", "relative", "prior")
#: Above this number of jobs the terminal shows the cells alone.
_MOST_JOBS_SHOWN = 40


def print_tables(records: Records, cells: Sequence[Cell]) -> None:
    """Shows the jobs, the cells over seeds and the failures in the terminal."""
    console = wide_console()
    seeds = max((len(cell.runs) for cell in cells), default=0)
    if len(records.runs) <= _MOST_JOBS_SHOWN or seeds < 2:
        _print_jobs(console, records)
    if seeds > 1:
        _print_cells(console, cells)
    elif cells:
        console.print("One seed: UD without a spread says little. Add e.g. seed=0,1,2 for ± and a verdict.")
    for text in undefined_skills(cells):
        console.print(text)
    for job in dict.fromkeys(run.job for run in records.runs if run.status == DIVERGED):
        _in_red(console, f"{job} {DIVERGED}:", "its training loss is not finite")
    for matrix in defended(cells):
        _print_defended(console, matrix)
    for failure in records.failures:
        _in_red(console, f"{failure.job} {failure.status}:", failure.error)


def print_sensitivity(cells: Sequence[Cell], _: Rows) -> None:
    """Both distances of every method under every setting, and how far the settings agree on the order."""
    from rich.table import Table

    console, compared = wide_console(), comparisons(cells)
    methods = list(dict.fromkeys(cell.first.label for one in compared for cell in one.methods))
    for distance, name in SHOWN.items():
        table = Table(title=f"{name}, {BARS[distance]}")
        for column in ("setting", *methods):
            table.add_column(column, justify="left" if column == "setting" else "right")
        for one in compared:
            own = {cell.first.label: said(cell, distance, 3) for cell in one.methods}
            table.add_row(one.title, *(own.get(method, "–") for method in methods))
        console.print(table)
        for title, stability in stabilities(cells, distance).items():
            if least := stability.least:
                console.print(
                    f"{title}: mean Kendall's τ {signed(stability.mean_tau)} between {len(stability.settings)} settings; "
                    f"lowest {signed(least[2])} between {least[0]} and {least[1]}."
                )


def print_calibration(_: Sequence[Cell], rows: Rows) -> None:
    """How often each distance's verdict is wrong on clean runs, and how often it finds a known ratio, in per cent."""
    from rich.table import Table

    columns = columns_of(rows)
    table = Table(title="Clean halves against clean halves: share called different, in per cent (5 is due)")
    for name in columns:
        table.add_column(name.replace("_", " "), justify="left" if name in ("setting", "distance") else "right")
    for row in rows:
        values = [row.get(name) for name in columns]
        table.add_row(
            *(f"{100 * value:.1f}" if isinstance(value, float) and value >= 0 else short(value) for value in values)
        )
    wide_console().print(table)


def print_transfer(_: Sequence[Cell], rows: Rows) -> None:
    """UD on each target at each source's β."""
    from rich.table import Table

    methods = list(dict.fromkeys(row["poison"] for row in rows))
    table = Table(title="UD at the β of another setting")
    for name in ("measured", "β of", "on", *methods, "order's τ"):
        table.add_column(name, justify="left" if name in ("measured", "β of", "on") else "right")
    for key in dict.fromkeys((row["measured"], row["beta_of"], row["on"]) for row in rows):
        own = {row["poison"]: row for row in rows if (row["measured"], row["beta_of"], row["on"]) == key}
        values = [pm(own[method]["ud"]) if method in own else "–" for method in methods]
        table.add_row(*key, *values, pm(next(iter(own.values()))["order_tau"], digits=2))
    wide_console().print(table)


def wide_console() -> Console:
    """The terminal; a log file counts as wide enough for whole rows."""
    from rich.console import Console

    # Names, options and errors are shown as they are: `[head]` is a list of layers, not a colour.
    console = Console(markup=False, emoji=False)
    return console if console.is_terminal else Console(width=180, markup=False, emoji=False)


def _in_red(console: Console, beginning: str, rest: str) -> None:
    from rich.text import Text

    console.print(Text.assemble((beginning, "red"), f" {rest}"))


def _print_jobs(console: Console, records: Records) -> None:
    from rich.table import Table

    rows = [job_row(run) for run in records.runs]
    shown = [name for name in _SHOWN if name not in _ONLY_IF_VARIED or len({row[name] for row in rows}) > 1]
    # Accuracies where all jobs have one; else each task's own metric.
    accuracies = all(row.get("test_acc") is not None for row in rows)
    shown = [name for name in shown if name not in (_OTHER_METRICS if accuracies else _ACCURACIES)]
    table = Table(title="UD: lower means more unlearnable; 1 means like clean data")
    for name in shown:
        justify: JustifyMethod = "left" if name in ("poison", *_ONLY_IF_VARIED) else "right"
        table.add_column(_SHOWN[name], justify=justify, no_wrap=name in _WHOLE)
    for row in rows:
        table.add_row(*(short(row.get(name)) for name in shown))
    for failure in records.failures:
        table.add_row(failure.poison or failure.job, *["" for _ in shown[2:]], failure.status, style="red")
    console.print(table)


def _print_cells(console: Console, cells: Sequence[Cell]) -> None:
    from rich.table import Table

    columns: dict[str, Callable[[Cell], str]] = {
        "poison": lambda cell: cell.first.label,
        **{axis: _axis(axis) for axis in AXES[1:] if len({_axis(axis)(cell) for cell in cells}) > 1},
        "settings": lambda cell: cell.first.settings,
        "seeds": lambda cell: str(len(cell.seeds)),
        "UD": lambda cell: pm(cell.ud, cell.ud_std),
        "clean vs clean": lambda cell: (
            pm(cell.spread.clean_mean, cell.spread.clean_std) if cell.spread and cell.spread.clean_pairs else "–"
        ),
        "verdict": lambda cell: cell.short_verdict(UD),
        "p": lambda cell: short(cell.p_value(UD)),
        "geometric": lambda cell: said(cell, GEOMETRIC),
        "its verdict": lambda cell: cell.short_verdict(GEOMETRIC),
        "its p": lambda cell: short(cell.p_value(GEOMETRIC)),
        "train acc": lambda cell: pm(*cell.figure("train_acc"), digits=2),
        "test acc": lambda cell: pm(*cell.figure("test_acc"), digits=2),
        "peak": lambda cell: pm(*cell.figure("test_acc_peak"), digits=2),
        "skill": lambda cell: pm(cell.skill.mean, cell.skill.std, 2),
        "for this task": lambda cell: cell.skill.verdict,
    }
    columns = {
        name: text
        for name, text in columns.items()
        if name in ("poison", "UD") or any(text(cell) not in ("", "–") for cell in cells)
    }
    table = Table(title="Over seeds: mean ± standard deviation; geometric distance with its 95 % interval")
    for name in columns:
        right = ("seeds", "UD", "clean vs clean", "geometric", "eps", "steps")
        table.add_column(name, justify="right" if name in right else "left", no_wrap=name in _WHOLE)
    for cell in cells:
        table.add_row(*(text(cell) for text in columns.values()))
    console.print(table)


def _print_defended(console: Console, matrix: Defended) -> None:
    from rich.table import Table

    where = "" if matrix.title == "all jobs" else f" ({matrix.title})"
    table = Table(title=f"Defences{where}: test accuracy · recovered share of it · geometric distance")
    for name in ("defence", "clean acc", "costs", *matrix.methods):
        table.add_column(name, justify="left" if name == "defence" else "right")
    for defense in matrix.defenses:
        figures = (matrix.clean_acc[defense], matrix.cost(defense))
        entries = [
            " · ".join(
                pm(value, digits=2)
                for value in (
                    matrix.accuracy(method, defense),
                    matrix.recovered(method, defense),
                    matrix.distance(method, defense, GEOMETRIC),
                )
            )
            for method in matrix.methods
        ]
        table.add_row(defense, *(pm(value) for value in figures), *entries)
    console.print(table)
    if text := recovery_text(matrix):
        console.print(text, highlight=False)


def _axis(axis: str) -> Callable[[Cell], str]:
    return lambda cell: str(cell.first.axis(axis))
