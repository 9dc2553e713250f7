"""One line in, a comparable record out: `unlearnable.benchmark("my_poison/", protocol="digits-v1", seeds=3)`."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from unlearnable.sharing.making import records_of
from unlearnable.sharing.protocols import protocol as by_protocol
from unlearnable.sharing.schema import Record, check_told, write_record

#: The record's name in the benchmark's folder.
RECORD = "record.json"


def benchmark(
    folder: str | Path,
    *,
    protocol: str,
    seeds: int | Sequence[int] = 3,
    data_dir: str | Path | None = None,
    name: str = "",
    by: str = "",
    link: str = "",
    out: str | Path | None = None,
) -> Record:
    """Trains on a poison that was made elsewhere and on the clean data, measures and compares, and writes a record.

    Clean references come from the store if they are there. Called again, it goes on from what is stored.

    Args:
        folder: The poisoned training set, in one of the formats of docs/import.md; its rows are the protocol's.
        protocol: The protocol's name.
        seeds: How many, or which.
        data_dir: Where the clean data are, for protocols whose data are not embedded.
        name: The method's; empty takes the folder's.
        by: Who measures.
        link: Where the method is from, an `https` address.
        out: Where the jobs' folders and `record.json` go; None takes outputs/benchmarks/<name>-<protocol>.

    Raises:
        ValueError, FileNotFoundError: on bad input, before anything is trained.
    """
    from unlearnable import checks
    from unlearnable.experiment import run

    chosen = list(range(seeds)) if isinstance(seeds, int) else list(seeds)
    if not chosen or min(chosen) < 0 or len({*chosen}) < len(chosen):
        raise ValueError(f"`seeds` must be a number above 0 or different seeds from 0; got {seeds!r}.")
    path = Path(folder).expanduser().absolute()
    if not path.exists():
        raise FileNotFoundError(f"`folder` must hold a poisoned training set; {path} is not there.")
    title = name or path.stem
    check_told(method=title, by=by, link=link)
    place = Path(out) if out is not None else Path("outputs/benchmarks") / f"{title}-{protocol}"
    jobs = {place / f"seed{seed}": configuration(path, protocol, seed, data_dir) for seed in chosen}
    for job, config in jobs.items():
        job.mkdir(parents=True, exist_ok=True)
        run(config, folder=job, group=place.name)
    hardware = hardware_of(str(checks.device_of(next(iter(jobs.values())))))
    (record,) = records_of(list(jobs), protocol=protocol, by=by, link=link, hardware=hardware, name=title)
    write_record(place / RECORD, record)
    return record


def configuration(poison: Path, protocol: str, seed: int, data_dir: str | Path | None) -> DictConfig:
    """One seed's job.

    Raises:
        ValueError: if the protocol is unknown, or its data need a folder and have none, or the other way round.
    """
    config = by_protocol(protocol, "poison=folder", "logger=none", f"seed={seed}")
    OmegaConf.update(config, "poison.path", str(poison))
    if ("data_dir" in config.dataset.keys()) != (data_dir is not None):  # noqa: SIM118 - a missing value is not "in" it
        rule = (
            "must say where the clean data are"
            if data_dir is None
            else "is not needed: the data are embedded or made here"
        )
        raise ValueError(f"`data_dir` {rule} for the protocol {protocol} ({config.choices.dataset}).")
    if data_dir is not None:
        config.dataset.data_dir = str(Path(data_dir).expanduser().absolute())
    return config


def hardware_of(device: str) -> str:
    """The class of hardware: the GPU's name, or the CPU's architecture."""
    import torch

    return torch.cuda.get_device_name(device) if device.startswith("cuda") else f"CPU, {platform.machine()}"
