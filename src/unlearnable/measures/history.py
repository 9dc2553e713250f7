"""What a measure found, epoch by epoch: one file an epoch, written at once, and read back by one function."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from unlearnable.files import write_atomically
from unlearnable.measures.base import Measured


class History:
    """A measure's results over the epochs of one run.

    Args:
        folder: Where each epoch is kept; what lies there is read. None keeps it in memory alone.

    Attributes:
        epochs: Epoch (counted from 1) → task → what was measured.
        seconds: What measuring took altogether.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder
        self.epochs: dict[int, dict[str, Measured]] = {}
        self.seconds = 0.0
        for file in sorted(folder.glob("epoch_*.json")) if folder is not None else ():
            record = json.loads(file.read_text())
            self.epochs[record["epoch"]] = {task: Measured.from_dict(one) for task, one in record["measured"].items()}
            self.seconds += record["seconds"]

    def keep(self, epoch: int, found: Mapping[str, Measured], seconds: float, *, write: bool = True) -> None:
        """Adds an epoch.

        Args:
            epoch: Counted from 1.
            found: Task → what was measured.
            seconds: What it took.
            write: Whether to write it to the folder; with several processes one does.
        """
        self.epochs[epoch] = dict(found)
        self.seconds += seconds
        if write and self.folder is not None:
            measured = {task: one.to_dict() for task, one in found.items()}
            record = {"epoch": epoch, "seconds": seconds, "measured": measured}
            write_atomically(self.folder / f"epoch_{epoch:04d}.json", json.dumps(record))
