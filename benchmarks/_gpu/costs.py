"""What a SAL epoch costs on the device, by the benchmarks beside this folder."""

from __future__ import annotations

import contextlib
import io
from dataclasses import asdict
from functools import partial
from unittest import mock

import torch

import epoch_cost
import sal
from _gpu.runner import Bench, Figures, expect
from _setting import built, digits, rounding, train
from unlearnable.models.tiny_resnet import tiny_resnet

#: Most that a SAL epoch may cost, in training epochs.
GOAL = 0.5


def cost_of_an_epoch(bench: Bench, found: Figures) -> None:
    """ResNet-18 at full width, batch 256: a SAL epoch takes at most half of a training epoch's time, by precision."""
    count, batch, steps, width = (1024, 256, 20, 64) if bench.on_gpu and not bench.quick else (64, 32, 1, 4)
    x, y = (tensor[:count].to(bench.device) for tensor in digits(32))
    net = built(lambda: sal.narrow_resnet18(width), 0).to(bench.device, memory_format=torch.channels_last)
    # An untrained net, of next to no SAL, would take twice as many passes.
    for _ in train(net, x, y, epochs=3 if bench.on_gpu else 1, seed=0):
        pass
    epochs = {
        precision: epoch_cost.epoch_seconds(net, x, y, batch_size=batch, steps=steps, precision=precision)
        for precision in (epoch_cost.PRECISIONS if bench.on_gpu else epoch_cost.PRECISIONS[:1])
    }
    found["training epoch, seconds"] = epochs
    samples = count // 2
    seconds = {}
    for size in (128, 512) if bench.on_gpu else (128,):
        seconds[size], forwards, loss = epoch_cost.sal_seconds(net, x[:samples], y[:samples], batch_size=size)
        found[f"SAL epoch, batches of {size}"] = {"seconds": seconds[size], "forwards": forwards, "loss": loss}
    if bench.on_gpu:
        with mock.patch("unlearnable.probing.state.ieee_float32", partial(rounding, "tf32")):
            found["SAL epoch, were it in TF32, seconds"] = epoch_cost.sal_seconds(net, x[:samples], y[:samples])[0]
    ratios = {precision: seconds[128] / epoch for precision, epoch in epochs.items()}
    found["SAL epoch / training epoch"] = ratios
    if bench.on_gpu:
        high = [f"{ratio:.2f} of one in {precision}" for precision, ratio in ratios.items() if ratio > GOAL]
        expect(not high, f"a SAL epoch takes more than {GOAL} of a training epoch: {', '.join(high)}")


def solvers(bench: Bench, found: Figures) -> None:
    """The default solver against the published procedure, on digits: time and values."""
    count, epochs, width = (96, 1, 4) if bench.quick else (1797, 4, 16)
    images, labels = (tensor[:count].to(bench.device) for tensor in digits())
    runs = sal.runs_of(["fast", "reference"], [], 1)
    if bench.quick:
        runs = {name: {**extra, "steps": 1} for name, extra in runs.items()}
    with contextlib.redirect_stdout(io.StringIO()):
        rows = sal.compare(
            lambda: tiny_resnet(10, width=width),
            images,
            labels,
            radius=32 / 255,
            epochs=[epochs],
            samples=min(count, 512),
            eps=0.05,
            runs=runs,
        )
    found["rows"] = [asdict(row) for row in rows]
    low = [f"{row.median:.3f} ({row.data})" for row in rows if row.solver == "fast" and row.median < 0.95]
    expect(bench.quick or not low, f"the fast solver's median share of the best SAL is {', '.join(low)}")
