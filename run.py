"""The one entry point: `python run.py -m poison=em,ops,tap eps=0.01,0.05`; `python run.py --help` says more."""

import sys

import hydra
from omegaconf import DictConfig


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(config: DictConfig) -> float | None:
    """Runs one job and returns what searching sweepers minimise.

    Heavy libraries load only now, so `--help` and `--cfg` answer at once.
    """
    from unlearnable.app.job import run_job

    return run_job(config)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("Interrupted. The same command goes on from what is stored.")
