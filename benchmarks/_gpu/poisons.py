"""Every poison on the device: within its budget, repeatable, resumable."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from _gpu import waits
from _gpu.runner import Bench, Figures, expect
from unlearnable.data.samples import Samples
from unlearnable.models.tiny_resnet import tiny_resnet
from unlearnable.poisons.image import base
from unlearnable.poisons.image.base import ImagePoison
from unlearnable.poisons.image.checkpoint import Checkpoint
from unlearnable.tasks import Classification, Depth

_RADIUS = 16 / 255


def methods() -> dict[str, Callable[..., ImagePoison]]:
    """Each method of `conf/poison` that makes something, at counts that take a second; arguments change them."""
    from unlearnable.poisons.ar import AR
    from unlearnable.poisons.dc import DC
    from unlearnable.poisons.em import EM
    from unlearnable.poisons.em_multi import EMMulti
    from unlearnable.poisons.hypo import Hypo
    from unlearnable.poisons.lsp import LSP
    from unlearnable.poisons.ntga import NTGA
    from unlearnable.poisons.ops import OPS
    from unlearnable.poisons.random import RandomNoise
    from unlearnable.poisons.rem import REM
    from unlearnable.poisons.tap import TAP

    net: dict[str, Any] = {
        "surrogate": partial(tiny_resnet, width=4, stem_stride=2),
        "radius": _RADIUS,
        "batch_size": 20,
    }
    rounds: dict[str, Any] = {"surrogate_steps": 3, "noise_steps": 3, "max_rounds": 3, "train_batch_size": 16}
    moves = {"crop": 2, "flip": True}
    return {
        "random": partial(RandomNoise, radius=_RADIUS, batch_size=20),
        "ops": partial(OPS, batch_size=20),
        "lsp": partial(LSP, radius=1.0, batch_size=20),
        "ar": partial(AR, radius=1.0, batch_size=20),
        "ntga": partial(NTGA, radius=_RADIUS, time=64, steps=2, validation_size=30, batch_size=20),
        "em": partial(EM, **net, **rounds, stop_accuracy=1.0),
        "em (classes)": partial(EM, **net, **rounds, stop_accuracy=1.0, classwise=True),
        "em_multi": partial(EMMulti, **net, **rounds, stop_ratio=1e-6),
        "rem": partial(REM, **net, **moves, iterations=3, noise_steps=2, adversarial_steps=2, samples=2),
        "tap": partial(TAP, **net, **moves, steps=3, epochs=2, checkpoints=2),
        "hypo": partial(Hypo, **net, **moves, steps=3, epochs=1),
        "dc": partial(DC, **net, trials=3, epochs=1, width=4, train_batch_size=32),
    }


def _samples() -> Samples:
    """Blurred random images with a hue a class, their classes, and a depth."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(60) % 4
    hue = torch.rand(4, 3, 1, 1, generator=generator)
    images = 0.6 * hue[labels] + 0.4 * torch.rand(60, 3, 16, 16, generator=generator)
    depth = 1 + torch.rand(60, 1, 16, 16, generator=generator)
    tasks = {"class": Classification("class", 4), "depth": Depth("depth", 1)}
    return Samples((images * 255).round().to(torch.uint8), {"class": labels, "depth": depth}, tasks)


@contextmanager
def _stopping(owner: Any, name: str, call: int) -> Iterator[None]:
    """Within the block that call of a function raises KeyboardInterrupt after it is done."""
    original, calls = getattr(owner, name), 0

    def stopping(*given: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        made = original(*given, **options)
        if calls == call:
            raise KeyboardInterrupt
        return made

    setattr(owner, name, stopping)
    try:
        yield
    finally:
        setattr(owner, name, original)


def _size(change: Tensor, norm: str) -> float:
    """The largest norm of an image's change, on the [0, 1] scale."""
    flat = change.flatten(1)
    if norm == "l0":
        return float((change != 0).any(1).flatten(1).sum(1).max())
    return float(flat.abs().amax(1).max() if norm == "linf" else flat.square().sum(1).sqrt().max())


def all_poisons(bench: Bench, found: Figures) -> None:
    """Every poison on the device; all are tried before any failure is reported."""
    for name, build in methods().items():
        try:
            found[name] = _one(bench, name, build())
        except TimeoutError:
            raise
        except Exception as error:
            found[name] = {"failed": [f"{type(error).__name__}: {error}"]}
    failures = [f"{name} {'; '.join(figures['failed'])}" for name, figures in found.items() if figures["failed"]]
    expect(not failures, ". ".join(failures))


#: Method → what counts its steps, and two values of it.
_STEPS = (
    ("em", "noise_steps", 1, 3),
    ("em", "surrogate_steps", 2, 3),  # of four batches: none is met twice
    ("em (classes)", "noise_steps", 1, 3),
    ("em_multi", "noise_steps", 1, 3),
    ("rem", "noise_steps", 1, 3),
    ("rem", "adversarial_steps", 1, 3),
    ("tap", "steps", 2, 4),
    ("hypo", "steps", 1, 3),
)


def waits_of_poisons(bench: Bench, found: Figures) -> None:
    """No wait a step of projected gradient descent: as many steps as you like take the same number of waits."""
    samples = _samples()
    for name, argument, few, many in _STEPS:
        counts = []
        for steps in (few, few, many) if bench.on_gpu else (few, many):  # there a first time, for what is made once
            method = methods()[name](**{argument: steps}, **({"max_rounds": 1} if name.startswith("em") else {}))
            with waits.counted(bench.device) as places:
                method.apply(samples, seed=0, device=bench.device)
            counts.append(places)
        more = counts[-1] - counts[-2]
        found[f"{name}, {argument}"] = {"waits": sum(counts[-2].values()), "a step": waits.most(more)}
    waiting = [name for name, figures in found.items() if figures["a step"]]
    expect(not waiting, f"steps that wait: {'; '.join(waiting)}")


def _one(bench: Bench, name: str, method: ImagePoison) -> Figures:
    samples = _samples()
    clean: Any = samples.inputs

    def apply(work_dir: Path | None = None) -> Tensor:
        made: Any = method.apply(samples, seed=0, device=bench.device, work_dir=work_dir).inputs
        return made

    first = apply()
    size = _size((first.double() - clean.double()) / 255, method.norm)
    failed = []
    if first.device.type != "cpu" or first.dtype != torch.uint8 or not size <= method.radius + 1e-6:
        failed.append(f"leaves its budget: {method.norm} {size:g} of {method.radius:g}, {first.dtype}, {first.device}")
    if size == 0 or math.isnan(size):
        failed.append("changes nothing")
    if not torch.equal(first, apply()):
        failed.append("is not repeatable")
    for number, (owner, function, call) in enumerate(((base, "round_to_grid", 2), (Checkpoint, "save", 1))):
        folder = bench.folder / f"{name}-{number}"
        stopped = False
        try:
            with _stopping(owner, function, call):
                apply(folder)
        except KeyboardInterrupt:
            stopped = True
        if not torch.equal(first, apply(folder)):
            failed.append(f"does not resume after {function}" if stopped else "differs with a folder for its work")
    return {"norm": method.norm, "size": size, "failed": failed}
