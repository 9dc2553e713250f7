"""`python -m unlearnable.report.sensitivity FOLDER…`: UD over ε, steps and probe, and whether the order of methods holds."""

from __future__ import annotations

from collections.abc import Sequence

from unlearnable.report.across import SENSITIVITY, command, print_sensitivity, sensitivity_rows


def main(arguments: Sequence[str] | None = None) -> int:
    """Shows and writes the comparison; returns the exit code."""
    needs = "Only one way of measuring SAL in these jobs; sweep for example eps=0.01,0.05,0.1 (experiment=ablation)."
    return command(SENSITIVITY, __doc__, print_sensitivity, sensitivity_rows, needs, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
