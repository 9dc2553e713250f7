"""Every poison on the device: within its budget, repeatable, resumable."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor

from _gpu import waits
from _gpu.runner import Bench, Figures, expect
from unlearnable.data.samples import Samples
from unlearnable.models.tiny_resnet import tiny_resnet
from unlearnable.poisons.image import base
from unlearnable.poisons.image.base import ImagePoison
from unlearnable.poisons.image.checkpoint import Checkpoint
from unlearnable.tasks import Classification, Depth

#: Arguments that cost time, by name, and how far a method then stops early, whichever has them.
_TINY: dict[str, Any] = {
    "adversarial_steps": 2,
    "batch_size": 20,
    "epochs": 2,
    "iterations": 3,
    "max_rounds": 3,
    "noise_steps": 3,
    "rounds": 2,
    "samples": 2,
    "steps": 3,
    "stop_accuracy": 1.0,
    "stop_ratio": 1e-6,
    "surrogate_steps": 3,
    "train_batch_size": 16,
    "trials": 2,
    "validation_size": 30,
    "width": 4,
}
_GIVEN: dict[str, Any] = {**_TINY, "surrogate": partial(tiny_resnet, width=4, stem_stride=2), "crop": 2, "flip": True}
_RADII = {"linf": 16 / 255, "l2": 1.0, "l0": 1}


def methods() -> dict[str, partial[ImagePoison]]:
    """Each method of `conf/poison` that changes images within a budget, at counts that take a second."""
    found: dict[str, partial[ImagePoison]] = {}
    for path in sorted((Path(__file__).resolve().parents[2] / "conf" / "poison").glob("*.yaml")):
        options = yaml.safe_load(path.read_text())
        module, _, name = options.pop("_target_").rpartition(".")
        method = getattr(import_module(module), name)
        if issubclass(method, ImagePoison):
            given = {**_GIVEN, "radius": _RADII[options["norm"]]}
            # What the data set's configuration would fill in is as the constructor has it.
            own = {key: value for key, value in options.items() if not str(value).startswith("${")}
            found[path.stem] = partial(method, **{**own, **{key: given[key] for key in options if key in given}})
    found["em (classes)"] = partial(found["em"], classwise=True)
    return found


def _samples(count: int) -> Samples:
    """Blurred random images with a hue a class, their classes, and a depth."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(count) % 4
    hue = torch.rand(4, 3, 1, 1, generator=generator)
    images = 0.6 * hue[labels] + 0.4 * torch.rand(count, 3, 16, 16, generator=generator)
    depth = 1 + torch.rand(count, 1, 16, 16, generator=generator)
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


#: What counts a method's steps of descent.
_STEPS = ("noise_steps", "adversarial_steps", "steps")


def waits_of_poisons(bench: Bench, found: Figures) -> None:
    """No wait a step of projected gradient descent: more steps take as many waits."""
    samples = _samples(24)
    for name, method in methods().items():
        if name == "ntga":  # each step takes eigenvectors, whose convergence the host checks
            continue
        once = {key: 1 for key in ("epochs", "iterations", "max_rounds", "rounds") if key in method.keywords}
        for argument in _STEPS:
            if argument not in method.keywords:
                continue
            counts = []
            for steps in (1, 1, 3) if bench.on_gpu else (1, 3):  # there a first time, for what is made once
                with waits.counted(bench.device) as places:
                    method(**{**once, argument: steps}).apply(samples, seed=0, device=bench.device)
                counts.append(places)
            more = counts[-1] - counts[-2]
            found[f"{name}, {argument}"] = {"waits": sum(counts[-2].values()), "a step": waits.most(more)}
    waiting = [name for name, figures in found.items() if figures["a step"]]
    expect(not waiting, f"steps that wait: {'; '.join(waiting)}")


def _one(bench: Bench, name: str, method: ImagePoison) -> Figures:
    samples = _samples(60)
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
