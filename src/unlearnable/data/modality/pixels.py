"""Images of 8 bits: as models take them, as training augments them, on disk and to the eye."""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Generator, Tensor
from typing_extensions import override

from unlearnable.data.modality import noise, picture
from unlearnable.data.modality.base import Modality
from unlearnable.data.modality.crop_flip import Moves
from unlearnable.data.samples import Inputs, Samples, Targets
from unlearnable.files import write_atomically
from unlearnable.options import Number, switch, whole
from unlearnable.tasks import Task

#: The picture that `Pixels.preview` writes: clean, noise and poisoned, one image a class.
PREVIEW = "preview.png"
_PIXELS, _SHAPE = "images.u8", "images.json"


class Pixels(Modality):
    """8-bit images `[n, c, h, w]`.

    Args:
        crop: Zero padding of the random crop of training images, in pixels; 0 turns it off.
        flip: Whether to mirror training images, with their targets, at random.

    Raises:
        ValueError: if `crop` is no whole number from 0.
    """

    name = "pixels"

    def __init__(self, *, crop: Number = 0, flip: bool = False) -> None:
        self.crop = whole("dataset.crop", crop, at_least=0, what="a padding in whole pixels")
        self.flip = switch("dataset.flip", flip)

    @property
    @override
    def protocol(self) -> dict[str, Any]:
        return {"crop": self.crop, "flip": self.flip}

    @override
    def check(self, tasks: Mapping[str, Task | type[Task]], inputs: Inputs | None = None) -> None:
        side = self.crop + 1 if inputs is None else min(_images(inputs).shape[-2:])
        if self.crop >= side:
            raise ValueError(
                f"`dataset.crop` = {self.crop} would move images of {side} pixels out of sight; give a padding below that "
                "(4 is usual for 32 pixels)."
            )
        dense = [name for name, task in tasks.items() if task.dense]
        if self.crop and dense:
            raise ValueError(
                f"`dataset.crop` = {self.crop} would move images but not their targets of {', '.join(dense)}, which "
                "lie on the pixels. Use dataset.crop=0; dataset.flip mirrors targets with their images."
            )

    @override
    def to_model(self, inputs: Inputs) -> Float[Tensor, "n c h w"]:
        """The images as floats in [0, 1], with channels last in memory: what convolutions run fastest on."""
        return (_images(inputs).float() / 255).contiguous(memory_format=torch.channels_last)

    @override
    def augment(
        self, inputs: Inputs, targets: Targets, tasks: Mapping[str, Task], *, generator: Generator
    ) -> tuple[Inputs, Targets]:
        """Crops and mirrors each image at random; a mirrored image's targets are mirrored by the rule of their task."""
        images = _images(inputs)
        moves = Moves.draw(len(images), crop=self.crop, flip=self.flip, generator=generator)
        images = moves.apply(images).contiguous()
        if isinstance(targets, Tensor):
            (task,) = tasks.values()
            return images, moves.choose(task.mirror(targets), targets)
        return images, {name: moves.choose(tasks[name].mirror(target), target) for name, target in targets.items()}

    @override
    def describe(self, clean: Samples, poisoned: Samples) -> dict[str, Any]:
        """The noise's ℓ∞, ℓ2 and ℓ0 norms and the share of images it changes; see `noise.Description`."""
        return noise.describe(_images(clean.inputs), _images(poisoned.inputs)).as_dict()

    @override
    def preview(self, clean: Samples, poisoned: Samples, folder: Path) -> Path:
        """A picture with one image of each class, clean, the noise, and poisoned."""
        path = folder / PREVIEW
        picture.preview(_images(clean.inputs), _images(poisoned.inputs), clean.labels, path=path)
        return path

    @override
    def write(self, folder: Path, inputs: Inputs) -> None:
        """Writes the pixels as they are, and their shape beside them; they may exceed the memory."""
        images = _images(inputs)
        with (folder / _PIXELS).open("wb") as stream:
            for part in images.split(1024):
                stream.write(np.ascontiguousarray(part.numpy()).tobytes())
        write_shape(folder, images.shape)

    @override
    def read(self, folder: Path) -> UInt8[Tensor, "n c h w"]:
        """The images that `write` wrote, read from disk where they are used, and never written back."""
        shape = json.loads((folder / _SHAPE).read_text())
        return torch.from_file(str(folder / _PIXELS), shared=False, size=prod(shape), dtype=torch.uint8).reshape(shape)


def pixels_file(folder: Path) -> Path:
    """The file of the pixels, to be written part by part; `write_shape` then completes it."""
    return folder / _PIXELS


def write_shape(folder: Path, shape: tuple[int, ...]) -> None:
    """Writes the shape of what lies in `pixels_file(folder)`."""
    write_atomically(folder / _SHAPE, json.dumps(list(shape)))


def _images(inputs: Inputs) -> Tensor:
    """Images are one tensor."""
    if not isinstance(inputs, Tensor):
        raise TypeError(f"Images are one tensor of 8 bits; got a mapping of {', '.join(inputs)}.")
    return inputs
