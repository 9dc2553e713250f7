"""Photographs with several tasks and no annotation but their class: the others are computed from the picture."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from unlearnable.data.module import ImageDataModule
from unlearnable.data.picture_targets import TARGETS, read_targets, write_targets
from unlearnable.data.samples import Samples
from unlearnable.data.targets import check_learnable
from unlearnable.data.taskonomy_domains import DOMAINS
from unlearnable.identity import code_of
from unlearnable.options import Number
from unlearnable.store import Store
from unlearnable.tasks import Classification, Task

log = logging.getLogger(__name__)


class PictureTasks(ImageDataModule):
    """A classification set of pictures with three of Taskonomy's tasks besides, made from the *clean* pictures.

    2-D key points, texture edges and 2-D segmentation are computed from the picture in Taskonomy itself, so any
    photographs have them; see `picture_targets` for how. A poison changes the pictures that are trained on, never these
    targets.

    Args:
        source: Makes the data module of the class, such as `Cifar10` or `ImageNet100`, from `data_dir` and the sizes of
            the subsets.
        data_dir: Where it lies.
        store_dir: The store that the targets are kept in.
        tasks: Of `class`, `keypoints2d`, `edge_texture`, `segment_unsup2d`.
        subset: See `DataModule`.
        test_subset: Likewise.
        **options: See `ImageDataModule`.

    Raises:
        ValueError: if a task is unknown, or `crop` would move pictures off their targets.
        ImportError: if scikit-image, which makes the segments, is not there.
    """

    def __init__(
        self,
        source: Callable[..., ImageDataModule],
        data_dir: str | Path,
        *,
        store_dir: str | Path,
        tasks: Sequence[str] = ("class", *TARGETS),
        subset: Number | None = None,
        test_subset: Number | None = None,
        **options: Any,
    ) -> None:
        super().__init__(subset=subset, test_subset=test_subset, **options)
        known = ("class", *TARGETS)
        if not tasks or len(set(tasks)) < len(tasks) or set(tasks) - set(known):
            raise ValueError(f"`dataset.tasks` must name some of {', '.join(known)}, each once; got {list(tasks)}.")
        if "segment_unsup2d" in tasks and importlib.util.find_spec("skimage") is None:
            raise ImportError(
                "The task segment_unsup2d needs scikit-image: pip install unlearnable[multitask]; or leave it out of "
                "dataset.tasks."
            )
        self.names, self.store_dir = tuple(tasks), Path(store_dir).expanduser()
        self.source = source(data_dir, subset=subset, test_subset=test_subset)
        self.class_names = self.source.class_names
        self.modality.check(self._tasks())

    def _tasks(self) -> dict[str, Task]:
        kinds = {name: DOMAINS[name].task(name, DOMAINS[name].channels) for name in TARGETS}
        return {name: kinds.get(name) or Classification("class", len(self.class_names)) for name in self.names}

    @override
    def load(self) -> tuple[Samples, Samples]:
        train, test = (self._with_targets(samples) for samples in (self.source.train, self.source.test))
        check_learnable(train)
        return train, test

    def _with_targets(self, samples: Samples) -> Samples:
        pictures = samples.inputs
        assert isinstance(pictures, Tensor)
        fingerprint = Samples(pictures, torch.zeros(len(pictures))).fingerprint  # whatever their classes
        targets = {
            name: samples.labels if name == "class" else self._computed(name, pictures, fingerprint)
            for name in self.names
        }
        return Samples(pictures, targets, self._tasks())

    def _computed(self, domain: str, pictures: Tensor, fingerprint: str) -> Tensor:
        """A domain's targets of all pictures: made, or taken from the store."""

        def make(folder: Path) -> None:
            log.info("%s: computed from %d pictures, once", domain, len(pictures))
            write_targets(domain, pictures, folder)

        key = {"domain": domain, "pictures": fingerprint, "code": code_of(write_targets.__module__)}
        entry = Store(self.store_dir).obtain("targets", key, make)
        return torch.stack([torch.from_numpy(DOMAINS[domain].decode(stored)) for stored in read_targets(entry.path)])
