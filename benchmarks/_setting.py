"""What the SAL benchmarks share: real data, quick training, tables."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

Batches = list[tuple[Tensor, Tensor]]


def digits(size: int = 16) -> tuple[Tensor, Tensor]:
    """scikit-learn's digits as 3×16×16 images in [0, 1], in a fixed random order."""
    from sklearn.datasets import load_digits

    data = load_digits()
    images = F.interpolate(torch.tensor(data.images / 16).float()[:, None], size=size).repeat(1, 3, 1, 1)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    return images[order], torch.tensor(data.target)[order]


def cifar10(data_dir: Path, count: int) -> tuple[Tensor, Tensor]:
    """The first ``count`` training images of CIFAR-10 from the hub's parquet files, 3×32×32 in [0, 1]."""
    import pyarrow.parquet as parquet
    from PIL import Image

    files = sorted(data_dir.rglob("train-*.parquet"))
    if not files:
        raise FileNotFoundError(f"--data-dir must hold CIFAR-10's train-*.parquet; found none under {data_dir}.")
    table = parquet.read_table(files[0]).slice(0, count)
    images = np.stack(
        [np.asarray(Image.open(io.BytesIO(row["bytes"])).convert("RGB")) for row in table["img"].to_pylist()]
    )
    return torch.tensor(images).permute(0, 3, 1, 2).float() / 255, torch.tensor(table["label"].to_pylist())


def with_shortcut(images: Tensor, labels: Tensor, radius: float, cell: int = 1) -> Tensor:
    """Unlearnable by a shortcut: one random pattern of ±radius a class, constant over ``cell``×``cell`` pixels."""
    size = images.shape[-1]
    pattern = torch.randn(10, 3, size // cell, size // cell, generator=torch.Generator().manual_seed(1)).sign()
    return (images + radius * F.interpolate(pattern, size=size)[labels]).clamp(0, 1)


def batched(images: Tensor, labels: Tensor, size: int) -> Batches:
    return list(zip(images.split(size), labels.split(size), strict=True))


def train(net: nn.Module, images: Tensor, labels: Tensor, *, epochs: int, seed: int, lr: float = 0.05) -> Iterator[int]:
    """Trains with SGD (momentum 0.9, weight decay 5e-4, batch 128); yields after every epoch."""
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.SGD(net.parameters(), lr=lr, momentum=0.9, weight_decay=5e-4)
    for epoch in range(epochs):
        net.train()
        for index in torch.randperm(len(images), generator=generator).split(128):
            optimizer.zero_grad()
            F.cross_entropy(net(images[index]), labels[index]).backward()
            optimizer.step()
        yield epoch + 1


def built(build: Callable[[], nn.Module], seed: int) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return build()


@contextmanager
def rounding(how: str) -> Iterator[None]:
    """Within the block convolutions and products of floats on a GPU round in ``ieee`` or ``tf32``."""
    if not hasattr(torch.backends.cudnn, "conv"):  # before PyTorch 2.9
        owners: list[Any] = [torch.backends.cudnn, torch.backends.cuda.matmul]
        name, value = "allow_tf32", how == "tf32"
    else:
        owners, name, value = [torch.backends.cudnn.conv, torch.backends.cuda.matmul], "fp32_precision", how
    before = [getattr(owner, name) for owner in owners]
    for owner in owners:
        setattr(owner, name, value)
    try:
        yield
    finally:
        for owner, old in zip(owners, before, strict=True):
            setattr(owner, name, old)


class Clock:
    seconds = 0.0


@contextmanager
def timed() -> Iterator[Clock]:
    clock, start = Clock(), time.perf_counter()
    try:
        yield clock
    finally:
        clock.seconds = time.perf_counter() - start


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
