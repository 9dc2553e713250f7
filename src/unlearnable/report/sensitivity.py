"""`python -m unlearnable.report.sensitivity FOLDER…`: distances over ε, steps, probe; the stability of the methods' order."""

from __future__ import annotations

from collections.abc import Sequence

from unlearnable.report.commands import show_and_write
from unlearnable.report.terminal import print_sensitivity
from unlearnable.results.rows import SENSITIVITY, sensitivity_rows


def main(arguments: Sequence[str] | None = None) -> int:
    """Shows and writes the comparison; returns the exit code."""
    needs = "Only one way of measuring SAL in these jobs; sweep for example eps=0.01,0.05,0.1 (experiment=ablation)."
    return show_and_write(
        arguments, file=SENSITIVITY, description=__doc__, show=print_sensitivity, rows_of=sensitivity_rows, needs=needs
    )


if __name__ == "__main__":
    raise SystemExit(main())
