"""Textures that stand for codes: small tiles of signs, far apart and the same in a mirror."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int64
from torch import Generator, Tensor

# Tiles that are drawn to choose from; more gain hardly a sign.
_CANDIDATES = 4096


def separated_tiles(
    mirrored: Int64[Tensor, " k"], places: Bool[Tensor, "c s s"], *, generator: Generator
) -> Float[Tensor, "k c s s"]:
    """Tiles of ±1, each as far as can be from those before it (greedy, by Hamming distance).

    Args:
        mirrored: The code that each is in a mirror; its tile is the mirrored one, so symmetric where that is itself.
        places: Where a tile has signs, the same in a mirror; elsewhere it is 0.
        generator: Draws the tiles to choose from.

    Raises:
        ValueError: if tiles of this size are too few.
    """
    side = places.shape[-1]
    drawn = (torch.randint(0, 2, (_CANDIDATES, *places.shape), generator=generator) * 2.0 - 1) * places
    symmetric = drawn[..., from_edge(side)]
    tiles = torch.zeros(len(mirrored), *places.shape)
    done: list[int] = []
    for code, partner in enumerate(mirrored.tolist()):
        if code in done:
            continue
        candidates = symmetric if code == partner else drawn
        flat = candidates.flatten(1)
        apart = torch.cdist(flat, tiles[done].flatten(1), p=1) if done else flat.new_full((len(flat), 1), torch.inf)
        if code != partner:
            apart = torch.cat([apart, (flat - candidates.flip(-1).flatten(1)).abs().sum(1, keepdim=True)], 1)
        nearest, best = apart.amin(1).max(0)
        if nearest == 0:
            raise ValueError(
                f"`tile` must be larger: there are {len(set(done))} tiles of side {side} for {len(mirrored)} codes."
            )
        tiles[code], tiles[partner] = candidates[best], candidates[best].flip(-1)
        done += [code, partner]
    return tiles


def lay(tiles: Float[Tensor, "k c s s"], codes: Int64[Tensor, "n h w"], *, grain: int = 1) -> Float[Tensor, "n c h w"]:
    """Fills each pixel with its code's tile, repeated over the picture from both sides inwards; 0 where the code is −1.

    The mirrored codes in a mirrored picture give the mirrored texture, whatever its width (but for the middle column of
    an odd one).

    Args:
        tiles: One a code.
        codes: Of each pixel.
        grain: Pixels along a sign's side.
    """
    side, (height, width) = tiles.shape[-1], codes.shape[-2:]
    rows = torch.arange(height) // grain % side
    inwards = from_edge(width) // grain % side
    columns = torch.where(torch.arange(width) < (width + 1) // 2, inwards, side - 1 - inwards)
    return tiles[codes.clamp_min(0), :, rows[:, None], columns].movedim(-1, 1) * (codes >= 0)[:, None]


def from_edge(width: int) -> Int64[Tensor, " w"]:
    """Each column's distance to the nearer side."""
    columns = torch.arange(width)
    return torch.minimum(columns, width - 1 - columns)


def deal_places(channels: int, side: int, count: int, *, generator: Generator) -> Bool[Tensor, "k c s s"]:
    """Which places of a tile each of `count` tasks has: dealt out evenly and at random, the same in a mirror.

    Raises:
        ValueError: if there are fewer places than tasks.
    """
    across = from_edge(side)
    places = channels * side * (1 + int(across.max()))
    if places < count:
        raise ValueError(f"`tile` must be larger: half a tile of side {side} has {places} signs for {count} tasks.")
    dealt = torch.empty(places, dtype=torch.int64)
    dealt[torch.randperm(places, generator=generator)] = torch.arange(places) % count
    return dealt.view(channels, side, -1)[..., across] == torch.arange(count)[:, None, None, None]
