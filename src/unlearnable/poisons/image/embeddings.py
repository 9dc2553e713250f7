"""The network that writes MTL-UE's noise: from what is learnt for each code of each task, and the picture."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int64
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from unlearnable.poisons.image.codes import ClassCodes, Codes
from unlearnable.poisons.image.tiles import lay, separated_tiles

# Channels of an embedding.
_CHANNELS = 16


class EmbeddingGenerator(nn.Module):
    """Embeddings of all tasks' codes and an encoding of the picture, at half its size, decoded to noise.

    A class has an embedding that covers the picture. A code of a dense task has a tile, laid where the code is; it starts
    as a tile of signs far from the others', which training then changes.

    Args:
        codes: Of each task.
        shape: Channels, height and width of a picture.
        width: Of encoder and decoder; 64 is the paper's.
        tile: Side of a dense code's tile, at half size.
        generator: Draws the embeddings.
    """

    def __init__(
        self, codes: Sequence[Codes], shape: tuple[int, int, int], *, width: int, tile: int, generator: Generator
    ) -> None:
        super().__init__()
        from torchvision.models.resnet import BasicBlock, conv1x1

        channels, height, across = shape
        self.sides = (height + 1) // 2, (across + 1) // 2
        self.local = [not isinstance(one, ClassCodes) for one in codes]
        halving = nn.Sequential(conv1x1(width, 2 * width, 2), nn.BatchNorm2d(2 * width))
        self.encoder = nn.Sequential(  # of ResNet-18 with a stem for small pictures, as far as its second stage
            nn.Conv2d(channels, width, 3, 1, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            BasicBlock(width, width),
            BasicBlock(width, width),
            BasicBlock(width, 2 * width, 2, halving),
            BasicBlock(2 * width, 2 * width),
        )
        self.embeddings = nn.ParameterList(
            separated_tiles(one.mirrored, torch.ones(_CHANNELS, tile, tile, dtype=torch.bool), generator=generator)
            if local
            else torch.randn(len(one.mirrored), _CHANNELS, *self.sides, generator=generator)
            for one, local in zip(codes, self.local, strict=True)
        )
        self.decoder = nn.Sequential(
            nn.ConvTranspose2d(_CHANNELS * len(codes) + 2 * width, width, 4, 2, 1),
            nn.ConvTranspose2d(width, width, 3, 1, 1),
            nn.InstanceNorm2d(width),
            nn.ReLU(inplace=True),
            nn.ConvTranspose2d(width, -(-width // 2), 3, 1, 1),
            nn.InstanceNorm2d(-(-width // 2)),
            nn.ReLU(inplace=True),
            nn.ConvTranspose2d(-(-width // 2), channels, 3, 1, 1),
        )

    def forward(
        self, images: Float[Tensor, "n c h w"], codes: Sequence[Int64[Tensor, "n _ _"]]
    ) -> Float[Tensor, "n c h w"]:
        """Noise of any size for images with these codes."""
        shown = [self._shown(place, one[:, ::2, ::2]) for place, one in enumerate(codes)]
        noise: Tensor = self.decoder(torch.cat([*shown, self.encoder(images)], 1))
        return noise[..., : images.shape[-2], : images.shape[-1]]

    def similarity(self) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
        """How alike embeddings are: 1 + the mean cosine of two of a task's, and the mean |cosine| of two tasks'."""
        units = []
        for place, embedding in enumerate(self.embeddings):
            every = torch.arange(len(embedding))[:, None, None]
            units.append(F.normalize(self._shown(place, every).flatten(1), dim=1))
        within = [((unit @ unit.T).sum() - len(unit)) / max(1, len(unit) * (len(unit) - 1)) + 1 for unit in units]
        between = [(unit @ other.T).abs().mean() for place, unit in enumerate(units) for other in units[:place]]
        return torch.stack(within).mean(), torch.stack(between).mean() if between else units[0].new_zeros(())

    def _shown(self, place: int, codes: Int64[Tensor, "n _ _"]) -> Float[Tensor, "n d i j"]:
        """A task's embeddings where its codes are; 0 where there is none."""
        embedding = self.embeddings[place]
        if self.local[place]:
            return lay(embedding, codes.expand(-1, *self.sides))
        return embedding[codes[:, 0, 0].clamp_min(0)] * (codes >= 0)[:, None]
