"""Checks on the machine's own device what a job relies on there, in one command of a few minutes.

    python benchmarks/gpu_check.py [--device cuda] [--quick] [--only NAME …] [--out gpu_check.json]

Needs no network and no data. Writes one JSON with each check's figures, prints a table, and exits with 1 if any failed.
Without a GPU the checks that say something on a CPU run. `--quick` takes the smallest nets: it tests the checks.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
import warnings
from pathlib import Path

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # as Lightning sets it, before the first product
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

import torch

from _gpu import costs, measuring, poisons, training
from _gpu.runner import Bench, Check, Figures, Outcome, run_check, write
from unlearnable.training import quiet

#: For all checks on a GPU; what was not begun by then has failed.
SECONDS = 460.0
#: The cheap ones first.
CHECKS = (
    Check(training.environment),
    Check(training.check_before_work),
    Check(measuring.sal_in_float32),
    Check(measuring.no_trace),
    Check(training.waits_of_training),
    Check(measuring.waits_of_sal),
    Check(training.training_resumes),
    Check(training.sal_after_mixed_training, seconds=90),
    Check(measuring.sal_equals_double, seconds=90),
    Check(measuring.same_samples_explored),
    Check(measuring.memory_of_sal, seconds=90, gpu=True),
    Check(costs.cost_of_an_epoch, seconds=90),
    Check(poisons.waits_of_poisons),
    Check(poisons.all_poisons, seconds=120),
    Check(measuring.compiled_net, seconds=120),
    Check(costs.solvers, seconds=90),
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=[check.name for check in CHECKS])
    parser.add_argument("--out", type=Path, default=Path("gpu_check.json"))
    options = parser.parse_args()
    device = torch.device(options.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: PyTorch finds no GPU here; --device cpu runs the CPU's half.")
    torch.use_deterministic_algorithms(True, warn_only=True)  # as in a job: its Trainer does so before all else
    chosen = [check for check in CHECKS if options.only is None or check.name in options.only]
    about: Figures = {"device": str(device), "quick": options.quick, "torch": torch.__version__}
    outcomes: dict[str, Outcome] = {}
    start = time.perf_counter()
    for check in chosen:
        left = SECONDS - (time.perf_counter() - start)
        seconds = min(check.seconds, left) if device.type == "cuda" else 10 * check.seconds
        with tempfile.TemporaryDirectory() as folder, quiet():
            warnings.filterwarnings("ignore", message=".*deterministic.*")  # jobs only warn of them, too
            outcome = run_check(check, Bench(device, options.quick, Path(folder)), seconds)
        outcomes[check.name] = outcome
        about["seconds"] = round(time.perf_counter() - start, 1)
        write(outcomes, about, options.out)
        print(f"{check.name}: {outcome.status}", file=sys.stderr, flush=True)
    for name, outcome in outcomes.items():
        print(f"{name:26} {outcome.status:8} {outcome.seconds:6.1f} s  {outcome.message[:300]}")
    failed = [name for name, outcome in outcomes.items() if outcome.status == "failed"]
    print(
        f"\n{len(outcomes)} checks on {device} in {about['seconds']} s, {len(failed)} failed; figures in {options.out}"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
