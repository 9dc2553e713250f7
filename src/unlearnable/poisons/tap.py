"""Targeted adversarial poisons (TAP)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from typing import Any

import torch
from torch import Generator, Tensor
from torch.nn import functional as F
from typing_extensions import override

from unlearnable import seeding
from unlearnable.data.modality.crop_flip import crop_and_flip
from unlearnable.data.samples import Samples
from unlearnable.options import Number, number, switch, whole
from unlearnable.poisons.image.base import Perturb
from unlearnable.poisons.image.descent import descend, gaussian_start
from unlearnable.poisons.image.trained import TrainedPoison
from unlearnable.poisons.image.training_set import Batch, TrainingSet, classes_of


class TAP(TrainedPoison):
    """Adversarial examples as training data: the images carry the features of another class under their own label.

    From `Adversarial Examples Make Strong Poisons <https://arxiv.org/abs/2106.10807>`_ (Fowl et al., NeurIPS 2021).
    On a network θ trained on the clean data, every image takes PGD steps that minimise L(f_θ(t(x + δ)), g(y))
    (equation 4, the targeted form) with the permutation g(y) = y + 3 mod K, or maximise L(f_θ(t(x + δ)), y)
    (equation 3, untargeted); t is the random crop and flip that the victims are trained with, drawn anew in each step and
    differentiated through. θ is in eval mode, and δ starts as N(0, radius²) clamped to the ball, as in the public code.

    The public code takes y + 1, a constant step of radius/20 for 250 steps, and the best of eight restarts. Here the
    step falls linearly from `step_size` to nothing and there is one start; at 250 steps more of the noise is at its
    bound for it (66 % of it against 51 % of the public rule's).

    What makes it strong on few images is not how readily θ takes them for the target, but, it seems, noise that others see
    too: a θ that has not fitted its images, and check points of its training in turn, an idea of `Self-Ensemble
    Protection <https://arxiv.org/abs/2211.12005>`_ (Chen et al., ICLR 2023). docs/results.md has the figures.

    Args:
        targeted: Towards g(y), or away from y.
        targets: g: one number s for y + s mod K, or the K targets as a list.
        steps: PGD steps; the paper's are 250.
        step_size: First step; None means 10·radius/steps, but no less than a tenth of the radius: a few steps that fall
            to nothing must be long, or the noise never gets to its bound.
        epochs: Epochs that θ is trained for.
        checkpoints: θ at the end of each of the last so many epochs: they take turns, one a step, at no further cost.
        expectation: Whether the attack is on t(x + δ), or on x + δ as it is; θ is trained with t either way.
        **options: See `TrainedPoison`; `crop` and `flip` are t's, and θ is trained with t too.
    """

    def __init__(
        self,
        *,
        targeted: bool = True,
        targets: int | Sequence[int] = 3,
        steps: int = 250,
        step_size: Number | None = None,
        epochs: int = 40,
        checkpoints: int = 1,
        expectation: bool = True,
        **options: Any,
    ) -> None:
        super().__init__(epochs=epochs, **options)
        self.targeted = switch("targeted", targeted)
        self.targets = (
            [whole("targets", target, at_least=0) for target in targets]
            if isinstance(targets, Sequence)
            else whole("targets", targets)
        )
        self.steps = whole("steps", steps)
        self.step_size = (
            self.radius * min(1, max(0.1, 10 / self.steps))
            if step_size is None
            else number("step_size", step_size, above=0)
        )
        self.checkpoints = whole("checkpoints", checkpoints)
        if self.checkpoints > self.epochs:
            raise ValueError(f"`checkpoints` must be at most `epochs` = {self.epochs}; got {self.checkpoints}.")
        self.expectation = switch("expectation", expectation)

    @override
    def check(self, samples: Samples) -> None:
        """Also checks that g is a map of these classes; see `target_map`."""
        super().check(samples)
        self.target_map(classes_of(samples)[1])

    def prepare(self, data: TrainingSet) -> Perturb:
        """Trains the networks; each batch is then attacked by itself."""
        target_of = self.target_map(data.num_classes).to(data.device)
        nets = self.networks(data, self.checkpoints)

        def perturb(batch: Batch, generator: Generator) -> Tensor:
            goal = target_of[batch.labels] if self.targeted else batch.labels
            turns, draws = cycle(nets), seeding.there(generator, data.device)

            def objective(images: Tensor) -> Tensor:
                seen = (
                    crop_and_flip(images, crop=self.crop, flip=self.flip, generator=draws)
                    if self.expectation
                    else images
                )
                loss = F.cross_entropy(next(turns)(seen), goal, reduction="sum")
                return loss if self.targeted else -loss

            return descend(
                batch.images,
                gaussian_start(batch.images, self.radius, self.norm, draws),
                objective,
                radius=self.radius,
                norm=self.norm,
                steps=self.steps,
                step_size=lambda step: self.step_size * (1 - step / self.steps),
            )

        return perturb

    def target_map(self, num_classes: int) -> Tensor:
        """Returns g as a tensor [classes].

        Raises:
            ValueError: If g leaves the classes, or maps a class to itself.
        """
        labels = torch.arange(num_classes)
        if isinstance(self.targets, int):
            goal = (labels + self.targets) % num_classes
        else:
            if len(self.targets) != num_classes:
                raise ValueError(f"`targets` must have one entry per class, {num_classes}; got {len(self.targets)}.")
            goal = torch.tensor(self.targets)
            if goal.min() < 0 or goal.max() >= num_classes:
                raise ValueError(f"`targets` must be classes in [0, {num_classes}); got {self.targets}.")
        if self.targeted and (goal == labels).any():
            label = int((goal == labels).nonzero()[0])
            raise ValueError(
                f"`targets` must send every class to another one; {self.targets} sends class {label} to itself "
                f"with {num_classes} classes."
            )
        return goal
