"""CIFAR-100 with its fine labels."""

from __future__ import annotations

import numpy as np
from typing_extensions import override

from unlearnable.data.small import SmallImages

_NAMES = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can
castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin
elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard
lobster man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear
pickup_truck pine_tree plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark
shrew skunk skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table tank telephone
television tiger tractor train trout tulip turtle wardrobe whale willow_tree wolf woman worm
"""


class Cifar100(SmallImages):
    """60,000 images of 100 classes (Krizhevsky 2009), as in the hub's `uoft-cs/cifar100` or torchvision's folder."""

    title = "CIFAR-100"
    marker = "cifar-100-python"
    label_columns = ("fine_label", "label")
    class_names = tuple(_NAMES.split())

    @override
    def torchvision_arrays(self, *, train: bool) -> tuple[np.ndarray, np.ndarray]:
        from torchvision.datasets import CIFAR100

        source = CIFAR100(self.data_dir, train=train, download=self.download)
        return source.data, np.array(source.targets)
