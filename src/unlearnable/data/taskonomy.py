"""Taskonomy, and whatever else lies in its layout."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from unlearnable.data.multitask import MultiTaskDataModule, balanced, check_targets
from unlearnable.data.samples import ImageSet, stratified
from unlearnable.data.taskonomy_domains import (
    DEPTH_UNIT,
    DOMAINS,
    as_class,
    masked,
    read_array,
    resize,
    resize_rgb,
    tiles,
)
from unlearnable.data.taskonomy_files import Report, View, by_building, by_view, read_split, scan

log = logging.getLogger(__name__)

#: The paper's four (Ye et al., 2025): the default, as far as the data have them.
PAPER_TASKS = ("class_scene", "keypoints2d", "depth_euclidean", "segment_unsup2d")
_RULES = ("skip", "mask", "fail")
_DEPTHS = ("depth_zbuffer", "depth_euclidean")


class Taskonomy(MultiTaskDataModule):
    """Indoor views with up to 14 targets each, in the layout of `Taskonomy <http://taskonomy.stanford.edu>`_.

    Zamir et al., CVPR 2018. Files are `<domain>/<building>/point_P_view_V_domain_<domain>.png` (or `.npy`), as in the
    original; Omnidata's starter set puts one folder more between domain and building. `rgb` is the input.

    Args:
        data_dir: The folder that holds the domains' folders.
        tasks: Domains to predict; None takes those of the paper's four that the data have.
        split: `tiny`, `medium`, `full` (buildings, by the official lists), the path of such a list, or `views`: a share
            of the views, whatever their building.
        test_share: Share of test views for `split=views`.
        test_part: Part of the official split to test on, `test` or `val`.
        size: Side that views are resized to, in pixels; None leaves them as they are.
        tiles: Side of the tiles that (resized) views are cut into; None keeps whole views. The split is made before, so
            tiles of one view are on one side of it.
        incomplete: What happens with a view that lacks a file of a task or has one that cannot be read: `skip` leaves
            the view out, `mask` keeps it with no value for that task, `fail` ends the run. Views without a readable
            picture are skipped also by `mask`. Either is counted and named in the log and in `report`.
        depth_unit: Metres a step of depth, or a mapping from building to it for data from several scanners.
        balance: Whether rare classes of a semantic segmentation count for more in its loss, see `balanced`.
        subset: Size of a subset of the training samples, stratified by the first class task; None takes all.
        test_subset: Likewise for the test samples.
        **options: See `MultiTaskDataModule`.

    Raises:
        FileNotFoundError: if `data_dir` has no `rgb`, or a task has no files.
        ValueError: if a task is unknown or has nothing to learn from.
    """

    def __init__(
        self,
        data_dir: str | Path,
        *,
        tasks: Sequence[str] | None = None,
        split: str = "tiny",
        test_share: float = 0.25,
        test_part: str = "test",
        size: int | None = None,
        tiles: int | None = None,
        incomplete: str = "skip",
        depth_unit: float | Mapping[str, float] = DEPTH_UNIT,
        balance: bool = False,
        subset: int | None = None,
        test_subset: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.data_dir = Path(data_dir).expanduser()
        unknown = [task for task in tasks or () if task not in DOMAINS]
        if unknown:
            raise ValueError(f"`dataset.tasks` names {', '.join(unknown)}; known domains are {', '.join(DOMAINS)}.")
        if tasks is not None and (not tasks or len(set(tasks)) < len(tasks)):
            raise ValueError(f"`dataset.tasks` must name at least one domain, each once; got {list(tasks)}.")
        if not 0 < test_share < 1:
            raise ValueError(f"`dataset.test_share` must lie in (0, 1); got {test_share}.")
        if test_part not in ("test", "val"):
            raise ValueError(f"`dataset.test_part` must be 'test' or 'val'; got {test_part!r}.")
        if incomplete not in _RULES:
            raise ValueError(f"`dataset.incomplete` must be one of {', '.join(_RULES)}; got {incomplete!r}.")
        for option, value in (("size", size), ("tiles", tiles)):
            if value is not None and value < 8:
                raise ValueError(f"`dataset.{option}` is a side in pixels, at least 8, or null; got {value}.")
        self.wanted = None if tasks is None else tuple(tasks)
        self.split, self.test_share, self.test_part = split, test_share, test_part
        self.size, self.tile, self.incomplete = size, tiles, incomplete
        self.depth_unit = depth_unit if isinstance(depth_unit, int | float) else dict(depth_unit)
        self.balance, self.subset, self.test_subset = balance, subset, test_subset
        self._scores: dict[str, int] = {}  # class task → length of its vectors
        #: What was missing or unreadable, once the data are loaded.
        self.report = Report()

    @property
    @override
    def protocol(self) -> dict[str, Any]:
        return {**super().protocol, "balance": self.balance}

    @override
    def load(self) -> tuple[ImageSet, ImageSet]:
        files = self._files()
        names = [name for name in files if name != "rgb"]
        whole = self._whole(files, names)
        train_views, test_views = self._split(whole)
        train, test = self._read(train_views, files, names), self._read(test_views, files, names)
        for line in self.report.lines():
            log.warning("%s: %s. Rule: incomplete=%s.", type(self).__name__, line, self.incomplete)
        if self.subset is not None:
            train = train.select(stratified(train.labels, self.subset, what="dataset.subset"))
        if self.test_subset is not None:
            test = test.select(stratified(test.labels, self.test_subset, what="dataset.test_subset"))
        self._tasks = {name: DOMAINS[name].task(name, self._scores.get(name)) for name in names}
        check_targets(train, self._tasks)
        if self.balance:
            for name, task in self._tasks.items():
                if task.kind == "segmentation":
                    self._tasks[name] = balanced(task, train.targets[name])  # type: ignore[index]
        return train, test

    def _files(self) -> dict[str, dict[View, Path]]:
        if not (self.data_dir / "rgb").is_dir():
            raise FileNotFoundError(
                f"No Taskonomy layout in `dataset.data_dir` = {self.data_dir}: it must hold a folder `rgb` with "
                "<building>/point_P_view_V_domain_rgb.png, and one such folder for each task."
            )
        there = [name for name in DOMAINS if (self.data_dir / name).is_dir()]
        names = self.wanted or [name for name in PAPER_TASKS if name in there]
        if not names:
            raise FileNotFoundError(
                f"{self.data_dir} has none of {', '.join(PAPER_TASKS)}; choose dataset.tasks from {', '.join(there)}."
            )
        files = {name: scan(self.data_dir, name) for name in ("rgb", *names)}
        for name, found in files.items():
            if not found:
                raise FileNotFoundError(
                    f"`dataset.tasks` has {name!r}, but there are no files of it in {self.data_dir / name}; there are "
                    f"{', '.join(there) or 'none of the known domains'}."
                )
        return files

    def _whole(self, files: Mapping[str, Mapping[View, Path]], names: Sequence[str]) -> list[View]:
        """The views to read: those with a file of each task, or all of them if missing ones are masked."""
        for view in files["rgb"]:
            lacking = [name for name in names if view not in files[name]]
            if lacking:
                self.report.missing[view] = lacking
        if self.report.missing and self.incomplete == "fail":
            raise FileNotFoundError(f"{self.report.lines()[0]}. dataset.incomplete=skip or mask goes on without.")
        return [view for view in files["rgb"] if self.incomplete == "mask" or view not in self.report.missing]

    def _split(self, views: list[View]) -> tuple[list[View], list[View]]:
        if self.split == "views":
            return by_view(views, self.test_share)
        split = read_split(self.data_dir, self.split)
        train, absent = by_building(views, split, ["train"])
        test, also_absent = by_building(views, split, [self.test_part])
        self.report.missing_buildings = [*absent, *also_absent]
        if absent + also_absent and self.incomplete == "fail":
            raise FileNotFoundError(f"{self.report.lines()[-1]}. dataset.incomplete=skip goes on without.")
        for part, chosen in (("train", train), (self.test_part, test)):
            if not chosen:
                raise ValueError(
                    f"`dataset.split` = {self.split}: no whole view is of a {part} building; the data have "
                    f"{', '.join(sorted({view.building for view in views})[:10])}. dataset.split=views splits any data."
                )
        return train, test

    def _read(self, views: list[View], files: Mapping[str, Mapping[View, Path]], names: Sequence[str]) -> ImageSet:
        with ThreadPoolExecutor() as pool:  # decoding leaves the interpreter's lock
            samples = [sample for sample in pool.map(lambda view: self._sample(view, files, names), views) if sample]
        if not samples:
            raise ValueError(f"No view could be read: {'; '.join(self.report.lines())}.")
        images = [image for image, _ in samples]
        shapes = {tuple(image.shape[1:]) for image in images}
        if len(shapes) > 1:
            raise ValueError(f"The views have different sizes, {sorted(shapes)[:4]}; give dataset.size.")
        targets = {name: torch.cat([self._filled(target, name, image) for image, target in samples]) for name in names}
        return ImageSet(torch.cat(images), targets)

    def _filled(self, target: Mapping[str, Tensor], name: str, image: Tensor) -> Tensor:
        """The target of a view, or one without any value where it has none."""
        if name in target:
            return target[name]
        domain, (count, _, height, width) = DOMAINS[name], image.shape
        if domain.kind in ("class", "segmentation", "grouping"):
            return torch.full((count,) if domain.kind == "class" else (count, height, width), -1)
        return torch.full((count, domain.channels, height, width), float("nan"))

    def _sample(
        self, view: View, files: Mapping[str, Mapping[View, Path]], names: Sequence[str]
    ) -> tuple[Tensor, dict[str, Tensor]] | None:
        """A view as `[tiles, 3, h, w]` and its targets; None if it is left out."""
        try:
            pixels = resize_rgb(read_array(files["rgb"][view]), self.size)
        except ValueError as error:
            self._defect(files["rgb"][view], error)
            return None
        image = pixels[None] if self.tile is None else tiles(pixels, self.tile)
        if len(image) == 0:
            raise ValueError(f"`dataset.tiles` = {self.tile} is above the size of {view}, {tuple(pixels.shape[1:])}.")
        hole = self._hole(view)
        targets: dict[str, Tensor] = {}
        for name in names:
            path = files[name].get(view)
            if path is None:
                continue
            try:
                targets[name] = self._target(name, path, view, hole, tuple(pixels.shape[1:]), len(image))
            except ValueError as error:
                self._defect(path, error)
                if self.incomplete == "skip":
                    return None
        return image, targets

    def _defect(self, path: Path, error: ValueError) -> None:
        if self.incomplete == "fail":
            raise ValueError(f"{error}. dataset.incomplete=skip goes on without this view.") from error
        self.report.corrupt[path] = str(error).removeprefix(f"{path} ")

    def _target(
        self, name: str, path: Path, view: View, hole: Tensor | None, shape: tuple[int, ...], count: int
    ) -> Tensor:
        domain, stored = DOMAINS[name], read_array(path)
        values = torch.from_numpy(domain.decode(stored))
        if domain.kind == "class":
            scores = self._scores.setdefault(name, len(stored))
            if len(stored) != scores:
                raise ValueError(f"{path} has {len(stored)} scores, others have {scores}")
            return as_class(values, count)
        if domain.kind == "depth":
            values = values * (self._unit(view) / DEPTH_UNIT)
        if domain.geometric and hole is not None and hole.shape == values.shape[-2:]:
            values = masked(values, hole)
        if self.size is not None:
            values = resize(values, domain.kind, self.size)
        if values.shape[-2:] != shape:
            raise ValueError(f"{path} has another size than its rgb, {tuple(values.shape[-2:])}; give dataset.size")
        return values[None] if self.tile is None else tiles(values, self.tile)

    def _unit(self, view: View) -> float:
        if isinstance(self.depth_unit, dict):
            return self.depth_unit.get(view.building, DEPTH_UNIT)
        return self.depth_unit

    def _hole(self, view: View) -> Tensor | None:
        """Where the view's depth has no value: a hole of the scanned mesh, where other domains say nothing true."""
        for domain in _DEPTHS:
            name = f"point_{view.point}_view_{view.view}_domain_{domain}.png"
            path = self.data_dir / domain / view.building / name
            if path.is_file():
                try:
                    return torch.from_numpy(DOMAINS[domain].decode(read_array(path)))[0].isnan()
                except ValueError:
                    return None  # reported where depth is a task; the other domains' own marks remain
        return None
