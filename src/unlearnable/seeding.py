"""Random streams that depend on nothing but numbers: a seed, an epoch, a batch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


def mix(seed: int, *parts: int) -> int:
    """One generator seed from several numbers; neighbouring seeds and epochs give unrelated streams."""
    mixed = seed
    for part in parts:
        mixed = (mixed * 6364136223846793005 + part * 1442695040888963407 + 1) % 2**63
    return mixed


def generator(device: torch.device | str, seed: int, *parts: int) -> torch.Generator:
    """A fresh generator on `device`, seeded with `mix(seed, *parts)`."""
    return torch.Generator(device).manual_seed(mix(seed, *parts))


def there(generator: torch.Generator, device: torch.device) -> torch.Generator:
    """A fresh generator itself where it draws on such a device; else one on `device` with its seed.

    What is drawn on a GPU need not be copied there.
    """
    if generator.device.type == device.type:
        return generator
    return torch.Generator(device).manual_seed(generator.initial_seed())


@contextmanager
def drawing_from(generator: torch.Generator) -> Iterator[None]:
    """Within the block the global generators, which libraries draw from, follow `generator`; then they are as before."""
    device = generator.device
    seed = int(torch.randint(2**62, (), generator=generator, device=device))
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield
