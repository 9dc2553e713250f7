"""Strong augmentation: clouds of brightness and contrast, shuffled channels, and one trivial augmentation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Generator, Tensor
from typing_extensions import override

from unlearnable.data.samples import Inputs, Targets
from unlearnable.defenses.image import ImageDefense, images_of, refuse_dense
from unlearnable.seeding import drawing_from
from unlearnable.tasks import Task


class UEraser(ImageDefense):
    """The augmentations of UEraser, drawn once for each image.

    From `Learning the unlearnable by adversarial augmentations <https://arxiv.org/abs/2303.15127>`_ (Qin et al., 2023),
    with the values of its code: plasma brightness (roughness 0.3–0.7, intensity 0.5–1) and contrast (roughness 0.3–0.7)
    and a shuffle of the channels, each of half of the images, then TrivialAugment. kornia draws one of TrivialAugment's
    operations for the batch, and its strength for each image.

    Raises:
        ImportError: if kornia (the extra `defenses`) is not installed.
    """

    def __init__(self) -> None:
        self._steps = _augmentations()

    @override
    def setup(self, tasks: Mapping[str, Task]) -> None:
        refuse_dense(tasks, "shears, turns and shifts images")

    def augmented(self, images: Tensor, generator: Generator) -> Tensor:
        """One draw for each image, in [0, 1]."""
        with drawing_from(generator):
            for step in self._steps:
                images = step(images)
        return images.clamp(0, 1)

    @override
    def batch(self, inputs: Inputs, targets: Targets, *, generator: Generator) -> tuple[Inputs, Targets]:
        return self.augmented(images_of(inputs), generator), targets


def _augmentations() -> list[Any]:
    try:
        import kornia.augmentation as K
        from kornia.augmentation.auto import TrivialAugment
    except ImportError as error:
        raise ImportError("defense=ueraser needs kornia: pip install 'unlearnable[defenses]'.") from error
    return [
        K.RandomPlasmaBrightness(roughness=(0.3, 0.7), intensity=(0.5, 1.0), p=0.5),
        K.RandomPlasmaContrast(roughness=(0.3, 0.7), p=0.5),
        K.RandomChannelShuffle(p=0.5),
        TrivialAugment(),
    ]
