"""Image Shortcut Squeezing as a whole: grey images, then JPEG."""

from __future__ import annotations

from torch import Tensor
from typing_extensions import override

from unlearnable.defenses.gray import Gray
from unlearnable.defenses.image import Squeeze
from unlearnable.defenses.jpeg import Jpeg
from unlearnable.options import Number


class ImageShortcutSqueezing(Squeeze):
    """Grey images, compressed: against poisons of few colours and of fine grain at once, in training and test.

    From `Image Shortcut Squeezing <https://arxiv.org/abs/2301.13838>`_ (ICML 2023), whose tables have the two apart.

    Args:
        quality: Of the JPEG; the paper's is 10.
        test: See `Squeeze`; by the paper's protocol test images too are squeezed.
    """

    def __init__(self, *, quality: Number = 10, test: bool = True) -> None:
        super().__init__(test=test)
        self._gray, self._jpeg = Gray(), Jpeg(quality=quality)

    @override
    def squeeze(self, images: Tensor) -> Tensor:
        return self._jpeg.squeeze(self._gray.squeeze(images))
