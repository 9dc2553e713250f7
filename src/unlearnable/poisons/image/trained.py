"""What poisons share that are made on networks trained on the images."""

from __future__ import annotations

from typing import Any

from torch import nn

from unlearnable.options import Number, number, switch, whole
from unlearnable.poisons.image.base import ImagePoison
from unlearnable.poisons.image.surrogate import NetFactory, train_checkpoints
from unlearnable.poisons.image.training_set import TrainingSet


class TrainedPoison(ImagePoison):
    """A poison for which a network is trained on the images first.

    Args:
        surrogate: Builds the network θ; called as `surrogate(num_classes=k)`.
        epochs: Epochs that θ is trained for.
        lr: Peak learning rate of θ.
        crop: Padding of the random crop that θ is trained with, in pixels; 0 for none.
        flip: Whether θ is trained with mirrored images too.
        batch_size: See `ImagePoison`.
        **options: `ImagePoison`'s.
    """

    def __init__(
        self,
        *,
        surrogate: NetFactory,
        epochs: int,
        lr: Number = 0.1,
        crop: int = 0,
        flip: bool = False,
        batch_size: int = 256,
        **options: Any,
    ) -> None:
        super().__init__(batch_size=batch_size, **options)
        self.surrogate = surrogate
        self.epochs = whole("epochs", epochs)
        self.lr = number("lr", lr, above=0)
        self.crop = whole("crop", crop, at_least=0)
        self.flip = switch("flip", flip)

    def networks(self, data: TrainingSet, count: int = 1) -> list[nn.Module]:
        """θ at the end of each of its last `count` epochs, see `train_checkpoints`."""
        return train_checkpoints(
            self.surrogate, data, count=count, epochs=self.epochs, lr=self.lr, crop=self.crop, flip=self.flip
        )
