"""Error-minimising noise (EM)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from unlearnable.options import Number, number, switch, whole
from unlearnable.poisons.base import check_finite
from unlearnable.poisons.image.base import ImagePoison, Perturb
from unlearnable.poisons.image.budget import Norm, project, steepest_step
from unlearnable.poisons.image.checkpoint import Checkpoint
from unlearnable.poisons.image.descent import Objective, descend, random_start
from unlearnable.poisons.image.surrogate import NetFactory, build, frozen, loss_and_accuracy, make_fabric, sgd
from unlearnable.poisons.image.training_set import Batch, TrainingSet


class EM(ImagePoison):
    """Error-minimising noise: the training loss falls before the network has learnt anything from the images.

    From `Unlearnable Examples: Making Personal Data Unexploitable <https://arxiv.org/abs/2101.04898>`_ (Huang et al.,
    ICLR 2021), Algorithm 1. It solves min_θ Σ_i min_{‖δ_i‖ ≤ ρ} L(f_θ(x_i + δ_i), y_i), equation 1, by turns: M
    batches of training for the surrogate θ, then T steps of descent for every δ_i,

        δ ← Π_ρ(δ − α·sign ∇_δ L(f_θ(x + δ), y)),

    until the surrogate's accuracy on x + δ exceeds λ. The class-wise form has one δ per class, whose gradient is that
    of the class's images in the batch; the public code averages the images' separate noises instead. δ starts at random
    in the ball; the public code's starts at zero.

    Args:
        surrogate: Builds the network θ; called as `surrogate(num_classes=k)`.
        radius: ρ, see `ImagePoison`.
        norm: See `ImagePoison`.
        fraction: See `ImagePoison`.
        classwise: One noise per class instead of one per image.
        surrogate_steps: M, batches that the surrogate trains for in each round.
        noise_steps: T, descent steps for the noise in each round.
        step_size: α; None means the paper's, a tenth of the radius.
        stop_accuracy: λ, in (0, 1].
        min_rounds: Rounds before λ counts. The paper has 1; an easy data set is fitted at once, by noise that has
            hardly met the surrogate.
        max_rounds: Rounds after which the noise is taken as it is.
        lr: Learning rate of the surrogate (SGD, momentum 0.9, weight decay 5e-4).
        train_batch_size: Batch size of the surrogate.
        batch_size: See `ImagePoison`.
    """

    def __init__(
        self,
        *,
        surrogate: NetFactory,
        radius: Number,
        norm: Norm = "linf",
        fraction: Number | Sequence[int] = 1.0,
        classwise: bool = False,
        surrogate_steps: int = 10,
        noise_steps: int = 20,
        step_size: Number | None = None,
        stop_accuracy: Number = 0.99,
        min_rounds: int = 1,
        max_rounds: int = 50,
        lr: Number = 0.1,
        train_batch_size: int = 128,
        batch_size: int = 256,
    ) -> None:
        super().__init__(radius=radius, norm=norm, fraction=fraction, batch_size=batch_size)
        self.surrogate = surrogate
        self.classwise = switch("classwise", classwise)
        self.surrogate_steps = whole("surrogate_steps", surrogate_steps)
        self.noise_steps = whole("noise_steps", noise_steps)
        self.step_size = self.radius / 10 if step_size is None else number("step_size", step_size, above=0)
        self.stop_accuracy = number("stop_accuracy", stop_accuracy, above=0, at_most=1)
        self.min_rounds = whole("min_rounds", min_rounds)
        self.max_rounds = whole("max_rounds", max_rounds)
        self.lr = number("lr", lr, above=0)
        self.train_batch_size = whole("train_batch_size", train_batch_size)

    def prepare(self, data: TrainingSet) -> Perturb:
        """Runs the alternation to its end; a batch's noise is then looked up."""
        noise = self._start(data)
        net = build(self.surrogate, data)
        fabric = make_fabric(data.device)
        optimizer: Any = sgd(net, self.lr)
        model, optimizer = fabric.setup(net, optimizer)
        checkpoint = Checkpoint(data, "em", {"net": net, "optimizer": optimizer}, {"noise": noise})
        for turn in data.bar(range(checkpoint.restore(), self.max_rounds), "EM: rounds"):
            model.train()
            # Streams per round, so that a resumed generation meets the same batches, and a surrogate's dropout.
            data.seed_networks("em", turn)
            batches = data.endless(self.train_batch_size, shuffle=data.stream("em", "order", turn))
            for _, batch in zip(range(self.surrogate_steps), batches, strict=False):
                images = (batch.images + self._look_up(noise, batch)).clamp_(0, 1)
                optimizer.zero_grad(set_to_none=True)
                fabric.backward(F.cross_entropy(model(images), batch.labels))
                nn.utils.clip_grad_norm_(net.parameters(), 5.0)  # as the public code does
                optimizer.step()
            check_finite(net)
            with frozen(net):
                draws = data.stream("em", "objective", turn, device=data.device)
                for batch in data.batches(self.batch_size):
                    self._descend(net, noise, batch, draws)
                _, accuracy = loss_and_accuracy(net, data, lambda batch: self._look_up(noise, batch))
            stop = accuracy > self.stop_accuracy and turn + 1 >= self.min_rounds
            checkpoint.save(self.max_rounds if stop else turn + 1)
            if stop:
                break
        return lambda batch, generator: self._look_up(noise, batch)  # noqa: ARG005

    def _start(self, data: TrainingSet) -> Tensor:
        draws = data.stream("em", "start", device=data.device)
        if self.classwise:
            # No image to clip against: grey has room on both sides.
            grey = torch.full((data.num_classes, *data.shape), 0.5, device=data.device)
            return random_start(grey, self.radius, self.norm, draws)
        noise = data.noise_store("em")
        for batch in data.batches(self.batch_size):
            batch.put(noise, random_start(batch.images, self.radius, self.norm, draws))
        return noise

    def _look_up(self, noise: Tensor, batch: Batch) -> Tensor:
        """The batch's noise, on the batch's device."""
        return noise[batch.labels] if self.classwise else batch.of(noise)

    def objective(self, net: nn.Module, labels: Tensor, draws: Generator) -> Objective:  # noqa: ARG002
        """What the noise of images with these labels descends on, for a fixed network; other forms of EM have their own.

        Args:
            net: θ, in eval mode, its parameters without gradients.
            labels: Classes `[n]`.
            draws: Of what is random in it.
        """
        return lambda images: F.cross_entropy(net(images), labels, reduction="sum")

    def _descend(self, net: nn.Module, noise: Tensor, batch: Batch, draws: Generator) -> None:
        """T steps for the noise that the batch meets, in place."""
        loss = self.objective(net, batch.labels, draws)
        if not self.classwise:
            found = descend(
                batch.images,
                self._look_up(noise, batch),
                loss,
                radius=self.radius,
                norm=self.norm,
                steps=self.noise_steps,
                step_size=self.step_size,
            )
            batch.put(noise, found)
            return
        part = noise
        for _ in range(self.noise_steps):  # a class that the batch does not have stays: its gradient is zero
            part = part.detach().requires_grad_(True)
            (gradient,) = torch.autograd.grad(loss((batch.images + part[batch.labels]).clamp(0, 1)), part)
            with torch.no_grad():
                part = project(part + steepest_step(gradient, self.step_size, self.norm), self.radius, self.norm)
        noise.copy_(part.detach())
