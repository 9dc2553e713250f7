"""Ranks that say no more than the runs do: methods that cannot be told apart share one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from unlearnable.distances import spread_of
from unlearnable.results.cells import GEOMETRIC
from unlearnable.sharing.making import sal_of
from unlearnable.sharing.schema import Record

_LEVEL = 0.05


@dataclass(frozen=True)
class Rank:
    """A record's place among those that it may be compared with.

    Attributes:
        place: One more than the number of records below it that it can be told from; None without a distance.
        alike: Places in the sequence of the records that it cannot be told from.
    """

    place: int | None
    alike: Sequence[int] = ()


def ranks(records: Sequence[Record]) -> list[Rank]:
    """The rank of each record among those by the same protocol, by the geometric distance.

    Every pair is compared by the t-test over seeds that also tells a poison from clean data, the p-values of a protocol with
    Holm's correction.
    """
    found: dict[int, Rank] = {}
    groups: dict[str, list[int]] = {}
    for number, record in enumerate(records):
        groups.setdefault(record.protocol_digest, []).append(number)
    for members in groups.values():
        values = {number: value for number in members if (value := _value(records[number])) is not None}
        told = _told({pair: _p_value(*(records[number] for number in pair)) for pair in combinations(values, 2)})
        for number, value in values.items():
            apart = {other for pair in told if number in pair for other in pair if other != number}
            place = 1 + sum(values[other] < value for other in apart)
            found[number] = Rank(place, [other for other in values if other != number and other not in apart])
    return [found.get(number, Rank(None)) for number in range(len(records))]


def _value(record: Record) -> float | None:
    distance = record.distances.get(GEOMETRIC)
    return None if distance is None else distance.value


def _p_value(one: Record, other: Record) -> float:
    """For equal SALs of two methods; 1 where there is no verdict, as with a single seed."""
    try:
        found = spread_of(GEOMETRIC, sal_of(one.runs), sal_of(other.runs)).p_value
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
