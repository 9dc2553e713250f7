"""Error-minimising noise for all tasks at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override

from unlearnable.data.samples import Samples
from unlearnable.models.multi_head import make_multi_task_net
from unlearnable.models.weighting import forget, make_aggregator
from unlearnable.options import Number, number, whole
from unlearnable.poisons.base import check_finite
from unlearnable.poisons.image.base import ImagePoison, Perturb
from unlearnable.poisons.image.budget import Norm, project, steepest_step
from unlearnable.poisons.image.checkpoint import Checkpoint
from unlearnable.poisons.image.descent import random_start
from unlearnable.poisons.image.multi_task import Objective
from unlearnable.poisons.image.surrogate import NetFactory, frozen, make_fabric, sgd
from unlearnable.poisons.image.training_set import Batch, TrainingSet
from unlearnable.tasks.base import TaskLoss, choose_tasks


class EMMulti(ImagePoison):
    """Error-minimising noise against several tasks: a step towards data that no task can learn from.

    EM (Huang et al., 2021, see `EM`) solves min_θ Σ_i min_{‖δ_i‖ ≤ ρ} L(f_θ(x_i + δ_i), y_i) for one classification. Here
    θ is a net with one head a task, and L is the mean over tasks of L_t / L_t⁰, with L_t⁰ the task's loss on the clean
    images before training, so that no task counts for more because its loss has larger numbers. The alternation is
    EM's: M batches of training for θ, then T steps of descent for every δ_i; it ends when the mean of L_t / L_t⁰ on the
    perturbed images falls below `stop_ratio`, since most tasks have no accuracy.

    With an aggregator, an image's T gradients ∇_δ L_t / L_t⁰ are combined by it (Jacobian descent, Quinton and Rey 2024)
    before the step, one Jacobian `[tasks, pixels]` an image, so that a step need not serve one task at another's cost.

    Args:
        surrogate: Builds the backbone of θ; called as `surrogate(1)`.
        radius: ρ, see `ImagePoison`.
        norm: See `ImagePoison`.
        fraction: See `ImagePoison`; shares are drawn from the classes of the first class task.
        tasks: Names of the tasks to be made unlearnable; None takes all.
        aggregator: None sums the gradients; else a name as in `task.aggregator`. `upgrad` solves one small quadratic
            programme an image and step: slow.
        surrogate_steps: M.
        noise_steps: T.
        step_size: Of a step; None means a tenth of the radius.
        stop_ratio: In (0, 1), of the mean normalised loss.
        max_rounds: Rounds after which the noise is taken as it is.
        lr: Learning rate of θ (SGD, momentum 0.9, weight decay 5e-4).
        train_batch_size: Batch size of θ.
        batch_size: See `ImagePoison`.
    """

    needs_classes = False

    def __init__(
        self,
        *,
        surrogate: NetFactory,
        radius: Number,
        norm: Norm = "linf",
        fraction: Number | Sequence[int] = 1.0,
        tasks: Sequence[str] | None = None,
        aggregator: str | None = None,
        surrogate_steps: int = 10,
        noise_steps: int = 20,
        step_size: Number | None = None,
        stop_ratio: Number = 0.05,
        max_rounds: int = 20,
        lr: Number = 0.05,
        train_batch_size: int = 64,
        batch_size: int = 128,
    ) -> None:
        super().__init__(radius=radius, norm=norm, fraction=fraction, batch_size=batch_size)
        if aggregator is not None:
            make_aggregator(aggregator, 2, what="poison.aggregator")  # fails here rather than after the first round
        self.surrogate = surrogate
        self.chosen = None if tasks is None else list(tasks)
        self.aggregator = aggregator
        self.surrogate_steps = whole("surrogate_steps", surrogate_steps)
        self.noise_steps = whole("noise_steps", noise_steps)
        self.step_size = self.radius / 10 if step_size is None else number("step_size", step_size, above=0)
        self.stop_ratio = number("stop_ratio", stop_ratio, above=0, below=1)
        self.max_rounds = whole("max_rounds", max_rounds)
        self.lr = number("lr", lr, above=0)
        self.train_batch_size = whole("train_batch_size", train_batch_size)

    @override
    def check(self, samples: Samples) -> None:
        """Also checks that the chosen tasks are among the samples'."""
        super().check(samples)
        self._objective(samples)

    @override
    def prepare(self, data: TrainingSet) -> Perturb:
        """Runs the alternation to its end; a batch's noise is then looked up."""
        objective = self._objective(data.samples)
        net = make_multi_task_net(self.surrogate, {name: loss.task for name, loss in objective.losses.items()})
        net = net.to(data.device)
        fabric = make_fabric(data.device)
        optimizer: Any = sgd(net, self.lr)
        model, optimizer = fabric.setup(net, optimizer)
        noise, scale = data.noise_store("em_multi"), torch.zeros(len(objective.losses), device=data.device)
        parts = {"net": net, "optimizer": optimizer}
        checkpoint = Checkpoint(data, "em_multi", parts, {"noise": noise, "scale": scale})
        first = checkpoint.restore()
        if first == 0:
            self._start(data, net, objective, noise, scale)
        for turn in data.bar(range(first, self.max_rounds), "EMMulti: rounds"):
            model.train()
            data.seed_networks("em_multi", turn)
            batches: Iterator[Batch] = data.endless(
                self.train_batch_size, shuffle=data.stream("em_multi", "order", turn)
            )
            for _, batch in zip(range(self.surrogate_steps), batches, strict=False):
                outputs = model((batch.images + batch.of(noise)).clamp_(0, 1))
                optimizer.zero_grad(set_to_none=True)
                fabric.backward((objective(outputs, objective.of(batch)) / scale).mean())
                nn.utils.clip_grad_norm_(net.parameters(), 5.0)
                optimizer.step()
            check_finite(net)
            total = torch.zeros_like(scale)
            with frozen(net):
                for batch in data.batches(self.batch_size):
                    moved = self._descend(net, batch, batch.of(noise), objective, scale)
                    batch.put(noise, moved)
                    with torch.no_grad():
                        total += objective(net(batch.images + moved), objective.of(batch)) * len(batch.rows)
            done = float((total / len(data) / scale).mean()) < self.stop_ratio
            checkpoint.save(self.max_rounds if done else turn + 1)
            if done:
                break
        return lambda batch, generator: batch.of(noise)  # noqa: ARG005

    def _objective(self, samples: Samples) -> Objective:
        tasks = choose_tasks(samples.tasks, self.chosen, what="poison.tasks")
        if not tasks:
            raise ValueError("em_multi needs samples that name at least one task.")
        return Objective({name: TaskLoss(task) for name, task in tasks.items()}, samples.targets)

    def _descend(
        self, net: nn.Module, batch: Batch, noise: Tensor, objective: Objective, scale: Tensor
    ) -> Float[Tensor, "b c h w"]:
        """T steps for the noise of a batch."""
        combine, targets = self._combiner(len(objective.losses)), objective.of(batch)
        for _ in range(self.noise_steps):
            noise = noise.detach().requires_grad_(True)
            losses = objective(net(batch.images + noise), targets) / scale
            gradient = combine(losses, noise)
            with torch.no_grad():
                step = steepest_step(gradient, self.step_size, self.norm)
                noise = project(noise + step, self.radius, self.norm)
                noise = (batch.images + noise).clamp_(0, 1).sub_(batch.images)
        return noise.detach()

    def _combiner(self, tasks: int) -> Callable[[Tensor, Tensor], Tensor]:
        """How the tasks' losses become one gradient with respect to the noise."""
        if self.aggregator is None:
            return lambda losses, noise: torch.autograd.grad(losses.sum(), noise)[0]
        aggregate = make_aggregator(self.aggregator, tasks, what="poison.aggregator")

        def alone(jacobian: Tensor) -> Tensor:
            forget(aggregate)  # what it remembers is of another image
            combined: Tensor = aggregate(jacobian)
            return combined

        def combine(losses: Tensor, noise: Tensor) -> Tensor:
            rows = [torch.autograd.grad(loss, noise, retain_graph=True)[0].flatten(1) for loss in losses]
            # [images, tasks, pixels]; a batch's mean makes each image's gradient 1/n of its own, which would come
            # near to the solvers' tolerance.
            jacobians = torch.stack(rows, dim=1) * len(noise)
            return torch.stack([alone(jacobian) for jacobian in jacobians]).view_as(noise)

        return combine

    def _start(self, data: TrainingSet, net: nn.Module, objective: Objective, noise: Tensor, scale: Tensor) -> None:
        """Fills in where the alternation begins: random noise, and L⁰ of each task."""
        draws = data.stream("em_multi", "start", device=data.device)
        net.train()
        with torch.no_grad():
            for batch in data.batches(self.batch_size):
                # In train mode, as running statistics say nothing yet; they are set right by the training that follows.
                scale += objective(net(batch.images), objective.of(batch)) * len(batch.rows)
                batch.put(noise, random_start(batch.images, self.radius, self.norm, draws))
        scale.div_(len(data)).clamp_min_(1e-6)
