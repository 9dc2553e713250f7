"""Cells that may be compared with one another: the same data, model and measurement, different methods."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from unlearnable.results.cells import UD, Cell
from unlearnable.results.ranking import RankCorrelation, RankingStability, rank_correlation, ranking_stability
from unlearnable.results.records import AXES
from unlearnable.results.thresholds import SettingRuns, Transfer, transfer_thresholds

#: How axes are called in titles.
SAID: Mapping[str, str] = {"eps": "ε = {}", "steps": "{} steps", "task": "task {}", "defense": "defence {}"}
_MEASURING = ("eps", "steps", "solver")
_MEASURED = slice(AXES.index("eps") - 1, None)  # their places in `Run.setting`, and that of the settings


@dataclass(frozen=True)
class Comparison:
    """Methods under one setting.

    Attributes:
        title: What tells the setting from the others; "all jobs" if there is one only.
        cells: One a method.
    """

    title: str
    cells: Sequence[Cell]

    @property
    def methods(self) -> list[Cell]:
        """The cells that are not clean data and have a distance, lowest UD first."""
        return [cell for cell in self.ordered if not cell.is_clean and (cell.spread or cell.spreads)]

    @property
    def ordered(self) -> list[Cell]:
        """The cells, lowest UD first, then those without a UD, then clean data."""
        return sorted(self.cells, key=lambda cell: (cell.is_clean, math.isnan(cell.ud), cell.ud))

    def distances(self, distance: str = UD) -> dict[str, float]:
        """Method → a distance over its seeds."""
        return {cell.first.label: cell.value(distance) for cell in self.methods}

    def correlation(self, distance: str = UD) -> RankCorrelation:
        """Rank correlation of a distance and test accuracy over the methods."""
        accuracies = [cell.figure("test_acc")[0] for cell in self.methods]
        return rank_correlation(list(self.distances(distance).values()), accuracies)


def comparisons(cells: Sequence[Cell]) -> list[Comparison]:
    """The cells by their settings; first the published measurement (ε = 0.05, 10 steps), then those with most methods."""
    groups: dict[tuple[Any, ...], list[Cell]] = {}
    for cell in cells:
        groups.setdefault(cell.first.setting, []).append(cell)
    varied = [place for place, _ in enumerate((*AXES[1:], "settings")) if len({key[place] for key in groups}) > 1]

    def rank(key: tuple[Any, ...]) -> tuple[bool, int]:
        eps, steps = key[AXES.index("eps") - 1], key[AXES.index("steps") - 1]
        return ((eps, steps) != (0.05, 10), -len(groups[key]))

    shared = set.intersection(*({*key[-1].split(", ")} for key in groups)) if groups else set()
    return [Comparison(_title(key, varied, shared), groups[key]) for key in sorted(groups, key=rank)]


def _title(key: tuple[Any, ...], varied: Sequence[int], shared: set[str]) -> str:
    """The axes that vary, and the settings that not all cells share."""
    told = ", ".join(option for option in key[-1].split(", ") if option not in shared)
    own = (*key[:-1], told)
    return _said({(*AXES[1:], "settings")[place]: own[place] for place in varied})


def _said(values: Mapping[str, Any]) -> str:
    """Axes and their values in words; a single task is not mentioned."""
    told = {name: value for name, value in values.items() if value != "" and (name, value) != ("task", "single")}
    return " · ".join(SAID.get(name, "{}").format(value) for name, value in told.items()) or "all jobs"


def families(cells: Sequence[Cell], *, free: Sequence[str]) -> dict[str, list[Cell]]:
    """The cells by all of their setting but the axes in `free` (or "settings"); the key says what tells them apart."""
    names = [name for name in (*AXES[1:], "settings") if name not in free]
    keys = [tuple(_place(cell, name) for name in names) for cell in cells]
    varied = [place for place in range(len(names)) if len({key[place] for key in keys}) > 1]
    found: dict[str, list[Cell]] = {}
    for cell, key in zip(cells, keys, strict=True):
        found.setdefault(_said({names[place]: key[place] for place in varied}), []).append(cell)
    return found


def trainings(cells: Sequence[Cell]) -> dict[str, list[Cell]]:
    """The cells by how they were trained, whatever was measured and for whichever of their tasks."""
    return _by_part(cells, lambda cell: {name: value for name, value in _training(cell).items() if name != "task"})


def _place(cell: Cell, name: str) -> Any:
    return cell.first.settings if name == "settings" else cell.first.axis(name)


def numeric_axes(cells: Sequence[Cell]) -> list[str]:
    """What of the measurement was varied and is a number: `eps`, `steps` and single options such as `sal.samples`."""
    found = [name for name in ("eps", "steps") if len({_place(cell, name) for cell in cells}) > 1]
    options = {name for cell in cells for name in _options(cell)}
    for option in sorted(options):
        if len({_options(cell).get(option) for cell in cells}) > 1 and all(_is_number(cell, option) for cell in cells):
            found.append(option)
    return found


def axis_series(cells: Sequence[Cell], axis: str) -> dict[str, dict[str, dict[float, Cell]]]:
    """Setting without the axis → method → place along the axis → cell, ascending."""
    result: dict[str, dict[str, dict[float, Cell]]] = {}
    by_option = axis not in AXES
    for title, family in families(cells, free=[axis] if not by_option else ["settings"]).items():
        for cell in family:
            if cell.is_clean:
                continue
            rest = ", ".join(f"{name}={value}" for name, value in _options(cell).items() if name != axis)
            key = f"{title} · {rest}" if by_option and rest else title
            place = float(_options(cell)[axis]) if by_option else float(_place(cell, axis))
            result.setdefault(key, {}).setdefault(cell.first.label, {})[place] = cell
    series = {key: {name: dict(sorted(of.items())) for name, of in methods.items()} for key, methods in result.items()}
    return {key: value for key, value in series.items() if any(len(points) > 1 for points in value.values())}


def _options(cell: Cell) -> dict[str, str]:
    """A cell's settings, by option."""
    pairs = (part.partition("=") for part in cell.first.settings.split(", ") if part)
    return {name: value for name, _, value in pairs}


def _is_number(cell: Cell, option: str) -> bool:
    try:
        float(_options(cell)[option])
    except (KeyError, ValueError):
        return False
    return True


def stabilities(cells: Sequence[Cell], distance: str = UD) -> dict[str, RankingStability]:
    """Data and model → agreement of the methods' order between all ways SAL was measured, where there are two or more."""
    return _agreements(cells, _training, distance)


def transferred_orders(cells: Sequence[Cell], distance: str = UD) -> dict[str, RankingStability]:
    """Defence and way of measuring → agreement of the methods' order between all data sets, models and tasks, where there
    are two or more.
    """
    return _agreements(cells, _but_trained, distance)


def _agreements(
    cells: Sequence[Cell], part: Callable[[Cell], dict[str, Any]], distance: str
) -> dict[str, RankingStability]:
    found = {}
    for title, family in _by_part(cells, part).items():
        compared = sorted(comparisons(family), key=lambda one: one.cells[0].first.setting[_MEASURED])
        values = {comparison.title: comparison.distances(distance) for comparison in compared}
        if len(values) > 1:
            found[title] = ranking_stability(values)
    return found


def transfers(cells: Sequence[Cell]) -> dict[str, Transfer]:
    """Defence and way of measuring → transfer of β between data sets, models, tasks and ways of training, where there are two
    or more.
    """
    found = {}
    for title, family in _by_part(cells, _but_trained).items():
        settings = {}
        for comparison in comparisons(family):
            own = [cell for cell in comparison.methods if cell.spread]
            methods = {cell.first.label: {run.seed: run.sal for run in cell.runs} for cell in own}
            if methods:
                settings[comparison.title] = SettingRuns(own[0].clean, methods)
        if len(settings) > 1:
            found[title] = transfer_thresholds(settings)
    return found


def _by_part(cells: Sequence[Cell], part: Callable[[Cell], dict[str, Any]]) -> dict[str, list[Cell]]:
    """The cells by a part of their setting; the key says what tells the groups apart."""
    parts = [part(cell) for cell in cells]
    varied = [name for name in (parts[0] if parts else ()) if len({one[name] for one in parts}) > 1]
    found: dict[str, list[Cell]] = {}
    for cell, one in zip(cells, parts, strict=True):
        found.setdefault(_said({name: one[name] for name in varied}), []).append(cell)
    return found


def _but_trained(cell: Cell) -> dict[str, Any]:
    """All but the data, the model and the task: how SAL was measured, and the defence.

    A defended and an undefended run are no two data sets that β could be carried between.
    """
    axes = {name: _place(cell, name) for name in (*_MEASURING, "defense")}
    return {**axes, "settings": _told(cell, "sal", "defense")}


def _training(cell: Cell) -> dict[str, Any]:
    """What was trained."""
    axes = {name: _place(cell, name) for name in AXES[1:] if name not in _MEASURING}
    return {**axes, "settings": _told(cell, "sal", "measure", inside=False)}


def _told(cell: Cell, *groups: str, inside: bool = True) -> str:
    """Those of a cell's settings that lie inside groups of the configuration, or outside of them."""
    options = _options(cell).items()
    return ", ".join(f"{name}={value}" for name, value in options if (name.partition(".")[0] in groups) == inside)


def by_defense(cells: Sequence[Cell]) -> dict[str, list[Cell]]:
    """Setting but for the defence → its cells, where there are two defences or more."""
    found = _by_part(cells, _but_defense)
    return {title: family for title, family in found.items() if len({*map(defense_label, family)}) > 1}


def defense_label(cell: Cell) -> str:
    """A cell's defence, with those of its options that were varied."""
    told = _told(cell, "defense").replace("defense.", "")
    return f"{_place(cell, 'defense')} ({told})" if told else str(_place(cell, "defense"))


def _but_defense(cell: Cell) -> dict[str, Any]:
    axes = {name: _place(cell, name) for name in AXES[1:] if name != "defense"}
    return {**axes, "settings": _told(cell, "defense", inside=False)}


def measures_of(cells: Sequence[Cell]) -> list[str]:
    """The measures beside SAL that some run of these cells has."""
    return list(dict.fromkeys(name for cell in cells for run in cell.runs for name in run.result.get("measures", {})))
