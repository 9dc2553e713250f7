"""CIFAR-10."""

from __future__ import annotations

import numpy as np
from typing_extensions import override

from unlearnable.data.small import SmallImages


class Cifar10(SmallImages):
    """60,000 images of 10 classes (Krizhevsky 2009), as in the hub's `uoft-cs/cifar10` or torchvision's folder."""

    title = "CIFAR-10"
    marker = "cifar-10-batches-py"
    class_names = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

    @override
    def torchvision_arrays(self, *, train: bool) -> tuple[np.ndarray, np.ndarray]:
        from torchvision.datasets import CIFAR10

        source = CIFAR10(self.data_dir, train=train, download=self.download)
        return source.data, np.array(source.targets)
