"""A disk that is really full, and one that is mounted read-only: jobs end with a sentence, and nothing stored is lost."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests._inputs import ROOT
from unlearnable.store import file_digest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
JOB = ("experiment=smoke", "logger=csv", "poison=ops")
FIGURES = ("sal", "clean_sal", "ud", "epochs", "test_acc", "keys")


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """A folder to mount a file system on; a skip where that is not allowed."""
    (folder := tmp_path / "disk").mkdir()
    if shutil.which("unshare") is None or within(f"mount -t tmpfs tmpfs {folder}").returncode != 0:
        pytest.skip("mounting a file system is not allowed here: it takes Linux and root")
    return folder


def within(script: str) -> subprocess.CompletedProcess[str]:
    """A script whose mounts nobody else sees, and which end with it."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HYDRA_FULL_ERROR": "0"}
    return subprocess.run(
        ["unshare", "-m", "bash", "-ec", script], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


def command(store: Path, job: Path) -> str:
    return " ".join([sys.executable, "run.py", *JOB, f"store.dir={store}", f"hydra.run.dir={job}"])


def figures(folder: Path) -> dict[str, object]:
    result = json.loads((folder / "result.json").read_text())
    return {key: result[key] for key in FIGURES}


# Of about 400 KB that the job writes: the one is full while the poison's images are written, the other while it trains.
@pytest.mark.parametrize("size", ["100k", "250k"])
def test_a_full_disk_ends_the_job_with_a_sentence_and_with_more_space_it_goes_on(
    size: str, disk: Path, tmp_path: Path
) -> None:
    on_disk = command(disk / "store", disk / "job")
    done = within(
        f"mount -t tmpfs -o size={size} tmpfs {disk}; code=0; {on_disk} || code=$?; cp -r {disk} {tmp_path}/full; "
        f"mount -o remount,size=100m {disk}; {on_disk}; cp -r {disk} {tmp_path}/whole; exit $code"
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "failed: A file could not be written whole: [Errno 28] No space left on device" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    for manifest in tmp_path.glob("full/store/*/*/entry.json"):
        for name, digest in json.loads(manifest.read_text())["files"].items():
            assert file_digest(manifest.parent / name) == digest
    whole = tmp_path / "whole"
    assert "could not be read" not in done.stdout
    assert not (whole / "store" / "corrupt").exists()
    assert not list((whole / "store" / "partial").iterdir())
    assert not list((whole / "store" / "leases").iterdir())
    assert not list(whole.rglob(".[0-9]*"))
    undisturbed = within(command(tmp_path / "store", tmp_path / "job"))
    assert undisturbed.returncode == 0, undisturbed.stdout
    assert figures(whole / "job") == figures(tmp_path / "job")


@pytest.mark.parametrize(
    ("store", "job", "sentence"),
    [
        ("disk", "job", "`store.dir` = {disk} cannot be written to: Read-only file system"),
        (
            "disk/store",
            "job",
            "`store.dir` = {disk}/store cannot be written to: {disk} is no folder that this process may",
        ),
        ("store", "disk/job", "`hydra.run.dir` = {disk}/job"),
    ],
)
def test_a_disk_that_is_mounted_read_only_is_said_before_anything_is_made(
    store: str, job: str, sentence: str, disk: Path, tmp_path: Path
) -> None:
    run = command(tmp_path / store, tmp_path / job)
    done = within(f"mount -t tmpfs tmpfs {disk}; mkdir {disk}/leases; mount -o remount,ro {disk}; {run}")
    said = (done.stdout + done.stderr).replace("\n", "")
    assert done.returncode == 1, said
    assert sentence.format(disk=disk) in said
    assert not any(word in said for word in ("Traceback", "perturbing", "training on"))
