"""The page's section of defences: the table, the matrices, distance against recovery, and APBench's order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from unlearnable.report.figures import defended as figures
from unlearnable.report.findings import recovery_text
from unlearnable.report.layout import Choice, Column, Field, Panel, Row, Section, Table
from unlearnable.report.style import Look
from unlearnable.report.tables import number, value_of
from unlearnable.results.cells import GEOMETRIC, UD, Cell
from unlearnable.results.defended import LEAST_TAKEN, Defended, against_published, defended

_HINTS = {
    "recovered": "(defended − undefended) / (clean − undefended) test accuracy: 0 without a defence, 1 for all of it",
    "UD": "Against the clean runs with the same defence",
    "geometric": "Against the clean runs with the same defence, with its 95 % interval",
    "clean costs": "The clean runs' test accuracy without the defence less that with it",
}


def defenses_section(cells: Sequence[Cell], looks: Mapping[str, Look]) -> Section | None:
    """Poison × defence under each setting with two defences or more; None without one."""
    found = [one for one in defended(cells) if one.methods]
    if not found:
        return None
    panels = [
        Panel(
            f"defended-{number}",
            title[0].upper() + title[1:],
            _CAPTIONS.get(what, "Against the clean runs with the same defence; lower is more unlearnable."),
            choices,
        )
        for number, (what, title) in enumerate(figures.MATRICES.items())
        if (choices := [Choice(one.title, [chart]) for one in found if (chart := figures.heat(one, what)) is not None])
    ]
    recovery = [
        Choice(one.title, [chart], recovery_text(one))
        for one in found
        if (chart := figures.recovery(one, looks)) is not None
    ]
    if recovery:
        caption = "A point is a method under a defence; point at it to see which. The intervals are in the table."
        panels.append(Panel("recovery", "Does the distance rise where accuracy is recovered?", caption, recovery))
    notes = [
        "A sweep with `defense=none` too says what each defence gives back and costs."
        for one in found
        if "none" not in one.defenses
    ]
    return Section("defenses", "Defences", _INTRO, [_table(found), *_published(found)], panels, notes=notes[:1])


_INTRO = (
    "The clean reference of a defended run is the clean run with the same defence: UD and the geometric distance compare "
    "like with like, and what a defence costs on clean data stands beside them."
)
_CAPTIONS = {
    "accuracy": "Test accuracy after the last epoch, mean over the seeds.",
    "recovered": "Of the test accuracy that the poison takes, the share that the defence gives back; – where the poison "
    f"takes less than {100 * LEAST_TAKEN:.0f} points.",
}


def _table(found: Sequence[Defended]) -> Table:
    names = ("method", "defence", "test acc", "recovered", "UD", "geometric", "clean acc, defended", "clean costs")
    rows = [
        Row(
            [
                Field(method, method),
                Field(name, name),
                number(*one.cells[method][name].figure("test_acc"), percent=True),
                number(one.recovered(method, name)),
                value_of(one.cells[method][name], UD),
                value_of(one.cells[method][name], GEOMETRIC),
                number(one.clean_acc[name], percent=True),
                number(one.cost(name), percent=True),
            ],
            setting=one.title,
        )
        for one in found
        for method, name in one.pairs
    ]
    caption = "Each poison under each defence, mean ± standard deviation or [95 % interval] over the seeds."
    columns = [Column(name, name not in ("method", "defence"), _HINTS.get(name, "")) for name in names]
    return Table(caption, columns, rows, sortable=True)


def _published(found: Sequence[Defended]) -> list[Table]:
    """The order of methods under each defence beside APBench's, where both have two methods or more."""
    rows = []
    for one in found:
        for agreement in against_published(one):
            ranks = agreement.correlation
            told = (
                agreement.defense or "all cells",
                " < ".join(agreement.here) or "–",
                " < ".join(agreement.reported) or "–",
            )
            entries = [*(Field(text, text) for text in told), number(ranks.rho), Field(str(ranks.n), str(ranks.n))]
            rows.append(Row(entries, setting=one.title))
    if not rows:
        return []
    titles = ("defence", "by test accuracy here", "as reported by APBench, unverified", "Spearman's ρ", "cells")
    caption = (
        "Order of the methods by test accuracy under each defence, beside APBench's (200 epochs, ResNet-18), without methods "
        "of another algorithm."
    )
    columns = [Column(title, title in titles[3:]) for title in titles]
    return [Table(caption, columns, rows, sortable=True)]
