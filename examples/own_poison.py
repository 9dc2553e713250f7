"""A poison of your own in 20 lines, and its verdict: `python examples/own_poison.py` (some minutes on two cores)."""

from pathlib import Path

import numpy as np

import unlearnable
from unlearnable.data.digits import Digits
from unlearnable.poisons.image.base import ImagePoison
from unlearnable.sharing.making import in_words


class Stamp(ImagePoison):
    """Brightens one corner of each image, the more the higher its class."""

    def prepare(self, data):
        """Returns how a batch is perturbed: its noise on the [0, 1] scale."""

        def perturb(batch, generator):  # noqa: ARG001
            noise = batch.images.new_zeros(batch.images.shape)
            strength = self.radius * (batch.labels + 1) / data.num_classes
            noise[:, :, :4, :4] = strength[:, None, None, None]
            return noise

        return perturb


def main(path: Path = Path("stamp.npy"), protocol: str = "digits-v1", seeds: int = 3) -> None:
    """Poisons the digits, writes the images as an array, and has them judged."""
    digits = Digits()
    digits.setup()
    np.save(path, Stamp(radius="32/255").apply(digits.train, seed=0).inputs.numpy())
    print(in_words(unlearnable.benchmark(path, protocol=protocol, seeds=seeds)))


if __name__ == "__main__":
    main()
