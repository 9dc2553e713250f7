"""Ranks that say no more than the runs do: methods that cannot be told apart share one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from unlearnable.distances import spread_of
from unlearnable.results.cells import GEOMETRIC
from unlearnable.sharing.figures import sal_of
from unlearnable.sharing.schema import Record

_LEVEL = 0.05


@dataclass(frozen=True)
class Rank:
    """A record's place for one task, among those that it may be compared with.

    Attributes:
        place: One more than the number of records below it that it can be told from; None without a distance.
        alike: Places in the sequence of the records that it cannot be told from.
    """

    place: int | None
    alike: Sequence[int] = ()


def ranks(records: Sequence[Record]) -> list[dict[str, Rank]]:
    """The rank of each record among those by the same protocol, by the geometric distance: task → rank.

    Every pair is compared by the t-test over seeds that also tells a poison from clean data, the p-values of a protocol's
    task with Holm's correction.
    """
    found: list[dict[str, Rank]] = [dict.fromkeys(record.tasks, Rank(None)) for record in records]
    groups: dict[tuple[str, str], dict[int, float]] = {}
    for number, record in enumerate(records):
        for task in record.tasks:
            if (value := _value(record, task)) is not None:
                groups.setdefault((record.protocol_digest, task), {})[number] = value
    for (_, task), values in groups.items():
        pairs = {pair: _p_value(task, *(records[number] for number in pair)) for pair in combinations(values, 2)}
        told = _told(pairs)
        for number, value in values.items():
            apart = {other for pair in told if number in pair for other in pair if other != number}
            place = 1 + sum(values[other] < value for other in apart)
            alike = [other for other in values if other != number and other not in apart]
            found[number][task] = Rank(place, alike)
    return found


def _value(record: Record, task: str) -> float | None:
    distance = record.tasks[task].distances.get(GEOMETRIC)
    return None if distance is None else distance.value


def _p_value(task: str, one: Record, other: Record) -> float:
    """For equal SALs of two methods; 1 where there is no verdict, as with a single seed."""
    try:
        found = spread_of(GEOMETRIC, sal_of(task, one.runs), sal_of(task, other.runs)).p_value
    except ValueError:  # other layers or epochs
        return 1.0
    return 1.0 if math.isnan(found) else found


def _told(p_values: Mapping[tuple[int, int], float]) -> set[tuple[int, int]]:
    """The pairs that differ, by Holm's step-down procedure."""
    told: set[tuple[int, int]] = set()
    for done, pair in enumerate(sorted(p_values, key=lambda pair: p_values[pair])):
        if p_values[pair] * (len(p_values) - done) >= _LEVEL:
            break
        told.add(pair)
    return told
