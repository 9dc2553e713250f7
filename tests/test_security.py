"""Files from strangers, and secrets of one's own."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from omegaconf import OmegaConf

from tests.test_cli import SMOKE, run
from unlearnable.app.secrets import secrets_of
from unlearnable.data import hub
from unlearnable.data.decoding import MOST_PIXELS, decode
from unlearnable.data.hub import read_split
from unlearnable.poisons.imports.array_files import load_array
from unlearnable.poisons.imports.unpickle import RefusedError

SHAPE = (3, 4, 4)


def png(width: int, height: int) -> bytes:
    """A PNG file that claims a size and has next to no data."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 10)) + chunk(b"IEND", b"")


def test_a_small_file_of_a_huge_picture_is_refused_before_it_is_unpacked() -> None:
    side = int(MOST_PIXELS**0.5)
    for width, height in ((side, side + 1), (12_000, 12_000), (60_000, 60_000)):
        with pytest.raises(ValueError, match=r"bomb\.png: not a readable image"):
            decode(png(width, height), "bomb.png")


def test_an_array_that_claims_more_than_its_file_has_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "noise.npy"
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": (10**12, 3, 4, 4)})
    with pytest.raises(ValueError, match="cannot be read as an array"):
        load_array(path, SHAPE)


def rezipped(path: Path, rename: str = "") -> None:
    """Torch's archive packed, with a large member beside its own, or with a member renamed."""
    stream = io.BytesIO(path.read_bytes())
    with zipfile.ZipFile(stream) as before, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as after:
        for name in before.namelist():
            after.writestr(rename or name, before.read(name))
        if not rename:
            after.writestr("archive/data/9", b"\0" * 10**7)


@pytest.mark.parametrize(
    ("rename", "sentence"), [("", "more than twice its size"), ("../../data.pkl", "lead out of it")]
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_an_archive_that_unpacks_to_much_more_or_elsewhere_is_refused(
    rename: str, sentence: str, tmp_path: Path
) -> None:
    path = tmp_path / "noise.pt"
    torch.save(torch.zeros(2, *SHAPE), path)
    load_array(path, SHAPE)
    rezipped(path, rename)
    with pytest.raises(RefusedError, match=sentence):
        load_array(path, SHAPE)


def test_a_parquet_file_that_unpacks_to_much_more_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "train-00000-of-00001.parquet"
    images = pa.array([b"\0" * 10**6] * 8)
    pq.write_table(pa.table({"img": images, "label": [0] * 8}), path, compression="zstd", use_dictionary=False)
    monkeypatch.setattr(hub, "_UNSUSPECTED", 10**6)
    with pytest.raises(ValueError, match="times its size"):
        read_split([path])


def test_the_path_that_a_parquet_file_gives_for_a_picture_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(png(1, 1))
    path = tmp_path / "train.parquet"
    rows = [{"bytes": None, "path": str(tmp_path / "secret.png")}]
    pq.write_table(pa.table({"img": rows, "label": [0]}), path)
    with pytest.raises(ValueError, match="there is no picture"):
        read_split([path])


@pytest.mark.parametrize(
    ("config", "found"),
    [
        ({"logger": {"api_key": "x"}}, ["logger.api_key"]),
        ({"logger": {"api_key": None, "mode": "auto"}, "tokens": 5}, []),
        ({"a": [{"hub_token": "abc"}]}, ["a.0.hub_token"]),
        ({"note": "${oc.env:MY_API_KEY}"}, ["note"]),
        ({"url": "https://user:0123456789@host", "later": "${nowhere}", "must": "???"}, ["url"]),
    ],
)
def test_secrets_are_found_by_name_and_by_value(
    config: dict, found: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_API_KEY", "0123456789")
    assert list(secrets_of(OmegaConf.create(config))) == found


def test_a_key_on_the_command_line_ends_the_command_and_is_written_nowhere(tmp_path: Path) -> None:
    asked = ("+logger.api_key=0123456789abcdef", f"hydra.run.dir={tmp_path}/job")
    done = run(*SMOKE, *asked, store=tmp_path / "store")
    assert done.returncode == 1
    assert "`logger.api_key` holds a secret" in done.stderr
    assert "Traceback" not in done.stderr
    assert not any(tmp_path.iterdir())
