"""Street View House Numbers, the cropped digits."""

from __future__ import annotations

import numpy as np
from typing_extensions import override

from unlearnable.data.small import SmallImages


class Svhn(SmallImages):
    """73,257 training and 26,032 test images of 10 digits (Netzer et al., 2011); the `extra` images are not used.

    As in the hub's `ufldl-stanford/svhn`, configuration `cropped_digits`, or torchvision's `train_32x32.mat`.
    """

    title = "SVHN"
    marker = "train_32x32.mat"
    class_names = tuple("0123456789")

    @override
    def torchvision_arrays(self, *, train: bool) -> tuple[np.ndarray, np.ndarray]:
        from torchvision.datasets import SVHN

        source = SVHN(str(self.data_dir), split="train" if train else "test", download=self.download)
        return source.data.transpose(0, 2, 3, 1), source.labels
