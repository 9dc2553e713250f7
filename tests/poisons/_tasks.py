"""Small pictures with a target of every kind of task."""

from __future__ import annotations

import torch

from unlearnable.data.samples import Samples
from unlearnable.tasks import Classification, Depth, Grouping, Heatmap, Normals, Segmentation, Task, ValueMap

from ._inputs import grey_set

TASKS: dict[str, Task] = {
    "scene": Classification("scene", 4),
    "depth": Depth("depth", 1),
    "normal": Normals("normal", 3),
    "semantic": Segmentation("semantic", 3),
    "points": Heatmap("points", 1),
    "segments": Grouping("segments", 8),
    "shading": ValueMap("shading", 2),
}


def many_tasks(*names: str, count: int = 24, size: int = 16) -> Samples:
    """Grey pictures, so that no clipping hides the noise, with random targets for the tasks called `names`, or all."""
    generator = torch.Generator().manual_seed(1)
    maps = torch.rand(count, 8, size, size, generator=generator)
    targets = {
        "scene": torch.arange(count) % 4,
        "depth": 1 + 5 * maps[:, :1],
        "normal": torch.nn.functional.normalize(maps[:, 1:4] - 0.5, dim=1),
        "semantic": (3 * maps[:, 4]).long(),
        "points": maps[:, 5:6] ** 4,
        "segments": (9 * maps[:, 6]).long(),
        "shading": maps[:, 6:8],
    }
    chosen = names or tuple(TASKS)
    images = grey_set(count, 4, size).inputs
    return Samples(images, {name: targets[name] for name in chosen}, {name: TASKS[name] for name in chosen})
