"""The other processes of a training on several devices of one machine: started for one training, gone after it.

The job's own process is rank 0. It alone holds leases, writes to the store and to the job's folder, logs, and measures
what is stored; the others join its trainings. So the store sees one process a job, a sweep's jobs can each have their own
ranks, and nothing composes a configuration twice.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lightning.fabric.plugins.environments.lightning import find_free_network_port

#: What the others run, with a file of what they have to know.
_PROGRAM = "unlearnable.app.rank"
_GRACE_SECONDS = 30.0


class RankError(RuntimeError):
    """One of the other processes ended before its time."""


@contextmanager
def joined(count: int, task: Mapping[str, Any]) -> Iterator[None]:
    """Within the block, which begins once they are ready, ranks 1 to `count` − 1 take part in a training.

    Args:
        count: Of processes, this one included.
        task: JSON value: what they have to know.

    Raises:
        RankError: if one of them ended before the block began, or ended with an error.
    """
    if count == 1:
        yield
        return
    import torch.distributed

    before = dict(os.environ)
    with tempfile.TemporaryDirectory(prefix="unlearnable-") as folder:
        path = Path(folder) / "task.json"
        path.write_text(json.dumps(task))
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(find_free_network_port()), "NODE_RANK": "0"}
        os.environ |= {"LOCAL_RANK": "0", "WORLD_SIZE": str(count)}
        others = [_start(rank, path) for rank in range(1, count)]
        try:
            _wait_until_ready(others, Path(folder))
            yield
            _wait_for_end(others)
        finally:
            for process in others:
                if process.poll() is None:
                    process.kill()
                process.wait()
            if torch.distributed.is_initialized():  # later measurements and trainings are not of this group
                torch.distributed.destroy_process_group()
            for name in {*os.environ} - {*before}:
                del os.environ[name]
            os.environ |= before


def report_ready(task: Path) -> None:
    """Says, in another rank's process, that its training can begin."""
    (task.parent / f"ready-{os.environ['LOCAL_RANK']}").touch()


def _start(rank: int, task: Path) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "LOCAL_RANK": str(rank)}
    return subprocess.Popen([sys.executable, "-m", _PROGRAM, str(task)], env=environment, stdout=subprocess.DEVNULL)


def _wait_until_ready(others: list[subprocess.Popen[bytes]], folder: Path) -> None:
    while not all((folder / f"ready-{rank}").exists() for rank in range(1, len(others) + 1)):
        _check(others, ends=(None,))
        time.sleep(0.1)


def _wait_for_end(others: list[subprocess.Popen[bytes]]) -> None:
    for process in others:
        try:
            process.wait(timeout=_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            continue  # it has done its part; it is ended with the block
    _check(others, ends=(None, 0))


def _check(others: list[subprocess.Popen[bytes]], *, ends: tuple[int | None, ...]) -> None:
    """Raises unless each has ended in one of these ways; None is not at all."""
    for rank, process in enumerate(others, start=1):
        if process.poll() not in ends:
            raise RankError(
                f"Rank {rank} of the training ended with {process.returncode}; what it said is on standard error. "
                "trainer.devices=1 trains in one process."
            )
