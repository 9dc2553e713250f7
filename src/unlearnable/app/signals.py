"""SIGINT and SIGTERM: a job ends at once, its store and its model as they should be, with an exit code that says why."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn


class Stopped(KeyboardInterrupt):
    """A signal asked the job to end. Whatever survives Ctrl-C survives it: measurements restore the model, for one."""


class Stops:
    """Which signal asked the job to end.

    Attributes:
        number: The signal's; None if there was none.
    """

    number: int | None = None

    def __call__(self, number: int, frame: FrameType | None) -> NoReturn:  # noqa: ARG002
        """Handles a signal."""
        self.number = number
        raise Stopped(signal.Signals(number).name)

    @property
    def exit_code(self) -> int:
        """As shells have it: 130 for SIGINT, 143 for SIGTERM."""
        return 128 + (self.number or signal.SIGTERM)


@contextmanager
def stopping() -> Iterator[Stops]:
    """Within the block SIGINT and SIGTERM raise `Stopped`, wherever the job is: in training, a measurement or a poison.

    A launcher's own handler of SIGTERM, such as submitit's, which requeues by another signal, is left alone.
    """
    stops = Stops()
    if threading.current_thread() is not threading.main_thread():
        yield stops  # only the main thread may handle signals
        return
    handled = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
    before = {number: signal.getsignal(number) for number in handled}
    for number, usual in handled.items():
        if before[number] == usual:
            signal.signal(number, stops)
    try:
        yield stops
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
