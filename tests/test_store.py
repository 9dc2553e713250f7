from __future__ import annotations

import hashlib
import json
import math
import multiprocessing
import os
import shutil
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from unlearnable import store as store_module
from unlearnable.files import finite, whole_file, write_atomically
from unlearnable.leases import leased
from unlearnable.store import Store, StoreWarning, file_digest


def put(text: str, calls: list[str] | None = None):
    def make(folder: Path) -> None:
        if calls is not None:
            calls.append(text)
        (folder / "content.txt").write_text(text)

    return make


def events(store: Store) -> list[str]:
    return [record["event"] for record in store.history()]


def test_an_entry_is_made_once_and_then_reused(tmp_path: Path) -> None:
    calls: list[str] = []
    store = Store(tmp_path)
    first = store.obtain("poison", {"a": 1}, put("x", calls))
    second = store.obtain("poison", {"a": 1}, put("x", calls))
    assert calls == ["x"]
    assert (second / "content.txt").read_text() == "x"
    assert (first.reused, second.reused) == (False, True)
    assert events(store) == ["made", "reused"]


def test_a_store_can_be_moved(tmp_path: Path) -> None:
    Store(tmp_path / "one").obtain("sal", 1, put("x"))
    (tmp_path / "one").rename(tmp_path / "two")
    assert Store(tmp_path / "two").find("sal", 1) is not None


def test_a_failed_maker_leaves_no_entry_and_its_successor_resumes(tmp_path: Path) -> None:
    store = Store(tmp_path)

    def interrupted(folder: Path) -> None:
        (folder / "half").write_text("1")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.obtain("poison", 1, interrupted)
    assert store.find("poison", 1) is None
    seen: list[bool] = []

    def resume(folder: Path) -> None:
        seen.append((folder / "half").exists())
        (folder / "whole").write_text("2")

    entry = store.obtain("poison", 1, resume)
    assert seen == [True]
    assert set(entry.files) == {"half", "whole"}


def test_the_seconds_of_interrupted_and_of_killed_tries_count(tmp_path: Path, monkeypatch) -> None:
    store = Store(tmp_path)
    partial = store.partial("poison", 1)
    # A try that began at 1000 and was killed after its last file at 1060, going on from one that had taken 5 s.
    (partial / ".seconds").write_text(json.dumps({"seconds": 5.0, "since": 1000.0}))
    (partial / "half").write_text("1")
    for name, written in ((".seconds", 1000), ("half", 1060)):
        os.utime(partial / name, (written, written))

    def interrupted(folder: Path) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.obtain("poison", 1, interrupted)
    entry = store.obtain("poison", 1, put("x"))
    assert entry.seconds == pytest.approx(65, abs=1)
    assert set(entry.files) == {"half", "content.txt"}


def test_a_file_is_hashed_once_a_process_until_it_changes(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "weights"
    path.write_bytes(b"good")
    os.utime(path, (1000, 1000))
    opened: list[Path] = []
    plain_open = Path.open
    monkeypatch.setattr(
        Path, "open", lambda self, *args, **more: opened.append(self) or plain_open(self, *args, **more)
    )
    first = file_digest(path)
    assert file_digest(path) == first == hashlib.sha256(b"good").hexdigest()
    path = path.rename(tmp_path / "renamed")
    assert file_digest(path) == first
    assert len(opened) == 1
    path.write_bytes(b"evil")
    os.utime(path, (1001, 1001))
    assert file_digest(path) == hashlib.sha256(b"evil").hexdigest()


def test_a_file_that_was_just_written_is_hashed_anew(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_bytes(b"good")
    stat = path.stat()
    file_digest(path)
    path.write_bytes(b"evil")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # as on a file system with a coarse clock
    assert file_digest(path) == hashlib.sha256(b"evil").hexdigest()


def test_a_corrupt_entry_is_set_aside_and_made_anew(tmp_path: Path) -> None:
    store = Store(tmp_path)
    entry = store.obtain("poison", 1, put("good"))
    (entry.path / "content.txt").write_text("evil")
    with pytest.warns(StoreWarning, match="not what was stored"):
        again = store.obtain("poison", 1, put("good"))
    assert (again / "content.txt").read_text() == "good"
    assert len(list((tmp_path / "corrupt").iterdir())) == 1


def test_reuse_false_ignores_what_was_there_before_but_not_what_it_made(tmp_path: Path, monkeypatch) -> None:
    Store(tmp_path).obtain("poison", 1, put("old"))
    monkeypatch.setattr(store_module, "_STARTED", time.time() + 1e-6)
    time.sleep(0.01)
    store = Store(tmp_path, reuse=False)
    calls: list[str] = []
    assert (store.obtain("poison", 1, put("new", calls)) / "content.txt").read_text() == "new"
    store.obtain("poison", 1, put("new", calls))
    assert calls == ["new"]


def test_reuse_false_does_not_resume_an_older_try(tmp_path: Path, monkeypatch) -> None:
    (Store(tmp_path).partial("poison", 1) / "half").write_text("old")
    monkeypatch.setattr(store_module, "_STARTED", time.time() + 0.01)
    time.sleep(0.02)
    entry = Store(tmp_path, reuse=False).obtain("poison", 1, put("new"))
    assert set(entry.files) == {"content.txt"}


def test_the_entry_unused_for_longest_is_evicted(tmp_path: Path, monkeypatch) -> None:
    store = Store(tmp_path)
    entries = [store.obtain("poison", number, put("x" * 1000)) for number in range(3)]
    two_hours_ago = time.time() - 7200
    for age, entry in zip((30, 10, 20), entries, strict=True):  # 0 is the oldest, then 2
        os.utime(entry.path / "entry.json", (two_hours_ago - age, two_hours_ago - age))
    monkeypatch.setattr(store_module, "_STARTED", time.time())
    size = sum(path.stat().st_size for path in entries[0].path.iterdir())
    limited = Store(tmp_path, max_gb=2.5 * size / 1e9)
    limited.obtain("poison", 3, put("x" * 1000))
    assert [store.find("poison", number) is not None for number in range(4)] == [False, True, False, True]


def test_entries_in_use_are_not_evicted(tmp_path: Path) -> None:
    store = Store(tmp_path, max_gb=1e-9)
    with pytest.warns(StoreWarning, match=r"over store\.max_gb"):
        store.obtain("poison", 1, put("x"))
    assert store.find("poison", 1) is not None


def _slow(root: Path) -> None:
    def make(folder: Path) -> None:
        time.sleep(0.5)
        (folder / "content.txt").write_text(str(os.getpid()))

    Store(root).obtain("poison", 1, make)


def test_parallel_processes_make_an_entry_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_slow, args=(tmp_path,)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert sorted(events(Store(tmp_path))) == ["made", "reused", "reused"]


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "figure.png"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), whole_file(path) as temporary:
        temporary.write_text(f"half {1 / 0}")
    assert path.read_text() == "old"
    with whole_file(path) as temporary:
        assert (temporary.parent, temporary.suffix) == (path.parent, ".png")
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_json_has_no_nan() -> None:
    value = {"a": (1, np.float32(2.0), math.nan), "b": np.array([[1.0, np.inf]]), "c": "x", "d": None, "e": np.int64(3)}
    assert finite(value) == {"a": [1, 2.0, None], "b": [[1.0, None]], "c": "x", "d": None, "e": 3}
    json.dumps(finite(value), allow_nan=False)


def test_write_atomically_replaces_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    write_atomically(path, json.dumps(1))
    write_atomically(path, json.dumps(2))
    assert json.loads(path.read_text()) == 2
    assert list(tmp_path.iterdir()) == [path]


def test_a_store_that_cannot_be_written_to_is_refused_and_a_new_one_is_not_made(tmp_path: Path, monkeypatch) -> None:
    Store(tmp_path / "new" / "store").check_writable()
    assert not (tmp_path / "new").exists()
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"`store\.dir` = .* cannot be written to"):
        Store(tmp_path / "file" / "store").check_writable()
    store = Store(tmp_path / "store")
    store.obtain("poison", 1, put("x"))
    store.check_writable()
    assert not list((tmp_path / "store" / "partial").iterdir())

    def full(path: Path, text: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(ValueError, match="No space left on device"):
        store.check_writable()


@pytest.mark.parametrize("at", ["the sizes", "the removal"])
def test_an_entry_that_another_process_evicted_meanwhile_ends_nothing(tmp_path: Path, monkeypatch, at: str) -> None:
    store = Store(tmp_path, max_gb=1e-9)
    old = store.obtain("thing", 0, put("a"))
    os.utime(old.path / "entry.json", (1, 1))

    def gone(*_: Any) -> None:
        raise FileNotFoundError

    with monkeypatch.context() as patched, warnings.catch_warnings():
        warnings.simplefilter("ignore", StoreWarning)
        patched.setattr(Path, "rglob", gone) if at == "the sizes" else patched.setattr(store, "_remove", gone)
        store._evict()


def test_an_entry_that_vanishes_while_it_is_read_is_none(tmp_path: Path, monkeypatch) -> None:
    store = Store(tmp_path)
    entry = store.obtain("thing", 0, put("a"))

    def evicted(*_: Any) -> None:
        shutil.rmtree(entry.path)
        raise FileNotFoundError

    monkeypatch.setattr("unlearnable.store.os.utime", evicted)
    assert store.find("thing", 0) is None


def test_the_lease_of_a_maker_that_was_killed_after_its_work_goes_with_the_entrys_next_use(tmp_path: Path) -> None:
    store = Store(tmp_path)
    entry = store.obtain("thing", 0, put("a"))
    lease = tmp_path / "leases" / f"thing-{entry.digest}"

    def killed() -> None:
        with leased(lease):
            os._exit(0)

    process = multiprocessing.get_context("fork").Process(target=killed)
    process.start()
    process.join()
    assert lease.exists()
    store.obtain("thing", 0, put("b"))
    assert not lease.exists()
    with leased(lease):  # one that lives keeps it
        store.obtain("thing", 0, put("b"))
        assert lease.exists()
