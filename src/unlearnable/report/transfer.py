"""`python -m unlearnable.report.transfer FOLDER…`: UD at the β of another data set or model, beside UD at the own one."""

from __future__ import annotations

from collections.abc import Sequence

from unlearnable.report.across import TRANSFER, command, print_transfer, transfer_rows


def main(arguments: Sequence[str] | None = None) -> int:
    """Shows and writes the comparison; returns the exit code."""
    needs = "Only one data set and model in these jobs; give several sweeps, or sweep dataset= or model= (experiment=transfer)."
    return command(TRANSFER, __doc__, print_transfer, transfer_rows, needs, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
