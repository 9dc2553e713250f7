"""Leases: one process at a time, on local and on network file systems, whatever becomes of the one that has it.

A lease is a file, created exclusively, with its owner's process, host and a random token; the owner renews its time of
change while it lives. One whose owner is known to be gone (a process of this host that ended) or has shown no sign of
life for `LEASE_SECONDS` of the waiting process's own clock is taken over, so neither clocks that differ between hosts
nor a file system without `flock` matter.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import SoftFileLease, Timeout

#: Without a sign of life for so long an owner on another host counts as dead. The same for all processes of a store.
LEASE_SECONDS = 60.0
_POLL_SECONDS = 0.25


class TakenError(RuntimeError):
    """Another process has the lease, and this one does not want to wait any longer."""


class LeaseLostError(RuntimeError):
    """Another process took the lease over: this one stood still for longer than `LEASE_SECONDS`."""


@contextmanager
def leased(
    path: Path, *, waiting: Callable[[], None] | None = None, wait: bool = True, patience: float | None = None
) -> Iterator[Callable[[], None]]:
    """Holds a lease for the length of a block; gives a function that raises if it was lost in the meantime.

    Args:
        path: The lease's file; its folder is created.
        waiting: Called once if another process has it and this one waits.
        wait: Whether to wait for another process that has it.
        patience: With `wait=False`: seconds in which an owner on another host has to show that it lives; None takes its
            life for granted. `LEASE_SECONDS` and a half more is enough to tell.

    Raises:
        TakenError: if another process has it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lease = SoftFileLease(path, lease_duration=LEASE_SECONDS, poll_interval=_POLL_SECONDS)
    if not any(_tried(lease, 0) for _ in range(2)):  # the first try may do no more than remove a dead owner's lease
        if waiting is not None and wait:
            waiting()
        owner = lease.owner
        here = owner is None or owner.hostname.startswith(socket.gethostname())  # and so known to live
        if not _tried(lease, -1 if wait else 0 if here or patience is None else patience):
            raise TakenError(f"{path} is another process's.")

    def check() -> None:
        if lease.compromise is not None:
            raise LeaseLostError(
                f"This process stood still for more than {LEASE_SECONDS:g} s, and another one took {path} over. What it "
                "made is left to that one; the same command goes on from there."
            )

    try:
        yield check
    finally:
        lease.release()


def _tried(lease: SoftFileLease, timeout: float) -> bool:
    try:
        lease.acquire(timeout=timeout)
    except Timeout:
        return False
    return True


@contextmanager
def repeating(call: Callable[[], None], *, every: float) -> Iterator[None]:
    """Makes a call again and again, in a thread of its own, for the length of a block; its `OSError`s are ignored."""
    stop = threading.Event()

    def loop() -> None:
        while not stop.wait(every):
            try:
                call()
            except OSError:
                continue

    thread = threading.Thread(target=loop, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
