"""SAL solvers against each other on trained transformers for texts, layer by layer.

    python benchmarks/sal_text.py                                     # reviews: tiny_transformer and tiny_gpt
    python benchmarks/sal_text.py --data-dir DIR --vocabulary 2000    # SST-2

A layer's share is of the largest SAL that any solver found for it. Times are of one run on one machine, in seconds of
the processor: their ratios count.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from _setting import built, table
from unlearnable.data.batches import Batches
from unlearnable.data.reviews import Reviews
from unlearnable.data.text import TextDataModule
from unlearnable.data.text_files import TextFiles
from unlearnable.measures.sal import measure_sal
from unlearnable.models.tiny_gpt import TinyGPT
from unlearnable.models.tiny_transformer import TinyTransformer
from unlearnable.poisons.regtext import RegText
from unlearnable.tasks import TaskLoss

#: Layers of a smaller SAL are not judged.
LEAST = 0.02


def data_of(options: argparse.Namespace, model: str) -> TextDataModule:
    """Clean texts, for the task that the model is for."""
    sizes = {"length": options.length, "vocabulary": options.vocabulary, "subset": options.train_samples}
    data: Any = (
        Reviews(**sizes)
        if options.data_dir is None
        else TextFiles(options.data_dir, text_column="sentence", test="validation", **sizes)
    )
    data.setup()
    return data.predicting("next_token") if model == "tiny_gpt" else data


def train(net: nn.Module, loss: TaskLoss, data: Any, epochs: int) -> Iterator[int]:
    """Trains as `conf/model/tiny_transformer.yaml` does, in batches of 64; yields after every epoch."""
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3, weight_decay=0.01)
    for epoch in range(epochs):
        net.train()
        order = torch.randperm(len(data.train), generator=generator)
        for inputs, targets in Batches(data.train.select(order), data.modality, 64):
            optimizer.zero_grad()
            loss(net(inputs), targets).backward()
            optimizer.step()
        yield epoch + 1


def compare(
    build: Callable[[], nn.Module], data: Any, what: str, runs: Mapping[str, Mapping[str, Any]], options: Any
) -> Iterator[dict[str, Any]]:
    """One record a solver, with each layer's SAL."""
    (task,) = data.tasks.values()
    loss, net = TaskLoss(task), built(build, 0)
    for epoch in train(net, loss, data, max(options.epochs)):
        if epoch not in options.epochs:
            continue
        probe = data.probe(options.samples, batch_size=128)
        for solver, extra in runs.items():
            start = time.process_time()
            found = measure_sal(net, loss, probe, eps=options.eps, **extra)
            yield {
                "what": what,
                "epoch": epoch,
                "loss": found.loss,
                "solver": solver,
                "seconds": time.process_time() - start,
                "passes": found.forwards,
                "sal": dict(zip(found.names, found.values.tolist(), strict=True)),
            }


def shares(records: Sequence[Mapping[str, Any]]) -> tuple[list[list[str]], list[list[str]]]:
    """Rows a solver, and rows a layer, of records of one network at one epoch."""
    best = {layer: max(record["sal"][layer] for record in records) for layer in records[0]["sal"]}
    judged = [layer for layer, value in best.items() if value > LEAST]
    by_solver, by_layer = [], []
    for record in records:
        share = {layer: record["sal"][layer] / best[layer] for layer in judged}
        worst = min(share, key=share.__getitem__) if share else "–"
        row = [record["what"], str(record["epoch"]), f"{record['loss']:.3f}", record["solver"]]
        row += [f"{record['seconds']:.1f}", f"{record['passes']:.0f}", f"{len(judged)} of {len(best)}"]
        by_solver.append([*row, f"{share.get(worst, np.nan):.3f}", worst])
    for layer, value in best.items():
        row = [records[0]["what"], str(records[0]["epoch"]), layer, f"{value:.4f}"]
        by_layer.append([*row, *(f"{record['sal'][layer] / max(value, 1e-12):.3f}" for record in records)])
    return by_solver, by_layer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, help="folder with SST-2's parquet files; without it, reviews")
    parser.add_argument("--models", nargs="+", choices=["tiny_transformer", "tiny_gpt"], default=None)
    parser.add_argument("--poisons", nargs="+", choices=["clean", "regtext"], default=["clean", "regtext"])
    parser.add_argument("--length", type=int, default=32)
    parser.add_argument("--vocabulary", type=int, default=20000)
    parser.add_argument("--samples", type=int, default=512)
    parser.add_argument("--train-samples", type=int, default=2000)
    parser.add_argument("--epochs", type=int, nargs="+", default=[1, 4], help="epochs to measure after")
    parser.add_argument("--eps", type=float, default=0.05)
    parser.add_argument("--solvers", nargs="+", default=["fast", "reference", "pgd"])
    parser.add_argument("--restarts", type=int, nargs="*", default=[], help="also measure fast with so many restarts")
    parser.add_argument("--pgd-steps", type=int, default=20)
    parser.add_argument("--records", type=Path, help="also append each record to this file, as JSON lines")
    options = parser.parse_args()
    runs: dict[str, dict[str, Any]] = {solver: {"solver": solver} for solver in options.solvers}
    runs |= {f"fast, restarts {count}": {"solver": "fast", "restarts": count} for count in options.restarts}
    if "pgd" in runs:
        runs["pgd"] |= {"steps": options.pgd_steps, "restarts": 1}
    by_solver: list[list[str]] = []
    by_layer: list[list[str]] = []
    for model in options.models or ["tiny_transformer", "tiny_gpt"]:
        clean = data_of(options, model)
        words = len(clean.train.vocabulary)
        outputs, network = (words, TinyGPT) if model == "tiny_gpt" else (2, TinyTransformer)
        build = partial(network, outputs, vocabulary=words, length=options.length)
        for poison in options.poisons:
            data = clean if poison == "clean" else clean.poisoned(RegText(radius=0.1).apply(clean.train, seed=0))
            records: list[dict[str, Any]] = []
            for record in compare(build, data, f"{model}, {poison}", runs, options):
                records.append(record)
                if options.records is not None:
                    with options.records.open("a") as file:
                        file.write(json.dumps(record) + "\n")
                if len(records) == len(runs):
                    solvers, layers = shares(records)
                    by_solver, by_layer, records = by_solver + solvers, by_layer + layers, []
                    print(*solvers, sep="\n", flush=True)
    head = ["network", "epoch", "L(θ)", "solver", "seconds", "passes", f"SAL > {LEAST}", "worst share", "of layer"]
    print(f"\n{options.samples} samples, ε = {options.eps}\n\n{table(head, by_solver)}")
    print(f"\n{table(['network', 'epoch', 'layer', 'best SAL', *runs], by_layer)}")


if __name__ == "__main__":
    main()
