"""DeepConfuse (DC)."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import override

from unlearnable.data.samples import Samples
from unlearnable.options import Number, existing_file, number, whole
from unlearnable.poisons.image.base import ImagePoison, Perturb
from unlearnable.poisons.image.budget import Norm, project
from unlearnable.poisons.image.checkpoint import Checkpoint
from unlearnable.poisons.image.surrogate import NetFactory, build, channels_last, freeze
from unlearnable.poisons.image.training_set import Batch, TrainingSet, images_of
from unlearnable.poisons.image.unet import UNet


class DC(ImagePoison):
    """DeepConfuse: a network that writes the noise, trained against the course of a victim's training.

    From `Learning to Confuse: Generating Training Time Adversarial Data with Auto-Encoder
    <https://arxiv.org/abs/1905.09027>`_ (Feng et al., NeurIPS 2019), Algorithm 1. In each trial a fresh victim θ is
    trained on x + ρ·g_ξ(x), and for every batch on the way the generator ξ' learns to make that very step harmful on
    clean data:

        θ' = θ − α_f ∇_θ L(f_θ(x + ρ·g_ξ'(x)), y),    ξ' ← ξ' + α_a ∇_ξ' L(f_θ'(x), y),

    through the step, so with second derivatives. ξ ← ξ' at the end of a trial. The paper stores the victim's whole
    trajectory first and goes through it afterwards; since the trajectory depends on the old ξ alone, both run side by
    side here with the same result and without the store.

    The public code's victim for CIFAR-10 is a VGG-11 with a bottleneck of two channels, and it keeps the generator whose
    victim has the lowest accuracy on the test set. Here the victim is the `surrogate`, and the last generator is kept:
    no test image is looked at.

    Args:
        surrogate: Builds the victim; called as `surrogate(num_classes=k)`.
        radius: ρ, see `ImagePoison`.
        norm: `linf`, as in the paper, where the generator's output is in [−ρ, ρ]; others project it.
        fraction: See `ImagePoison`.
        trials: Trials T; the paper's are 500, the public code's up to 1,000.
        epochs: Epochs of the victim in each trial; the public code's are 20 on CIFAR-10 and 1 on MNIST.
        lr: α_f of the victim's plain gradient steps.
        generator_lr: α_a, of Adam.
        width: Channels of the generator's first stage; the public code's are 64.
        generator_path: A trained generator's state dict, such as the public benchmark's; then no training.
        train_batch_size: Batch size of victim and generator; the public code's are 256 on CIFAR-10 and 64 on MNIST.
        batch_size: See `ImagePoison`.
    """

    def __init__(
        self,
        *,
        surrogate: NetFactory,
        radius: Number,
        norm: Norm = "linf",
        fraction: Number | Sequence[int] = 1.0,
        trials: int = 10,
        epochs: int = 1,
        lr: Number = 0.01,
        generator_lr: Number = 1e-4,
        width: int = 16,
        generator_path: str | Path | None = None,
        train_batch_size: int = 64,
        batch_size: int = 256,
    ) -> None:
        super().__init__(radius=radius, norm=norm, fraction=fraction, batch_size=batch_size)
        self.surrogate = surrogate
        self.trials = whole("trials", trials)
        self.epochs = whole("epochs", epochs)
        self.lr = number("lr", lr, above=0)
        self.generator_lr = number("generator_lr", generator_lr, above=0)
        self.width = whole("width", width)
        self.generator_path = (
            None if generator_path is None else existing_file("generator_path", generator_path, what="a state dict")
        )
        self.train_batch_size = whole("train_batch_size", train_batch_size)

    @property
    @override
    def files(self) -> tuple[Path, ...]:
        return () if self.generator_path is None else (self.generator_path,)

    @override
    def check(self, samples: Samples) -> None:
        """Also checks that the images can be halved three times."""
        super().check(samples)
        height, width = images_of(samples).shape[2:]
        if height % 8 or width % 8:
            raise ValueError(
                f"DC's generator halves images three times and needs sides divisible by 8; got {height}×{width}."
            )

    def prepare(self, data: TrainingSet) -> Perturb:
        """Loads or trains the generator."""
        channels = data.shape[0]
        path = self.generator_path
        generator = UNet(channels, self.width) if path is None else _load(path, channels)
        generator = channels_last(generator, data.device)
        if path is None:
            self._train(generator, data)
        freeze(generator)
        return lambda batch, _: self._noise(generator, batch)

    def _noise(self, generator: nn.Module, batch: Batch) -> Tensor:
        noise: Tensor = self.radius * generator(batch.images)
        return noise if self.norm == "linf" else project(noise, self.radius, self.norm)

    def _train(self, generator: nn.Module, data: TrainingSet) -> None:
        optimizer = torch.optim.Adam(generator.parameters(), lr=self.generator_lr)
        checkpoint = Checkpoint(data, "dc", {"generator": generator, "optimizer": optimizer})
        for trial in data.bar(range(checkpoint.restore(), self.trials), "DC: trials"):
            self._trial(generator, optimizer, data, trial)
            checkpoint.save(trial + 1)

    def _trial(self, generator: nn.Module, optimizer: torch.optim.Optimizer, data: TrainingSet, trial: int) -> None:
        """One victim's training, and the generator's step for each of its steps."""
        # Seeded by the trial, so that a resumed generation starts the same victims.
        torch.default_generator.manual_seed(data.stream("dc", "victim", trial).initial_seed())
        victim = build(self.surrogate, data).train()
        names, parameters = zip(*victim.named_parameters(), strict=True)
        old = freeze(copy.deepcopy(generator))
        generator.train()
        order = data.stream("dc", "order", trial)
        for _ in range(self.epochs):
            for batch in data.batches(self.train_batch_size, shuffle=order):
                if len(batch.rows) < 2:  # batch normalisation needs two
                    continue
                # The generator's step: through the victim's step that its noise would cause.
                loss = F.cross_entropy(victim(self._poisoned(generator, batch)), batch.labels)
                gradients = torch.autograd.grad(loss, parameters, create_graph=True)
                moved = {n: p - self.lr * g for n, p, g in zip(names, parameters, gradients, strict=True)}
                clean_loss = F.cross_entropy(torch.func.functional_call(victim, moved, batch.images), batch.labels)
                optimizer.zero_grad(set_to_none=True)
                torch.autograd.backward(-clean_loss, inputs=list(generator.parameters()))
                optimizer.step()
                # The victim's own step, on the noise of the trial's beginning.
                with torch.no_grad():
                    poisoned = self._poisoned(old, batch)
                gradients = torch.autograd.grad(F.cross_entropy(victim(poisoned), batch.labels), parameters)
                with torch.no_grad():
                    for parameter, gradient in zip(parameters, gradients, strict=True):
                        parameter.sub_(gradient, alpha=self.lr)

    def _poisoned(self, generator: nn.Module, batch: Batch) -> Tensor:
        return (batch.images + self._noise(generator, batch)).clamp(0, 1)


def _load(path: Path, channels: int) -> UNet:
    try:
        state = torch.load(path, weights_only=True, map_location="cpu")
        generator = UNet(channels, width=len(state["dconv_down1.0.weight"]))
        generator.load_state_dict(state)
    except Exception as error:  # torch raises many kinds for files that are broken or of another layout
        raise ValueError(
            f"`generator_path`: {path} is not the state dict of a {channels}-channel U-Net ({error})."
        ) from error
    return generator
