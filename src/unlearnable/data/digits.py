"""The embedded default: scikit-learn's handwritten digits."""

from __future__ import annotations

import torch
from torch.nn import functional as F
from typing_extensions import override

from unlearnable.data.module import ImageDataModule
from unlearnable.data.samples import Samples, stratified


class Digits(ImageDataModule):
    """1,797 real handwritten digits (UCI ML, Alpaydın & Kaynak 1998), shipped with scikit-learn: no download.

    The 8×8 images with 17 grey levels are enlarged to 3×16×16 (bilinear), so that convolutions and one-pixel
    shortcuts have room. The split is stratified and fixed: 1,400 for training, 397 for the test.

    The arguments are those of `ImageDataModule`.
    """

    class_names = tuple("0123456789")

    @override
    def load(self) -> tuple[Samples, Samples]:
        from sklearn.datasets import load_digits

        digits = load_digits()
        grey = torch.from_numpy(digits.images).float()[:, None] / 16
        large = F.interpolate(grey, size=(16, 16), mode="bilinear", align_corners=False)
        images = (large * 255).round().to(torch.uint8).expand(-1, 3, -1, -1).contiguous()
        whole = Samples(images, torch.from_numpy(digits.target).long())
        rows = stratified(whole.labels, 1400)
        rest = torch.ones(len(whole), dtype=torch.bool)
        rest[rows] = False
        return whole.select(rows), whole.select(torch.nonzero(rest).flatten())
