"""Nets, data and trainings that the checks share; the data are scikit-learn's digits or drawn."""

from __future__ import annotations

import copy
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from lightning.pytorch import Trainer
from torch import Tensor, nn

from _gpu.runner import Bench
from _setting import Batches, batched, built, digits, train
from unlearnable.data.digits import Digits
from unlearnable.data.module import ImageDataModule
from unlearnable.data.samples import Samples
from unlearnable.measures.sal import measure_sal
from unlearnable.measures.sal.sal import Sal
from unlearnable.models.module import TaskModule, multi_task
from unlearnable.models.tiny_resnet import tiny_resnet
from unlearnable.tasks import Classification, Depth, Segmentation

#: For comparisons on a whole probe without restarts, whose climbs differ where sums are rounded in another way.
QUICK_SAL: dict[str, Any] = {"steps": 3, "restarts": 0}


def width(bench: Bench) -> int:
    return 4 if bench.quick else 16


def probe(bench: Bench, batch_size: int = 128) -> Batches:
    """A probe of digits, on the CPU."""
    images, labels = digits()
    count = 64 if bench.quick else 512
    return batched(images[:count], labels[:count], min(batch_size, count))


def trained(bench: Bench, epochs: int = 1) -> nn.Module:
    """A small ResNet, trained on digits on the bench's device."""
    images, labels = digits()
    count = 256 if bench.quick else 1400
    net = built(lambda: tiny_resnet(10, width=width(bench)), 0).to(bench.device)
    x, y = images[:count].to(bench.device), labels[:count].to(bench.device)
    for _ in train(net, x, y, epochs=epochs, seed=0):
        pass
    return net


def sal_of(bench: Bench, net: nn.Module, batches: Batches, **options: Any) -> Sal:
    """SAL by the default solver: what a job measures."""
    return measure_sal(net, F.cross_entropy, batches, **{**(QUICK_SAL if bench.quick else {}), **options})


def sal_in_double(bench: Bench, net: nn.Module, batches: Batches, **options: Any) -> Sal:
    """The same in double precision on the CPU."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        twin = copy.deepcopy(net).cpu().double()
        return sal_of(bench, twin, [(x.cpu().double(), y.cpu()) for x, y in batches], **options)
    finally:
        torch.set_default_dtype(before)


def deviation(found: Sal, true: Sal) -> float:
    """The largest relative difference of two measurements; of a SAL below 0.02 of loss it is relative to that.

    The solver itself resolves 2e-4 of loss.
    """
    return float((np.abs(found.values - true.values) / np.maximum(true.values, 0.02)).max())


def data(bench: Bench, **options: Any) -> Digits:
    size = {"subset": 96, "test_subset": 40} if bench.quick else {"subset": 1024, "test_subset": 256}
    return Digits(**{**size, "batch_size": 32 if bench.quick else 128, "crop": 1, "flip": True, **options})


def module(bench: Bench) -> TaskModule:
    """What a job trains, with dropout: a resumed run must draw the same."""
    net = built(lambda: tiny_resnet(10, width=width(bench)), 0)
    net.avgpool = nn.Sequential(net.avgpool, nn.Dropout(0.1))
    return TaskModule(
        net,
        {"class": Classification("class", 10)},
        optimizer=partial(torch.optim.SGD, lr=0.05, momentum=0.9, weight_decay=5e-4),
        scheduler=partial(torch.optim.lr_scheduler.StepLR, step_size=1, gamma=0.7),
    )


class SeveralTasks(ImageDataModule):
    """Drawn images with a class, a depth, and weighted classes of pixels."""

    def load(self) -> tuple[Samples, Samples]:
        generator = torch.Generator().manual_seed(0)
        images = torch.rand(120, 3, 16, 16, generator=generator)
        tasks = {
            "class": Classification("class", 3),
            "depth": Depth("depth", 1),
            "segments": Segmentation("segments", 2, class_weights=(1.0, 2.0)),
        }
        targets = {"class": torch.arange(120) % 3, "depth": 1 + images[:, :1], "segments": (images[:, 0] > 0.5).long()}
        whole = Samples((images * 255).to(torch.uint8), targets, tasks)
        return whole.select(torch.arange(96)), whole.select(torch.arange(96, 120))


def module_of_several(data: SeveralTasks) -> TaskModule:
    """Several heads, with weights that follow each task's losses."""
    backbone = partial(tiny_resnet, width=4)
    return multi_task(backbone, data.tasks, optimizer=partial(torch.optim.SGD, lr=0.01, momentum=0.9), weighting="dwa")


def trainer(bench: Bench, **options: Any) -> Trainer:
    """The Trainer as a job's configuration makes it."""
    settings: dict[str, Any] = {
        "accelerator": "gpu" if bench.on_gpu else "cpu",
        "devices": 1,
        "deterministic": "warn",
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "num_sanity_val_steps": 0,
        "log_every_n_steps": 50,
        "logger": False,
        "enable_checkpointing": False,
    }
    return Trainer(**{**settings, **options})


def bits(net: nn.Module) -> dict[str, Tensor]:
    """A copy of all parameters and buffers, on the CPU."""
    return {name: tensor.detach().cpu().clone() for name, tensor in net.state_dict().items()}


def same_bits(first: dict[str, Tensor], second: dict[str, Tensor]) -> list[str]:
    """Names under which two copies differ."""
    return [name for name in first.keys() | second.keys() if not torch.equal(first[name], second[name])]
