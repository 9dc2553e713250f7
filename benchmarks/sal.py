"""SAL solvers against each other on the same probe: time, cost and values.

    python benchmarks/sal.py                                                  # tiny_resnet on digits, minutes
    python benchmarks/sal.py --setting cifar10 --data-dir DIR --width 16      # ResNet-18 of quarter width on CIFAR-10
    python benchmarks/sal.py --setting cifar10 --data-dir DIR                 # ResNet-18; wants a GPU

Times are of one run on one machine: their ratios count.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from _setting import batched, built, cifar10, digits, table, timed, train, with_shortcut
from unlearnable.measures.sal import measure_sal
from unlearnable.models.tiny_resnet import tiny_resnet
from unlearnable.models.torchvision_nets import resnet18


def narrow_resnet18(width: int) -> nn.Module:
    """Torchvision's ResNet-18 with the CIFAR stem and ``width`` channels in the first stage (64 in the original)."""
    from torchvision.models.resnet import BasicBlock, ResNet

    net = ResNet(BasicBlock, [2, 2, 2, 2], num_classes=10)
    if width != 64:
        for module in list(net.modules()):
            for name, child in list(module.named_children()):
                if isinstance(child, nn.Conv2d):
                    inputs = 3 if child.in_channels == 3 else child.in_channels * width // 64
                    outputs = child.out_channels * width // 64
                    setattr(
                        module,
                        name,
                        nn.Conv2d(inputs, outputs, child.kernel_size, child.stride, child.padding, bias=False),
                    )
                elif isinstance(child, nn.BatchNorm2d):
                    setattr(module, name, nn.BatchNorm2d(child.num_features * width // 64))
        net.fc = nn.Linear(512 * width // 64, 10)
    net.conv1, net.maxpool = nn.Conv2d(3, width, 3, 1, 1, bias=False), nn.Identity()
    return net


@dataclass(frozen=True)
class Row:
    """One solver on one net.

    Attributes:
        faster: Than the published procedure, if that was run.
        large: Layers with a SAL above 0.02 by the best solver.
        worst: Of those, the smallest share of the best SAL.
        median: Likewise.
    """

    data: str
    epoch: int
    loss: float
    solver: str
    seconds: float
    forwards: float
    faster: float | None
    large: int
    layers: int
    worst: float
    median: float

    def cells(self) -> list[str]:
        return [
            *(self.data, str(self.epoch), f"{self.loss:.4f}", self.solver, f"{self.seconds:.1f}"),
            *(f"{self.forwards:.0f}", "–" if self.faster is None else f"{self.faster:.1f}"),
            *(f"{self.large} of {self.layers}", f"{self.worst:.3f}", f"{self.median:.3f}"),
        ]


def runs_of(solvers: Sequence[str], restarts: Sequence[int], pgd_steps: int) -> dict[str, dict[str, Any]]:
    """Name → arguments of `measure_sal`."""
    runs: dict[str, dict[str, Any]] = {solver: {"solver": solver} for solver in solvers}
    runs |= {f"fast, restarts {count}": {"solver": "fast", "restarts": count} for count in restarts}
    if "pgd" in runs:
        runs["pgd"] |= {"steps": pgd_steps, "restarts": 1}
    return runs


def compare(
    build: Callable[[], nn.Module],
    images: Tensor,
    labels: Tensor,
    *,
    radius: float,
    epochs: Sequence[int],
    samples: int,
    eps: float,
    runs: Mapping[str, Mapping[str, Any]],
) -> list[Row]:
    """Trains a net on clean images and one on a shortcut of that radius; measures both by every solver."""
    rows = []
    for data in ("clean", "poisoned"):
        shortcut = with_shortcut(images.cpu(), labels.cpu(), radius).to(images.device)
        x = images if data == "clean" else shortcut
        net = built(build, 0).to(images.device)
        for epoch in train(net, x, labels, epochs=max(epochs), seed=0):
            if epoch not in epochs:
                continue
            probe = batched(x[:samples], labels[:samples], 128)
            found, seconds = {}, {}
            for solver, extra in runs.items():
                with timed() as clock:
                    found[solver] = measure_sal(net, F.cross_entropy, probe, eps=eps, **extra)
                seconds[solver] = clock.seconds
            best = np.max([sal.values for sal in found.values()], axis=0)
            large = best > 0.02
            for solver, sal in found.items():
                share = (sal.values / best)[large] if large.any() else np.array([np.nan])
                faster = seconds["reference"] / seconds[solver] if "reference" in seconds else None
                rows.append(
                    Row(
                        *(data, epoch, sal.loss, solver, seconds[solver], sal.forwards, faster),
                        *(int(large.sum()), len(best), float(share.min()), float(np.median(share))),
                    )
                )
                print(rows[-1].cells(), flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--setting", choices=["digits", "cifar10"], default="digits")
    parser.add_argument("--data-dir", type=Path, help="folder with CIFAR-10's parquet files")
    parser.add_argument("--width", type=int, default=64, help="ResNet-18's first-stage channels")
    parser.add_argument("--samples", type=int, default=512)
    parser.add_argument("--train-samples", type=int, default=2000, help="CIFAR-10 images to train on first")
    parser.add_argument("--epochs", type=int, nargs="+", default=[1, 4, 12], help="epochs to measure after")
    parser.add_argument("--eps", type=float, default=0.05)
    parser.add_argument("--solvers", nargs="+", default=["fast", "reference", "pgd"])
    parser.add_argument("--restarts", type=int, nargs="*", default=[0], help="also measure fast with so many restarts")
    parser.add_argument("--pgd-steps", type=int, default=20)
    options = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if options.setting == "digits":
        images, labels = digits()
        build, radius = (lambda: tiny_resnet(10)), 32 / 255
    else:
        images, labels = cifar10(options.data_dir, options.train_samples)
        build, radius = (lambda: resnet18(10) if options.width == 64 else narrow_resnet18(options.width)), 8 / 255
    rows = compare(
        build,
        images.to(device),
        labels.to(device),
        radius=radius,
        epochs=options.epochs,
        samples=options.samples,
        eps=options.eps,
        runs=runs_of(options.solvers, options.restarts, options.pgd_steps),
    )
    head = [
        "data",
        "epoch",
        "L(θ)",
        "solver",
        "seconds",
        "forwards",
        "faster ×",
        "SAL > 0.02",
        "worst / best",
        "median / best",
    ]
    lines = [row.cells() for row in rows]
    print(f"\n{options.setting}, {options.samples} samples, ε = {options.eps}, {device}\n\n{table(head, lines)}")


if __name__ == "__main__":
    main()
