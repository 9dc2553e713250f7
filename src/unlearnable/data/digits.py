"""The embedded default: scikit-learn's handwritten digits."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional as F
from typing_extensions import override

from unlearnable.data.module import ImageDataModule
from unlearnable.data.samples import ImageSet, stratified


class Digits(ImageDataModule):
    """1,797 real handwritten digits (UCI ML, Alpaydın & Kaynak 1998), shipped with scikit-learn: no download.

    The 8×8 images with 17 grey levels are enlarged to 3×16×16 (bilinear), so that convolutions and one-pixel
    shortcuts have room. The split is stratified and fixed: 1,400 for training, 397 for the test.

    Args:
        subset: Size of a stratified subset of the training images; None takes all 1,400.
        test_subset: Likewise for the 397 test images.
        **options: See `ImageDataModule`.
    """

    class_names = tuple("0123456789")

    def __init__(self, *, subset: int | None = None, test_subset: int | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.subset, self.test_subset = subset, test_subset

    @override
    def load(self) -> tuple[ImageSet, ImageSet]:
        from sklearn.datasets import load_digits

        digits = load_digits()
        grey = torch.from_numpy(digits.images).float()[:, None] / 16
        large = F.interpolate(grey, size=(16, 16), mode="bilinear", align_corners=False)
        images = (large * 255).round().to(torch.uint8).expand(-1, 3, -1, -1).contiguous()
        whole = ImageSet(images, torch.from_numpy(digits.target).long())
        rows = stratified(whole.labels, 1400)
        rest = torch.ones(len(whole), dtype=torch.bool)
        rest[rows] = False
        train, test = whole.select(rows), whole.select(torch.nonzero(rest).flatten())
        if self.subset is not None:
            train = train.select(stratified(train.labels, self.subset, what="dataset.subset"))
        if self.test_subset is not None:
            test = test.select(stratified(test.labels, self.test_subset, what="dataset.test_subset"))
        return train, test
