"""SAL solvers against each other on the same probe: time, cost and values.

    python benchmarks/sal.py                                                  # tiny_resnet on digits, minutes
    python benchmarks/sal.py --setting cifar10 --data-dir DIR --width 16      # ResNet-18 of quarter width on CIFAR-10
    python benchmarks/sal.py --setting cifar10 --data-dir DIR                 # ResNet-18; wants a GPU

Times are of one run on one machine: their ratios count.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

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
    rows = []
    for data in ("clean", "poisoned"):
        x = (images if data == "clean" else with_shortcut(images, labels, radius)).to(device)
        y = labels.to(device)
        net = built(build, 0).to(device)
        for epoch in train(net, x, y, epochs=max(options.epochs), seed=0):
            if epoch not in options.epochs:
                continue
            probe = batched(x[: options.samples], y[: options.samples], 128)
            found, seconds = {}, {}
            runs: dict[str, dict[str, object]] = {solver: {"solver": solver} for solver in options.solvers}
            runs |= {f"fast, restarts {count}": {"solver": "fast", "restarts": count} for count in options.restarts}
            if "pgd" in runs:
                runs["pgd"] |= {"steps": options.pgd_steps, "restarts": 1}
            for solver, extra in runs.items():
                with timed() as clock:
                    found[solver] = measure_sal(net, F.cross_entropy, probe, eps=options.eps, **extra)
                seconds[solver] = clock.seconds
            best = np.max([sal.values for sal in found.values()], axis=0)
            for solver, sal in found.items():
                large = best > 0.02
                share = (sal.values / best)[large] if large.any() else np.array([np.nan])
                rows.append(
                    [data, str(epoch), f"{sal.loss:.4f}", solver, f"{seconds[solver]:.1f}", f"{sal.forwards:.0f}"]
                    + [f"{seconds['reference'] / seconds[solver]:.1f}" if "reference" in seconds else "–"]
                    + [f"{large.sum()} of {len(best)}", f"{share.min():.3f}", f"{np.median(share):.3f}"]
                )
                print(rows[-1], flush=True)
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
    print(f"\n{options.setting}, {options.samples} samples, ε = {options.eps}, {device}\n\n{table(head, rows)}")


if __name__ == "__main__":
    main()
