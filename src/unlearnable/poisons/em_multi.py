"""Error-minimising noise for all tasks at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from unlearnable.models.heads import make_multi_task_net
from unlearnable.models.weighting import make_aggregator
from unlearnable.poisons.checks import at_least_one, positive
from unlearnable.poisons.image.base import Perturb, Poison, save_atomically
from unlearnable.poisons.image.budget import Norm, project, steepest_step
from unlearnable.poisons.image.descent import random_start
from unlearnable.poisons.image.surrogate import NetFactory, frozen, make_fabric, sgd
from unlearnable.poisons.image.training_set import Batch, TrainingSet
from unlearnable.tasks.base import Task, choose_tasks
from unlearnable.tasks.losses import TaskLoss

Targets = Mapping[str, Tensor]


class EMMulti(Poison):
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
        radius: ρ, see `Poison`.
        norm: See `Poison`.
        fraction: See `Poison`; shares are drawn from the classes of the first class task.
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
        batch_size: See `Poison`.
    """

    takes_tasks = True

    def __init__(
        self,
        *,
        surrogate: NetFactory,
        radius: float,
        norm: Norm = "linf",
        fraction: float | Sequence[int] = 1.0,
        tasks: Sequence[str] | None = None,
        aggregator: str | None = None,
        surrogate_steps: int = 10,
        noise_steps: int = 20,
        step_size: float | None = None,
        stop_ratio: float = 0.05,
        max_rounds: int = 20,
        lr: float = 0.05,
        train_batch_size: int = 64,
        batch_size: int = 128,
    ) -> None:
        super().__init__(radius=radius, norm=norm, fraction=fraction, batch_size=batch_size)
        at_least_one(
            surrogate_steps=surrogate_steps,
            noise_steps=noise_steps,
            max_rounds=max_rounds,
            train_batch_size=train_batch_size,
        )
        if not 0 < stop_ratio < 1:
            raise ValueError(f"`stop_ratio` must lie in (0, 1); got {stop_ratio}.")
        if aggregator is not None:
            make_aggregator(aggregator, 2, what="poison.aggregator")  # fails here rather than after the first round
        self.surrogate = surrogate
        self.chosen = None if tasks is None else list(tasks)
        self.aggregator = aggregator
        self.surrogate_steps, self.noise_steps, self.max_rounds = surrogate_steps, noise_steps, max_rounds
        self.step_size = radius / 10 if step_size is None else step_size
        self.stop_ratio, self.lr, self.train_batch_size = stop_ratio, lr, train_batch_size
        positive(lr=lr, step_size=self.step_size)

    def for_targets(self, targets: Targets, tasks: Mapping[str, Task]) -> Poison:
        """The poison for these targets.

        Args:
            targets: Task → `[n, …]`, row i for image i.
            tasks: Their descriptions.

        Raises:
            ValueError: if a chosen task is not among them.
        """
        return _ForTargets(self, targets, choose_tasks(tasks, self.chosen, what="poison.tasks"))

    def prepare(self, data: TrainingSet) -> Perturb:  # noqa: ARG002
        """Is not to be called: the targets of all tasks are needed."""
        raise TypeError("em_multi needs the targets of all tasks: use `for_targets(targets, tasks).apply(…)`.")


class _ForTargets(Poison):
    """`EMMulti` with the targets it works on."""

    needs_classes = False

    def __init__(self, method: EMMulti, targets: Targets, tasks: Mapping[str, Task]) -> None:
        super().__init__(radius=method.radius, norm=method.norm, fraction=method.fraction, batch_size=method.batch_size)
        self.method, self.targets, self.tasks = method, targets, tasks
        self.losses = {name: TaskLoss(task) for name, task in tasks.items()}

    def prepare(self, data: TrainingSet) -> Perturb:
        """Runs the alternation to its end; what is left for a batch is to look its noise up."""
        method = self.method
        net = make_multi_task_net(method.surrogate, self.tasks).to(data.device)
        fabric = make_fabric(data.device)
        optimizer: Any = sgd(net, method.lr)
        model, optimizer = fabric.setup(net, optimizer)
        noise, scale, first = self._start(data, net, optimizer)
        for number in data.bar(range(first, method.max_rounds), "EMMulti: rounds"):
            model.train()
            batches: Iterator[Batch] = data.endless(
                method.train_batch_size, shuffle=data.stream("em_multi", "order", number)
            )
            for _, batch in zip(range(method.surrogate_steps), batches, strict=False):
                outputs = model((batch.images + _look_up(noise, batch)).clamp_(0, 1))
                optimizer.zero_grad(set_to_none=True)
                fabric.backward((self._losses(outputs, batch) / scale).mean())
                nn.utils.clip_grad_norm_(net.parameters(), 5.0)
                optimizer.step()
            total = torch.zeros_like(scale)
            with frozen(net):
                for batch in data.batches(method.batch_size):
                    moved = self._descend(net, batch, _look_up(noise, batch), scale)
                    noise[batch.rows] = moved.to("cpu", noise.dtype)
                    with torch.no_grad():
                        total += self._losses(net(batch.images + moved), batch) * len(batch.rows)
            done = float((total / len(data) / scale).mean()) < method.stop_ratio
            self._save(data, net, optimizer, noise, scale, method.max_rounds if done else number + 1)
            if done:
                break
        return lambda batch, generator: _look_up(noise, batch)  # noqa: ARG005

    def _losses(self, outputs: Mapping[str, Tensor], batch: Batch) -> Float[Tensor, " t"]:
        """Each task's mean loss on a batch."""
        targets = {task: self.targets[task][batch.rows].to(batch.images.device) for task in self.tasks}
        return torch.stack([loss(outputs, targets) for loss in self.losses.values()])

    def _descend(self, net: nn.Module, batch: Batch, noise: Tensor, scale: Tensor) -> Tensor:
        """T steps for the noise of a batch."""
        method = self.method
        combine = self._combiner()
        for _ in range(method.noise_steps):
            noise = noise.detach().requires_grad_(True)
            losses = self._losses(net(batch.images + noise), batch) / scale
            gradient = combine(losses, noise)
            with torch.no_grad():
                step = steepest_step(gradient, method.step_size, method.norm)
                noise = project(noise + step, method.radius, method.norm)
                noise = (batch.images + noise).clamp_(0, 1).sub_(batch.images)
        return noise.detach()

    def _combiner(self) -> Callable[[Tensor, Tensor], Tensor]:
        """How the tasks' losses become one gradient with respect to the noise."""
        if self.method.aggregator is None:
            return lambda losses, noise: torch.autograd.grad(losses.sum(), noise)[0]
        aggregate = make_aggregator(self.method.aggregator, len(self.tasks), what="poison.aggregator")

        def combine(losses: Tensor, noise: Tensor) -> Tensor:
            rows = [torch.autograd.grad(loss, noise, retain_graph=True)[0].flatten(1) for loss in losses]
            # [images, tasks, pixels]; a batch's mean makes each image's gradient 1/n of its own, which would come
            # near to the solvers' tolerance.
            jacobians = torch.stack(rows, dim=1) * len(noise)
            return torch.stack([aggregate(jacobian) for jacobian in jacobians]).view_as(noise)

        return combine

    def _start(self, data: TrainingSet, net: nn.Module, optimizer: Any) -> tuple[Tensor, Tensor, int]:
        """Noise, L⁰ and number of rounds done: of an interrupted generation, or new."""
        path = None if data.work_dir is None else data.work_dir / "em_multi.pt"
        noise = data.noise_store("em_multi")
        if path is not None and path.exists():
            state = torch.load(path, weights_only=True, map_location="cpu")
            net.load_state_dict(state["net"])
            optimizer.load_state_dict(state["optimizer"])
            noise.copy_(state["noise"])
            return noise, state["scale"].to(data.device), int(state["rounds"])
        draws = data.stream("em_multi", "start")
        total = torch.zeros(len(self.tasks), device=data.device)
        net.train()
        with torch.no_grad():
            for batch in data.batches(self.batch_size):
                # In train mode, as running statistics say nothing yet; they are set right by the training that follows.
                total += self._losses(net(batch.images), batch) * len(batch.rows)
                started = random_start(batch.images, self.radius, self.norm, draws)
                noise[batch.rows] = started.to("cpu", noise.dtype)
        return noise, (total / len(data)).clamp_min(1e-6), 0

    def _save(
        self, data: TrainingSet, net: nn.Module, optimizer: Any, noise: Tensor, scale: Tensor, rounds: int
    ) -> None:
        if data.work_dir is not None:
            state = {
                "net": net.state_dict(),
                "optimizer": optimizer.state_dict(),
                "noise": noise,
                "scale": scale,
                "rounds": rounds,
            }
            save_atomically(state, data.work_dir / "em_multi.pt")


def _look_up(noise: Tensor, batch: Batch) -> Tensor:
    """The batch's noise, on the batch's device."""
    return noise[batch.rows].to(batch.images.device, torch.float32)
