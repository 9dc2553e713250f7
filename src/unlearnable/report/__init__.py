"""Results: one job's `result.json`, a sweep's table and `summary.csv`."""

from unlearnable.report.hydra_callback import SweepReport

__all__ = ["SweepReport"]
