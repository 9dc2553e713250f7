"""What a job of a sweep costs beside poison, training and measuring: start-up, composing, store, logger; and memory.

    python benchmarks/sweep_overhead.py [--logger csv] [--seeds 5] [--workers 2] [--folder DIR]

Two poisons × seeds × five radii of `experiment=smoke`, 50 jobs by default, by joblib's launcher in a fresh store: ten
poisons, 15 trainings and 75 measurements, so that a part of the jobs finds all but its own measurement. Processor time
is a worker's from the end of the job before (or from its own start) to the end of the job, whatever else the machine
does meanwhile; W&B's service is a process of its own and is not in it.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback

ROOT = Path(__file__).resolve().parent.parent
RECORDS = "OVERHEAD_RECORDS"
POISONS, RADII = ("random", "ops"), (0.01, 0.02, 0.03, 0.04, 0.05)


class Watch:
    """Processor time and wall time of this process, and how much of them is work: pairs of seconds."""

    def __init__(self) -> None:
        self.work, self.last = [0.0, 0.0], [0.0, time.monotonic()]
        self.running = False

    def now(self) -> list[float]:
        return [time.process_time(), time.monotonic()]

    def add(self, since: list[float]) -> None:
        self.work = [sum(one) - before for *one, before in zip(self.work, self.now(), since, strict=True)]

    def job(self) -> dict[str, list[float]]:
        """What was spent since this was last called: all of it, and on work."""
        now, work = self.now(), self.work
        spent = [end - start for end, start in zip(now, self.last, strict=True)]
        self.last, self.work = now, [0.0, 0.0]
        return {"all": spent, "work": work}


WATCH = Watch()


def counted(owner: Any, name: str, counts: Callable[..., bool] = lambda *_, **__: True) -> None:
    """Has calls of a function count as work."""
    does = getattr(owner, name)

    def call(*arguments: Any, **named: Any) -> Any:
        if not counts(*arguments, **named):
            return does(*arguments, **named)
        start = WATCH.now()
        try:
            return does(*arguments, **named)
        finally:
            WATCH.add(start)

    setattr(owner, name, call)


def watch_work() -> None:
    """Has poison, epochs of training and measurements count as work; what they keep in the store does not."""
    from unlearnable.callbacks import measuring
    from unlearnable.callbacks.trajectory import TrajectoryWriter
    from unlearnable.poisons.image.base import ImagePoison

    counted(ImagePoison, "apply")
    # Before the poison is made a cheap measurement is tried, at epoch 0: that is a check.
    counted(measuring, "measure_module", lambda _measure, _module, _data, epoch, *_, **__: epoch > 0)
    begins, ends, start = TrajectoryWriter.on_train_batch_start, TrajectoryWriter.on_train_epoch_end, [0.0, 0.0]

    def begin(self: Any, trainer: Any, module: Any, batch: Any, batch_idx: int) -> None:
        if batch_idx == 0:
            start[:] = WATCH.now()
        begins(self, trainer, module, batch, batch_idx)

    def end(self: Any, trainer: Any, module: Any) -> None:
        WATCH.add(start)
        ends(self, trainer, module)

    TrajectoryWriter.on_train_batch_start = begin  # type: ignore[method-assign]
    TrajectoryWriter.on_train_epoch_end = end  # type: ignore[method-assign]


class Clock(Callback):
    """Writes down what each job of a process took, and the process's memory after it."""

    def on_job_start(self, **_: Any) -> None:
        if not WATCH.running:
            WATCH.running = True
            watch_work()

    def on_job_end(self, **_: Any) -> None:
        with open("/proc/self/statm") as file:
            resident = int(file.read().split()[1]) * resource.getpagesize()
        record = {"pid": os.getpid(), "memory": resident / 1e6, **WATCH.job()}
        with open(os.environ[RECORDS], "a") as file:
            file.write(json.dumps(record) + "\n")


def sweep(folder: Path, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Runs the sweep; one record a job."""
    environment = {
        **os.environ,
        RECORDS: str(folder / "records.jsonl"),
        "PYTHONPATH": os.pathsep.join(filter(None, [str(Path(__file__).parent), os.environ.get("PYTHONPATH")])),
        "OMP_NUM_THREADS": "1",
        "WANDB_MODE": "offline",
    }
    command = [
        *(sys.executable, "run.py", "-m", "experiment=smoke", f"logger={options.logger}"),
        *("hydra/launcher=joblib", f"hydra.launcher.n_jobs={options.workers}"),
        "+hydra.callbacks.clock._target_=sweep_overhead.Clock",
        f"poison={','.join(POISONS)}",
        f"seed={','.join(map(str, range(options.seeds)))}",
        f"eps={','.join(map(str, RADII))}",
        *(f"store.dir={folder}/store", f"hydra.sweep.dir={folder}/sweep"),
    ]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(done.stdout[-2000:] + done.stderr[-2000:])
    return [json.loads(line) for line in (folder / "records.jsonl").read_text().splitlines()]


def report_seconds(folder: Path) -> tuple[float, float]:
    """Processor and wall seconds of the command that writes summary and page."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run([sys.executable, "-m", "unlearnable.report", str(folder / "sweep")], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, time.monotonic() - start


def rows(records: list[dict[str, Any]], report: tuple[float, float]) -> list[list[str]]:
    def shown(values: tuple[float, float], goal: str = "") -> list[str]:
        return [*(f"{value:.2f}" for value in values), goal]

    def over(summary: Callable[[list[float]], float], one: Callable[[dict, int], float]) -> tuple[float, float]:
        return summary([one(record, 0) for record in records]), summary([one(record, 1) for record in records])

    workers: dict[int, list[float]] = {}
    for record in records:
        workers.setdefault(record["pid"], []).append(record["memory"])
    first = [next(record for record in records if record["pid"] == pid) for pid in workers]
    later = [record for record in records if record not in first]

    def overhead(record: dict, clock: int) -> float:
        return record["all"][clock] - record["work"][clock]

    growth = max(memory[-1] - memory[0] for memory in workers.values())
    return [
        ["a job, mean", *shown(over(statistics.mean, lambda record, clock: record["all"][clock]))],
        [
            "… of it poison, training, measuring",
            *shown(over(statistics.mean, lambda record, clock: record["work"][clock])),
        ],
        ["overhead a job, mean, workers' start-up shared out", *shown(over(statistics.mean, overhead), "2")],
        ["… median", *shown(over(statistics.median, overhead))],
        [
            "… most, of a worker's first job, its start-up with it",
            *shown((max(overhead(r, 0) for r in first), max(overhead(r, 1) for r in first))),
        ],
        ["… most, of a later job", *shown((max(overhead(r, 0) for r in later), max(overhead(r, 1) for r in later)))],
        ["summary and page, the command", *shown(report, "10")],
        [
            f"a worker's memory after its first job, MB ({len(workers)} workers)",
            " ".join(f"{m[0]:.0f}" for m in workers.values()),
            "",
            "",
        ],
        [
            f"… after its last ({' '.join(str(len(m)) for m in workers.values())} jobs), MB",
            " ".join(f"{m[-1]:.0f}" for m in workers.values()),
            "",
            "",
        ],
        ["… most growth, MB", f"{growth:.0f}", "", "100"],
    ]


def main() -> None:
    from _setting import table, timed  # loads PyTorch, which a worker does in its own time

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--logger", default="csv", help="csv, none, or wandb (offline)")
    parser.add_argument("--seeds", type=int, default=5, help="ten jobs each")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="where store and sweep go; a temporary folder without")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.folder or Path(temporary)).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        with timed() as clock:
            records = sweep(folder, options)
        print(f"{len(records)} jobs, {options.workers} workers, logger={options.logger}, {clock.seconds:.0f} s\n")
        print(table(["seconds", "processor", "wall", "goal"], rows(records, report_seconds(folder))))


if __name__ == "__main__":
    main()
