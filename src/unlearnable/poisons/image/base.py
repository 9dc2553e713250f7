"""What every poison shares: its budget, which images it changes, and the loop that writes them on the 8-bit grid."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Generator, Tensor
from typing_extensions import override

from unlearnable.files import whole_file
from unlearnable.poisons.base import Method
from unlearnable.poisons.image.budget import Norm, check_budget, round_to_grid
from unlearnable.poisons.image.training_set import RESIDENT_BYTES, Batch, TrainingSet

Perturb = Callable[[Batch, Generator], Float[Tensor, "b c h w"]]
"""Maps a batch, and a generator of its own, to its noise: on the [0, 1] scale, on the batch's device."""


class Poison(Method):
    """A change of the training images, within a budget, that is to make them unlearnable.

    A method implements `prepare`, its algorithm's part that sees the whole data set (a surrogate's training, a search,
    one pattern per class), and returns the function that makes the noise of a batch. Everything else is here.

    Args:
        radius: Budget of the change of one image, on the [0, 1] pixel scale; a number of pixels for norm `l0`.
        norm: Norm of the budget: `linf`, `l2` (of the whole image) or `l0` (changed pixels).
        fraction: Which images are changed: a share in (0, 1], drawn evenly from every class, or a list of classes.
            The noise is always made for the whole data set, as in Huang et al. (2021), §5.
        batch_size: Images that are worked on at once.
    """

    def __init__(
        self,
        *,
        radius: float,
        norm: Norm = "linf",
        fraction: float | Sequence[int] = 1.0,
        batch_size: int = 128,
    ) -> None:
        check_budget(radius, norm)
        if batch_size < 1:
            raise ValueError(f"`batch_size` must be at least 1; got {batch_size}.")
        self.radius = radius
        self.norm: Norm = norm
        self.fraction = fraction if isinstance(fraction, (int, float)) else [int(label) for label in fraction]
        self.batch_size = batch_size
        if isinstance(self.fraction, list):
            if not self.fraction or min(self.fraction) < 0:
                raise ValueError(f"`fraction` as a list must name classes, counted from 0; got {self.fraction}.")
        elif not 0 < self.fraction <= 1:
            raise ValueError(f"`fraction` must lie in (0, 1] or be a list of classes; got {fraction}.")

    @abstractmethod
    def prepare(self, data: TrainingSet) -> Perturb:
        """Runs what the method needs the whole data set for, and returns how it perturbs a batch."""

    @override
    def apply(
        self,
        images: UInt8[Tensor, "n c h w"],
        labels: Int64[Tensor, " n"],
        *,
        num_classes: int,
        seed: int,
        device: str | torch.device = "cpu",
        progress: bool = False,
        work_dir: Path | None = None,
    ) -> UInt8[Tensor, "n c h w"]:
        """Returns the poisoned images: row i poisons row i, rounded to 8 bits within the budget.

        Args:
            images: Clean training images; may be memory-mapped. Never modified.
            labels: Their classes, in [0, num_classes).
            num_classes: Number of classes.
            seed: Same seed, same result (on the same kind of device).
            device: Where to compute.
            progress: Show progress bars on a terminal.
            work_dir: Folder for intermediate results, private to exactly this call's arguments. When it survives an
                interruption, the next call goes on from there. Results above 1 GiB are memory-mapped into it.

        Raises:
            ValueError: If labels or classes do not fit the images.
        """
        self.check(images, labels, num_classes)
        if work_dir is not None:
            work_dir.mkdir(parents=True, exist_ok=True)
        where = torch.device(device)
        data = TrainingSet(images, labels, num_classes, seed, where, progress, work_dir)
        rows = self.chosen_rows(data)
        # Networks draw their initialisation from the global generators: seeded here, given back as they were.
        with torch.random.fork_rng(devices=[where] if where.type == "cuda" else []):
            torch.default_generator.manual_seed(seed)
            if where.type == "cuda":
                torch.cuda.manual_seed_all(seed)
            perturb = self.prepare(data)
            return self._write(data, rows, perturb)

    @override
    def check(self, images: Tensor, labels: Tensor, num_classes: int) -> None:
        if len(images) == 0:
            raise ValueError("`images` must hold at least one image; got none.")
        if len(labels) != len(images):
            raise ValueError(f"`labels` must have one entry per image, {len(images)}; got {len(labels)}.")
        low, high = int(labels.min()), int(labels.max())
        if low < 0 or high >= num_classes:
            raise ValueError(f"`labels` must lie in [0, {num_classes}); found {low} to {high}.")
        if isinstance(self.fraction, list) and max(self.fraction) >= num_classes:
            raise ValueError(f"`fraction` must name classes below {num_classes}; got {self.fraction}.")
        largest = {"linf": 1.0, "l2": images[0].numel() ** 0.5, "l0": float(images[0, 0].numel())}[self.norm]
        if self.radius > largest:
            shape = "×".join(map(str, images.shape[1:]))
            raise ValueError(
                f"`radius` must be at most {largest:g} for norm {self.norm!r} on {shape} images; got {self.radius}."
            )

    def chosen_rows(self, data: TrainingSet) -> Int64[Tensor, " m"]:
        """Returns the rows that are changed, in the order in which they are worked on."""
        if isinstance(self.fraction, list):
            return torch.isin(data.labels, torch.tensor(self.fraction)).nonzero().squeeze(1)
        if self.fraction == 1:
            return torch.arange(len(data))
        generator, parts = data.stream("fraction"), []
        for label in range(data.num_classes):
            members = (data.labels == label).nonzero().squeeze(1)
            count = round(self.fraction * len(members))
            parts.append(members[torch.randperm(len(members), generator=generator)[:count]])
        return torch.cat(parts).sort().values

    def _write(self, data: TrainingSet, rows: Tensor, perturb: Perturb) -> Tensor:
        """Perturbs the rows batch by batch; those that an interrupted call finished are skipped."""
        parts = rows.split(self.batch_size)
        poisoned, finished = _open_result(data, len(parts))
        for number, part in enumerate(data.bar(parts, f"{type(self).__name__}: images")):
            if not finished[number]:
                batch = data.read(part)
                noise = perturb(batch, data.stream("perturb", number))
                poisoned[part] = round_to_grid(batch.levels, noise, self.radius, self.norm).cpu()
                finished[number] = 1
        return poisoned if poisoned.nbytes > RESIDENT_BYTES else poisoned.clone()


def _open_result(data: TrainingSet, parts: int) -> tuple[Tensor, Tensor]:
    """Returns a copy of the clean images and a flag per part: in memory, or in files of `work_dir`.

    A flag is set after its part is written, and the flags are made after the copy, so a kill at any time leaves
    nothing that a later call would take for finished when it is not.
    """
    if data.work_dir is None:
        return data.images.clone(), torch.zeros(parts, dtype=torch.uint8)
    path, flags = data.work_dir / "poisoned.u8", data.work_dir / "finished.u8"
    resumed = flags.exists()
    if not resumed:
        path.unlink(missing_ok=True)
    stored = torch.from_file(str(path), shared=True, size=data.images.numel(), dtype=torch.uint8)
    stored = stored.view(data.images.shape)
    if not resumed:
        for rows in torch.arange(len(data)).split(1024):
            stored[rows] = data.images[rows]
    return stored, torch.from_file(str(flags), shared=True, size=parts, dtype=torch.uint8)


def save_atomically(value: object, path: Path) -> None:
    """Saves with torch, whole or not at all."""
    with whole_file(path) as temporary:
        torch.save(value, temporary)
