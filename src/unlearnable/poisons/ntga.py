"""Neural tangent generalisation attack (NTGA)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Float64, Int64
from torch import Generator, Tensor
from torch.nn import functional as F
from typing_extensions import override

from unlearnable.data.samples import Samples
from unlearnable.options import Number, number, whole
from unlearnable.poisons.image.base import ImagePoison, Perturb
from unlearnable.poisons.image.budget import Norm
from unlearnable.poisons.image.descent import descend
from unlearnable.poisons.image.tangent_kernel import mean_prediction, tangent_kernel
from unlearnable.poisons.image.training_set import Batch, TrainingSet


class NTGA(ImagePoison):
    """Neural tangent generalisation attack: raises the validation loss of an infinitely wide network in closed form.

    From `Neural Tangent Generalization Attacks <https://proceedings.mlr.press/v139/yuan21b.html>`_ (Yuan & Wu,
    ICML 2021), Algorithm 1. A network of infinite width trained by gradient descent for time t on the block (X, Y)
    predicts

        f(X_v) = K_{vX} K_{XX}⁻¹ (I − exp(−t·K_{XX} / N)) Y,    N = n·classes,

    with the neural tangent kernel K (equation 3). PGD on all images of the block together raises its cross-entropy on
    held-out images (X_v, Y_v): r steps of length 1.1·radius/r, time and variances as in the public code. There every
    iteration starts again from the clean images, which leaves one FGSM step; this follows the paper's algorithm.

    The kernel is that of a fully connected network with `depth` hidden layers of erf units, σ_w² = 1.76 and σ_b² = 0.18,
    one of the two that the authors publish. The other, convolutional one is stronger on convolutional victims, and is
    what APBench's figures are of: they are no measure for this method.

    Args:
        radius: See `ImagePoison`.
        norm: See `ImagePoison`.
        fraction: See `ImagePoison`.
        time: t.
        steps: r.
        depth: Hidden layers of the network.
        validation_size: Most held-out images of a block: the first, in one random order of the training set, that are
            not in the block itself.
        batch_size: Images in a block, n; at most half of the training set are taken, so that others are left to
            validate on. Blocks are drawn at random, so each holds all classes.
    """

    def __init__(
        self,
        *,
        radius: Number,
        norm: Norm = "linf",
        fraction: Number | Sequence[int] = 1.0,
        time: Number = 64.0,
        steps: int = 10,
        depth: int = 5,
        validation_size: int = 1000,
        batch_size: int = 512,
    ) -> None:
        super().__init__(radius=radius, norm=norm, fraction=fraction, batch_size=batch_size)
        self.time = number("time", time, above=0)
        self.steps = whole("steps", steps)
        self.depth = whole("depth", depth)
        self.validation_size = whole("validation_size", validation_size)

    @override
    def worked_on(self, data: TrainingSet, chosen: Int64[Tensor, " m"]) -> Int64[Tensor, " n"]:
        """All rows, in random order, since neighbours form a block, and a block is to hold all classes."""
        return torch.randperm(len(data), generator=data.stream("ntga", "blocks"))

    @override
    def images_at_once(self, data: TrainingSet) -> int:
        """n, or half of a small training set."""
        return min(self.batch_size, len(data) // 2)

    @override
    def check(self, samples: Samples) -> None:
        """Also checks that there is an image to validate on."""
        super().check(samples)
        if len(samples) < 2:
            raise ValueError("NTGA needs at least two images, one of them to validate on.")

    def prepare(self, data: TrainingSet) -> Perturb:
        """Draws the order in which images are held out."""
        order = torch.randperm(len(data), generator=data.stream("ntga", "validation"))

        def perturb(batch: Batch, generator: Generator) -> Tensor:  # noqa: ARG001
            held_out = data.read(order[~torch.isin(order, batch.rows)][: self.validation_size])
            return descend(
                batch.images,
                torch.zeros_like(batch.images),
                lambda images: (
                    -self.validation_loss(images, batch.labels, held_out.images, held_out.labels, data.num_classes)
                ),
                radius=self.radius,
                norm=self.norm,
                steps=self.steps,
                step_size=1.1 * self.radius / self.steps,
            )

        return perturb

    def validation_loss(
        self,
        images: Float[Tensor, "n c h w"],
        labels: Int64[Tensor, " n"],
        seen: Float[Tensor, "v c h w"],
        seen_labels: Int64[Tensor, " v"],
        num_classes: int,
    ) -> Float64[Tensor, ""]:
        """Cross-entropy on `seen` of the network trained on `images` for time t."""
        block, held_out = images.flatten(1).double(), seen.flatten(1).double()
        prediction = mean_prediction(
            tangent_kernel(block, block, self.depth),
            tangent_kernel(held_out, block, self.depth),
            F.one_hot(labels, num_classes).double(),
            self.time,
        )
        return F.cross_entropy(prediction, seen_labels)
