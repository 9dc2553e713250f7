"""The seam for defences, and the one that does nothing."""

from __future__ import annotations

from abc import ABC, abstractmethod

from jaxtyping import Float
from torch import Generator, Tensor
from typing_extensions import override


class Defense(ABC):
    """Changes each training batch after the augmentation, on the training device."""

    @abstractmethod
    def train_batch(self, images: Float[Tensor, "n c h w"], *, generator: Generator) -> Float[Tensor, "n c h w"]:
        """The batch that the model is trained on, in [0, 1].

        Args:
            images: The augmented batch, in [0, 1].
            generator: The only source of randomness; its state depends on the seed, the epoch and the batch.
        """


class NoDefense(Defense):
    """Trains on the images as they are."""

    @override
    def train_batch(self, images: Float[Tensor, "n c h w"], *, generator: Generator) -> Float[Tensor, "n c h w"]:
        return images
