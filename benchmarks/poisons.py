"""Images per second of each poison, against the time of the passes that its algorithm cannot do without.

    python benchmarks/poisons.py [--device cuda] [--images 1024] [--repeat 3] [methods …]

The bound of a method is its number of network passes times the time of one bare pass at the same batch size, measured in
the same run on tensors that are in place already: no data set, no noise look-up, no projection, no rounding. Methods
without a network have as bound the arithmetic of their definition and the writing of noise within their norm, on 16 times
as many images: OPS reads all images once as floats; LSP draws 48 numbers an image and mixes them; AR draws its start and
multiplies each value's eight neighbours (a 3×3 convolution, where nothing waits for anything); random draws its signs.
Both sides are the fastest of `--repeat` turns, taken alternately, so that other work on the machine strikes both.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from unlearnable.data.samples import Samples
from unlearnable.models.tiny_resnet import tiny_resnet
from unlearnable.poisons.ar import AR
from unlearnable.poisons.base import Poison
from unlearnable.poisons.dc import DC
from unlearnable.poisons.em import EM
from unlearnable.poisons.hypo import Hypo
from unlearnable.poisons.image.budget import Norm, round_to_grid
from unlearnable.poisons.image.surrogate import channels_last
from unlearnable.poisons.image.tangent_kernel import mean_prediction, tangent_kernel
from unlearnable.poisons.image.unet import UNet
from unlearnable.poisons.lsp import LSP
from unlearnable.poisons.ntga import NTGA
from unlearnable.poisons.ops import OPS
from unlearnable.poisons.random import RandomNoise
from unlearnable.poisons.rem import REM
from unlearnable.poisons.tap import TAP
from unlearnable.tasks import Classification

BATCH, TRAIN_BATCH, NOISE_BATCH, CLASSES, RADIUS = 256, 128, 128, 10, 8 / 255
NETLESS = ("ops", "lsp", "ar", "random")


class Bench:
    def __init__(self, images: int, device: torch.device, width: int) -> None:
        generator = torch.Generator().manual_seed(0)
        self.images = torch.randint(0, 256, (images, 3, 32, 32), generator=generator).to(torch.uint8)
        self.labels = torch.arange(images) % CLASSES
        self.many = self.images.repeat(16, 1, 1, 1)
        self.device = device
        self.factory = partial(tiny_resnet, width=width, stem_stride=2)
        self.net = channels_last(self.factory(num_classes=CLASSES), device)
        self.optimizer = torch.optim.SGD(self.net.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4, nesterov=True)

    def batch(self, size: int) -> tuple[Tensor, Tensor]:
        images = (self.images[:size].float() / 255).to(self.device).contiguous(memory_format=torch.channels_last)
        return images, self.labels[:size].to(self.device)

    def wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def seconds(self, work: Callable[[], Any], times: int = 1) -> float:
        self.wait()
        start = time.perf_counter()
        for _ in range(times):
            work()
        self.wait()
        return time.perf_counter() - start

    def input_passes(self, size: int, times: int) -> float:
        """Forward, and backward to the images, in eval mode."""
        images, labels = self.batch(size)
        net = self.net.eval().requires_grad_(False)

        def work() -> None:
            images.requires_grad_(True)
            torch.autograd.grad(F.cross_entropy(net(images), labels, reduction="sum"), images)

        work()
        return self.seconds(work, times)

    def train_steps(self, size: int, times: int) -> float:
        images, labels = self.batch(size)
        net = self.net.train().requires_grad_(True)

        def work() -> None:
            self.optimizer.zero_grad(set_to_none=True)
            F.cross_entropy(net(images), labels).backward()
            self.optimizer.step()

        work()
        return self.seconds(work, times)

    def write(self, radius: float, norm: Norm, draw: Callable[[int], Tensor]) -> float:
        """Noise drawn in batches and written on the 8-bit grid within its budget."""

        def work() -> None:
            for part in self.many.split(NOISE_BATCH):
                round_to_grid(part.to(self.device), draw(len(part)).to(self.device), radius, norm)

        work()
        return self.seconds(work)

    def ops_bound(self) -> float:
        change = torch.zeros(NOISE_BATCH, 3, 32, 32)
        change[:, :, 16, 16] = 1.0

        def read() -> None:
            for part in self.many.split(NOISE_BATCH):
                part.to(self.device).float().sum()

        return self.seconds(read) + self.write(1, "l0", lambda count: change[:count])

    def lsp_bound(self) -> float:
        generator, mixing = torch.Generator().manual_seed(0), torch.rand(48, 48, dtype=torch.float64)

        def draw(count: int) -> Tensor:
            coarse = torch.randn(count, 48, generator=generator, dtype=torch.float64) @ mixing
            fine = coarse.float().view(count, 3, 4, 4).repeat_interleave(8, 2).repeat_interleave(8, 3)
            return fine * (1.304 / fine.flatten(1).norm(dim=1)).view(-1, 1, 1, 1)

        return self.write(1.304, "l2", draw)

    def ar_bound(self) -> float:
        generator, window = torch.Generator().manual_seed(0), torch.rand(3, 1, 3, 3)

        def draw(count: int) -> Tensor:
            start = torch.randn(count, 3, 36, 36, generator=generator)
            noise = F.conv2d(start, window, padding=1, groups=3)[:, :, 4:, 4:]
            return noise * (1.0 / noise.flatten(1).norm(dim=1)).view(-1, 1, 1, 1)

        return self.write(1.0, "l2", draw)

    def random_bound(self) -> float:
        generator = torch.Generator().manual_seed(0)

        def draw(count: int) -> Tensor:
            return (torch.randint(0, 2, (count, 3, 32, 32), generator=generator).float() * 2 - 1) * RADIUS

        return self.write(RADIUS, "linf", draw)

    def dc_steps(self, times: int, width: int) -> float:
        """DeepConfuse's passes on one batch: the generator twice, the victim's step, and the step through it."""
        images, labels = self.batch(64)
        net, generator = self.net.train().requires_grad_(True), channels_last(UNet(3, width), self.device)
        names, parameters = zip(*net.named_parameters(), strict=True)

        def work() -> None:
            loss = F.cross_entropy(net(images + RADIUS * generator(images)), labels)
            gradients = torch.autograd.grad(loss, parameters, create_graph=True)
            moved = {n: p - 0.01 * g for n, p, g in zip(names, parameters, gradients, strict=True)}
            clean = F.cross_entropy(torch.func.functional_call(net, moved, images), labels)
            torch.autograd.grad(clean, tuple(generator.parameters()))
            with torch.no_grad():
                noise = generator(images)
            torch.autograd.grad(F.cross_entropy(net(images + noise), labels), parameters)

        work()
        return self.seconds(work, times)

    def ntga_steps(self, size: int, held_out: int, times: int) -> float:
        images, labels = self.batch(size)
        block, seen = images.flatten(1).double(), self.batch(held_out)[0].flatten(1).double()
        seen_labels, targets = self.batch(held_out)[1], F.one_hot(labels, CLASSES).double()

        def work() -> None:
            block.requires_grad_(True)
            kernels = tangent_kernel(block, block, 5), tangent_kernel(seen, block, 5)
            torch.autograd.grad(F.cross_entropy(mean_prediction(*kernels, targets, 64.0), seen_labels), block)

        work()
        return self.seconds(work, times)


def cases(bench: Bench) -> dict[str, tuple[Poison, Callable[[], float]]]:
    """Each method with counts that take seconds, and its bound."""
    images, common = len(bench.images), {"surrogate": bench.factory, "radius": RADIUS, "batch_size": BATCH}
    augmented: dict[str, Any] = {"crop": 4, "flip": True}
    sweeps = -(-images // BATCH)
    epoch = -(-images // TRAIN_BATCH)

    def em() -> float:
        return bench.train_steps(TRAIN_BATCH, 20) + bench.input_passes(BATCH, 2 * 10 * sweeps)

    def tap() -> float:
        return bench.train_steps(TRAIN_BATCH, 2 * epoch) + bench.input_passes(BATCH, 20 * sweeps)

    def rem() -> float:
        # Per iteration: 3 noise steps, each behind 2 steps of attack, then 2 of attack and one of training.
        return (
            bench.train_steps(TRAIN_BATCH, 4)
            + bench.input_passes(TRAIN_BATCH, 4 * (3 * 3 + 2))
            + bench.input_passes(BATCH, 3 * 3 * sweeps)
        )

    return {
        "em": (EM(**common, max_rounds=2, noise_steps=10, min_rounds=2, stop_accuracy=1.0), em),
        "tap": (TAP(**common, **augmented, epochs=2, steps=20), tap),
        "hypo": (Hypo(**common, **augmented, epochs=2, steps=20), tap),
        "rem": (REM(**common, **augmented, iterations=4, noise_steps=3, adversarial_steps=2), rem),
        "dc": (DC(**common, trials=1), lambda: bench.dc_steps(-(-images // 64), 16)),
        "ntga": (
            NTGA(radius=RADIUS, steps=3, batch_size=256, validation_size=512),
            lambda: bench.ntga_steps(256, min(512, images - 256), 3 * sweeps),
        ),
        "ops": (OPS(radius=1), bench.ops_bound),
        "lsp": (LSP(radius=1.304), bench.lsp_bound),
        "ar": (AR(radius=1.0, min_response=3.0), bench.ar_bound),
        "random": (RandomNoise(radius=RADIUS, classwise=False), bench.random_bound),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("methods", nargs="*")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--images", type=int, default=1024)
    parser.add_argument("--width", type=int, default=24, help="channels of the surrogate's first stage")
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    bench = Bench(options.images, torch.device(options.device), options.width)
    print(
        f"{options.images} images 3×32×32, {options.device}, {torch.get_num_threads()} threads, width {options.width}"
    )
    print(f"{'method':8} {'images/s':>10} {'bound':>10} {'ratio':>6}")
    for name, (method, bound) in cases(bench).items():
        if options.methods and name not in options.methods:
            continue

        images = bench.many if name in NETLESS else bench.images
        samples = Samples(images, torch.arange(len(images)) % CLASSES, {"class": Classification("class", CLASSES)})

        def apply(method: Poison = method, samples: Samples = samples) -> None:
            method.apply(samples, seed=0, device=bench.device)

        apply()
        turns = [(bench.seconds(apply), bound()) for _ in range(options.repeat)]
        took, least = (min(side) for side in zip(*turns, strict=True))
        print(f"{name:8} {len(images) / took:10.1f} {len(images) / least:10.1f} {took / least:6.2f}", flush=True)


if __name__ == "__main__":
    main()
