"""What the other processes of a training on several devices run: `python -m unlearnable.app.rank TASK.json`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from omegaconf import OmegaConf


def main(task: Path) -> None:
    """Joins one training.

    Args:
        task: What `runs` has the process know.
    """
    from unlearnable.experiment import join
    from unlearnable.ranks import report_ready

    given = json.loads(task.read_text())
    join(OmegaConf.create(given["config"]), given, ready=lambda: report_ready(task))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
