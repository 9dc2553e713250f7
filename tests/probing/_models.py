"""Small models of the kinds that SAL must cover, and batches for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests._inputs import seeded

Batches = list[tuple[Any, Any]]


class Block(nn.Module):
    """A residual block whose activations and sum work in place, as torchvision's do."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += x
        return self.relu(out)


class ResNet(nn.Module):
    def __init__(self, width: int = 6, classes: int = 4) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.layer1 = nn.Sequential(Block(width), Block(width))
        self.fc = nn.Linear(width, classes)

    def features(self, x: Tensor) -> Tensor:
        return self.layer1(F.relu(self.bn1(self.conv1(x)))).mean((2, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.features(x))


class MultiHead(ResNet):
    """Two tasks on one trunk: inputs, outputs and targets are dicts."""

    def __init__(self) -> None:
        super().__init__()
        self.depth = nn.Linear(6, 2)

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        features = self.features(batch["image"])
        return {"class": self.fc(features), "depth": self.depth(features)}


def multi_loss(outputs: dict[str, Tensor], targets: dict[str, Tensor]) -> Tensor:
    return F.cross_entropy(outputs["class"], targets["class"]) + F.mse_loss(outputs["depth"], targets["depth"])


class Transformer(nn.Module):
    """A ViT block: patches, attention with a fused in-projection, LayerNorm, dropout."""

    def __init__(self, width: int = 12, classes: int = 4) -> None:
        super().__init__()
        self.patch = nn.Conv2d(1, width, 3, 3)
        self.position = nn.Parameter(torch.zeros(1, 4, width))
        self.blocks = nn.TransformerEncoder(
            nn.TransformerEncoderLayer(width, 3, 24, 0.1, "gelu", batch_first=True, norm_first=True),
            1,
            enable_nested_tensor=False,
        )
        self.head = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.patch(x).flatten(2).transpose(1, 2) + self.position
        return self.head(self.blocks(tokens).mean(1))


def seeded_model(build: Callable[[], nn.Module], seed: int = 0) -> nn.Module:
    """``build()`` with weights from ``seed``; torch's global random state stays as it is."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()


def images(
    count: int = 48, size: int = 6, classes: int = 4, *, poison: bool = False, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """Images of noise around one pattern a class; poisoned ones carry a second, stronger one."""
    generator = seeded(seed)
    labels = torch.arange(count) % classes
    patterns = torch.randn(classes, 1, size, size, generator=generator)
    x = 0.7 * patterns[labels] + torch.randn(count, 1, size, size, generator=generator)
    if poison:
        x = x + 1.5 * torch.randn(classes, 1, size, size, generator=generator).sign()[labels]
    return x, labels


def batched(x: Any, y: Any, size: int) -> Batches:
    """Batches of ``size``, the last one as it comes."""

    def take(tree: Any, i: int) -> Any:
        return (
            {key: value[i : i + size] for key, value in tree.items()} if isinstance(tree, dict) else tree[i : i + size]
        )

    count = len(next(iter(x.values()))) if isinstance(x, dict) else len(x)
    return [(take(x, i), take(y, i)) for i in range(0, count, size)]


def trained(
    model: nn.Module, loss_fn: Callable[[Any, Any], Tensor], batches: Batches, steps: int, lr: float = 0.05
) -> nn.Module:
    """``model`` after ``steps`` SGD steps with momentum, in train mode, dropout's random state apart."""
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model.train()
        for step in range(steps):
            x, y = batches[step % len(batches)]
            optimizer.zero_grad()
            loss_fn(model(x), y).backward()
            optimizer.step()
    optimizer.zero_grad()
    return model


def accuracy(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs.argmax(1) == targets).float().mean()
