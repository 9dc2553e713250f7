"""What defences of images share: their check, a fixed operation on each image, and the loop that rewrites a set."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor
from tqdm import tqdm
from typing_extensions import override

from unlearnable.data.samples import Inputs, Samples
from unlearnable.defenses.base import Defense
from unlearnable.files import whole_file
from unlearnable.mapped import mapped
from unlearnable.options import switch
from unlearnable.tasks import Task


class ImageDefense(Defense):
    """A defence for images alone; other inputs are refused before any work."""

    @override
    def check(self, samples: Samples) -> None:
        if not _are_images(samples.inputs):
            raise ValueError(
                f"{type(self).__name__} is a defence for images [n, 3, h, w], and the data hold {_told(samples.inputs)}. "
                "Use defense=none, or one for such data: docs/defenses.md says which is for what."
            )


class Squeeze(ImageDefense, ABC):
    """A fixed operation on each 8-bit image, of the training set once and for all, before the augmentation.

    Args:
        test: Whether test images undergo it too.
    """

    purifies = True

    def __init__(self, *, test: bool = False) -> None:
        self.test = switch("defense.test", test)

    @abstractmethod
    def squeeze(self, images: UInt8[Tensor, "n 3 h w"]) -> UInt8[Tensor, "n 3 h w"]:
        """The images as they are trained on."""

    @override
    def purify(
        self, train: Samples, *, seed: int, device: torch.device, work_dir: Path, progress: bool = False
    ) -> Samples:
        return rewritten(train, lambda images, _: self.squeeze(images), work_dir=work_dir, progress=progress)

    @override
    def at_test(self, inputs: Inputs) -> Inputs:
        return as_floats(self.squeeze(as_levels(images_of(inputs)))) if self.test else inputs


def images_of(inputs: Inputs) -> Tensor:
    """The images that a batch, or a training set, is.

    Raises:
        TypeError: if it is something else.
    """
    if isinstance(inputs, Tensor) and _are_images(inputs):
        return inputs
    raise TypeError(f"This defence is for images [n, 3, h, w]; the data hold {_told(inputs)}. Use defense=none.")


def _are_images(inputs: Inputs) -> bool:
    return isinstance(inputs, Tensor) and inputs.ndim == 4 and inputs.shape[1] == 3


def _told(inputs: Inputs) -> str:
    """Inputs that are no images, in words."""
    return (
        f"inputs of shape {tuple(inputs.shape)}"
        if isinstance(inputs, Tensor)
        else f"other inputs ({', '.join(inputs)})"
    )


def as_levels(images: Float[Tensor, "n c h w"]) -> UInt8[Tensor, "n c h w"]:
    """Images in [0, 1], and what lies outside at the nearer end, as 8 bits, rounded."""
    return images.mul(255).round_().clamp_(0, 255).to(torch.uint8)


def as_floats(levels: UInt8[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
    """8-bit images as floats in [0, 1]."""
    return levels.float().div_(255)


def rewritten(
    train: Samples,
    change: Callable[[UInt8[Tensor, "b 3 h w"], Int64[Tensor, " b"]], Tensor],
    *,
    work_dir: Path,
    rows_at_once: int = 1024,
    progress: bool = False,
) -> Samples:
    """The samples with each image changed, a batch at a time, in a file of `work_dir`; goes on after an interruption.

    Args:
        train: They may be more than the memory holds.
        change: From 8-bit images and their rows to such images; it must not depend on the batches before.
        work_dir: See `Defense.purify`.
        rows_at_once: Images a batch.
        progress: Whether to show a progress bar.
    """
    images, reached = images_of(train.inputs), work_dir / "rewritten.txt"
    done = int(reached.read_text()) if reached.exists() else 0
    stored = mapped(work_dir / "rewritten.u8", images.numel(), torch.uint8).reshape(images.shape)
    for start in tqdm(range(done, len(images), rows_at_once), "purifying", disable=not progress, leave=False):
        rows = torch.arange(start, min(start + rows_at_once, len(images)))
        stop = start + len(rows)
        stored[start:stop] = change(images[start:stop], rows).cpu()
        _note(reached, stop)
    return train.replace(inputs=stored)


def _note(file: Path, reached: int) -> None:
    """Writes how far the images are written."""
    with whole_file(file) as temporary:
        temporary.write_text(str(reached))


def refuse_dense(tasks: Mapping[str, Task], what: str) -> None:
    """Refuses tasks whose targets lie on the pixels.

    Args:
        tasks: What the model is trained for.
        what: What the defence does to images, as in `turns and shifts images`.

    Raises:
        ValueError: if there is such a task.
    """
    dense = [name for name, task in tasks.items() if task.dense]
    if dense:
        raise ValueError(
            f"This defence {what}, and not the targets of {', '.join(dense)}, which lie on the pixels. Use another "
            "defense, or leave these tasks out by task.tasks."
        )
