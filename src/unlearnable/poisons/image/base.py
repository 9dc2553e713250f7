"""What all poisons of images share: a budget, a share of the images, and the loop that writes them on the 8-bit grid."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar

import torch
from jaxtyping import Float, Int64
from torch import Generator, Tensor
from typing_extensions import override

from unlearnable.data.samples import Samples, stratified
from unlearnable.files import whole_file
from unlearnable.mapped import mapped
from unlearnable.options import Number, number, whole
from unlearnable.poisons.base import Poison
from unlearnable.poisons.image.budget import Norm, check_budget, round_to_grid
from unlearnable.poisons.image.training_set import RESIDENT_BYTES, Batch, TrainingSet, classes_of, images_of

Perturb = Callable[[Batch, Generator], Float[Tensor, "b c h w"]]
"""Maps a batch, and a generator of its own, to its noise: on the [0, 1] scale, on the batch's device."""


class ImagePoison(Poison):
    """A change of 8-bit training images, within a budget, that is to make them unlearnable.

    A method implements `prepare`, its algorithm's part that sees the whole data set (a surrogate's training, a search,
    one pattern per class), and returns the function that makes the noise of a batch. Everything else is here.

    Args:
        radius: Budget of the change of one image, on the [0, 1] pixel scale, as a number or a fraction such as `8/255`;
            a number of pixels for norm `l0`.
        norm: Norm of the budget: `linf`, `l2` (of the whole image) or `l0` (changed pixels).
        fraction: Which images are changed: a share in (0, 1], drawn evenly from every class, or a list of classes.
            The noise is always made for the whole data set, as in Huang et al. (2021), §5.
        batch_size: Images that are worked on at once.
    """

    #: Whether it is made against a classification, so that data without one are refused.
    needs_classes: ClassVar[bool] = True

    def __init__(
        self,
        *,
        radius: Number,
        norm: Norm = "linf",
        fraction: Number | Sequence[int] = 1.0,
        batch_size: int = 128,
    ) -> None:
        self.radius = check_budget(radius, norm)
        self.norm: Norm = norm
        self.batch_size = whole("batch_size", batch_size)
        self.fraction: float | list[int]
        if isinstance(fraction, (int, float, str)):
            self.fraction = number("fraction", fraction, above=0, at_most=1)
        elif not isinstance(fraction, Sequence):
            raise ValueError(
                f"`fraction` must be a share, above 0 and at most 1, or a list of classes; got {fraction!r}."
            )
        else:
            self.fraction = [whole("fraction", label, at_least=0) for label in fraction]
            if not self.fraction:
                raise ValueError("`fraction` as a list must name classes; got an empty one.")

    @abstractmethod
    def prepare(self, data: TrainingSet) -> Perturb:
        """Runs what the method needs the whole data set for, and returns how it perturbs a batch."""

    @override
    def apply(
        self,
        samples: Samples,
        *,
        seed: int,
        device: str | torch.device = "cpu",
        progress: bool = False,
        work_dir: Path | None = None,
    ) -> Samples:
        """Returns the poisoned images, rounded to 8 bits within the budget; the arguments are those of `Poison.apply`.

        Results above 1 GiB are memory-mapped into `work_dir`.
        """
        self.check(samples)
        if work_dir is not None:
            work_dir.mkdir(parents=True, exist_ok=True)
        where = torch.device(device)
        data = TrainingSet(samples, seed, where, progress, work_dir)
        rows = self.chosen_rows(data)
        # Networks draw their initialisation from the global generators: seeded here, given back as they were.
        with torch.random.fork_rng(devices=[where] if where.type == "cuda" else []):
            torch.default_generator.manual_seed(seed)
            if where.type == "cuda":
                torch.cuda.manual_seed_all(seed)
            perturb = self.prepare(data)
            return samples.replace(inputs=self._write(data, rows, perturb))

    @override
    def check(self, samples: Samples) -> None:
        """Checks that the samples are images with the classes that are needed, and that the budget fits them."""
        images = images_of(samples)
        if len(images) == 0:
            raise ValueError("A poison needs at least one image; the training set has none.")
        if self.needs_classes and samples.class_task is None:
            raise ValueError(
                f"{type(self).__name__} is made against a classification, and the data have none: "
                f"{', '.join(samples.tasks) or 'no task is named'}. poison=em_multi does without."
            )
        labels, num_classes = classes_of(samples)
        low, high = int(labels.min()), int(labels.max())
        least = 0 if self.needs_classes else -1  # of images without a class
        if low < least or high >= num_classes:
            raise ValueError(f"Labels must lie in [{least}, {num_classes}); found {low} to {high}.")
        if isinstance(self.fraction, list) and max(self.fraction) >= num_classes:
            raise ValueError(f"`fraction` must name classes below {num_classes}; got {self.fraction}.")
        largest = {"linf": 1.0, "l2": images[0].numel() ** 0.5, "l0": float(images[0, 0].numel())}[self.norm]
        if self.radius > largest:
            shape = "×".join(map(str, images.shape[1:]))
            raise ValueError(
                f"`radius` must be at most {largest:g} for norm {self.norm!r} on {shape} images; got {self.radius}."
            )

    def chosen_rows(self, data: TrainingSet) -> Int64[Tensor, " m"]:
        """Returns the rows that are changed."""
        if isinstance(self.fraction, list):
            return torch.isin(data.labels, torch.tensor(self.fraction)).nonzero().squeeze(1)
        if self.fraction == 1:
            return torch.arange(len(data))
        count = round(self.fraction * len(data))
        if count < 1:
            raise ValueError(f"`fraction` = {self.fraction:g} of {len(data)} images is none of them.")
        return stratified(data.labels, count, seed=data.stream("fraction").initial_seed(), what="fraction")

    def worked_on(self, data: TrainingSet, chosen: Int64[Tensor, " m"]) -> Int64[Tensor, " n"]:  # noqa: ARG002
        """Returns the rows that are perturbed, in their order; of these the chosen ones are written."""
        return chosen

    def images_at_once(self, data: TrainingSet) -> int:  # noqa: ARG002
        """How many images the function that `prepare` returns is given in a batch."""
        return self.batch_size

    def _write(self, data: TrainingSet, rows: Tensor, perturb: Perturb) -> Tensor:
        """Perturbs the rows batch by batch; those that an interrupted call finished are skipped."""
        parts = self.worked_on(data, rows).split(self.images_at_once(data))
        written = torch.zeros(len(data), dtype=torch.bool)
        written[rows] = True
        poisoned, finished = _open_result(data, len(parts))
        for place, part in enumerate(data.bar(parts, f"{type(self).__name__}: images")):
            if not finished[place]:
                batch = data.read(part)
                noise = perturb(batch, data.stream("perturb", place))
                if not noise.isfinite().all():  # 8 bits would make black pixels of it, beyond any budget
                    raise ValueError(
                        f"{type(self).__name__} made noise that is not finite for the images {int(part[0])} to "
                        f"{int(part[-1])}. A network that it is made on has diverged or overflows; `poison.lr` is the "
                        "first thing to lower."
                    )
                own = written[part]
                poisoned[part[own]] = round_to_grid(batch.levels, noise, self.radius, self.norm).cpu()[own]
                finished[place] = 1
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
    stored = mapped(path, data.images.numel(), torch.uint8).view(data.images.shape)
    if not resumed:
        for rows in torch.arange(len(data)).split(1024):
            stored[rows] = data.images[rows]
    return stored, mapped(flags, parts, torch.uint8)


def save_atomically(value: object, path: Path) -> None:
    """Saves with torch, whole or not at all."""
    with whole_file(path) as temporary:
        torch.save(value, temporary)
