"""`python -m unlearnable.report.calibration FOLDER…`: whether each distance's verdict holds its level on clean runs."""

from __future__ import annotations

from collections.abc import Sequence

from unlearnable.report.commands import show_and_write
from unlearnable.report.terminal import print_calibration
from unlearnable.results.rows import CALIBRATION, calibration_rows


def main(arguments: Sequence[str] | None = None) -> int:
    """Shows and writes the calibration; returns the exit code."""
    needs = "No setting has ten clean seeds to split into halves; sweep poison=clean seed=0,1,2,3,4,5,6,7,8,9."
    return show_and_write(
        arguments, file=CALIBRATION, description=__doc__, show=print_calibration, rows_of=calibration_rows, needs=needs
    )


if __name__ == "__main__":
    raise SystemExit(main())
