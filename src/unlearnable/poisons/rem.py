"""Robust error-minimising noise (REM)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from unlearnable import seeding
from unlearnable.data.modality.crop_flip import crop_and_flip
from unlearnable.options import Number, number, switch, whole
from unlearnable.poisons.image.base import ImagePoison, Perturb, save_atomically
from unlearnable.poisons.image.budget import Norm
from unlearnable.poisons.image.descent import descend, random_start
from unlearnable.poisons.image.surrogate import (
    NetFactory,
    build,
    freeze,
    frozen,
    make_fabric,
    sgd,
)
from unlearnable.poisons.image.training_set import Batch, TrainingSet

#: How the attack within the objective is found.
ATTACKS = ("adversarial", "random")


class REM(ImagePoison):
    """Robust error-minimising noise: also hides the images from adversarial training.

    From `Robust Unlearnable Examples: Protecting Data Against Adversarial Learning
    <https://arxiv.org/abs/2203.14533>`_ (Fu et al., ICLR 2022), Algorithm 1. The network θ (the paper's noise
    generator) is trained on x + δᵘ under a further attack δᵃ and a random transformation t,

        min_θ Σ_i min_{‖δᵘ‖ ≤ ρᵤ} E_t max_{‖δᵃ‖ ≤ ρₐ} L(f_θ(t(x_i + δᵘ) + δᵃ), y_i)   (equation 8).

    In every iteration the batch's δᵘ is found anew by PGD, whose gradient is the mean over J draws of t, each with its
    own PGD for δᵃ; then θ takes a step on t(x + δᵘ) + δᵃ. Both δ start at random in their balls, as in the public code.
    After the last iteration the noise of all images is made against the final θ. t is the random crop and flip that the
    victims are trained with.

    An iteration costs about Kᵤ·J·(Kₐ + 1) passes, hundreds of times a training step. The paper's counts are 5,000
    iterations, Kᵤ = Kₐ = 10, J = 5, and step sizes ρ/5; the defaults here are what two CPU cores do in minutes.

    Args:
        surrogate: Builds the network θ; called as `surrogate(num_classes=k)`.
        radius: ρᵤ, see `ImagePoison`.
        adversarial_radius: ρₐ; None means half of ρᵤ, as 4/255 to 8/255. 0 leaves out the attack.
        norm: Norm of both budgets.
        fraction: See `ImagePoison`.
        iterations: Training steps of θ.
        noise_steps: Kᵤ.
        adversarial_steps: Kₐ.
        attack: How δᵃ is found: by PGD (`adversarial`), or drawn evenly from its ball (`random`), Kₐ times cheaper: `Stable
            Error-Minimization <https://arxiv.org/abs/2311.13091>`_ (SEM, Liu et al., AAAI 2024; `poison=sem`).
        samples: J.
        lr: Initial learning rate of θ, multiplied by 0.1 after two fifths and after four fifths of the iterations.
        crop: Padding of t's random crop, in pixels; 0 for none.
        flip: Whether t mirrors images at random.
        train_batch_size: Batch size of θ.
        batch_size: See `ImagePoison`.
    """

    def __init__(
        self,
        *,
        surrogate: NetFactory,
        radius: Number,
        adversarial_radius: Number | None = None,
        norm: Norm = "linf",
        fraction: Number | Sequence[int] = 1.0,
        iterations: int = 200,
        noise_steps: int = 5,
        adversarial_steps: int = 2,
        attack: str = "adversarial",
        samples: int = 1,
        lr: Number = 0.1,
        crop: int = 0,
        flip: bool = False,
        train_batch_size: int = 128,
        batch_size: int = 256,
    ) -> None:
        super().__init__(radius=radius, norm=norm, fraction=fraction, batch_size=batch_size)
        self.adversarial_radius = (
            self.radius / 2
            if adversarial_radius is None
            else number("adversarial_radius", adversarial_radius, at_least=0)
        )
        if self.adversarial_radius >= self.radius:
            raise ValueError(
                f"`adversarial_radius` must lie in [0, radius = {radius}): an attack as strong as the noise undoes it; "
                f"got {adversarial_radius}."
            )
        self.surrogate = surrogate
        self.iterations = whole("iterations", iterations)
        self.noise_steps = whole("noise_steps", noise_steps)
        self.adversarial_steps = whole("adversarial_steps", adversarial_steps, at_least=0)
        if attack not in ATTACKS:
            raise ValueError(f"`attack` must be one of {', '.join(ATTACKS)}; got {attack!r}.")
        self.attack = attack
        self.samples = whole("samples", samples)
        self.lr = number("lr", lr, above=0)
        self.crop = whole("crop", crop, at_least=0)
        self.flip = switch("flip", flip)
        self.train_batch_size = whole("train_batch_size", train_batch_size)

    def prepare(self, data: TrainingSet) -> Perturb:
        """Trains θ; the noise of each batch is then made against it."""
        net = build(self.surrogate, data)
        saved = None if data.work_dir is None else data.work_dir / "rem.pt"
        if saved is not None and saved.exists():
            net.load_state_dict(torch.load(saved, weights_only=True, map_location=data.device))
        else:
            self._train(net, data)
            if saved is not None:
                save_atomically(net.state_dict(), saved)
        freeze(net)
        return lambda batch, generator: self._noise(net, batch, seeding.there(generator, data.device))

    def _train(self, net: nn.Module, data: TrainingSet) -> None:
        fabric = make_fabric(data.device)
        optimizer: Any = sgd(net, self.lr)
        model, optimizer = fabric.setup(net, optimizer)
        drops = [2 * self.iterations // 5, 4 * self.iterations // 5]
        schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, drops, gamma=0.1)
        batches = data.endless(self.train_batch_size, shuffle=data.stream("rem", "order"))
        draws = data.stream("rem", "augment", device=data.device)
        for _, batch in zip(data.bar(range(self.iterations), "REM: iterations"), batches, strict=False):
            with frozen(net):
                noise = self._noise(net, batch, draws)
                seen = self._transform((batch.images + noise).clamp_(0, 1), draws)
                seen = seen + self._attack(net, seen, batch.labels, draws)
            optimizer.zero_grad(set_to_none=True)
            fabric.backward(F.cross_entropy(model(seen), batch.labels))
            optimizer.step()
            schedule.step()

    def _noise(self, net: nn.Module, batch: Batch, generator: Generator) -> Tensor:
        """δᵘ for a batch: the min-max-min problem's inner minimum for a fixed θ."""

        def objective(images: Tensor) -> Tensor:
            losses = []
            for _ in range(self.samples):
                seen = self._transform(images, generator)
                attacked = seen + self._attack(net, seen.detach(), batch.labels, generator)
                losses.append(F.cross_entropy(net(attacked), batch.labels, reduction="sum"))
            return torch.stack(losses).mean()

        return descend(
            batch.images,
            random_start(batch.images, self.radius, self.norm, generator),
            objective,
            radius=self.radius,
            norm=self.norm,
            steps=self.noise_steps,
            step_size=self.radius / min(5, max(1, self.noise_steps / 2)),
        )

    def _transform(self, images: Tensor, generator: Generator) -> Tensor:
        """A draw of t for every image."""
        return crop_and_flip(images, crop=self.crop, flip=self.flip, generator=generator)

    def _attack(self, net: nn.Module, images: Tensor, labels: Tensor, generator: Generator) -> Tensor:
        """δᵃ for transformed images: a random start, and PGD from there that raises the loss if the attack is adversarial."""
        if self.adversarial_radius == 0:
            return torch.zeros_like(images)
        start = random_start(images, self.adversarial_radius, self.norm, generator)
        if self.attack == "random":
            return start
        return descend(
            images,
            start,
            lambda seen: -F.cross_entropy(net(seen), labels, reduction="sum"),
            radius=self.adversarial_radius,
            norm=self.norm,
            steps=self.adversarial_steps,
            step_size=self.adversarial_radius / min(5, max(1, self.adversarial_steps / 2)),
        )
