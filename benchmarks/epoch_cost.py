"""What a SAL epoch costs: against a training epoch of 50,000 images, and against the published procedure.

    python benchmarks/epoch_cost.py --data-dir DIR [--samples 512] [--batch-size 256] [--width 16]

ResNet-18 with the CIFAR stem, eps 0.05, 10 steps. SAL at the default probe is run whole; training steps, and the
published procedure's passes for a few layers over one batch, are timed in the same run and scaled to all batches, 10 steps
and 21 layers.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import torch
import torch.nn.functional as F

from _setting import batched, built, cifar10, table, timed, train
from sal import narrow_resnet18
from unlearnable.measures.sal import measure_sal
from unlearnable.probing.layers import select_layers

IMAGES, STEPS = 50_000, 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True, help="folder with CIFAR-10's parquet files")
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
    x, y = (tensor.to(device) for tensor in cifar10(options.data_dir, max(options.train_samples, options.samples)))
    net = built(lambda: narrow_resnet18(options.width), 0).to(device)
    for _ in train(net, x[: options.train_samples], y[: options.train_samples], epochs=1, seed=0):
        pass
    sync = torch.cuda.synchronize if device == "cuda" else (lambda: None)
    batches = math.ceil(IMAGES / options.batch_size)
    first = (x[: options.batch_size], y[: options.batch_size])

    optimizer = torch.optim.SGD(net.parameters(), lr=0.0, momentum=0.9, weight_decay=0.0)  # a step that changes nothing
    net.train()

    def step() -> None:
        optimizer.zero_grad()
        F.cross_entropy(net(first[0]), first[1]).backward()
        optimizer.step()
        sync()

    step()
    with timed() as training:
        for _ in range(options.timed_steps):
            step()
    epoch = training.seconds / options.timed_steps * batches

    chosen = [layer.name for layer in select_layers(net)]
    some = chosen[:: options.every]
    with timed() as published:
        measure_sal(net, F.cross_entropy, [first], solver="reference", steps=1, layers=some)
        sync()
    with timed() as shared:  # what the call does before the procedure starts: L(θ) and the gradients
        measure_sal(net, F.cross_entropy, [first], solver="reference", steps=1, layers=some, eps=0.0)
        sync()
    procedure = (published.seconds - shared.seconds) / len(some) * len(chosen) * STEPS * batches

    probe = batched(x[: options.samples], y[: options.samples], 128)
    with timed() as fast:
        sal = measure_sal(net, F.cross_entropy, probe)
        sync()
    rows = [
        ["training epoch, 50,000 images", f"{epoch:.0f}", "1", ""],
        [
            f"SAL epoch, fast, {options.samples} samples",
            f"{fast.seconds:.0f}",
            f"{fast.seconds / epoch:.3f}",
            f"{sal.forwards:.0f}",
        ],
        ["SAL epoch, published procedure, 50,000 images", f"{procedure:.0f}", f"{procedure / epoch:.0f}", ""],
        ["published / fast", "", f"{procedure / fast.seconds:.0f} ×", ""],
    ]
    where = f"{device}, {torch.get_num_threads()} threads"
    print(f"ResNet-18, width {options.width}, batch {options.batch_size}, {where}, L(θ) = {sal.loss:.3f}\n")
    print(table(["", "seconds", "training epochs", "forward passes over the probe"], rows))


if __name__ == "__main__":
    main()
