"""Reads the files that W&B's offline runs leave behind: LevelDB's log framing around protocol-buffer records."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_BLOCK = 32768
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4


@dataclass
class OfflineRun:
    """What one run's file says.

    Attributes:
        id: Of the run.
        info: Its `RunRecord`: project, group, job type, tags.
        config: Key → value.
        history: Logged values, in order.
        summary: Last values.
        artifacts: Their records.
        exit_code: None if the run never ended.
    """

    id: str = ""
    info: Any = None
    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    artifacts: list[Any] = field(default_factory=list)
    exit_code: int | None = None

    def series(self, key: str) -> dict[int, float]:
        """Epoch → value of a key; a later value of an epoch takes the place of an earlier one."""
        return {int(row["epoch"]): row[key] for row in self.history if key in row and "epoch" in row}


def payloads(data: bytes) -> Iterator[bytes]:
    """The payloads of a log: 7 bytes of header, then blocks of 32 KiB with fragments (checksum, length, type)."""
    if data[:4] != b":W&B":
        raise ValueError("This is no W&B file: it does not start with ':W&B'.")
    place, parts = 7, b""
    while place < len(data):
        if _BLOCK - place % _BLOCK < 7:  # no fragment fits: the block's rest is padding
            place += _BLOCK - place % _BLOCK
            continue
        _, length, kind = struct.unpack_from("<IHB", data, place)
        fragment = data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind == _FULL:
            yield fragment
        elif kind == _FIRST:
            parts = fragment
        elif kind in (_MIDDLE, _LAST):
            parts += fragment
            if kind == _LAST:
                yield parts
        else:
            raise ValueError(f"Unknown fragment type {kind} at byte {place}.")


def read_run(path: Path) -> OfflineRun:
    """The run in a `.wandb` file."""
    from wandb.proto import wandb_internal_pb2

    run = OfflineRun()
    for payload in payloads(path.read_bytes()):
        record = wandb_internal_pb2.Record.FromString(payload)
        match record.WhichOneof("record_type"):
            case "run":
                run.id, run.info = record.run.run_id, record.run
                run.config |= {item.key: json.loads(item.value_json) for item in record.run.config.update}
            case "config":
                run.config |= {
                    item.key or item.nested_key[0]: json.loads(item.value_json) for item in record.config.update
                }
            case "history":
                run.history.append(_values(record.history.item))
            case "summary":
                run.summary |= _values(record.summary.update)
            case "artifact":
                run.artifacts.append(record.artifact)
            case "request" if record.request.WhichOneof("request_type") == "log_artifact":
                run.artifacts.append(record.request.log_artifact.artifact)
            case "exit":
                run.exit_code = record.exit.exit_code
    return run


def _values(items: Any) -> dict[str, Any]:
    """Key → value; what was logged as a mapping (tables, pictures) is one again."""
    values: dict[str, Any] = {}
    for item in items:
        *outer, last = item.nested_key or [item.key]
        place = values
        for name in outer:
            place = place.setdefault(name, {})
        place[last] = json.loads(item.value_json)
    return values


def read_runs(folder: Path) -> list[OfflineRun]:
    """The offline runs below a folder, oldest first; W&B's service is ended, as it may not have written all yet."""
    import wandb

    wandb.teardown()
    return [read_run(path) for path in sorted(folder.glob("wandb/offline-run-*/run-*.wandb"))]
