"""Noise that minimises learnability itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import cycle
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unlearnable.options import Number, number, whole
from unlearnable.poisons.image.base import Perturb
from unlearnable.poisons.image.budget import round_to_grid
from unlearnable.poisons.image.checkpoint import Checkpoint
from unlearnable.poisons.image.descent import Objective, descend, random_start
from unlearnable.poisons.image.trained import TrainedPoison
from unlearnable.poisons.image.training_set import TrainingSet
from unlearnable.probing.weight_space import Weights, first_order_sal, layer_gradients

#: Added to SAL before its logarithm, as the geometric distance adds it: what SAL is resolved to.
TAU = 1e-3


class Flat(TrainedPoison):
    """Noise that lowers the surrogate's SAL: there shall be nothing to learn from in any layer, all along its training.

    A method of this project. EM lowers the training loss L, of which learnability is a consequence; this lowers

        L(θ; x + δ) + λ Σ_l log(SAL_l + τ) + μ Σ_l cos(∇_l L(θ; x + δ), ∇_l L(θ; x))

    with SAL_l ≈ ε‖θ_l‖‖∇_l L‖, its value to first order, differentiated through δ. The mean of its second term over
    layers is the logarithm of the geometric distance, but for the clean run. The third term says what unlearnable means:
    a step that lowers the loss on the poisoned images shall not lower that on the clean ones.

    θ is not one network but a training's check points, in turn, one a step. In every round a network is trained anew on
    the images with their present noise (first: random noise), then every image's δ takes its steps.

    Args:
        eps: ε of SAL.
        sal_weight: λ, for the sum over layers divided by their number; 0 leaves the term out.
        alignment: μ, likewise.
        rounds: How often a network is trained and the noise descends.
        noise_steps: Steps of descent in each round.
        step_size: Length of a step; None means a tenth of the radius.
        epochs: Epochs that a network is trained for.
        first_epoch: The first epoch whose check point counts; 1 takes all, `epochs` the last alone.
        **options: See `TrainedPoison`; the gradient by the weights is that of the mean loss of `batch_size` images.
    """

    def __init__(
        self,
        *,
        eps: Number = 0.05,
        sal_weight: Number = 1.0,
        alignment: Number = 0.0,
        rounds: int = 3,
        noise_steps: int = 20,
        step_size: Number | None = None,
        epochs: int = 4,
        first_epoch: int = 1,
        **options: Any,
    ) -> None:
        super().__init__(epochs=epochs, **options)
        self.eps = number("eps", eps, above=0)
        self.sal_weight = number("sal_weight", sal_weight, at_least=0)
        self.alignment = number("alignment", alignment, at_least=0)
        self.rounds = whole("rounds", rounds)
        self.noise_steps = whole("noise_steps", noise_steps)
        self.step_size = self.radius / 10 if step_size is None else number("step_size", step_size, above=0)
        self.first_epoch = whole("first_epoch", first_epoch)
        if self.first_epoch > self.epochs:
            raise ValueError(f"`first_epoch` must be at most `epochs` = {self.epochs}; got {self.first_epoch}.")

    def prepare(self, data: TrainingSet) -> Perturb:
        """Runs the rounds; a batch's noise is then looked up."""
        noise = data.noise_store("flat")
        for batch in data.batches(self.batch_size):
            draws = data.stream("flat", "start", int(batch.rows[0]), device=data.device)
            batch.put(noise, random_start(batch.images, self.radius, self.norm, draws))
        checkpoint = Checkpoint(data, "flat", {}, {"noise": noise})
        for turn in data.bar(range(checkpoint.restore(), self.rounds), "Flat: rounds"):
            data.seed_networks("flat", turn)
            nets = self.networks(self._with_noise(data, noise, turn), self.epochs - self.first_epoch + 1)
            for batch in data.batches(self.batch_size):
                found = descend(
                    batch.images,
                    batch.of(noise),
                    self.objective(nets, batch.images, batch.labels),
                    radius=self.radius,
                    norm=self.norm,
                    steps=self.noise_steps,
                    step_size=self.step_size,
                )
                batch.put(noise, found)
            checkpoint.save(turn + 1)
        return lambda batch, generator: batch.of(noise)  # noqa: ARG005

    def objective(self, nets: Sequence[nn.Module], clean: Tensor, labels: Tensor) -> Objective:
        """What the noise of a batch descends on: summed over images, one of the networks after the other."""
        turns = cycle(nets)

        def loss(images: Tensor) -> Tensor:
            net = next(turns)
            if not self.sal_weight and not self.alignment:
                return F.cross_entropy(net(images), labels, reduction="sum")

            def mean_loss(network: Callable[[Tensor], Tensor], seen: Tensor) -> Tensor:
                return F.cross_entropy(network(seen), labels)

            found = mean_loss(net, images)
            gradients, weights = layer_gradients(net, lambda network: mean_loss(network, images), differentiable=True)
            if self.sal_weight:
                sal = first_order_sal(gradients, weights, self.eps)
                found = found + self.sal_weight * (sal + TAU).log().mean()
            if self.alignment:
                wanted, _ = layer_gradients(net, lambda network: mean_loss(network, clean), differentiable=False)
                found = found + self.alignment * _cosines(gradients, wanted).mean()
            return found * len(images)

        return loss

    def _with_noise(self, data: TrainingSet, noise: Tensor, turn: int) -> TrainingSet:
        """The images with their present noise, with scratch space of their own."""
        images = data.room(f"flat_{turn}")
        for batch in data.batches(self.batch_size):
            images[batch.rows] = round_to_grid(batch.levels, batch.of(noise), self.radius, self.norm).cpu()
        folder = None if data.work_dir is None else data.work_dir / f"round_{turn}"
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        return TrainingSet(data.samples.replace(inputs=images), data.seed, data.device, data.progress, folder)


def _cosines(gradients: Weights, others: Weights) -> Tensor:
    """Cosine of the two gradients in each layer, `[layers]`."""
    return torch.stack([F.cosine_similarity(gradients[n].flatten(), others[n].flatten(), dim=0) for n in gradients])
