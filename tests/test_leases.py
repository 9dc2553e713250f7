"""Leases between processes that are killed, that stand still, and that are many."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from unlearnable import leases
from unlearnable.files import write_atomically
from unlearnable.leases import LeaseLostError, TakenError, leased
from unlearnable.store import Store

FORK = multiprocessing.get_context("fork")


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "LEASE_SECONDS", 0.6)
    monkeypatch.setattr(leases, "_POLL_SECONDS", 0.02)


@pytest.fixture
def start() -> Iterator[Callable[..., Any]]:
    """Starts processes, and ends those that are left."""
    started = []

    def begin(target: Callable[..., None], *arguments: Any) -> Any:
        process = FORK.Process(target=target, args=arguments)
        process.start()
        started.append(process)
        return process

    yield begin
    for process in started:
        if process.is_alive():
            os.kill(process.pid, signal.SIGKILL)
        process.join()


def hold(path: Path, seconds: float) -> None:
    with leased(path):
        time.sleep(seconds)


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.01)


def test_a_lease_is_one_processes_and_free_when_it_is_done(tmp_path: Path, start) -> None:
    path = tmp_path / "lease"
    holder = start(hold, path, 0.3)
    wait_for(path.exists)
    waited: list[bool] = []
    with pytest.raises(TakenError), leased(path, wait=False):
        pass
    with leased(path, waiting=lambda: waited.append(True)):
        assert str(holder.pid) not in path.read_text().split()
    assert waited == [True]
    assert not path.exists()


def test_a_live_owners_lease_is_not_taken_however_long_it_takes(tmp_path: Path, start) -> None:
    path = tmp_path / "lease"
    start(hold, path, 60)
    wait_for(path.exists)
    end = time.monotonic() + 3 * leases.LEASE_SECONDS
    while time.monotonic() < end:
        with pytest.raises(TakenError), leased(path, wait=False):
            pass
        time.sleep(0.1)


def test_the_lease_of_a_killed_process_of_this_host_is_taken_at_once(tmp_path: Path, start, monkeypatch) -> None:
    monkeypatch.setattr(leases, "LEASE_SECONDS", 3600.0)
    path = tmp_path / "lease"
    holder = start(hold, path, 60)
    wait_for(lambda: path.exists() and path.stat().st_size > 0)
    os.kill(holder.pid, signal.SIGKILL)
    holder.join()
    with leased(path, wait=False):
        pass


def elsewhere(path: Path) -> None:
    """A lease as a process on another host has it."""
    with leased(path):
        text = path.read_text()
    assert socket.gethostname() in text
    path.write_text(text.replace(socket.gethostname(), "another-host", 1))


def test_another_hosts_lease_without_a_heartbeat_is_taken_after_a_while(tmp_path: Path) -> None:
    path = tmp_path / "lease"
    elsewhere(path)
    os.utime(path, (1000, 1000))  # its clock may be anything: what counts is that it does not change
    with pytest.raises(TakenError), leased(path, wait=False):
        pass
    with leased(path):
        assert "another-host" not in path.read_text()


def test_a_job_that_goes_on_on_another_host_waits_until_the_first_one_is_known_to_be_dead(tmp_path: Path) -> None:
    path = tmp_path / "lease"
    elsewhere(path)
    with leased(path, wait=False, patience=5 * leases.LEASE_SECONDS):
        pass


def beat(path: Path) -> None:
    while True:
        os.utime(path)
        time.sleep(0.05)


def test_another_hosts_lease_with_a_heartbeat_is_not_taken(tmp_path: Path, start) -> None:
    path = tmp_path / "lease"
    elsewhere(path)
    start(beat, path)
    with pytest.raises(TakenError), leased(path, wait=False, patience=3 * leases.LEASE_SECONDS):
        pass


def test_a_maker_that_stood_still_leaves_the_entry_to_the_one_that_took_over(tmp_path: Path, start) -> None:
    store = Store(tmp_path)

    def stopped() -> None:
        def make(folder: Path) -> None:
            (folder / "begun").touch()
            wait_for(lambda: (tmp_path / "go").exists())
            time.sleep(2 * leases.LEASE_SECONDS)  # a heartbeat or two, which find another's lease
            write_atomically(folder / "content", "stopped")

        try:
            store.obtain("poison", 1, make)
        except LeaseLostError:
            (tmp_path / "lost").touch()

    sleeper = start(stopped)
    wait_for(lambda: any(tmp_path.glob("partial/*/begun")))
    os.kill(sleeper.pid, signal.SIGSTOP)
    entry = store.obtain("poison", 1, lambda folder: write_atomically(folder / "content", "taken over"))
    (tmp_path / "go").touch()
    os.kill(sleeper.pid, signal.SIGCONT)
    sleeper.join()
    assert (entry / "content").read_text() == "taken over"
    assert store.find("poison", 1) is not None
    assert [record["event"] for record in store.history()] == ["made"]


def sweep(root: Path, number: int) -> None:
    """What one of several processes of the same sweep does: it obtains all entries, beginning anywhere."""

    def make(folder: Path) -> None:
        time.sleep(0.02)
        write_atomically(folder / "content", "x" * 1000)

    store = Store(root)
    for key in range(6):
        store.obtain("poison", (key + number) % 6, make)


@pytest.mark.parametrize("count", [2, 8])
def test_processes_of_the_same_sweep_make_each_entry_once(count: int, tmp_path: Path, start) -> None:
    processes = [start(sweep, tmp_path, number) for number in range(count)]
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * count
    events = [(record["event"], record["digest"]) for record in Store(tmp_path).history()]
    made = [digest for event, digest in events if event == "made"]
    assert (len(made), len(set(made)), len(events)) == (6, 6, 6 * count)


def test_a_maker_that_is_killed_again_and_again_leaves_nothing_behind_and_all_of_its_time_counts(
    tmp_path: Path, start, monkeypatch
) -> None:
    monkeypatch.setattr("unlearnable.store._BEAT_SECONDS", 0.02)
    store = Store(tmp_path)

    def make_slowly() -> None:
        def make(folder: Path) -> None:
            (folder / f".{os.getpid()}.half").touch()  # what a killed `write_atomically` leaves
            time.sleep(60)

        store.obtain("poison", 1, make)

    for _ in range(3):
        maker = start(make_slowly)
        wait_for(lambda maker=maker: any(tmp_path.glob(f"partial/*/.{maker.pid}.half")))
        time.sleep(0.2)
        os.kill(maker.pid, signal.SIGKILL)
        maker.join()
    entry = store.obtain("poison", 1, lambda folder: write_atomically(folder / "content", "x"))
    assert set(entry.files) == {"content"}
    assert 0.45 < entry.seconds < 20  # three times 0.2 s, each but for a beat
    assert not list((tmp_path / "leases").iterdir())
    assert json.loads((entry.path / "entry.json").read_text())["seconds"] == entry.seconds
