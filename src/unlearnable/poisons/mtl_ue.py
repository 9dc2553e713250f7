"""A generator of noise against several tasks (MTL-UE)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from typing_extensions import override

from unlearnable.data.samples import Samples, Targets
from unlearnable.models.multi_head import make_multi_task_net
from unlearnable.options import Number, number, whole
from unlearnable.poisons.base import check_finite
from unlearnable.poisons.dense_lsp import DenseLSP
from unlearnable.poisons.image.base import ImagePoison, Perturb
from unlearnable.poisons.image.budget import Norm, project
from unlearnable.poisons.image.checkpoint import Checkpoint
from unlearnable.poisons.image.codes import ClassCodes, Codes, codable, find_codes
from unlearnable.poisons.image.embeddings import EmbeddingGenerator
from unlearnable.poisons.image.multi_task import Objective
from unlearnable.poisons.image.surrogate import BatchLoss, NetFactory, channels_last, freeze, train_checkpoints
from unlearnable.poisons.image.training_set import Batch, TrainingSet
from unlearnable.tasks.base import Task, TaskLoss, of_task

_BASES = ("em", "tap", "sep")
# Weights of the regularisers, as published: similarity within tasks and between them.
_WITHIN, _BETWEEN = 10, 200
# SEP attacks every fourth epoch's check point.
_EVERY = 4
# Peak, of the frozen nets.
_SURROGATE_LR = 0.05


class MTLUE(ImagePoison):
    """MTL-UE: a network that writes the noise from an embedding of each task's label, learnt with it.

    From `MTL-UE: Learning to Learn Nothing for Multi-Task Learning <https://arxiv.org/abs/2505.05279>`_ (Yu et al.,
    ICML 2025), values from its code. With embeddings E_k[c] of task k's class c and an encoding z of the picture,
    δ = clamp(D([E_1[y_1], …, E_K[y_K], z]), ±radius). Embeddings, encoder and decoder D descend on base + 10·ER + 200·CER:
    ER is the mean over tasks of 1 + the mean cosine of a task's embeddings, CER the mean |cosine| of two tasks'. Bases:

    - `em`: the sum of the tasks' losses on a net that learns beside the generator, a few batches an epoch;
    - `tap`: on a frozen net trained on the clean images, towards classes (y + ⌊C/2⌋) mod C;
    - `sep`: towards these on its check points after every fourth epoch.

    The paper has class tasks alone. Here (`em`) a dense task has codes by k-means (see `find_codes`), and the embedding of a
    code is a tile that lies where the code does; its loss is divided by its value on the clean images before training.
    With `carrier_share`, part of the radius is DenseLSP's fixed texture, and the generator learns what to add.

    Two things differ: the frozen net is trained as all surrogates here, by SGD; and a task that is not to be protected
    leaves no trace (the public code trains with its embeddings and then takes their mean).

    Args:
        surrogate: Builds the backbone of the net; called as `surrogate(1)`.
        radius: See `ImagePoison`.
        norm: `linf`, as published; others project D's output.
        fraction: See `ImagePoison`; shares are drawn from the classes of the first class task.
        base: `em`, `tap` or `sep`; the last two for class tasks alone.
        tasks: Names of the tasks to be made unlearnable; None takes all.
        codes: Centres of k-means of a dense task; those that a mirror changes become two codes.
        tile: Side of a dense code's embedding, at half size.
        carrier_share: Share of the radius for DenseLSP's texture, from 0 to below 1.
        epochs: Of the generator; the paper's are 100, with a tenth of the learning rate after 60 and 80 per cent.
        surrogate_steps: Batches that `em`'s net learns after each.
        surrogate_epochs: That the frozen net is trained for; the paper's are 60.
        lr: Of Adam, for the generator and `em`'s net.
        width: Of encoder and decoder; the paper's is 64.
        train_batch_size: The paper's is 512.
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
        base: str = "em",
        tasks: Sequence[str] | None = None,
        codes: int = 24,
        tile: int = 4,
        carrier_share: Number = 0.0,
        epochs: int = 100,
        surrogate_steps: int = 2,
        surrogate_epochs: int = 60,
        lr: Number = 1e-3,
        width: int = 64,
        train_batch_size: int = 512,
        batch_size: int = 256,
    ) -> None:
        super().__init__(radius=radius, norm=norm, fraction=fraction, batch_size=batch_size)
        if norm == "l0":
            raise ValueError("`norm` must be 'linf' or 'l2' for mtl_ue, which changes every pixel; got 'l0'.")
        if base not in _BASES:
            raise ValueError(f"`base` must be one of {', '.join(_BASES)}; got {base!r}.")
        self.surrogate = surrogate
        self.base = base
        self.chosen = None if tasks is None else list(tasks)
        self.codes, self.tile = whole("codes", codes), whole("tile", tile)
        self.carrier_share = number("carrier_share", carrier_share, at_least=0, below=1)
        self.carrier = DenseLSP(radius=radius, norm=norm, tasks=tasks)
        self.epochs = whole("epochs", epochs)
        self.surrogate_steps = whole("surrogate_steps", surrogate_steps)
        self.surrogate_epochs = whole("surrogate_epochs", surrogate_epochs)
        self.lr = number("lr", lr, above=0)
        self.width = whole("width", width)
        self.train_batch_size = whole("train_batch_size", train_batch_size)

    @override
    def check(self, samples: Samples) -> None:
        """Also checks that the chosen tasks are among the samples', and that the base is for them."""
        super().check(samples)
        dense, _ = codable(samples, self.chosen)
        if dense and self.base != "em":
            raise ValueError(
                f"`base={self.base}` leads to other classes, which {', '.join(dense)} have none of; take base=em, or "
                "class tasks alone (`poison.tasks`)."
            )

    @override
    def prepare(self, data: TrainingSet) -> Perturb:
        """Trains the generator."""
        dense, classes = codable(data.samples, self.chosen)
        tasks, targets = {**classes, **dense}, data.samples.targets
        books: list[Codes] = [ClassCodes(task) for task in classes.values()]
        for name, task in dense.items():
            books.append(find_codes(task, targets, self.codes, generator=data.stream("codes", name)))
        draws = data.stream("mtl_ue", "embeddings")
        model = EmbeddingGenerator(books, data.shape, width=self.width, tile=self.tile, generator=draws).to(data.device)
        carrier = self.carrier.prepare(data) if self.carrier_share else None

        def noise(batch: Batch) -> Tensor:
            codes = [book(targets, batch.rows).to(data.device) for book in books]
            made = project(model(batch.images, codes), (1 - self.carrier_share) * self.radius, self.norm)
            return made + self.carrier_share * carrier(batch, draws) if carrier else made  # the carrier draws nothing

        self._train(data, model, noise, tasks)
        freeze(model)
        return lambda batch, generator: noise(batch)  # noqa: ARG005

    def _train(
        self, data: TrainingSet, model: EmbeddingGenerator, noise: Callable[[Batch], Tensor], tasks: Mapping[str, Task]
    ) -> None:
        objective = Objective({name: TaskLoss(task) for name, task in tasks.items()}, data.samples.targets)
        nets = self._nets(data, tasks, objective)
        goal = objective if self.base == "em" else Objective(objective.losses, other_classes(objective))
        optimizer, learner = self._adam(model), self._adam(nets[-1])
        scale = torch.ones(len(tasks), device=data.device)
        parts = {"model": model, "optimizer": optimizer}
        if self.base == "em":
            parts |= {"net": nets[-1], "learner": learner}
        checkpoint = Checkpoint(data, "mtl_ue", parts, {"scale": scale})
        first = checkpoint.restore()
        if first == 0 and self.base == "em":
            scale.copy_(self._first_losses(data, nets[-1], objective))
        for epoch in data.bar(range(first, self.epochs), "MTLUE: epochs"):
            optimizer.param_groups[0]["lr"] = self.lr * 0.1 ** sum(epoch >= part * self.epochs for part in (0.6, 0.8))
            data.seed_networks("mtl_ue", epoch)
            model.train()
            for net in nets:
                freeze(net)
            for batch in data.batches(self.train_batch_size, shuffle=data.stream("mtl_ue", "order", epoch)):
                seen = (batch.images + noise(batch)).clamp(0, 1)
                losses = torch.stack([(goal.on(net(seen), batch) / scale).sum() for net in nets])
                within, between = model.similarity()
                optimizer.zero_grad(set_to_none=True)
                (losses.mean() + _WITHIN * within + _BETWEEN * between).backward()
                optimizer.step()
            if self.base == "em":
                self._learn(
                    data, nets[-1], learner, noise, lambda out, batch: (objective.on(out, batch) / scale).sum(), epoch
                )
            checkpoint.save(epoch + 1)

    def _nets(self, data: TrainingSet, tasks: Mapping[str, Task], objective: Objective) -> list[nn.Module]:
        """What the generator is trained against: one net that is still to learn, or frozen ones."""

        def make(**_: int) -> nn.Module:
            return channels_last(make_multi_task_net(self.surrogate, tasks), data.device)

        if self.base == "em":
            return [make()]
        count = self.surrogate_epochs if self.base == "sep" else 1
        nets = train_checkpoints(
            make,
            data,
            count=count,
            epochs=self.surrogate_epochs,
            lr=_SURROGATE_LR,
            objective=lambda outputs, batch: objective.on(outputs, batch).sum(),
        )
        return nets[::_EVERY]

    def _learn(
        self,
        data: TrainingSet,
        net: nn.Module,
        learner: torch.optim.Optimizer,
        noise: Callable[[Batch], Tensor],
        loss: BatchLoss,
        epoch: int,
    ) -> None:
        """Some batches of training for `em`'s net, on the noise as it is."""
        net.train().requires_grad_(True)
        batches = data.endless(self.train_batch_size, shuffle=data.stream("mtl_ue", "learner", epoch))
        for _, batch in zip(range(self.surrogate_steps), batches, strict=False):
            with torch.no_grad():
                seen = (batch.images + noise(batch)).clamp_(0, 1)
            learner.zero_grad(set_to_none=True)
            loss(net(seen), batch).backward()
            learner.step()
        check_finite(net)

    @torch.no_grad()
    def _first_losses(self, data: TrainingSet, net: nn.Module, objective: Objective) -> Tensor:
        """What each task's loss is divided by: its mean on the clean images, or 1 for class tasks, as published."""
        total = sum(objective.on(net(batch.images), batch) * len(batch.rows) for batch in data.batches(self.batch_size))
        dense = torch.tensor([loss.task.dense for loss in objective.losses.values()], device=data.device)
        return torch.where(dense, torch.as_tensor(total) / len(data), 1.0).clamp_min(1e-6)

    def _adam(self, net: nn.Module) -> torch.optim.Optimizer:
        return torch.optim.Adam(net.parameters(), lr=self.lr, weight_decay=1e-4)


def other_classes(objective: Objective) -> Targets:
    """The class (y + ⌊C/2⌋) mod C for each label y of a task with C classes; −1 stays."""
    shifted = {}
    for name, loss in objective.losses.items():
        labels, classes = of_task(objective.targets, name), loss.task.channels
        shifted[name] = torch.where(labels < 0, labels, (labels + classes // 2) % classes)
    return shifted
