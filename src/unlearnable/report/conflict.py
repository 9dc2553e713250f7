"""The conflict between tasks, drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float64


def draw_conflict(
    path: Path, tasks: Sequence[str], matrices: Mapping[str, Float64[np.ndarray, "t t"]], *, title: str
) -> None:
    """Draws conflict matrices side by side as heat maps.

    Args:
        path: Of the PNG file.
        tasks: Names of rows and columns.
        matrices: Title → matrix.
        title: Of the whole.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1.6 + 3.2 * len(matrices), 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, len(matrices), squeeze=False)[0]
    for place, (axis, (name, matrix)) in enumerate(zip(axes, matrices.items(), strict=True)):
        shown = axis.imshow(matrix, vmin=-1, vmax=1, cmap="RdBu")
        axis.set_title(name, fontsize=9)
        axis.set_xticks(range(len(tasks)), tasks, rotation=60, ha="right", fontsize=8)
        axis.set_yticks(range(len(tasks)), tasks if place == 0 else [], fontsize=8)
        for (row, column), value in np.ndenumerate(matrix):
            text = f"{value:.2f}" if np.isfinite(value) else "–"
            axis.text(column, row, text, ha="center", va="center", fontsize=7, color="w" if abs(value) > 0.6 else "k")
    figure.colorbar(shown, ax=axes, shrink=0.7, label="cosine similarity")
    figure.suptitle(title, fontsize=10)
    figure.savefig(path, dpi=110, bbox_inches="tight")
