"""Which options tell runs apart: those of the configuration in which runs differ that are not one and the same.

The digests in `keys` decide. Runs with the same training and measurement (their own, or that of their clean reference)
are the same whatever their configurations say, so that an option in which they differ changes nothing and is not shown.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from unlearnable.results.records import Run

#: Groups that a measurement is made of, besides those of which `choices` names the option.
_MEASURED_GROUPS = ("trainer", "sal", "measure")
_POISON = "poison."

Options = Mapping[str, Any]


def tell_apart(runs: Sequence[Run]) -> list[Run]:
    """The runs, each with its `variant` and `settings`."""
    options = [dict(_leaves(run.result["config"])) for run in runs]
    variants = _told(runs, options, _poison_family, _of_poison, lambda run: run.measurement, lambda run: run.reference)
    settings = _told(
        runs, options, _family, lambda name: not _of_poison(name), lambda run: run.reference, lambda _: None
    )
    return [
        replace(run, variant=variant, settings=setting)
        for run, variant, setting in zip(runs, variants, settings, strict=True)
    ]


def _told(
    runs: Sequence[Run],
    options: Sequence[Options],
    family_of: Callable[[Run], Any],
    concerns: Callable[[str], bool],
    identity: Callable[[Run], Any],
    beside: Callable[[Run], Any],
) -> list[str]:
    """For each run the options that matter within its family, as `name=value, …`.

    Args:
        runs: The runs.
        options: Of each run.
        family_of: Runs of one family are alike but for options that tell something.
        concerns: Whether an option is looked at.
        identity: Of a run: runs with an equal one are the same; None if it is not known.
        beside: What else runs must have in common for a difference in `identity` to come from the options.
    """
    families: dict[Any, list[int]] = defaultdict(list)
    for place, run in enumerate(runs):
        families[family_of(run)].append(place)
    told = [""] * len(runs)
    for places in families.values():
        own = [runs[place] for place in places]
        table = _varied([{k: v for k, v in options[place].items() if concerns(k)} for place in places])
        table = _without_aliases(own, table)
        same = _groups(own, identity)
        table = {name: column for name, column in table.items() if not any(_differ(column, group) for group in same)}
        names = _chosen(own, table, identity, beside)
        for number, place in enumerate(places):
            shown = {name: _said(table[name][number]) for name in names}
            told[place] = ", ".join(f"{name.removeprefix(_POISON)}={value}" for name, value in shown.items())
    return told


def _chosen(
    runs: Sequence[Run],
    table: Mapping[str, Sequence[Any]],
    identity: Callable[[Run], Any],
    beside: Callable[[Run], Any],
) -> list[str]:
    """The options that are shown: those of groups that a measurement is made of, and whatever else it takes.

    Places on a disk say where something lies, not what it is: they, and options of groups that only store and log, are
    shown only where runs that differ could not be told apart without them.
    """
    names = {name for name, column in table.items() if _speaks(name, column, runs)}
    for group in _groups(runs, lambda run: (run.axis("eps"), run.axis("steps"), run.seed, beside(run))):
        for i, one in enumerate(group):
            for other in group[i + 1 :]:
                known = identity(runs[one]) is not None and identity(runs[other]) is not None
                differ = known and identity(runs[one]) != identity(runs[other])
                if differ and all(table[name][one] == table[name][other] for name in names):
                    names |= {name for name, column in table.items() if column[one] != column[other]}
    return sorted(names)


def _speaks(name: str, column: Sequence[Any], runs: Sequence[Run]) -> bool:
    groups = {*runs[0].result["config"].get("choices", {}), *_MEASURED_GROUPS, "poison"}
    is_path = any(isinstance(value, str) and value.startswith(('"/', '"~')) for value in column)
    return name.partition(".")[0] in groups and not is_path


def _varied(options: Sequence[Options]) -> dict[str, list[Any]]:
    """Option → its value in each run as JSON, None where it is not set; without those that are the same in all."""
    names = dict.fromkeys(name for one in options for name in one)
    table = {name: [json.dumps(one[name]) if name in one else None for one in options] for name in names}
    return {name: column for name, column in table.items() if len({*column}) > 1}


def _without_aliases(runs: Sequence[Run], table: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
    """Without options that repeat the seed, an axis or, under a shorter name, another option."""
    said = [[json.dumps(run.seed) for run in runs]]
    said += [[json.dumps(value) for value in column] for column in zip(*(run.axes for run in runs), strict=True)]
    kept: dict[str, list[Any]] = {}
    for name in sorted(table, key=lambda name: (len(name), name)):
        if table[name] not in said:
            kept[name] = table[name]
            said.append(table[name])
    return kept


def _groups(runs: Sequence[Run], key: Callable[[Run], Any]) -> list[list[int]]:
    """Places of runs with an equal key that is not None."""
    found: dict[Any, list[int]] = defaultdict(list)
    for place, run in enumerate(runs):
        if key(run) is not None:
            found[key(run)].append(place)
    return [places for places in found.values() if len(places) > 1]


def _differ(column: Sequence[Any], places: Sequence[int]) -> bool:
    return len({column[place] for place in places}) > 1


def _family(run: Run) -> tuple[Any, ...]:
    """Options of a data set, model and so on differ from another's by nature."""
    return tuple(run.axis(name) for name in ("dataset", "model", "task", "defense", "solver"))


def _poison_family(run: Run) -> tuple[Any, ...]:
    return (run.axis("poison"), *_family(run))


def _of_poison(option: str) -> bool:
    return option.startswith(_POISON)


def _leaves(config: Any, prefix: str = "") -> Iterable[tuple[str, Any]]:
    """Option → value; what is null is the same as not being there."""
    if isinstance(config, Mapping) and config:
        for name, value in config.items():
            yield from _leaves(value, f"{prefix}.{name}" if prefix else str(name))
    elif config is not None and config != {}:
        yield prefix, config


def _said(value: str | None) -> str:
    """A value as it is shown."""
    if value is None:
        return "null"
    read = json.loads(value)
    return f"{read:.6g}" if isinstance(read, float) else str(read)
