"""JPEG compression, by Image Shortcut Squeezing."""

from __future__ import annotations

import io

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor
from typing_extensions import override

from unlearnable.defenses.image import Squeeze
from unlearnable.options import Number, whole


class Jpeg(Squeeze):
    """Compresses each image and reads it again; colours at half the resolution (4:2:0), as is usual.

    From `Image Shortcut Squeezing <https://arxiv.org/abs/2301.13838>`_ (ICML 2023).

    Args:
        quality: From 1, the strongest compression, to 100; the paper's is 10.
        test: See `Squeeze`.
    """

    def __init__(self, *, quality: Number = 10, test: bool = False) -> None:
        super().__init__(test=test)
        self.quality = whole("defense.quality", quality, what="a JPEG quality from 1 to 100")
        if self.quality > 100:
            raise ValueError(f"`defense.quality` must be a JPEG quality from 1 to 100; got {quality}.")

    @override
    def squeeze(self, images: Tensor) -> Tensor:
        # torchvision is about to lose its encoder.
        return torch.stack([self._compressed(image) for image in images.cpu()]).to(images.device)

    def _compressed(self, image: UInt8[Tensor, "3 h w"]) -> UInt8[Tensor, "3 h w"]:
        stream = io.BytesIO()
        Image.fromarray(image.permute(1, 2, 0).contiguous().numpy()).save(stream, "JPEG", quality=self.quality)
        return torch.from_numpy(np.array(Image.open(stream))).permute(2, 0, 1)
