"""Figures for papers, `figures/*.png` and `*.pdf`: the first comparison of a sweep, and what goes across comparisons."""

from unlearnable.report.figures.write import write_figures

__all__ = ["write_figures"]
