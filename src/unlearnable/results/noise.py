"""What a job's perturbation looks like and how much of its budget it uses."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unlearnable.data.samples import ImageSet

#: The picture's file in the job's folder: clean, noise and poisoned, one image a class.
PREVIEW = "preview.png"


def noise_figures(clean: ImageSet, poisoned: ImageSet, folder: Path) -> dict[str, Any]:
    """The perturbation's norms under `noise`, as `unlearnable.poisons.describe` gives them; draws the preview.

    Args:
        clean: The clean training set.
        poisoned: The poisoned one, row for row. Nothing is drawn if it is the clean one.
        folder: The job's folder.
    """
    from unlearnable.data.modality.noise import describe
    from unlearnable.data.modality.picture import preview

    description = describe(clean.images, poisoned.images)
    if description.changed:
        preview(clean.images, poisoned.images, clean.labels, path=folder / PREVIEW)
    return {"noise": description.as_dict()}
