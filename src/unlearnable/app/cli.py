"""The command line: `python run.py …` in the repository and `unlearnable …` anywhere are the same.

Hydra's overrides are `option=value` or flags, so a first argument that is a bare word names a command of its own.
"""

from __future__ import annotations

import signal
import sys
import warnings
from pathlib import Path

import hydra
from omegaconf import DictConfig

from unlearnable.app.commands import COMMANDS, run_command
from unlearnable.sharing.protocols import configurations


def main(conf: Path | None = None) -> None:
    """Composes the configuration and runs the job, or the jobs of a sweep; or runs one of `COMMANDS`.

    Args:
        conf: The folder of configurations; None takes the one that belongs to this package.
    """
    if len(sys.argv) > 1 and sys.argv[1] in COMMANDS:
        sys.exit(run_command(sys.argv[1:]))
    decorate = hydra.main(
        version_base="1.3", config_path=str((conf or configurations()).absolute()), config_name="config"
    )
    # conf/hydra/launcher has the plugins' options under the plugins' names; that Hydra checks them against each other is
    # what is wanted.
    warnings.filterwarnings("ignore", message=r"\s*'hydra/launcher/\w+' is validated against ConfigStore schema")
    try:
        decorate(job)()
    except KeyboardInterrupt:
        print("Interrupted. The same command goes on from what is stored.", file=sys.stderr)
        sys.exit(128 + signal.SIGINT)


def job(config: DictConfig) -> float | None:
    """Runs one job and returns what searching sweepers minimise.

    Heavy libraries load only now, so `--help` and `--cfg` answer at once.
    """
    from unlearnable.app.job import run_job

    return run_job(config)
