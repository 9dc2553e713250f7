"""What a sweep shows, in sentences that follow from its numbers, and what it cannot show."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from unlearnable.report.figures.methods import SHOWN
from unlearnable.report.words import said, signed
from unlearnable.results.cells import GEOMETRIC, NONE, UD, Cell
from unlearnable.results.comparison import Comparison, stabilities, trainings
from unlearnable.results.defended import Defended, defended
from unlearnable.results.ranking import in_order, order, rank_correlation
from unlearnable.results.records import Records
from unlearnable.results.skill import VERDICTS


def findings(compared: Sequence[Comparison], cells: Sequence[Cell]) -> list[str]:
    """The main statements, about the first comparison where there are several."""
    if not compared:
        return []
    first = compared[0]
    where = "" if len(compared) == 1 else f" ({first.title}; {len(compared)} settings in all)"
    correlated = [name for name in SHOWN if not math.isnan(first.correlation(name).rho)]
    return [
        *_order(first, UD, where),
        *_verdicts(first, UD, "learnable layers"),
        *_order(first, GEOMETRIC, ""),
        *_verdicts(first, GEOMETRIC, "mean log SAL"),
        *(correlation_text(first, name) for name in correlated),
        *_reported(first),
        *_recovered(defended(cells)),
        *(text for name in SHOWN for text in _stability(cells, name)),
        *_skills(cells),
    ]


def _order(first: Comparison, distance: str, where: str) -> Iterator[str]:
    found = {cell.first.label: cell for cell in first.methods}
    values = first.distances(distance)
    names = order(values)
    if len({values[name] for name in names}) > 1:
        low, high = (
            " and ".join(f"{name} {said(found[name], distance)}" for name in names if values[name] == values[end])
            for end in (names[0], names[-1])
        )
        yield f"Lowest {SHOWN[distance]}: {low}; highest: {high}{where}."


def _verdicts(first: Comparison, distance: str, by: str) -> Iterator[str]:
    told = {cell.first.label: cell.told(distance) for cell in first.methods if cell.told(distance) is not None}
    if told:
        alike = [name for name, apart in told.items() if not apart]
        text = f"{len(told) - len(alike)} of {len(told)} methods differ from clean data in their {by} (t-test, 5 %)"
        yield text + (f"; not told from clean: {', '.join(alike)}." if alike else ".")


def correlation_text(one: Comparison, distance: str) -> str:
    """Spearman's ρ of a distance and test accuracy, with its interval and what it allows to say."""
    correlation, name = one.correlation(distance), SHOWN[distance]
    if math.isnan(correlation.rho):
        return f"{_capital(name)}: no rank correlation (fewer than three methods, or all alike)."
    text = f"{_capital(name)} against test accuracy: Spearman's ρ = {signed(correlation.rho)}"
    if math.isnan(correlation.low):
        return f"{text} over {correlation.n} methods, too few for a confidence interval."
    interval = f"95 % interval {signed(correlation.low)} to {signed(correlation.high)}"
    text += f" ({interval}, {correlation.n} methods, p = {correlation.p_value:.2g})"
    if correlation.low > 0:
        return f"{text}: it orders the methods much as test accuracy does."
    if correlation.high < 0:
        return f"{text}: it orders the methods against test accuracy."
    return f"{text}: these methods do not show whether the two order them alike."


def recovery_text(one: Defended) -> str:
    """Rank correlation of the geometric distance and the recovered share, over all cells and within methods."""
    found = one.correlation
    if math.isnan(found.rho):
        return ""
    interval = "" if math.isnan(found.low) else f", 95 % interval {signed(found.low)} to {signed(found.high)}"
    within = "" if math.isnan(one.within) else f"; within a method {signed(one.within)} (median)"
    return (
        f"Geometric distance against recovered share of accuracy over {found.n} pairs of poison and defence: Spearman's "
        f"ρ = {signed(found.rho)} (p = {found.p_value:.2g}{interval}){within}."
    )


def _recovered(matrices: Sequence[Defended]) -> Iterator[str]:
    """The first matrix in sentences: the best defence of each poison, and whether the distance tells."""
    for one in matrices[:1]:
        where = "" if len(matrices) == 1 else f" ({one.title})"
        best = []
        for method in one.methods:
            shares = {name: one.recovered(method, name) for name in one.defenses if name != NONE}
            if names := order(shares):
                best.append(f"{method} {names[-1]} {shares[names[-1]]:.2f}".replace("-", "−"))
        if best:
            yield f"Defence that gives back most of the accuracy, and its share{where}: {', '.join(best)}."
        if text := recovery_text(one):
            yield text


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _reported(first: Comparison) -> Iterator[str]:
    known = [cell for cell in first.methods if cell.published.ud is not None and math.isfinite(cell.ud)]
    reported = {cell.first.label: float(cell.published.ud or 0) for cell in known}
    if len({*reported.values()}) > 1:
        ours = {cell.first.label: cell.ud for cell in known}
        agreement = rank_correlation(list(ours.values()), list(reported.values()))
        few = " (one seed)" if min(len(cell.runs) for cell in known) == 1 else ""
        here, there = in_order(ours), in_order(reported)
        same = "the same order" if here == there else "another order"
        # Two methods always agree or disagree fully.
        told = agreement.n > 2 and math.isfinite(agreement.tau)
        tau = f", Kendall's τ = {signed(agreement.tau)} over {agreement.n} methods" if told else ""
        yield (f"Order of UD, lowest first: here {here}; as reported (unverified) {there}: {same}{tau}{few}.")


def _stability(cells: Sequence[Cell], distance: str) -> Iterator[str]:
    for title, stability in stabilities(cells, distance).items():
        if least := stability.least:
            where = "" if title == "all jobs" else f" ({title})"
            lowest = f"lowest {signed(least[2])} between {least[0]} and {least[1]}"
            agreement = (
                "the same in all"
                if least[2] > 1 - 1e-9
                else f"mean Kendall's τ = {signed(stability.mean_tau)}, {lowest}"
            )
            ways = f"{len(stability.compared)} ways of measuring SAL{where}"
            others = [name for name in stability.settings if name not in stability.compared]
            left = (
                f" Not comparable, with fewer than three methods or all alike: {', '.join(others)}." if others else ""
            )
            yield f"Order of the methods by {SHOWN[distance]} between {ways}: {agreement}.{left}"


def _skills(cells: Sequence[Cell]) -> Iterator[str]:
    """What each method leaves of which task; about the first setting where there are several."""
    multi = [cell for cell in cells if cell.first.result.get("tasks") and cell.skill.verdict]
    for family in list(trainings(multi).values())[:1]:
        for method in dict.fromkeys(cell.first.label for cell in family if not cell.is_clean):
            found: dict[str, dict[str, None]] = {}
            for cell in family:
                if cell.first.label == method:
                    found.setdefault(cell.skill.verdict, {})[cell.first.task] = None
            kinds = [f"{word} for {', '.join(found[word])}" for word in VERDICTS if word in found]
            yield f"By skill, data with {method} are {'; '.join(kinds)}."


def undefined_skills(cells: Sequence[Cell]) -> list[str]:
    """Tasks whose clean model has not learnt enough to say what a poison takes, each once, with the reason."""
    return list(
        dict.fromkeys(
            f"Skill{f' of {cell.first.task}' if cell.first.result.get('tasks') else ''} is undefined: {reason}."
            for cell in cells
            if (reason := cell.skill.undefined)
        )
    )


def warnings(records: Records, cells: Sequence[Cell]) -> list[str]:
    """What failed, is missing or was left out."""
    texts = _failures(records)
    single = [cell for cell in cells if len(cell.runs) == 1 and not cell.is_clean]
    if single and len(single) == len([cell for cell in cells if not cell.is_clean]):
        texts.append(
            "One seed only: UD has no spread and no verdict. Clean runs with different seeds differ too; sweep seed=0,1,2."
        )
    elif single:
        names = ", ".join(dict.fromkeys(cell.first.label for cell in single))
        texts.append(f"One seed only for {names}: no spread and no verdict there.")
    texts += list(dict.fromkeys(f"{cell.first.label}: {cell.note}" for cell in cells if cell.note))
    texts += undefined_skills(cells) + _arbitrary(records)
    if left_out := _not_finite(records):
        texts.append(
            f"{left_out} layer SALs were not finite (a loss overflowed); they are left out of both runs that are compared."
        )
    texts += _shortened(records) + _two_references(records)
    if repeated := list(dict.fromkeys(records.repeated)):  # once, of however many tasks
        texts.append(
            f"{len(repeated)} jobs repeat another job's setting and seed; the last one counts. Left out: "
            f"{', '.join(repeated[:5])}{' …' if len(repeated) > 5 else ''}."
        )
    return texts


def _not_finite(records: Records) -> int:
    """How many SALs are no numbers, each run's once: clean runs are the reference of many."""
    found: dict[Any, int] = {}
    for run in records.runs:
        for of, sal in ((run.measurement, run.sal), (run.reference, run.clean_sal)):
            place = (run.task, of) if of else (run.task, run.folder, sal is run.sal)
            found[place] = max(found.get(place, 0), int((~np.isfinite(sal)).sum()))
    return sum(found.values())


def _arbitrary(records: Records) -> list[str]:
    """Where the count of learnable layers rests on clusters that are none."""
    counts = [run.result["count_log"] for run in records.runs if run.result.get("count_log")]
    without = sum(count["warning"] is not None for count in counts)
    if not without:
        return []
    return [
        f"In {without} of {len(counts)} results one cluster fits the clean run's log SALs as well as two: which layers count "
        "as learnable, and so UD, is arbitrary there."
    ]


def _shortened(records: Records) -> list[str]:
    """Runs that were compared with their reference over a part of the epochs only."""
    shorter = [run for run in records.runs if run.result.get("epochs_not_compared")]
    jobs = list(dict.fromkeys(run.job for run in shorter))
    if not jobs:
        return []
    named = ", ".join(jobs[:5]) + (" …" if len(jobs) > 5 else "")
    return [f"UD over the common epochs only, since one of the two runs stopped before the other: {named}."]


def _two_references(records: Records) -> list[str]:
    """Methods that are compared under one setting although their clean references are not the same training."""
    found: dict[tuple[object, ...], dict[tuple[str, str], str]] = {}
    for run in records.runs:
        if run.reference is not None:
            found.setdefault((*run.setting, run.seed), {}).setdefault(run.reference, run.job)
    mixed = {jobs for seen in found.values() if len(seen) > 1 for jobs in [" and ".join(list(seen.values())[:2])]}
    return [
        f"{jobs} have the same options and seed but different clean references: code, data or machine changed between them."
        for jobs in sorted(mixed)[:3]
    ]


def _failures(records: Records) -> list[str]:
    """Failed jobs, those with the same message together."""
    by_error: dict[str, list[str]] = {}
    for failure in records.failures:
        by_error.setdefault(failure.error, []).append(f"{failure.sweep.name}/{failure.job}")
    texts = []
    for error, jobs in by_error.items():
        named = ", ".join(jobs[:4]) + (f" and {len(jobs) - 4} more" if len(jobs) > 4 else "")
        texts.append(f"{named}: {error}")
    return texts
