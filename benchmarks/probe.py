"""How SAL, the learnable layers and UD depend on the size of the probe and on the number of steps.

    python benchmarks/probe.py                         # tiny_resnet on digits
    python benchmarks/probe.py --data-dir DIR          # tiny_resnet (stride 2) on a part of CIFAR-10

Trains on clean data and on two shortcuts, measures SAL after every epoch with every probe and number of steps on the same
weights, and compares with the largest probe and number of steps.
"""

from __future__ import annotations

import argparse
import copy
from pathlib import Path

import numpy as np
import torch.nn.functional as F

from _setting import batched, built, cifar10, digits, table, timed, train, with_shortcut
from unlearnable.distances import distance_report
from unlearnable.measures.sal import measure_sal
from unlearnable.models.tiny_resnet import tiny_resnet


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, help="folder with CIFAR-10's parquet files; digits without")
    parser.add_argument("--train-samples", type=int, default=2048)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--width", type=int, default=8)
    parser.add_argument(
        "--samples", type=int, nargs="+", default=[128, 256, 512, 1024], help="probes beside the whole training set"
    )
    parser.add_argument("--steps", type=int, nargs="+", default=[2, 5], help="beside 10")
    options = parser.parse_args()
    images, labels = cifar10(options.data_dir, options.train_samples) if options.data_dir else digits()
    radius, stride = (8 / 255, 2) if options.data_dir else (32 / 255, 1)
    data = {
        "clean": images,
        "noise": with_shortcut(images, labels, radius),
        "patches": with_shortcut(images, labels, radius, cell=4),
    }
    count = len(images)
    variants = [(size, 10) for size in [*options.samples, count] if size <= count]
    variants += [(512, steps) for steps in options.steps]
    sal: dict[tuple[int, int], dict[str, list[np.ndarray]]] = {
        variant: {name: [] for name in data} for variant in variants
    }
    seconds = dict.fromkeys(variants, 0.0)
    for name, x in data.items():
        net = built(lambda: tiny_resnet(10, width=options.width, stem_stride=stride), 0)
        for epoch in train(net, x, labels, epochs=options.epochs, seed=0):
            measured = copy.deepcopy(net)
            for size, steps in variants:
                with timed() as clock:
                    found = measure_sal(measured, F.cross_entropy, batched(x[:size], labels[:size], 128), steps=steps)
                seconds[size, steps] += clock.seconds
                sal[size, steps][name].append(found.values)
            print(f"{name}, epoch {epoch}: L(θ) = {found.loss:.4f}", flush=True)
    truth = (count, 10)
    rows = []
    for variant in variants:
        errors, distances = [], []
        for name in data:
            mine, whole = np.array(sal[variant][name]), np.array(sal[truth][name])
            errors.append(np.median((abs(mine - whole) / whole)[whole > 0.02]))
        reports = {n: distance_report(sal[variant][n], sal[variant]["clean"]) for n in data if n != "clean"}
        expected = {n: distance_report(sal[truth][n], sal[truth]["clean"]) for n in data if n != "clean"}
        distances = [f"{reports[n].value:.3f} ({reports[n].value - expected[n].value:+.3f})" for n in reports]
        first = next(iter(reports.values()))
        rows.append(
            [
                f"{variant[0]}{' (all)' if variant[0] == count else ''}",
                str(variant[1]),
                f"{seconds[variant] / seconds[truth]:.2f}",
            ]
            + [f"{np.mean(errors):.1%}", f"{first.beta:.4f}", f"{first.clean_layers:.2f}", *distances]
        )
    head = [
        "samples",
        "steps",
        "time",
        "median change of SAL",
        "β",
        "clean layers",
        *(f"UD {n} (change)" for n in data if n != "clean"),
    ]
    name = "CIFAR-10" if options.data_dir else "digits"
    print(f"\n{name}, {count} training images, {options.epochs} epochs\n\n{table(head, rows)}")


if __name__ == "__main__":
    main()
