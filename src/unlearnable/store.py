"""The content-addressed store: what was expensive to make is made once, under a lease, and checked when read.

An entry is a folder `<root>/<kind>/<digest>/`, whose digest is that of the *key*: a JSON value with exactly what the
content depends on. It is made in `<root>/partial/<kind>-<digest>/`, which survives an interruption so that the maker
can resume, and renamed into place when it is whole. `log.jsonl` says what was made, reused, evicted and set aside.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unlearnable.files import remove_temporaries, write_atomically
from unlearnable.identity import digest_of
from unlearnable.leases import TakenError, leased, repeating
from unlearnable.options import Number, number, switch

_MANIFEST = "entry.json"
_SECONDS = ".seconds"
_STARTED = time.time()
_GRACE_SECONDS = 3600.0
_BEAT_SECONDS = 5.0
_CHUNK = 1 << 20
_COARSE_SECONDS = 2.0  # no file system keeps time of change more coarsely


class StoreWarning(UserWarning):
    """Something in the store had to be set aside, or the store exceeds its size."""


@dataclass(frozen=True)
class Entry:
    """One whole entry.

    Attributes:
        kind: `poison`, `trajectory`, `sal` and so on.
        digest: Of the key.
        path: Its folder.
        seconds: What making it took, over all tries.
        files: Name → SHA-256.
        reused: Whether it was there already.
    """

    kind: str
    digest: str
    path: Path
    seconds: float
    files: Mapping[str, str]
    reused: bool = True

    def __truediv__(self, name: str) -> Path:
        """The path of one of its files."""
        if name not in self.files:
            raise KeyError(f"The {self.kind} entry {self.path} has no file {name!r}; it has {sorted(self.files)}.")
        return self.path / name

    def damaged(self) -> str | None:
        """The first file that is missing or whose content is not what was written; None if all are whole.

        A file that did not change since this process last looked is not read again.
        """
        for name, digest in self.files.items():
            path = self.path / name
            if not path.is_file() or file_digest(path) != digest:
                return name
        return None


class Store:
    """A store under `root`, shared by any number of processes.

    Args:
        root: Its folder, created with the first entry. It is in no key: a store can be moved.
        reuse: False makes anew, and replaces, whatever was stored before this process started.
        max_gb: Size in 10⁹ bytes above which the entries that were not used for longest are evicted, except those
            used in the last hour or by this process; None keeps all.
        makes: False refuses to make what is not there.
    """

    def __init__(
        self, root: str | Path, *, reuse: bool = True, max_gb: Number | None = None, makes: bool = True
    ) -> None:
        self.root = Path(root).expanduser().absolute()
        self.reuse, self.makes = switch("store.reuse", reuse), makes
        self.max_gb = None
        if max_gb is not None:
            self.max_gb = number("store.max_gb", max_gb, above=0, what="a size in 10⁹ bytes, or null for no limit")

    def find(self, kind: str, key: Any) -> Entry | None:
        """The entry for `key`, all of its files checked; None if there is none (or none that may be reused).

        A corrupt entry is moved to `<root>/corrupt/` with a `StoreWarning`.
        """
        digest = digest_of(key)
        folder = self.root / kind / digest
        try:
            manifest = json.loads((folder / _MANIFEST).read_text())
        except (FileNotFoundError, NotADirectoryError):
            return None
        if not self.reuse and manifest["created"] < _STARTED:
            return None
        entry = Entry(kind, digest, folder, manifest["seconds"], manifest["files"])
        if (damaged := entry.damaged()) is not None:
            aside = self.root / "corrupt" / f"{kind}-{digest}-{time.time_ns()}"
            aside.parent.mkdir(parents=True, exist_ok=True)
            try:
                folder.rename(aside)
            except FileNotFoundError:  # another process moved or removed it meanwhile
                return None
            self._log("corrupt", kind, digest)
            warnings.warn(
                f"{folder / damaged} is not what was stored. The entry was moved to {aside} and will be made anew.",
                StoreWarning,
                stacklevel=2,
            )
            return None
        try:
            os.utime(folder / _MANIFEST)  # the time of last use, for eviction
        except FileNotFoundError:
            return None
        return entry

    def obtain(
        self,
        kind: str,
        key: Any,
        make: Callable[[Path], None],
        *,
        enough: Callable[[Path], bool] | None = None,
        waiting: Callable[[], None] | None = None,
        wait: bool = True,
    ) -> Entry:
        """The entry for `key`; if there is none, `make(folder)` writes its files, once for all processes that ask.

        Args:
            kind: Kind of entry.
            key: JSON value with exactly what the content depends on.
            make: Fills a folder. It may find there what an interrupted try left behind.
            enough: Says of a stored entry's folder whether it holds all that is needed now; if not, the entry is made
                again and replaced.
            waiting: Called once if another process is making the entry.
            wait: Whether to wait for another process that is making the entry.

        Raises:
            TakenError: if another process is making the entry and `wait` is False.
            FileNotFoundError: if there is none and this store makes none.
            LeaseLostError: if another process took over because this one stood still.
        """
        if entry := self._reuse(kind, key, enough):
            return entry
        digest = digest_of(key)
        if not self.makes:
            raise FileNotFoundError(
                f"The {kind} that this needs is not in the store {self.root}, and this process makes nothing. For "
                "stage=report run stage=measure first, with the same options and the same trainer."
            )
        lease = self.root / "leases" / f"{kind}-{digest}"
        with leased(lease, waiting=waiting, wait=wait) as check:
            if entry := self._reuse(kind, key, enough):  # made while this process waited
                return entry
            partial = self.partial(kind, key)
            if not self.reuse and partial.stat().st_mtime < _STARTED:
                shutil.rmtree(partial)
                partial.mkdir()
            remove_temporaries(partial)  # of a try that was killed
            before = _seconds_so_far(partial)
            _note_seconds(partial, before, since=time.time())
            start = time.monotonic()
            try:
                with repeating(lambda: os.utime(partial / _SECONDS), every=_BEAT_SECONDS):
                    make(partial)
            except BaseException:
                with suppress(OSError):  # the disk may be full: what was raised first says so
                    _note_seconds(partial, before + time.monotonic() - start)
                raise
            check()
            entry = self._publish(kind, key, partial, before + time.monotonic() - start)
        self._evict()
        return entry

    def check_writable(self) -> None:
        """Refuses a store that nothing could be added to.

        Raises:
            ValueError: if its folder cannot be made, or written to.
        """
        try:
            there = [folder for folder in (self.root, self.root / "leases", self.root / "partial") if folder.exists()]
            for folder in there:
                marker = folder / ".writable"  # one name: what a killed process leaves, the next one removes
                marker.write_text("x")
                marker.unlink(missing_ok=True)
            if not there:  # it is made with the first entry
                parent = next(folder for folder in self.root.parents if folder.exists())
                if not parent.is_dir() or not os.access(parent, os.W_OK):
                    raise PermissionError(errno.EACCES, f"{parent} is no folder that this process may write to")
        except OSError as error:
            raise ValueError(
                f"`store.dir` = {self.root} cannot be written to: {error.strerror}. Choose another folder, or free space."
            ) from error

    def partial(self, kind: str, key: Any) -> Path:
        """The folder in which the entry for `key` is being made; created if it is not there."""
        folder = self.root / "partial" / f"{kind}-{digest_of(key)}"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def history(self) -> Iterator[dict[str, Any]]:
        """The log's records, oldest first: `{time, pid, event, kind, digest, seconds}`."""
        path = self.root / "log.jsonl"
        if path.exists():
            yield from (json.loads(line) for line in path.read_text().splitlines())

    def _reuse(self, kind: str, key: Any, enough: Callable[[Path], bool] | None) -> Entry | None:
        entry = self.find(kind, key)
        if entry is None or (enough is not None and not enough(entry.path)):
            return None
        lease = self.root / "leases" / f"{kind}-{entry.digest}"
        if lease.exists():  # of a process that was killed after it had made the entry, or of one that is at it again
            with suppress(TakenError), leased(lease, wait=False):
                pass
        self._log("reused", kind, entry.digest)
        return entry

    def _publish(self, kind: str, key: Any, partial: Path, seconds: float) -> Entry:
        (partial / _SECONDS).unlink(missing_ok=True)
        names = sorted(str(path.relative_to(partial)) for path in partial.rglob("*") if path.is_file())
        files = {name: file_digest(partial / name) for name in names}
        digest = digest_of(key)
        manifest = {"kind": kind, "key": key, "created": time.time(), "seconds": seconds, "files": files}
        write_atomically(partial / _MANIFEST, json.dumps(manifest, indent=1))
        final = self.root / kind / digest
        final.parent.mkdir(exist_ok=True)
        if final.exists():  # `reuse=False` replaces it
            self._remove(final)
        partial.rename(final)
        self._log("made", kind, digest, seconds=round(seconds, 3))
        return Entry(kind, digest, final, seconds, files, reused=False)

    def _remove(self, folder: Path) -> None:
        """Deletes an entry so that no process can see a part of it."""
        bin_ = self.root / "partial" / f".removed-{folder.name}-{time.time_ns()}"
        bin_.parent.mkdir(exist_ok=True)
        folder.rename(bin_)
        shutil.rmtree(bin_, ignore_errors=True)

    def _evict(self) -> None:
        for left in (self.root / "partial").glob(".removed-*"):  # by a process that was killed at it
            with suppress(FileNotFoundError):
                if time.time() - left.stat().st_mtime > _GRACE_SECONDS:
                    shutil.rmtree(left, ignore_errors=True)
        if self.max_gb is None:
            return
        entries = []
        for manifest in self.root.glob(f"*/*/{_MANIFEST}"):
            folder = manifest.parent
            if folder.parent.name in ("partial", "corrupt"):
                continue
            with suppress(FileNotFoundError):  # another process removed it meanwhile
                size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
                entries.append((manifest.stat().st_mtime, size, folder))
        total = sum(size for _, size, _ in entries)
        for used, size, folder in sorted(entries):
            if total <= self.max_gb * 1e9:
                return
            if used > min(_STARTED, time.time() - _GRACE_SECONDS):
                break  # in use, or may be
            with suppress(FileNotFoundError):
                self._remove(folder)
                self._log("evicted", folder.parent.name, folder.name)
            total -= size
        if total > self.max_gb * 1e9:
            warnings.warn(
                f"The store {self.root} holds {total / 1e9:.2f} GB, over store.max_gb = {self.max_gb}: "
                "all that is left was used in the last hour.",
                StoreWarning,
                stacklevel=2,
            )

    def _log(self, event: str, kind: str, digest: str, **details: Any) -> None:
        record = {"time": round(time.time(), 3), "pid": os.getpid(), "event": event, "kind": kind, "digest": digest}
        line = json.dumps({**record, **details}) + "\n"
        # One write in append mode: lines of parallel processes do not mix.
        descriptor = os.open(self.root / "log.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(descriptor, line.encode())
        finally:
            os.close(descriptor)


def _note_seconds(partial: Path, seconds: float, *, since: float | None = None) -> None:
    """Records the seconds that making has taken so far, and the Unix time at which the present try began."""
    write_atomically(partial / _SECONDS, json.dumps({"seconds": seconds, "since": since}))


def _seconds_so_far(partial: Path) -> float:
    """What the tries before this one took; of one that was killed, the time up to its last sign of life."""
    try:
        noted = json.loads((partial / _SECONDS).read_text())
    except FileNotFoundError:
        return 0.0
    if noted["since"] is None:
        return float(noted["seconds"])
    written = max(path.stat().st_mtime for path in partial.rglob("*") if path.is_file())
    return float(noted["seconds"] + max(0.0, written - noted["since"]))


#: What this process has hashed: device, inode, size and time of change → digest. A renamed file is still the same.
_HASHED: dict[tuple[int, int, int, int], str] = {}


def content_digest(path: Path) -> str:
    """SHA-256 of a file's content, or over the names and contents of the files that lie in a folder."""
    if path.is_file():
        return file_digest(path)
    files = sorted(file for file in path.iterdir() if file.is_file())
    return hashlib.sha256("".join(file.name + file_digest(file) for file in files).encode()).hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file's content, read once a process as long as its size and time of change stay what they were."""
    stat = path.stat()
    state = (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns)
    if state not in _HASHED:
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
        if time.time() - stat.st_mtime < _COARSE_SECONDS:
            return digest.hexdigest()  # it could change again within one tick of the file system's clock
        _HASHED[state] = digest.hexdigest()
    return _HASHED[state]
