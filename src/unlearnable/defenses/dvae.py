"""Purification by variational auto-encoders that disentangle a class's noise from the image."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm
from typing_extensions import override

from unlearnable import seeding
from unlearnable.data.samples import Samples
from unlearnable.defenses.dvae_net import Disentangled, DisentanglingVAE
from unlearnable.defenses.image import ImageDefense, as_floats, as_levels, images_of, rewritten
from unlearnable.files import whole_file
from unlearnable.options import Number, number, whole
from unlearnable.tasks import Classification, Task

#: κ and λ of either round.
_RATES = ((1.0, 0.01), (3.0, 0.5))
#: What p's mean square is held down to, and from which epoch on, counted from 0.
_SMALLEST_NOISE, _NOISE_FROM = 0.002, 11
#: Longest gradient.
_LONGEST = 5.0


class DVAE(ImageDefense):
    """D-VAE: trains an auto-encoder that splits each image into a reconstruction and a noise of its class; twice.

    From `Purify unlearnable examples via rate-constrained variational autoencoders <https://arxiv.org/abs/2405.01460>`_
    (Yu et al., ICML 2024). With the reconstruction r(x), the noise p(x, y) and the rate KL, in nats a place of the code,
    each round minimises

        MSE(r, x) + MSE(r + p, x) + λ max(KL, κ) + max(mean p², 0.002),

    the last term from the twelfth epoch on. The first round, κ = 1, takes the noise out: x ← x − p. The second, κ = 3,
    starts from there with a new network and takes the reconstruction: x ← r(x − p). λ is 0.01, then 0.5.

    Args:
        epochs: Of either round.
        lr: Of Adam, first; falls to zero along a cosine.
        width: Channels of the network at half the resolution.
        batch_size: Images a step.
    """

    purifies = True

    def __init__(
        self, *, epochs: Number = 60, lr: Number = 0.005, width: Number = 32, batch_size: Number = 128
    ) -> None:
        self.epochs = whole("defense.epochs", epochs, what="a number of epochs")
        self.lr = number("defense.lr", lr, above=0)
        self.width = whole("defense.width", width, what="a number of channels")
        self.batch_size = whole("defense.batch_size", batch_size, at_least=2, what="a number of images")

    @override
    def setup(self, tasks: Mapping[str, Task]) -> None:
        if not any(isinstance(task, Classification) for task in tasks.values()):
            raise ValueError(f"D-VAE looks for the noise of a class, and there is no class task: {', '.join(tasks)}.")

    @override
    def purify(
        self, train: Samples, *, seed: int, device: torch.device, work_dir: Path, progress: bool = False
    ) -> Samples:
        for turn in range(2):
            folder = work_dir / f"round{turn}"
            folder.mkdir(exist_ok=True)
            net = self._trained(train, turn, seed=seed, device=device, folder=folder, progress=progress).eval()
            train = self._cleaned(train, net, reconstruct=turn == 1, device=device, folder=folder, progress=progress)
        return train

    def objective(
        self, found: Disentangled, images: Float[Tensor, "n c h w"], turn: int, epoch: int
    ) -> Float[Tensor, ""]:
        """What round `turn` minimises in `epoch`, both counted from 0."""
        loss = F.mse_loss(found.image, images) + F.mse_loss((found.image + found.noise).clamp(0, 1), images)
        least, weight = _RATES[turn]
        loss = loss + weight * found.rate.clamp_min(least)
        if epoch >= _NOISE_FROM:
            loss = loss + found.noise.square().mean().clamp_min(_SMALLEST_NOISE)
        return loss

    def _trained(
        self, train: Samples, turn: int, *, seed: int, device: torch.device, folder: Path, progress: bool
    ) -> DisentanglingVAE:
        """The network of a round; training goes on after the last epoch that is whole in `folder`."""
        task = train.class_task
        if task is None:
            raise ValueError("D-VAE looks for the noise of a class, and the data have no class task.")
        height, width = images_of(train.inputs).shape[2:]
        with seeding.drawing_from(seeding.generator("cpu", seed, turn)):
            net = DisentanglingVAE(task.channels, (height, width), width=self.width)
        net = net.to(device).train()
        optimizer = torch.optim.Adam(net.parameters(), lr=self.lr)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.epochs)
        parts: dict[str, Any] = {"net": net, "optimizer": optimizer, "schedule": schedule}
        saved, first = folder / "state.pt", 0
        if saved.exists():
            state = torch.load(saved, weights_only=True, map_location=device)
            first = state.pop("epochs")
            for name, part in parts.items():
                part.load_state_dict(state[name])
        for epoch in tqdm(range(first, self.epochs), f"D-VAE, round {turn + 1}", disable=not progress, leave=False):
            draws = seeding.generator(device, seed, turn, epoch, 1)
            order = torch.randperm(len(train), generator=seeding.generator("cpu", seed, turn, epoch))
            for images, labels in _batches(train, order, self.batch_size, device):
                optimizer.zero_grad()
                self.objective(net(images, labels, draws), images, turn, epoch).backward()
                torch.nn.utils.clip_grad_norm_(net.parameters(), _LONGEST)
                optimizer.step()
            schedule.step()
            with whole_file(saved) as temporary:
                torch.save(
                    {"epochs": epoch + 1, **{name: part.state_dict() for name, part in parts.items()}}, temporary
                )
        return net

    def _cleaned(
        self, train: Samples, net: nn.Module, *, reconstruct: bool, device: torch.device, folder: Path, progress: bool
    ) -> Samples:
        labels = train.labels

        @torch.no_grad()
        def change(levels: UInt8[Tensor, "b c h w"], rows: Int64[Tensor, " b"]) -> UInt8[Tensor, "b c h w"]:
            images, classes = as_floats(levels.to(device)), labels[rows].to(device)
            rest = (images - net(images, classes).noise).clamp(0, 1)
            return as_levels(net(rest, classes).image if reconstruct else rest)

        return rewritten(train, change, work_dir=folder, rows_at_once=256, progress=progress)


def _batches(
    train: Samples, order: Int64[Tensor, " n"], size: int, device: torch.device
) -> Iterator[tuple[Tensor, Tensor]]:
    """Whole batches in this order; all samples at once where there are fewer."""
    images, labels = images_of(train.inputs), train.labels
    size = min(size, len(order))
    for rows in order[: len(order) // size * size].split(size):
        yield as_floats(images[rows].to(device)), labels[rows].to(device)
