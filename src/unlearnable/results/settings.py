"""Which options tell runs apart: those in which runs differ whose training or measurement differs too.

The digests in `keys` decide. Runs with equal digests are the same run, whatever their configurations say: an option in
which they differ changes nothing and is not shown.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

from unlearnable.results.records import Run

#: A measurement's groups, besides those that `choices` names.
_MEASURED_GROUPS = ("trainer", "sal", "measure")
_POISON = "poison."
#: Options, and groups of them, that say where things lie on one machine and who is told: they change no figure.
PLACES = ("store", "logger", "dataset.data_dir", "dataset.store_dir", "dataset.download")

Options = Mapping[str, Any]


@dataclass(frozen=True)
class _Kind:
    """A kind of options, and what decides whether they matter.

    Attributes:
        concerns: Whether an option is of this kind.
        family: Of a run: options are compared within a family only; other families have other options.
        same: Of a run: runs that share it are the same run, so that options in which they differ change nothing.
        likely: Of a run: runs that share it most likely agree in all options of this kind that change something.
        beside: Of a run: if runs that share this differ in `likely`, or else in `same`, some option must be the reason.
    """

    concerns: Callable[[str], bool]
    family: Callable[[Run], Any]
    same: Callable[[Run], Any]
    likely: Callable[[Run], Any]
    beside: Callable[[Run], Any]


def tell_apart(runs: Sequence[Run]) -> list[Run]:
    """The runs, each with its `variant` and `settings`."""
    options = [dict(leaves(run.result["config"])) for run in runs]
    variants, settings = _told(runs, options, _POISONS), _told(runs, options, _OTHERS)
    return [
        replace(run, variant=variant, settings=setting)
        for run, variant, setting in zip(runs, variants, settings, strict=True)
    ]


def _told(runs: Sequence[Run], options: Sequence[Options], kind: _Kind) -> list[str]:
    """For each run the options of a kind that matter within its family, as `name=value, …`."""
    families: dict[Any, list[int]] = defaultdict(list)
    for place, run in enumerate(runs):
        families[kind.family(run)].append(place)
    told = [""] * len(runs)
    for places in families.values():
        own = [runs[place] for place in places]
        table = _varied([{k: v for k, v in options[place].items() if kind.concerns(k)} for place in places])
        table = _without_aliases(own, table)
        silent = _differing(table, _groups(own, kind.same))
        table = {name: column for name, column in table.items() if name not in silent}
        names = _chosen(own, table, kind)
        for number, place in enumerate(places):
            shown = {name: _said(table[name][number]) for name in names}
            told[place] = ", ".join(f"{name.removeprefix(_POISON)}={value}" for name, value in shown.items())
    return told


def _chosen(runs: Sequence[Run], table: Mapping[str, Sequence[Any]], kind: _Kind) -> list[str]:
    """The options that are shown: those of a measurement's groups, and others that are needed to tell runs apart.

    Paths say where something lies, not what it is: they, and options of groups that only store and log, are
    shown only where runs that differ could not be told apart without them.
    """
    unlikely = _differing(table, _groups(runs, kind.likely))
    names = {name for name, column in table.items() if name not in unlikely and _speaks(name, column, runs)}

    def explain(group: Sequence[int], identity: Callable[[Run], Any], candidates: set[str]) -> None:
        for one, other in combinations(group, 2):
            first, second = identity(runs[one]), identity(runs[other])
            differ = first is not None and second is not None and first != second
            if differ and not any(table[name][one] != table[name][other] for name in names):
                names.update(name for name in candidates if table[name][one] != table[name][other])

    def place(run: Run) -> tuple[Any, ...]:
        return run.axis("eps"), run.axis("steps"), run.seed, kind.beside(run)

    for group in _groups(runs, place):
        explain(group, kind.likely, {*table} - unlikely)
    for group in _groups(
        runs, lambda run: None if kind.likely(run) is None else (place(run), kind.likely(run), run.poison)
    ):
        explain(group, kind.same, {*table})
    return sorted(names)


def _speaks(name: str, column: Sequence[Any], runs: Sequence[Run]) -> bool:
    groups = {*runs[0].result["config"].get("choices", {}), *_MEASURED_GROUPS, "poison"}
    is_path = any(isinstance(value, str) and value.startswith(('"/', '"~')) for value in column)
    return name.partition(".")[0] in groups and not is_path


def _varied(options: Sequence[Options]) -> dict[str, list[Any]]:
    """Option → its value in each run as JSON, None where it is not set; only options that vary."""
    names = dict.fromkeys(name for one in options for name in one)
    table = {name: [json.dumps(one[name]) if name in one else None for one in options] for name in names}
    return {name: column for name, column in table.items() if len({*column}) > 1}


def _without_aliases(runs: Sequence[Run], table: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
    """Leaves out options that repeat the seed, an axis, or another option with a shorter name."""
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


def _differing(table: Mapping[str, Sequence[Any]], groups: Sequence[Sequence[int]]) -> set[str]:
    """The options in which the runs of some group differ."""
    return {
        name for name, column in table.items() if any(len({column[place] for place in places}) > 1 for places in groups)
    }


def _family(run: Run) -> tuple[Any, ...]:
    """Every data set, model and so on has options of its own."""
    return tuple(run.axis(name) for name in ("dataset", "model", "task", "defense", "solver"))


def _of_poison(option: str) -> bool:
    return option.startswith(_POISON)


def _poison_or_measurement(run: Run) -> Any:
    """Poisons that are not stored have no key; the training on them decides instead."""
    return run.poison or run.measurement


_POISONS = _Kind(
    concerns=_of_poison,
    family=lambda run: (run.axis("poison"), *_family(run)),
    same=_poison_or_measurement,
    likely=_poison_or_measurement,
    beside=lambda run: run.reference,
)
#: The clean reference depends on all options but the poison's and the job's callbacks, which only the own run has.
_OTHERS = _Kind(
    concerns=lambda option: not _of_poison(option),
    family=_family,
    same=lambda run: run.measurement,
    likely=lambda run: run.reference,
    beside=lambda _: None,
)


def leaves(config: Any, prefix: str = "") -> Iterable[tuple[str, Any]]:
    """Option → value, by its dotted name, without nulls."""
    if isinstance(config, Mapping) and config:
        for name, value in config.items():
            yield from leaves(value, f"{prefix}.{name}" if prefix else str(name))
    elif config is not None and config != {}:
        yield prefix, config


def within(option: str, names: Sequence[str]) -> bool:
    """Whether an option is among those named, or in a group that is."""
    return any(option == name or option.startswith(f"{name}.") for name in names)


def portable(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A configuration without `PLACES`."""
    kept = {name: value for name, value in config.items() if not within(f"{prefix}{name}", PLACES)}
    return {
        name: portable(value, f"{prefix}{name}.") if isinstance(value, Mapping) else value
        for name, value in kept.items()
    }


def _said(value: str | None) -> str:
    """A value as it is shown."""
    return "null" if value is None else _text(json.loads(value))


def _text(value: Any) -> str:
    """As on the command line, and without ", ", which stands between options."""
    if isinstance(value, list):
        return f"[{','.join(map(_text, value))}]"
    return f"{value:.6g}" if isinstance(value, float) else str(value).replace(", ", ",")
