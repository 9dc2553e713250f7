"""Taskonomy, and any other data in its layout."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from unlearnable.data.module import ImageDataModule
from unlearnable.data.samples import Samples, stratified
from unlearnable.data.targets import balanced, check_learnable
from unlearnable.data.taskonomy_arrays import masked, read_array, read_rgb, tiles
from unlearnable.data.taskonomy_domains import DOMAINS, StoredTypeError
from unlearnable.data.taskonomy_files import Report, View, by_building, by_view, plain_name, read_split, scan
from unlearnable.options import Number, number, switch, whole
from unlearnable.tasks import Segmentation, Task, of_task

log = logging.getLogger(__name__)

#: The paper's four (Ye et al., 2025): the default, as far as the data have them.
PAPER_TASKS = ("class_scene", "keypoints2d", "depth_euclidean", "segment_unsup2d")
_RULES = ("skip", "mask", "fail")
_DEPTHS = ("depth_zbuffer", "depth_euclidean")


class Taskonomy(ImageDataModule):
    """Indoor views with up to 14 targets each, in the layout of `Taskonomy <http://taskonomy.stanford.edu>`_.

    Zamir et al., CVPR 2018. Files are `<domain>/<building>/point_P_view_V_domain_<domain>.png` (or `.npy`), as in the
    original; Omnidata's starter set puts one folder more between domain and building. `rgb` is the input, and may be
    JPEG.

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
            picture are skipped by `mask` too. Both are counted and named in the log and in `report`.
        depth_unit: Metres a step of depth, or a mapping from building to it for data from several scanners; None is
            Taskonomy's 1/512 and takes files of 16 bits alone, as do buildings that a mapping does not name.
        balance: Whether rare classes of a semantic segmentation count for more in its loss, see `balanced`.
        **options: See `ImageDataModule`.

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
        test_share: Number = 0.25,
        test_part: str = "test",
        size: Number | None = None,
        tiles: Number | None = None,
        incomplete: str = "skip",
        depth_unit: Number | Mapping[str, Number] | None = None,
        balance: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.data_dir = Path(data_dir).expanduser()
        unknown = [task for task in tasks or () if task not in DOMAINS]
        if unknown:
            raise ValueError(f"`dataset.tasks` names {', '.join(unknown)}; known domains are {', '.join(DOMAINS)}.")
        if tasks is not None and (not tasks or len(set(tasks)) < len(tasks)):
            raise ValueError(f"`dataset.tasks` must name at least one domain, each once; got {list(tasks)}.")
        if test_part not in ("test", "val"):
            raise ValueError(f"`dataset.test_part` must be 'test' or 'val'; got {test_part!r}.")
        if incomplete not in _RULES:
            raise ValueError(f"`dataset.incomplete` must be one of {', '.join(_RULES)}; got {incomplete!r}.")
        self.size = None if size is None else whole("dataset.size", size, at_least=8, what="a side in pixels, or null")
        self.tile = (
            None if tiles is None else whole("dataset.tiles", tiles, at_least=8, what="a side in pixels, or null")
        )
        self.wanted = None if tasks is None else tuple(tasks)
        self.split, self.test_part, self.incomplete = split, test_part, incomplete
        self.test_share = number("dataset.test_share", test_share, above=0, below=1, what="a share")
        units = depth_unit if isinstance(depth_unit, Mapping) else {} if depth_unit is None else {"": depth_unit}
        self.units = {
            plain_name(name): number("dataset.depth_unit", unit, above=0, what="metres a step")
            for name, unit in units.items()
        }
        self.balance = switch("dataset.balance", balance)
        self.modality.check({name: DOMAINS[name].task for name in self.wanted or ()})
        self._scores: dict[str, int] = {}  # class task → length of its vectors
        #: What was missing or unreadable, once the data are loaded.
        self.report = Report()

    @property
    @override
    def protocol(self) -> dict[str, Any]:
        return {**super().protocol, "balance": self.balance}

    @override
    def load(self) -> tuple[Samples, Samples]:
        files = self._files()
        names = [name for name in files if name != "rgb"]
        buildings = {plain_name(view.building) for view in files["rgb"]}
        if unknown := [name for name in self.units if name not in {"", *buildings}]:
            raise ValueError(
                f"`dataset.depth_unit` names {', '.join(unknown)}, of which there are no views; the data have "
                f"{', '.join(sorted(buildings)[:10])}."
            )
        whole = self._whole(files, names)
        train_views, test_views = self._split(whole)
        train, test = self._read(train_views, files, names), self._read(test_views, files, names)
        for line in self.report.lines():
            log.warning("%s: %s. Rule: incomplete=%s.", type(self).__name__, line, self.incomplete)
        tasks = {name: self._task(name) for name in names}
        train, test = replace(train, tasks=dict(tasks)), replace(test, tasks=dict(tasks))
        if self.subset is not None:
            train = train.select(stratified(train.labels, self.subset, what="dataset.subset"))
        if self.test_subset is not None:
            test = test.select(stratified(test.labels, self.test_subset, what="dataset.test_subset"))
        check_learnable(train)
        if self.balance:  # by what is trained on, so after the subset
            for name, task in train.tasks.items():
                if isinstance(task, Segmentation):
                    tasks[name] = balanced(task, of_task(train.targets, name))
        return replace(train, tasks=tasks), replace(test, tasks=tasks)

    def _task(self, name: str) -> Task:
        domain = DOMAINS[name]
        return domain.task(name, domain.channels or self._scores[name])

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
        files = {name: scan(self.data_dir, name, lossy=name == "rgb") for name in ("rgb", *names)}
        for name, found in files.items():
            if not found:
                raise FileNotFoundError(
                    f"`dataset.tasks` has {name!r}, but there are no files of it in {self.data_dir / name}, named "
                    f"<building>/point_P_view_V_domain_{name}.png or .npy (JPEG only for rgb); there are "
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

    def _read(self, views: list[View], files: Mapping[str, Mapping[View, Path]], names: Sequence[str]) -> Samples:
        with ThreadPoolExecutor() as pool:  # decoding leaves the interpreter's lock
            samples = [sample for sample in pool.map(lambda view: self._sample(view, files, names), views) if sample]
        if not samples:
            raise ValueError(f"No view could be read: {'; '.join(self.report.lines())}.")
        images = [image for image, _ in samples]
        shapes = {tuple(image.shape[1:]) for image in images}
        if len(shapes) > 1:
            raise ValueError(f"The views have different sizes, {sorted(shapes)[:4]}; give dataset.size.")
        targets = {
            name: torch.cat(
                [target.get(name, DOMAINS[name].blank(len(image), *image.shape[-2:])) for image, target in samples]
            )
            for name in names
        }
        return Samples(torch.cat(images), targets)

    def _sample(
        self, view: View, files: Mapping[str, Mapping[View, Path]], names: Sequence[str]
    ) -> tuple[Tensor, dict[str, Tensor]] | None:
        """A view as `[tiles, 3, h, w]` and its targets; None if it is left out."""
        try:
            pixels = read_rgb(files["rgb"][view], self.size)
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
            except StoredTypeError:
                raise  # not this file's fault: the data do not fit these domains
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
        domain = DOMAINS[name]
        values = domain.read(path, unit=self._unit(view))
        if not domain.task.dense:
            scores = self._scores.setdefault(name, len(values))
            if len(values) != scores:
                raise ValueError(f"{path} has {len(values)} scores, others have {scores}")
            return values.argmax().repeat(count)
        if domain.geometric and hole is not None and hole.shape == values.shape[-2:]:
            values = masked(values, hole)
        if self.size is not None and values.shape[-2:] != (self.size, self.size):
            values = domain.resize(values, self.size)
        if values.shape[-2:] != shape:
            raise ValueError(f"{path} has another size than its rgb, {tuple(values.shape[-2:])}; give dataset.size")
        return values[None] if self.tile is None else tiles(values, self.tile)

    def _unit(self, view: View) -> float | None:
        """Metres a step of the view's depth, if given: for its building, or for all."""
        return self.units.get(plain_name(view.building), self.units.get(""))

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
