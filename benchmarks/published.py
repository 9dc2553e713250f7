"""What each difference between the published setting and `sal=reference` does to UD, on digits.

    python benchmarks/published.py

Trains on clean data and on two shortcuts with random crops, measures SAL by the published procedure on the same weights,
first on the whole training set, fixed, then with one difference at a time, then with all of them; `fast` for comparison.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from _setting import batched, built, digits, table, with_shortcut
from unlearnable.data.batches import LoaderBatches
from unlearnable.data.modality.pixels import Pixels
from unlearnable.data.samples import Samples
from unlearnable.distances import distance_report, geometric_distance, learnability_threshold
from unlearnable.distances.count_published import published_threshold
from unlearnable.measures.sal import measure_sal
from unlearnable.models.tiny_resnet import tiny_resnet
from unlearnable.tasks import Classification

FIXED = {"shuffle": False, "augment": False, "drop_last": False}
PIXELS, TASKS = Pixels(crop=2), {"class": Classification("class", 10)}

#: Row → what of the loader it has, whether its origin is the running loss, how β is found.
ROWS: Mapping[str, tuple[Mapping[str, bool], bool, Callable[[Any], float]]] = {
    "reference": (FIXED, False, learnability_threshold),
    "reshuffled": ({**FIXED, "shuffle": True}, False, learnability_threshold),
    "augmented": ({**FIXED, "augment": True}, False, learnability_threshold),
    "last batch dropped": ({**FIXED, "drop_last": True}, False, learnability_threshold),
    "running loss as origin": (FIXED, True, learnability_threshold),
    "K-means with one start": (FIXED, False, published_threshold),
    "published": ({}, True, published_threshold),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train-samples", type=int, default=340)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--every", type=int, default=10, help="epochs from one measurement to the next")
    parser.add_argument("--width", type=int, default=6)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=64)
    rows = ("fast", *ROWS)
    parser.add_argument("--rows", nargs="+", default=rows, choices=rows, metavar="ROW", help=", ".join(rows))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    options = parser.parse_args()
    images, labels = (part[: options.train_samples] for part in digits())
    names = ("noise", "patches")
    found = {row: [_distances(images, labels, row, seed, options) for seed in options.seeds] for row in options.rows}
    lines = []
    for row, runs in found.items():
        cells = [f"{np.mean([run['beta'] for run in runs]):.3f}", f"{np.mean([run['layers'] for run in runs]):.2f}"]
        for figure in ("ud", "geometric"):
            cells += [" / ".join(f"{run[figure, name]:.3f}" for run in runs) for name in names]
        lines.append([row, *cells])
    head = ["", "β", "clean layers", *(f"{what} {name}" for what in ("UD", "geometric") for name in names)]
    print(f"\ndigits, {len(images)} images, seeds {options.seeds}\n\n{table(head, lines)}")


_SEEN: dict[Any, np.ndarray] = {}


def _distances(images: Tensor, labels: Tensor, row: str, seed: int, options: argparse.Namespace) -> dict[Any, float]:
    data = {
        "clean": images,
        "noise": with_shortcut(images, labels, 32 / 255),
        "patches": with_shortcut(images, labels, 32 / 255, cell=4),
    }
    threshold = learnability_threshold if row == "fast" else ROWS[row][2]
    sal = {name: _measured(name, x, labels, row, seed, options) for name, x in data.items()}
    beta = threshold(sal["clean"])
    reports = {name: distance_report(sal[name], sal["clean"], beta=beta) for name in data}
    return {
        "beta": beta,
        "layers": reports["clean"].clean_layers,
        **{("ud", name): report.value for name, report in reports.items()},
        **{("geometric", name): geometric_distance(one, sal["clean"]) for name, one in sal.items()},
    }


def _measured(name: str, x: Tensor, labels: Tensor, row: str, seed: int, options: argparse.Namespace) -> np.ndarray:
    """SAL of a run after its measured epochs; rows that differ in the origin or in β alone share the search."""
    loader, running, _ = (FIXED, False, None) if row == "fast" else ROWS[row]
    key = (name, seed, row == "fast", tuple(loader.items()))
    samples = Samples((255 * x).round().to(torch.uint8), labels, TASKS)
    if key not in _SEEN:
        found = []
        for net, loss in _training(samples, seed, options):
            batches = LoaderBatches(samples, PIXELS, TASKS, options.batch_size, seed=seed, **loader)
            if row == "fast":
                one = measure_sal(net, F.cross_entropy, batched(x, labels, 128), steps=options.steps)
            else:
                one = measure_sal(net, F.cross_entropy, batches, solver="reference", steps=options.steps)
            found.append(
                [one.loss + one.rise, one.loss - one.fall, np.full_like(one.rise, one.loss), 0 * one.rise + loss]
            )
            print(f"{name}, seed {seed}, {row}: L(θ) = {one.loss:.4f}, running {loss:.4f}", flush=True)
        _SEEN[key] = np.array(found)
    high, low, exact, mean = _SEEN[key].transpose(1, 0, 2)
    origin = mean if running else exact
    return np.maximum(0, np.maximum(high - origin, origin - low))


def _training(samples: Samples, seed: int, options: argparse.Namespace) -> Any:
    """Trains on the augmented loader's batches; yields the net and the epoch's running loss where it is to be measured."""
    net: nn.Module = built(lambda: tiny_resnet(10, width=options.width), seed)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
    batches = LoaderBatches(samples, PIXELS, TASKS, options.batch_size, seed=seed)
    for epoch in range(1, options.epochs + 1):
        net.train()
        losses = []
        for inputs, targets in batches:
            optimizer.zero_grad()
            loss = F.cross_entropy(net(inputs), targets)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        if epoch % options.every == 0:
            yield copy.deepcopy(net), float(np.mean(losses))


if __name__ == "__main__":
    main()
