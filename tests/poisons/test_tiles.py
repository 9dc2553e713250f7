"""Tiles and how they are laid: far apart, and the same in a mirror."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tests._inputs import seeded
from unlearnable.poisons.image.tiles import deal_places, lay, separated_tiles


def everywhere(channels: int, side: int) -> Tensor:
    return torch.ones(channels, side, side, dtype=torch.bool)


def test_tiles_are_signs_and_mirror_symmetric() -> None:
    for side in (1, 2, 3, 4):
        tiles = separated_tiles(torch.arange(5), everywhere(3, side), generator=seeded(0))
        assert tiles.shape == (5, 3, side, side)
        assert torch.equal(tiles.abs(), torch.ones_like(tiles))
        assert torch.equal(tiles, tiles.flip(-1))


def test_a_code_that_a_mirror_changes_has_the_mirrored_tile() -> None:
    mirrored = torch.tensor([0, 1, 4, 5, 2, 3])
    tiles = separated_tiles(mirrored, everywhere(3, 4), generator=seeded(0))
    assert torch.equal(tiles[mirrored], tiles.flip(-1))
    for one, other in ((2, 4), (3, 5)):  # of 48 signs; two tiles by chance differ in 24
        assert (tiles[one] != tiles[other]).sum() >= 28


def test_tiles_are_far_apart() -> None:
    tiles = separated_tiles(torch.arange(24), everywhere(3, 4), generator=seeded(0)).flatten(1)
    apart = (tiles[:, None] != tiles[None]).sum(-1) + 100 * torch.eye(24, dtype=torch.int64)
    # 24 free signs, each shown twice: by chance the nearest two of 276 pairs differ in about 5 · 2 of 48.
    drawn = [(torch.rand(24, 24, generator=seeded(seed)) < 0.5).long() for seed in range(20)]
    chance = [2 * int(((one[:, None] != one[None]).sum(-1) + 100 * torch.eye(24)).min()) for one in drawn]
    assert apart.min() >= 16 > max(chance)


def test_the_second_tile_is_the_opposite_of_the_first() -> None:
    # 4 free signs: all of the 16 tiles are among the candidates, and nothing is farther than the opposite.
    first, second = separated_tiles(torch.arange(2), everywhere(2, 2), generator=seeded(3))
    assert torch.equal(first, -second)


def test_all_tiles_that_there_are_can_be_had_and_no_more() -> None:
    tiles = separated_tiles(torch.arange(4), everywhere(1, 2), generator=seeded(0))  # two free signs
    assert len(torch.unique(tiles.flatten(1), dim=0)) == 4
    with pytest.raises(ValueError, match="`tile` must be larger: there are 4 tiles of side 2 for 5 codes"):
        separated_tiles(torch.arange(5), everywhere(1, 2), generator=seeded(0))


def test_a_tile_is_repeated_where_its_code_is() -> None:
    tiles = separated_tiles(torch.arange(2), everywhere(1, 2), generator=seeded(0))
    codes = torch.tensor([[[0, 0, 1, -1], [0, 1, 1, -1]]])
    (a, _), (c, _) = tiles[0, 0].tolist()
    (e, _), (g, _) = tiles[1, 0].tolist()
    assert lay(tiles, codes)[0, 0].tolist() == [[a, a, e, 0.0], [c, g, g, 0.0]]
    coarse = lay(tiles, torch.zeros(1, 4, 8, dtype=torch.int64), grain=2)[0, 0]
    assert coarse.tolist() == [[a] * 8, [a] * 8, [c] * 8, [c] * 8]


@pytest.mark.parametrize("width", [8, 9, 12, 13, 15])
@pytest.mark.parametrize("grain", [1, 2])
def test_a_mirrored_picture_has_the_mirrored_texture(width: int, grain: int) -> None:
    mirrored = torch.tensor([0, 3, 2, 1])
    tiles = separated_tiles(mirrored, everywhere(3, 4), generator=seeded(0))
    codes = torch.randint(-1, 4, (2, 10, width), generator=seeded(1))
    reflected = torch.where(codes < 0, codes, mirrored[codes]).flip(-1)
    same = lay(tiles, codes, grain=grain).flip(-1) == lay(tiles, reflected, grain=grain)
    if width % 2:
        same = torch.cat([same[..., : width // 2], same[..., width // 2 + 1 :]], -1)
    assert same.all()


def test_tiles_have_signs_in_their_places_alone_and_are_as_far_apart_there() -> None:
    places = deal_places(3, 4, 5, generator=seeded(1))[2]
    tiles = separated_tiles(torch.arange(6), places, generator=seeded(0))
    assert torch.equal(tiles != 0, places.expand(6, -1, -1, -1))
    free = tiles[..., :2].flatten(1)[:, places[..., :2].flatten()]  # 5 signs
    apart = (free[:, None] != free[None]).sum(-1) + 9 * torch.eye(6, dtype=torch.int64)
    assert apart.min() >= 2  # of 32 words of 5 bits there are 16 that differ in two


@pytest.mark.parametrize("side", [2, 3, 4])
def test_places_are_dealt_out_evenly_and_the_same_in_a_mirror(side: int) -> None:
    dealt = deal_places(3, side, 5, generator=seeded(0))
    assert (dealt.sum(0) == 1).all()
    assert torch.equal(dealt, dealt.flip(-1))
    counts = dealt[..., : (side + 1) // 2].sum((1, 2, 3))
    assert counts.max() - counts.min() <= 1


def test_a_tile_with_fewer_places_than_tasks_is_refused() -> None:
    with pytest.raises(ValueError, match="`tile` must be larger: half a tile of side 1 has 3 signs for 4 tasks"):
        deal_places(3, 1, 4, generator=seeded(0))
