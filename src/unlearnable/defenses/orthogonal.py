"""Projection of the images onto what a linear classifier does not see."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm
from typing_extensions import override

from unlearnable import seeding
from unlearnable.data.samples import Samples
from unlearnable.defenses.image import ImageDefense, as_floats, as_levels, images_of, rewritten
from unlearnable.options import Number, number, whole
from unlearnable.tasks import Classification, Task

#: An epoch of CIFAR-10 in batches of 1,024.
_STEPS = 48


class OrthogonalProjection(ImageDefense):
    """Takes out of each image what a softmax regression on its pixels goes by: x ← x − Q Qᵀ x.

    From `What can we learn from unlearnable datasets? <https://arxiv.org/abs/2305.19254>`_ (Sandoval-Segura et al.,
    NeurIPS 2023). The regression has no intercept; Q R = Wᵀ, for its weights W of one row a class. Images are rounded to
    8 bits afterwards, so that Qᵀ x is zero within rounding.

    Args:
        epochs: Of the regression; its step falls to a tenth after a half of them and again after three quarters.
        lr: Its first step.
        batch_size: Images a step, at most; at most a 48th of the set besides, so that small sets have as many steps as
            CIFAR. With few of them the weights stay what they started from, and the images' mean is what goes.
    """

    purifies = True

    def __init__(self, *, epochs: Number = 20, lr: Number = 0.1, batch_size: Number = 1024) -> None:
        self.epochs = whole("defense.epochs", epochs, what="a number of epochs")
        self.lr = number("defense.lr", lr, above=0)
        self.batch_size = whole("defense.batch_size", batch_size, what="a number of images")

    @override
    def setup(self, tasks: Mapping[str, Task]) -> None:
        if not any(isinstance(task, Classification) for task in tasks.values()):
            raise ValueError(f"This defence separates classes, and there is no class task among {', '.join(tasks)}.")

    @override
    def purify(
        self, train: Samples, *, seed: int, device: torch.device, work_dir: Path, progress: bool = False
    ) -> Samples:
        task = train.class_task
        if task is None:
            raise ValueError("This defence separates classes, and the data have no class task.")
        images = images_of(train.inputs)
        weights = self.regression(images, train.labels, task.channels, seed=seed, device=device, progress=progress)
        basis = torch.linalg.qr(weights.T).Q

        def change(levels: Tensor, rows: Tensor) -> Tensor:  # noqa: ARG001
            pixels = as_floats(levels.to(device))
            return as_levels(projected(pixels.flatten(1), basis).view(pixels.shape))

        return rewritten(train, change, work_dir=work_dir, progress=progress)

    def regression(
        self,
        images: UInt8[Tensor, "n c h w"],
        labels: Int64[Tensor, " n"],
        classes: int,
        *,
        seed: int,
        device: torch.device,
        progress: bool = False,
    ) -> Float[Tensor, "k d"]:
        """The weights of a softmax regression from pixels to classes, by gradient descent."""
        size = images[0].numel()
        start = torch.rand(classes, size, generator=seeding.generator("cpu", seed))
        weights = ((2 * start - 1) / size**0.5).to(device).requires_grad_(True)  # as a linear layer's of PyTorch
        optimizer = torch.optim.SGD([weights], lr=self.lr)
        batch_size = max(1, min(self.batch_size, len(images) // _STEPS))
        milestones = [int(self.epochs * share) for share in (0.5, 0.75)]
        schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones)
        for epoch in tqdm(range(self.epochs), "regression", disable=not progress, leave=False):
            order = torch.randperm(len(images), generator=seeding.generator("cpu", seed, epoch))
            for rows in order.split(batch_size):
                scores = as_floats(images[rows].to(device)).flatten(1) @ weights.T
                optimizer.zero_grad()
                F.cross_entropy(scores, labels[rows].to(device), ignore_index=-1).backward()
                optimizer.step()
            schedule.step()
        return weights.detach()


def projected(points: Float[Tensor, "n d"], basis: Float[Tensor, "d k"]) -> Float[Tensor, "n d"]:
    """The points without their part in the span of the orthonormal columns of `basis`."""
    return points - points @ basis @ basis.T
