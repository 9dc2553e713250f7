"""Images per second of each defence's hook against its bare operation, and of a defended epoch against an undefended one.

    python benchmarks/defenses.py [--device cuda] [--images 2048] [--repeat 3] [defences …]

The bare operation is what the definition cannot do without, on tensors in place: the library's call on a batch where
there is one (torchvision's grey, posterising and blur, Pillow's encoder and decoder, all written to a file; kornia's
augmentations one after the other; grid_sample at places that are drawn first, or are there already: coin, crop_resize),
a product with a mask that is there already (cutout), a weighted sum (mixup), a copied rectangle (cutmix), 20 epochs of
a linear layer and a projection (orthogonal), and the network's passes (adversarial: ten to the images and one training
step, UEraser-max: five draws and a step on five batches). An epoch is a TaskModule's steps on batches of 128 in place,
after the augmentation, for purifying defences with the purification of its images once more in it, as if it were done
every epoch. Both sides are the fastest of `--repeat` turns, taken alternately.
"""

from __future__ import annotations

import argparse
import io
import math
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import kornia.augmentation as K
import numpy as np
import torch
from kornia.augmentation.auto import TrivialAugment
from PIL import Image
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms.v2 import functional as tv

from unlearnable import seeding
from unlearnable.data.samples import Samples
from unlearnable.defenses import Defense, NoDefense
from unlearnable.defenses.adversarial import Adversarial
from unlearnable.defenses.bdr import BitDepthReduction
from unlearnable.defenses.coin import Coin
from unlearnable.defenses.crop_resize import CropResize
from unlearnable.defenses.cutmix import CutMix
from unlearnable.defenses.cutout import Cutout
from unlearnable.defenses.gauss import Gauss
from unlearnable.defenses.gray import Gray
from unlearnable.defenses.iss import ImageShortcutSqueezing
from unlearnable.defenses.jpeg import Jpeg
from unlearnable.defenses.mixup import MixUp
from unlearnable.defenses.orthogonal import OrthogonalProjection
from unlearnable.defenses.ueraser import UEraser
from unlearnable.defenses.ueraser_max import UEraserMax
from unlearnable.models.module import TaskModule
from unlearnable.models.tiny_resnet import tiny_resnet
from unlearnable.tasks import Classification, Task

BATCH, CLASSES = 128, 10
TASKS: dict[str, Task] = {"class": Classification("class", CLASSES)}


class Bench:
    def __init__(self, images: int, device: torch.device) -> None:
        generator = torch.Generator().manual_seed(0)
        coarse = torch.rand(images, 3, 8, 8, generator=generator)
        self.levels = (F.interpolate(coarse, size=32, mode="bilinear") * 255).to(torch.uint8)
        self.labels = torch.arange(images) % CLASSES
        self.train = Samples(self.levels, self.labels, TASKS)
        self.device = device
        floats = (self.levels.float() / 255).to(device)
        self.batches = list(zip(floats.split(BATCH), self.labels.to(device).split(BATCH), strict=True))
        self.plain = self.module(NoDefense())

    def module(self, defense: Defense) -> Any:
        one: Any = TaskModule(
            tiny_resnet(CLASSES, width=24, stem_stride=2),
            TASKS,
            optimizer=partial(torch.optim.SGD, lr=0.01),
            defense=defense,
        )
        one.log = one.log_dict = lambda *_, **__: None
        one.descent = one.to(self.device).configure_optimizers()
        return one

    def seconds(self, work: Callable[[], Any]) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        start = time.perf_counter()
        work()
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - start

    def epoch(self, one: Any) -> None:
        for place, batch in enumerate(self.batches):
            one.descent.zero_grad()
            one.training_step(batch, place).backward()
            one.descent.step()

    def purify(self, defense: Defense) -> None:
        with tempfile.TemporaryDirectory() as folder:
            defense.purify(self.train, seed=0, device=self.device, work_dir=Path(folder))

    def hook(self, defense: Defense) -> None:
        """What the defence does to an epoch's images."""
        one, replaces = self.plain, type(defense).loss is not Defense.loss
        if defense.purifies:
            self.purify(defense)
        for place, (images, labels) in enumerate(self.batches if not defense.purifies else []):
            stream = seeding.generator(self.device, 0, place)
            batch = defense.batch(images, labels, generator=stream)
            if replaces:
                one.descent.zero_grad()
                loss = defense.loss(one, batch, generator=stream)
                assert loss is not None
                loss.backward()
                one.descent.step()

    def over_levels(self, operation: Callable[[Tensor], Tensor]) -> None:
        """Once, into a file."""
        with tempfile.TemporaryDirectory() as folder:
            size = self.levels.numel()
            stored = torch.from_file(f"{folder}/images", shared=True, size=size, dtype=torch.uint8)
            stored = stored.view(self.levels.shape)
            for rows in torch.arange(len(stored)).split(1024):
                stored[rows[0] : rows[-1] + 1] = operation(self.levels[rows[0] : rows[-1] + 1])

    def over_batches(self, operation: Callable[[Tensor, Tensor], Any]) -> None:
        for images, labels in self.batches:
            operation(images, labels)

    def step(self, images: Tensor, labels: Tensor) -> None:
        self.plain.descent.zero_grad()
        F.cross_entropy(self.plain.net(images), labels).backward()
        self.plain.descent.step()

    def attack(self, images: Tensor, labels: Tensor) -> None:
        for _ in range(10):
            images.requires_grad_(True)
            torch.autograd.grad(F.cross_entropy(self.plain.net(images), labels), images)
            images.requires_grad_(False)
        self.step(images, labels)

    def regression(self) -> None:
        linear = torch.nn.Linear(3 * 32 * 32, CLASSES, bias=False).to(self.device)
        optimizer = torch.optim.SGD(linear.parameters(), lr=0.1)
        points = (self.levels.float() / 255).flatten(1).to(self.device)
        labels = self.labels.to(self.device)
        for _ in range(20):
            for part, targets in zip(points.split(len(points) // 48), labels.split(len(points) // 48), strict=True):
                optimizer.zero_grad()
                F.cross_entropy(linear(part), targets).backward()
                optimizer.step()
        basis = torch.linalg.qr(linear.weight.detach().T).Q
        (points - points @ basis @ basis.T).mul_(255).round_().clamp_(0, 255).to(torch.uint8)


def by_pillow(images: Tensor) -> Tensor:
    found = []
    for image in images:
        stream = io.BytesIO()
        Image.fromarray(image.permute(1, 2, 0).contiguous().numpy()).save(stream, "JPEG", quality=10)
        found.append(torch.from_numpy(np.array(Image.open(stream))).permute(2, 0, 1))
    return torch.stack(found)


def cases(bench: Bench) -> dict[str, tuple[Defense, Callable[[], Any]]]:
    """Each defence, and its bare operation on as many images."""
    device, partner = bench.device, torch.arange(BATCH, device=bench.device).roll(1)
    mask = (torch.rand(BATCH, 1, 32, 32, device=device) < 0.75).float()
    quarter = F.affine_grid(0.5 * torch.eye(2, 3, device=device).repeat(BATCH, 1, 1), [BATCH, 3, 32, 32], False)
    kornia = [
        K.RandomPlasmaBrightness(roughness=(0.3, 0.7), intensity=(0.5, 1.0), p=0.5),
        K.RandomPlasmaContrast(roughness=(0.3, 0.7), p=0.5),
        K.RandomChannelShuffle(p=0.5),
        TrivialAugment(),
    ]

    def gray(images: Tensor) -> Tensor:
        return tv.rgb_to_grayscale(images, 3)

    def augment(images: Tensor) -> Tensor:
        for step in kornia:
            images = step(images)
        return images

    def cut(images: Tensor, _: Tensor) -> None:
        images.clone()[..., 8:24, 8:24] = images[..., 8:24, 8:24][partner[: len(images)]]

    def mix(images: Tensor, _: Tensor) -> Tensor:
        return 0.5 * images + 0.5 * images[partner[: len(images)]]

    def wrap(images: Tensor, _: Tensor) -> Tensor:
        grid = torch.rand(len(images), 32, 32, 2, device=device) * 2 - 1
        return F.grid_sample(F.pad(images, (2,) * 4, mode="circular"), grid, align_corners=True)

    def zoom(images: Tensor, _: Tensor) -> Tensor:
        return F.grid_sample(images, quarter[: len(images)], align_corners=False)

    def five(images: Tensor, labels: Tensor) -> None:
        bench.step(torch.cat([augment(images) for _ in range(5)]), labels.repeat(5))

    levels, batches = bench.over_levels, bench.over_batches
    return {
        "gray": (Gray(), lambda: levels(gray)),
        "jpeg": (Jpeg(), lambda: levels(by_pillow)),
        "bdr": (BitDepthReduction(), lambda: levels(lambda images: tv.posterize(images, 2))),
        "gauss": (Gauss(), lambda: levels(lambda images: tv.gaussian_blur(images, [3, 3], [1.0, 1.0]))),
        "iss": (ImageShortcutSqueezing(), lambda: levels(lambda images: by_pillow(gray(images)))),
        "cutout": (Cutout(), lambda: batches(lambda images, _: images * mask[: len(images)])),
        "cutmix": (_ready(CutMix()), lambda: batches(cut)),
        "mixup": (_ready(MixUp()), lambda: batches(mix)),
        "coin": (Coin(), lambda: batches(wrap)),
        "crop_resize": (_ready(CropResize()), lambda: batches(zoom)),
        "ueraser": (UEraser(), lambda: batches(lambda images, _: augment(images))),
        "ueraser_max": (UEraserMax(), lambda: batches(five)),
        "adversarial": (Adversarial(), lambda: batches(bench.attack)),
        "orthogonal": (OrthogonalProjection(), bench.regression),
    }


def _ready(defense: Defense) -> Defense:
    defense.setup(TASKS)
    return defense


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("defenses", nargs="*")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--images", type=int, default=2048)
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    bench = Bench(options.images, torch.device(options.device))
    print(f"{options.images} images 3×32×32, {options.device}, {torch.get_num_threads()} threads")
    print(f"{'defence':12} {'images/s':>10} {'bare':>10} {'ratio':>6} {'epoch':>6}")
    for name, (defense, bare) in cases(bench).items():
        if options.defenses and name not in options.defenses:
            continue
        defended = bench.module(defense)

        def whole(defense: Defense = defense, defended: Any = defended) -> None:
            if defense.purifies:
                bench.purify(defense)
            bench.epoch(defended)

        works = (partial(bench.hook, defense), bare, whole, partial(bench.epoch, bench.plain))
        best = [math.inf] * len(works)
        for _ in range(options.repeat + 1):
            best = [min(least, bench.seconds(work)) for least, work in zip(best, works, strict=True)]
        hook, least, epoch, undefended = best
        rates = f"{options.images / hook:10.0f} {options.images / least:10.0f}"
        print(f"{name:12} {rates} {hook / least:6.2f} {epoch / undefended:6.2f}", flush=True)


if __name__ == "__main__":
    main()
