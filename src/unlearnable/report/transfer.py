"""`python -m unlearnable.report.transfer FOLDER…`: UD at the β of another data set or model, beside UD at the own one."""

from __future__ import annotations

from collections.abc import Sequence

from unlearnable.report.commands import show_and_write
from unlearnable.report.terminal import print_transfer
from unlearnable.results.rows import TRANSFER, transfer_rows


def main(arguments: Sequence[str] | None = None) -> int:
    """Shows and writes the comparison; returns the exit code."""
    needs = "Only one data set and model in these jobs; give several sweeps, or sweep dataset= or model= (experiment=transfer)."
    return show_and_write(
        arguments, file=TRANSFER, description=__doc__, show=print_transfer, rows_of=transfer_rows, needs=needs
    )


if __name__ == "__main__":
    raise SystemExit(main())
