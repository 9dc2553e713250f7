"""Textures that stand for codes: small tiles of signs, far apart and the same in a mirror."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Generator, Tensor

# Tiles that are drawn to choose from; more gain hardly a sign.
_CANDIDATES = 4096


def separated_tiles(count: int, channels: int, side: int, *, generator: Generator) -> Float[Tensor, "k c s s"]:
    """Tiles of ±1, mirror-symmetric in x, each as far as can be from those before it (greedy, by Hamming distance).

    Raises:
        ValueError: if tiles of this size are too few.
    """
    half = torch.randint(0, 2, (_CANDIDATES, channels, side, (side + 1) // 2), generator=generator) * 2.0 - 1
    candidates = torch.cat([half, half[..., : side // 2].flip(-1)], -1)
    flat = candidates.flatten(1)
    distance = torch.full((len(flat),), torch.inf)
    chosen = [0]
    while len(chosen) < count:
        distance = torch.minimum(distance, (flat - flat[chosen[-1]]).abs().sum(1))
        chosen.append(int(distance.argmax()))
        if distance[chosen[-1]] == 0:
            raise ValueError(
                f"`tile` must be larger: there are {len(chosen) - 1} tiles of side {side} for {count} codes."
            )
    return candidates[chosen]


def lay(tiles: Float[Tensor, "k c s s"], codes: Int64[Tensor, "n h w"], *, grain: int = 1) -> Float[Tensor, "n c h w"]:
    """Fills each pixel with its code's tile, repeated over the picture; 0 where the code is −1.

    The same codes in a mirrored picture give the mirrored texture, whatever its width.

    Args:
        tiles: One a code.
        codes: Of each pixel.
        grain: Pixels a sign, down and across.
    """
    side, (height, width) = tiles.shape[-1], codes.shape[-2:]
    rows = (torch.arange(height, device=codes.device) // grain) % side
    columns = from_edge(width, codes.device) // grain % side
    filled = tiles.to(codes.device)[codes.clamp_min(0), :, rows[:, None], columns].movedim(-1, 1)
    return filled * (codes >= 0)[:, None]


def from_edge(width: int, device: torch.device) -> Int64[Tensor, " w"]:
    """Each column's distance to the nearer side."""
    columns = torch.arange(width, device=device)
    return torch.minimum(columns, width - 1 - columns)


def deal_cells(height: int, width: int, cell: int, count: int, *, generator: Generator) -> Int64[Tensor, "h w"]:
    """Which of `count` carriers each pixel belongs to: cells are dealt out evenly, the same in a mirror.

    Raises:
        ValueError: if there are fewer cells than carriers.
    """
    rows, columns = -(-height // cell), -(-((width + 1) // 2) // cell)
    if rows * columns < count:
        raise ValueError(
            f"{count} tasks take turns in cells of {cell}×{cell} pixels, of which half a {height}×{width} picture has "
            f"{rows * columns}; make `tile` or `grain` smaller, or choose fewer `tasks`."
        )
    dealt = torch.empty(rows * columns, dtype=torch.int64)
    dealt[torch.randperm(len(dealt), generator=generator)] = torch.arange(len(dealt)) % count
    down, across = torch.arange(height) // cell, from_edge(width, torch.device("cpu")) // cell
    return dealt.view(rows, columns)[down[:, None], across]
