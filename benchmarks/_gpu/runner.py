"""Runs checks one after the other: a failed one is recorded with its message, and the others go on."""

from __future__ import annotations

import json
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

Figures = dict[str, Any]


class SkippedError(Exception):
    """Raised by a check that cannot be done here, with the reason."""


@dataclass(frozen=True)
class Bench:
    """Where checks run, and how much they may take.

    Attributes:
        device: What is checked.
        quick: Whether to take the smallest nets and counts: for a test of the checks themselves.
        folder: For files; removed afterwards.
    """

    device: torch.device
    quick: bool
    folder: Path

    @property
    def on_gpu(self) -> bool:
        return self.device.type == "cuda"

    def sync(self) -> None:
        if self.on_gpu:
            torch.cuda.synchronize(self.device)


@dataclass(frozen=True)
class Check:
    """One check.

    Attributes:
        run: Puts figures into the mapping that it is given; raises AssertionError where they are not as they should be.
        seconds: After which it is given up.
        gpu: Whether it says nothing on a CPU.
    """

    run: Callable[[Bench, Figures], None]
    seconds: float = 60.0
    gpu: bool = False

    @property
    def name(self) -> str:
        return self.run.__name__


@dataclass
class Outcome:
    status: str
    seconds: float
    message: str = ""
    figures: Figures = field(default_factory=dict)


def expect(holds: Any, message: str) -> None:
    """Asserts, also where Python runs with -O."""
    if not holds:
        raise AssertionError(message)


def run_check(check: Check, bench: Bench, seconds: float) -> Outcome:
    """Runs one check for at most so many seconds; whatever it raises becomes its message."""
    figures: Figures = {}
    start = time.perf_counter()
    status, message = "passed", ""
    try:
        if check.gpu and not bench.on_gpu:
            raise SkippedError("says something on a GPU alone")
        if seconds < 1:
            raise TimeoutError("not begun: the checks before it took all of the time")
        with _limit(seconds):
            check.run(bench, figures)
            bench.sync()
    except (SkippedError, ImportError) as reason:
        status, message = "skipped", f"{reason}"
    except AssertionError as error:
        status, message = "failed", f"{error}"
    except Exception as error:
        status, message = "failed", f"{type(error).__name__}: {error}"
        figures["traceback"] = traceback.format_exc().splitlines()[-12:]
    if bench.on_gpu:  # where a check ended before it could give it back
        torch.cuda.set_sync_debug_mode("default")
    return Outcome(status, round(time.perf_counter() - start, 2), message, figures)


def write(outcomes: dict[str, Outcome], about: Figures, path: Path) -> None:
    """One JSON of all; written after each check, so that nothing is lost where a later one ends the process."""
    counts = {
        status: sum(outcome.status == status for outcome in outcomes.values())
        for status in ("passed", "failed", "skipped")
    }
    content = {"about": about, "counts": counts, "checks": {name: vars(one) for name, one in outcomes.items()}}
    path.write_text(json.dumps(content, indent=1, default=str) + "\n")


@contextmanager
def _limit(seconds: float) -> Iterator[None]:
    def late(number: int, frame: Any) -> None:  # noqa: ARG001
        raise TimeoutError(f"not done after {seconds:.0f} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
