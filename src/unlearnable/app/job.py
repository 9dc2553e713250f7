"""One Hydra job: its folder, its failure, its exit code."""

from __future__ import annotations

import atexit
import errno
import json
import logging
import os
import signal
import sys
import traceback
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from unlearnable.app.output import LAUNCHER
from unlearnable.app.signals import stopping

log = logging.getLogger(__name__)


def run_job(config: DictConfig) -> float | None:
    """Runs the experiment in the folder that Hydra made.

    A failure is reported at once, in a sentence, and left in the folder for the sweep's table; the traceback goes to the
    job's log, and to the terminal with `HYDRA_FULL_ERROR=1`. The other jobs of a sweep go on.

    Returns:
        For sweepers that search, such as Optuna's: UD, or its distance from `target_ud` if that is set; None if the job
        failed, or has several tasks and so no single UD.
    """
    from unlearnable.files import remove_temporaries, write_atomically
    from unlearnable.leases import LEASE_SECONDS, TakenError, leased
    from unlearnable.results.records import FAILED, RESULT

    hydra = HydraConfig.get()
    sweep = hydra.mode == RunMode.MULTIRUN
    folder = Path(hydra.runtime.output_dir)
    overrides = list(hydra.overrides.task)
    asked = hydra.launcher["_target_"]
    if sweep and os.environ.get(LAUNCHER, asked) != asked:
        log.warning(
            "The launcher of this experiment is not used, since the sweep is over experiments: give it on the command line "
            "(hydra/launcher=%s), or sweep one experiment.",
            hydra.runtime.choices.get("hydra/launcher"),
        )
    asked_for = {override.lstrip("+~").partition("=")[0] for override in overrides}
    if unused := [name for name in hydra.sweeper.get("params") or {} if name not in asked_for]:
        log.warning(
            "The grid of this experiment (%s) is not used: it takes -m, and an experiment a sweep.", ", ".join(unused)
        )
    stops = None
    try:
        with stopping() as stops, leased(folder / ".lease", wait=False, patience=1.5 * LEASE_SECONDS):
            remove_temporaries(folder)
            for stale in (RESULT, FAILED):
                (folder / stale).unlink(missing_ok=True)
            from unlearnable.experiment import run

            result = run(config, folder=folder, group=Path(hydra.sweep.dir).name if sweep else "", tags=overrides)
            if result is None:
                log.info("stage=%s is done; stage=report writes the result", config.stage)
                return None
            log.info("%s · %s", _shown_distances(result), folder / RESULT)
            return _objective(result, config.target_ud)
    except (SystemExit, KeyboardInterrupt) as stop:
        # Lightning makes an exit with 1 of Ctrl-C, and one that would count as success of a SIGTERM of its own.
        if stops is not None and stops.number is not None:
            log.error("stopped by %s; the same command goes on from what is stored", signal.Signals(stops.number).name)
            raise SystemExit(stops.exit_code) from None
        raise SystemExit(getattr(stop, "code", None) or 128 + signal.SIGTERM) from None
    except Exception as error:
        if isinstance(error, TakenError):
            error = RuntimeError(f"{folder} is in use by another run; choose another hydra.run.dir or hydra.sweep.dir.")
        message = message_of(error)
        failed = {
            "error": message,
            "overrides": overrides,
            "choices": {"poison": hydra.runtime.choices.get("poison")},
            "status": _status(error),
        }
        with suppress(OSError):  # the disk may be full: that is then what the message says
            write_atomically(folder / FAILED, json.dumps(failed, indent=1))
            (folder / "traceback.txt").write_text(traceback.format_exc())
        log.error("failed: %s", message)
        if os.environ.get("HYDRA_FULL_ERROR") == "1":
            traceback.print_exc()
        else:
            log.error("The traceback is in %s (HYDRA_FULL_ERROR=1 shows it here).", folder / "traceback.txt")
        if not sweep:
            raise SystemExit(1) from None
        if "SUBMITIT_EXECUTOR" in os.environ:
            _end_with_failure()
        return None


def _end_with_failure() -> None:
    """Has this process end with 1 once submitit has written the outcome down: SLURM would call the job COMPLETED."""

    def end() -> None:
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(1)

    atexit.register(end)


def _status(error: Exception) -> str:
    from unlearnable.callbacks import DivergedError
    from unlearnable.results.records import DIVERGED

    return DIVERGED if isinstance(error, DivergedError) else "failed"


def _objective(result: Mapping[str, Any], target: float | None) -> float | None:
    ud = result.get("ud")
    return ud if ud is None or target is None else abs(ud - target)


def message_of(error: Exception) -> str:
    """The message of the original error: Hydra wraps what a constructor raises."""
    from hydra.errors import InstantiationException

    while isinstance(error, InstantiationException) and isinstance(error.__cause__, Exception):
        error = error.__cause__
    text = str(error).strip() or type(error).__name__
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    if full or "inline_container" in text:  # the latter is what `torch.save` says of a disk that is full
        return (
            f"A file could not be written whole: {text}. What is stored is intact: free space, or choose another store.dir, "
            "and the same command goes on."
        )
    return (
        text if isinstance(error, ValueError | FileNotFoundError | RuntimeError) else f"{type(error).__name__}: {text}"
    )


def _shown_distances(result: dict[str, Any]) -> str:
    """UD and the geometric distance, of each task if there are several."""
    tasks = result.get("tasks") or {"": result}
    shown = {task: (figures["ud"], figures["distances"]["geometric"]) for task, figures in tasks.items()}
    said = {task: ["–" if value is None else f"{value:.3f}" for value in values] for task, values in shown.items()}
    return " · ".join(f"{task} UD {ud}, geometric distance {ratio}".strip() for task, (ud, ratio) in said.items())
