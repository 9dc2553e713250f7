"""Training of the networks that poisons are made on."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unlearnable.data.modality.crop_flip import crop_and_flip
from unlearnable.poisons.base import check_finite
from unlearnable.poisons.image.base import save_atomically
from unlearnable.poisons.image.training_set import Batch, TrainingSet

NetT = TypeVar("NetT", bound=nn.Module)

NetFactory = Callable[..., nn.Module]
"""Called as `factory(num_classes=k)`."""

BatchLoss = Callable[[Any, Batch], Tensor]
"""Maps a net's outputs for a batch, and the batch, to a loss."""


def make_fabric(device: torch.device) -> Any:
    """Lightning Fabric on this one device."""
    from lightning.fabric import Fabric

    # Fabric's own notices about a single device say nothing here.
    devices = [device.index] if device.index is not None else 1
    return Fabric(accelerator="gpu" if device.type == "cuda" else device.type, devices=devices)


def train_checkpoints(
    factory: NetFactory,
    data: TrainingSet,
    *,
    count: int,
    epochs: int,
    lr: float = 0.1,
    batch_size: int = 128,
    weight_decay: float = 5e-4,
    crop: int = 0,
    flip: bool = False,
    objective: BatchLoss | None = None,
) -> list[nn.Module]:
    """Trains a network on the clean data: SGD with Nesterov momentum 0.9, one cosine decay after a short warm-up.

    `crop` and `flip` augment its batches, see `crop_and_flip`; `objective` takes the place of the cross-entropy. Returns
    it as it was at the end of each of the last `count` epochs, the trained one last: on the data's device, in eval mode,
    without gradients. Trained ones in `work_dir` are used again.
    """
    net = build(factory, data)
    saved = None if data.work_dir is None else data.work_dir / "surrogate.pt"
    if saved is not None and saved.exists():
        return _copies(net, torch.load(saved, weights_only=True, map_location=data.device))

    fabric = make_fabric(data.device)
    optimizer: Any = sgd(net, lr, weight_decay)
    model, optimizer = fabric.setup(net, optimizer)
    shuffle, draws = data.stream("surrogate", "order"), data.stream("surrogate", "augment", device=data.device)
    total = epochs * math.ceil(len(data) / batch_size)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: one_cycle(step, total))
    model.train()
    states: list[dict[str, Tensor]] = []
    for epoch in data.bar(range(epochs), "surrogate: epochs"):
        for batch in data.batches(batch_size, shuffle=shuffle):
            images = crop_and_flip(batch.images, crop=crop, flip=flip, generator=draws)
            optimizer.zero_grad(set_to_none=True)
            outputs = model(images)
            fabric.backward(objective(outputs, batch) if objective else F.cross_entropy(outputs, batch.labels))
            optimizer.step()
            schedule.step()
        if epoch >= epochs - count:
            states.append({name: tensor.clone() for name, tensor in net.state_dict().items()})
    if saved is not None:
        save_atomically(states, saved)
    return _copies(net, states)


def _copies(net: NetT, states: Sequence[dict[str, Tensor]]) -> list[NetT]:
    """The network with each of the states; the last is the network itself."""
    nets = [*(copy.deepcopy(net) for _ in states[1:]), net]
    for one, state in zip(nets, states, strict=True):
        one.load_state_dict(state)
        freeze(one)
    return nets


def build(factory: NetFactory, data: TrainingSet) -> nn.Module:
    """Builds a network for the data, on its device."""
    return channels_last(factory(num_classes=data.num_classes), data.device)


def channels_last(net: NetT, device: torch.device) -> NetT:
    """Moves a network to the device, with channels last: up to twice as fast, there as on CPUs."""
    return net.to(device).to(memory_format=torch.channels_last)


def sgd(net: nn.Module, lr: float, weight_decay: float = 5e-4) -> torch.optim.Optimizer:
    """The optimizer of all surrogates."""
    return torch.optim.SGD(net.parameters(), lr=lr, momentum=0.9, weight_decay=weight_decay, nesterov=True)


def one_cycle(step: int, total: int) -> float:
    """Share of the peak learning rate: linear warm-up over the first tenth, then half a cosine."""
    warm_up = max(1, total // 10)
    if step < warm_up:
        return (step + 1) / warm_up
    return 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1, total - warm_up)))


def freeze(net: nn.Module) -> nn.Module:
    """Puts the network into eval mode and stops gradients to its parameters.

    Raises:
        ValueError: if its training diverged, see `check_finite`.
    """
    check_finite(net)
    return net.eval().requires_grad_(False)


@contextmanager
def frozen(net: nn.Module) -> Iterator[nn.Module]:
    """Within the block: eval mode, no gradients to the parameters; afterwards train mode and gradients again.

    Unlike `freeze` it does not look at the weights, for which each step of a training would wait for a GPU.
    """
    net.eval().requires_grad_(False)
    try:
        yield net
    finally:
        net.train().requires_grad_(True)


@torch.no_grad()
def loss_and_accuracy(
    net: nn.Module, data: TrainingSet, noise: Callable[[Batch], Tensor] | None = None, batch_size: int = 512
) -> tuple[float, float]:
    """Mean cross-entropy and accuracy of a network, in its present mode, on the data plus `noise(batch)`."""
    losses, correct = [], []  # read when all are known: on a GPU nothing waits in between
    for batch in data.batches(batch_size):
        images = batch.images if noise is None else (batch.images + noise(batch)).clamp_(0, 1)
        outputs = net(images)
        losses.append(F.cross_entropy(outputs, batch.labels, reduction="sum"))
        correct.append((outputs.argmax(1) == batch.labels).sum())
    return sum(torch.stack(losses).tolist()) / len(data), sum(torch.stack(correct).tolist()) / len(data)
