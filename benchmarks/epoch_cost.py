"""What a SAL epoch costs: against a training epoch of 50,000 images, and against the published procedure.

    python benchmarks/epoch_cost.py [--data-dir DIR] [--samples 512] [--batch-size 256] [--width 16]

ResNet-18 with the CIFAR stem, eps 0.05, 10 steps; on CIFAR-10, or without it on digits at its size.
SAL at the default probe is run whole; training steps, and the published procedure's passes for a few layers over one
batch, are timed in the same run and scaled to all batches, 10 steps and 21 layers.
"""

from __future__ import annotations

import argparse
import math
from contextlib import nullcontext
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from _setting import batched, built, cifar10, digits, rounding, table, timed, train
from sal import narrow_resnet18
from unlearnable.measures.sal import measure_sal
from unlearnable.probing.layers import select_layers

IMAGES, STEPS = 50_000, 10
#: How a training may round: float32 as it is, convolutions and products in TF32, and that with autocast to bfloat16.
PRECISIONS = ("ieee", "tf32", "bf16-mixed")


def sync(device: torch.device | str) -> None:
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)


def epoch_seconds(
    net: nn.Module, images: Tensor, labels: Tensor, *, batch_size: int, steps: int, precision: str
) -> float:
    """Seconds of a training epoch of 50,000 images, from a few steps that leave the weights as they are."""
    optimizer = torch.optim.SGD(net.parameters(), lr=0.0, momentum=0.9, weight_decay=0.0)
    x, y = images[:batch_size].contiguous(memory_format=torch.channels_last), labels[:batch_size]
    device = x.device
    mixed = torch.autocast(device.type, dtype=torch.bfloat16) if precision == "bf16-mixed" else nullcontext()
    net.train()

    def step() -> None:
        optimizer.zero_grad()
        with mixed:
            loss = F.cross_entropy(net(x), y)
        loss.backward()
        optimizer.step()

    with rounding("ieee" if precision == "ieee" else "tf32"):
        for _ in range(1 if device.type == "cpu" else 5):
            step()
        sync(device)
        with timed() as clock:
            for _ in range(steps):
                step()
            sync(device)
    return clock.seconds / steps * math.ceil(IMAGES / batch_size)


def sal_seconds(net: nn.Module, images: Tensor, labels: Tensor, *, batch_size: int = 128) -> tuple[float, float, float]:
    """Seconds of a SAL epoch at the default settings, its cost in forward passes over the probe, and L(θ).

    The probe starts on the CPU, as a job's does.
    """
    batches = batched(images.cpu().contiguous(memory_format=torch.channels_last), labels.cpu(), batch_size)
    if images.device.type != "cpu":  # kernels are chosen in a first call
        measure_sal(net, F.cross_entropy, batches, steps=1)
    with timed() as clock:
        sal = measure_sal(net, F.cross_entropy, batches)
        sync(images.device)
    return clock.seconds, sal.forwards, sal.loss


def published_seconds(net: nn.Module, images: Tensor, labels: Tensor, *, batch_size: int, every: int) -> float:
    """Seconds of the published procedure on 50,000 images, from every n-th layer, one step and one batch."""
    first = [(images[:batch_size], labels[:batch_size])]
    chosen = [layer.name for layer in select_layers(net)]
    some = chosen[::every]
    with timed() as published:
        measure_sal(net, F.cross_entropy, first, solver="reference", steps=1, layers=some)
        sync(images.device)
    with timed() as shared:  # what the call does before the procedure starts: L(θ) and the gradients
        measure_sal(net, F.cross_entropy, first, solver="reference", steps=1, layers=some, eps=0.0)
        sync(images.device)
    steps = STEPS * math.ceil(IMAGES / batch_size)
    return (published.seconds - shared.seconds) / len(some) * len(chosen) * steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, help="folder with CIFAR-10's parquet files; digits without")
    parser.add_argument("--samples", type=int, default=512, help="SAL's probe")
    parser.add_argument("--batch-size", type=int, default=256, help="of training and of the published procedure")
    parser.add_argument(
        "--train-samples", type=int, default=1024, help="images that the model is trained on first, for an epoch"
    )
    parser.add_argument(
        "--width", type=int, default=64, help="first-stage channels; fewer keep the ratios about and the wait short"
    )
    parser.add_argument("--timed-steps", type=int, default=2)
    parser.add_argument("--every", type=int, default=5, help="time the published procedure on every n-th layer")
    options = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    count = max(options.train_samples, options.samples)
    images, labels = cifar10(options.data_dir, count) if options.data_dir else digits(32)
    x, y = images.to(device), labels.to(device)
    net = built(lambda: narrow_resnet18(options.width), 0).to(device, memory_format=torch.channels_last)
    for _ in train(net, x[: options.train_samples], y[: options.train_samples], epochs=1, seed=0):
        pass
    epochs = {
        precision: epoch_seconds(
            net, x, y, batch_size=options.batch_size, steps=options.timed_steps, precision=precision
        )
        for precision in (PRECISIONS if device == "cuda" else PRECISIONS[:1])
    }
    procedure = published_seconds(net, x, y, batch_size=options.batch_size, every=options.every)
    fast, forwards, loss = sal_seconds(net, x[: options.samples], y[: options.samples])
    epoch = epochs["ieee"]
    rows = [
        *([f"training epoch, {name}", f"{s:.1f}", f"{s / epoch:.2f}", ""] for name, s in epochs.items()),
        [f"SAL epoch, fast, {options.samples} samples", f"{fast:.1f}", f"{fast / epoch:.3f}", f"{forwards:.0f}"],
        ["SAL epoch, published procedure, 50,000 images", f"{procedure:.0f}", f"{procedure / epoch:.0f}", ""],
        ["published / fast", "", f"{procedure / fast:.0f} ×", ""],
    ]
    where = f"{device}, {torch.get_num_threads()} threads"
    print(f"ResNet-18, width {options.width}, batch {options.batch_size}, {where}, L(θ) = {loss:.3f}\n")
    print(table(["", "seconds", "training epochs", "forward passes over the probe"], rows))


if __name__ == "__main__":
    main()
