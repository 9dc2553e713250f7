"""The command line: `python run.py …` in the repository and `unlearnable …` anywhere are the same."""

from __future__ import annotations

import signal
import sys
import warnings
from pathlib import Path

import hydra
from omegaconf import DictConfig


def main(conf: Path | None = None) -> None:
    """Composes the configuration and runs the job, or the jobs of a sweep.

    Args:
        conf: The folder of configurations; None takes the one that belongs to this package.
    """
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


def configurations() -> Path:
    """`conf/`: inside the installed package, or at the top of the repository when run from its sources."""
    package = Path(__file__).parents[1]
    installed = package / "conf"
    return installed if installed.is_dir() else package.parents[1] / "conf"
