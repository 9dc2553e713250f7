"""The loss around trainings as a picture: contours on a plane, with the trajectories over them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float

from unlearnable.report.style import SEQUENTIAL, looks


def draw_landscape(
    folder: Path,
    name: str,
    *,
    xs: Float[np.ndarray, " nx"],
    ys: Float[np.ndarray, " ny"],
    losses: Mapping[str, Float[np.ndarray, "ny nx"]],
    trajectories: Mapping[str, Float[np.ndarray, "_ 2"]],
    shares: tuple[float, float],
    title: str,
) -> list[Path]:
    """Draws the contours of each loss with the trajectories over them; writes PNG and PDF.

    Args:
        folder: Where to write.
        name: Of the files.
        xs: Places along the first direction.
        ys: Places along the second.
        losses: Name of the samples → loss on them.
        trajectories: Name of a run → its points, one an epoch.
        shares: Of the variance along the two directions.
        title: Of the whole.
    """
    from matplotlib.colors import LogNorm

    from unlearnable.report.render_matplotlib import PAGE, canvas, save, style

    look = looks(trajectories)
    every = np.concatenate([values.ravel() for values in losses.values()])
    every = every[np.isfinite(every) & (every > 0)]
    low, high = np.quantile(every, [0.0, 0.98])
    levels = np.geomspace(max(low, 1e-6), max(high, low * 1.01), 18)
    with style():
        figure = canvas(PAGE if len(losses) > 1 else PAGE / 2, 3.1)
        panels = figure.subplots(1, len(losses), squeeze=False, sharey=True)[0]
        for axes, (samples, values) in zip(panels, losses.items(), strict=True):
            shown = np.clip(np.ma.masked_invalid(values), levels[0], levels[-1])
            norm = LogNorm(levels[0], levels[-1])
            filled = axes.contourf(xs, ys, shown, levels=levels, norm=norm, cmap=SEQUENTIAL[1])
            axes.contour(xs, ys, shown, levels=levels[::3], colors="w", linewidths=0.4, alpha=0.7)
            for run, points in trajectories.items():
                of = look[run]
                line = {"color": of.colour, "marker": of.marker[1], "markersize": 3, "linewidth": 1.3}
                axes.plot(*points.T, color="w", linewidth=2.6)
                axes.plot(*points.T, label=run, **line)
                axes.plot(*points[-1], "*", color=of.colour, markeredgecolor="w", markersize=11)
            axes.set(title=f"loss on {samples} samples", xlabel=f"first direction ({shares[0]:.0%} of variance)")
            axes.grid(visible=False)
        panels[0].set_ylabel(f"second direction ({shares[1]:.0%})")
        figure.colorbar(filled, ax=panels, label="loss", format="%.3g", shrink=0.9).minorticks_off()
        figure.suptitle(title, fontsize=8)
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), title="trained on (star: end)")
        return save(figure, folder, name)
