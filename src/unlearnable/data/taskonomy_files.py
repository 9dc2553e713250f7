"""Which views a Taskonomy folder holds, which of them are whole, and how they are split."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

_FILE = re.compile(r"point_(\d+)_view_(\d+)_domain_\w+\.(png|npy|jpe?g)$", re.IGNORECASE)

#: Building names of the official tiny split (`train_val_test_tiny.csv`).
TINY: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "train": (
            *("allensville", "beechwood", "benevolence", "coffeen", "cosmos", "forkland", "hanson", "hiteman"),
            *("klickitat", "lakeville", "leonardo", "lindenwood", "marstons", "merom", "mifflinburg", "newfields"),
            *("onaga", "pinesdale", "pomaria", "ranchester", "shelbyville", "stockman", "tolstoy", "wainscott"),
            "woodbine",
        ),
        "val": ("collierville", "corozal", "darden", "markleeville", "wiconisco"),
        "test": ("ihlen", "mcdade", "muleshoe", "noxapater", "uvalda"),
    }
)


class View(NamedTuple):
    """One picture: its building (the folders below the domain's), point and view."""

    building: str
    point: int
    view: int

    def __str__(self) -> str:
        return f"{self.building}/point_{self.point}_view_{self.view}"


@dataclass
class Report:
    """The defects that were found.

    Attributes:
        missing: View → the domains it has no file of.
        corrupt: File → what is wrong with it.
        missing_buildings: Buildings of the split that have no view.
    """

    missing: dict[View, list[str]] = field(default_factory=dict)
    corrupt: dict[Path, str] = field(default_factory=dict)
    missing_buildings: list[str] = field(default_factory=list)

    def lines(self, named: int = 8) -> list[str]:
        """A line for each sort of defect, with its count and the first names."""
        groups = (
            ("views without a file of", [f"{view} ({', '.join(domains)})" for view, domains in self.missing.items()]),
            ("unreadable files", [f"{path} ({reason})" for path, reason in self.corrupt.items()]),
            ("buildings without views", self.missing_buildings),
        )
        return [
            f"{len(names)} {what}: {', '.join(names[:named])}{' …' if len(names) > named else ''}"
            for what, names in groups
            if names
        ]


def scan(data_dir: Path, domain: str, *, lossy: bool = False) -> dict[View, Path]:
    """The files of one domain: `<domain>/<building>/…`, or `<domain>/<part>/<building>/…` as in the starter set.

    Args:
        data_dir: The folder that holds the domains' folders.
        domain: Which.
        lossy: Whether JPEG files count: of pictures, but not of targets, whose values JPEG changes.

    Raises:
        ValueError: if a view has two files.
    """
    root = data_dir / domain
    found: dict[View, Path] = {}
    for path in sorted(root.rglob("point_*_view_*")):
        match = _FILE.search(path.name)
        if match and (lossy or match[3].lower() in ("png", "npy")):
            view = View(path.parent.relative_to(root).as_posix(), int(match[1]), int(match[2]))
            if view in found:
                raise ValueError(
                    f"{view} has two files of {domain}, {found[view].name} and {path.name} in {path.parent}; leave one."
                )
            found[view] = path
    return dict(sorted(found.items()))


def read_split(data_dir: Path, split: str) -> dict[str, tuple[str, ...]]:
    """The buildings of `train`, `val` and `test`.

    Args:
        data_dir: Where `train_val_test_<split>.csv` (columns `id`, `train`, `val`, `test`) is looked for, itself and in
            its `splits_taskonomy`.
        split: `tiny` (built in), `medium`, `full` or another name of such a file, or the path of one.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it has other columns.
    """
    name = f"train_val_test_{split}.csv"
    places = [Path(split).expanduser(), data_dir / name, data_dir / "splits_taskonomy" / name]
    file = next((place for place in places if place.is_file()), None)
    if file is None:
        if split == "tiny":
            return dict(TINY)
        raise FileNotFoundError(
            f"`dataset.split` = {split}: there is no {name} in {data_dir} or its splits_taskonomy. Put the official "
            "file there, give its path, or use split=tiny (known without a file) or split=views (share of the views)."
        )
    with file.open(newline="") as text:
        rows = list(csv.DictReader(text))
    if not rows or not {"id", "train", "val", "test"} <= rows[0].keys():
        raise ValueError(
            f"{file} must have the columns id, train, val and test; it has {list(rows[0]) if rows else []}."
        )
    parts = ("train", "val", "test")
    return {part: tuple(row["id"] for row in rows if float(row[part] or 0) > 0) for part in parts}


def by_building(
    views: Sequence[View], split: Mapping[str, Sequence[str]], parts: Sequence[str]
) -> tuple[list[View], list[str]]:
    """The views of the buildings of `parts`, and the buildings that have none.

    A building's name is the last folder of its path, so both layouts fit the official lists; capitals do not count.
    """
    wanted = {name.lower(): name for part in parts for name in split[part]}
    chosen = [view for view in views if plain_name(view.building) in wanted]
    present = {plain_name(view.building) for view in chosen}
    return chosen, [name for key, name in wanted.items() if key not in present]


def by_view(views: Sequence[View], test_share: float) -> tuple[list[View], list[View]]:
    """Training and test views: of the sorted list, test views are taken at even distances.

    Raises:
        ValueError: if there are not two views.
    """
    if len(views) < 2:
        raise ValueError(f"`dataset.split` = views needs at least two whole views; there are {len(views)}.")
    count = min(len(views) - 1, max(1, round(test_share * len(views))))
    chosen = {int((place + 0.5) * len(views) / count) for place in range(count)}
    return (
        [view for place, view in enumerate(views) if place not in chosen],
        [view for place, view in enumerate(views) if place in chosen],
    )


def plain_name(building: str) -> str:
    """A building's name without the folders above it, in small letters."""
    return building.rsplit("/", 1)[-1].lower()
