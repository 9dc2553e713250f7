"""`python -m unlearnable.landscape JOB`: the loss around a job's training and its clean reference's.

Both stored trajectories on the plane of their two principal directions, with the loss on clean and on poisoned training
samples as contours. Rows of the grid are kept in the store as they are done: an interrupted command goes on.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from unlearnable.files import write_atomically
from unlearnable.reopened import Job
from unlearnable.results.records import RESULT

if TYPE_CHECKING:
    from unlearnable.probing.plane import Plane

#: Starts the names of the files in the job's folder.
NAME = "landscape"


@dataclass(frozen=True)
class Surfaces:
    """Losses on a plane.

    Attributes:
        plane: The plane; its trajectories are `clean` and, for a poisoned job, the poison's name.
        xs: Places along the first direction, `[nx]`.
        ys: Places along the second, `[ny]`.
        losses: Name of the samples → loss, `[ny, nx]`.
    """

    plane: Plane
    xs: np.ndarray
    ys: np.ndarray
    losses: Mapping[str, np.ndarray]


def surfaces(
    job: Job,
    *,
    layer: str | None = None,
    points: int = 21,
    samples: int = 256,
    margin: float = 0.25,
    plain: bool = False,
) -> Surfaces:
    """The plane and the losses on it, taken from the store or made.

    Args:
        job: The job.
        layer: A module's name for its own plane, all other weights fixed at the last run's end; None for all weights.
        points: Grid points along each direction.
        samples: Training samples that the loss is measured on.
        margin: Extent of the grid beyond the trajectories, as a share of theirs.
        plain: Euclidean distances instead of filter-normalised ones.

    Raises:
        ValueError: if there is no such layer.
    """
    from unlearnable.identity import code_of
    from unlearnable.probing.plane import trajectory_plane

    names, end = list(job.data), list(job.trajectories.values())[-1][-1]
    net = job.stages.make_module(job.data[names[-1]]).net
    parameters = [name for name, _ in net.named_parameters()]  # type: ignore[union-attr]
    chosen = [name for name in parameters if layer is None or name.rpartition(".")[0] == layer]
    if not chosen:
        layers = ", ".join(dict.fromkeys(name.rpartition(".")[0] for name in parameters))
        raise ValueError(f"`--layer` must be one of {layers}; got {layer!r}.")
    scale = None if plain else job.trajectories["clean"][-1]
    plane = trajectory_plane(job.trajectories, chosen, scale=scale)
    xs, ys = plane.grid(points, margin)
    losses = {}
    for name in names:
        key = {
            "trajectories": job.digests,
            "epochs": job.epochs,  # the plane is that of the weights that are kept
            "images": name,
            "layer": layer,
            "grid": [points, margin],
            "samples": samples,
            "plain": plain,
            "code": code_of("unlearnable.probing.plane"),
        }

        def make(folder: Path, name: str = name) -> None:
            _measure(job, name, net, dict(end), plane, xs, ys, samples, folder)

        entry = job.stages.store.obtain(NAME, key, make)
        rows = [json.loads((entry / f"row_{row:03d}.json").read_text()) for row in range(points)]
        losses[name] = np.array(rows, dtype=np.float64)
    return Surfaces(plane, xs, ys, losses)


def _measure(
    job: Job,
    name: str,
    net: Any,
    end: Mapping[str, Tensor],
    plane: Plane,
    xs: np.ndarray,
    ys: np.ndarray,
    samples: int,
    folder: Path,
) -> None:
    """Writes the rows that are not in `folder` yet."""
    from rich.progress import Progress

    from unlearnable.probing.plane import loss_rows

    module = job.stages.make_module(job.data[name])
    net.load_state_dict(dict(end))
    net.to(job.stages.device)
    data = job.data[name]
    probe = data.probe(min(samples, len(data.train)), split="train", batch_size=256)
    done = {row for row in range(len(ys)) if (folder / f"row_{row:03d}.json").exists()}
    with Progress(disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task(f"loss on {name} samples", total=len(ys), completed=len(done))
        # With several tasks the last is their sum, which training descends on.
        loss = list(module.loss_functions.values())[-1]  # type: ignore[operator]
        for row, values in loss_rows(net, loss, probe, plane, xs, ys, skip=done):
            write_atomically(folder / f"row_{row:03d}.json", json.dumps(values.tolist()))
            progress.advance(task)


def main(arguments: Sequence[str] | None = None) -> int:
    """Makes and draws the landscapes; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m unlearnable.landscape", description=__doc__)
    parser.add_argument("job", type=Path, help="a finished job's folder")
    parser.add_argument(
        "--layers", nargs="*", metavar="NAME", help="planes of single layers too; without names, of all"
    )
    parser.add_argument("--points", type=int, default=21, help="grid points along each direction")
    parser.add_argument("--samples", type=int, default=256, help="training samples for the loss")
    parser.add_argument(
        "--margin", type=float, default=0.25, help="grid beyond the trajectories, share of their extent"
    )
    parser.add_argument("--plain", action="store_true", help="Euclidean distances instead of filter-normalised ones")
    options = parser.parse_args(arguments)
    from unlearnable.report.contours import draw_landscape

    try:
        if options.points < 2 or options.samples < 1:
            raise ValueError("`--points` must be at least 2 and `--samples` at least 1.")
        job = Job(options.job)
        layers = options.layers
        if layers == []:
            layers = json.loads((options.job / RESULT).read_text())["layers"]
        for layer in [None, *(layers or [])]:
            settings = {"points": options.points, "samples": options.samples, "margin": options.margin}
            found = surfaces(job, layer=layer, plain=options.plain, **settings)
            metric = "Euclidean" if options.plain else "filter-normalised"
            what = f"layer {layer}" if layer else "all weights"
            written = draw_landscape(
                options.job,
                f"{NAME}-{layer}" if layer else NAME,
                xs=found.xs,
                ys=found.ys,
                losses=found.losses,
                trajectories=found.plane.coordinates,
                shares=found.plane.shares,
                title=f"{what}, {metric} distances",
            )
            first, second = found.plane.shares
            print(f"{what}: {first:.1%} + {second:.1%} of the variance on the plane · {written[0]}")
    except (FileNotFoundError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
