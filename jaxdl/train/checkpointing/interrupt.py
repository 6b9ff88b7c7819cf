"""Signals that interrupt a run: it ends after the current chunk of steps and can be saved."""

import os
import signal
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from jaxdl.train.report import STOP, Report, Stop

GRACE = 1.0
"""Seconds between a second signal and the end of the process; compiled code cannot handle signals."""

LATE = 10.0
"""Seconds in which the signal that has stopped all processes may still reach the last of them."""


class Interruption:
    """A hook that ends the run after a signal to any of its processes; each of them needs the hook.

    It is true once it has ended the run, and stays false for a signal after the last report.

    Attributes:
        signal: name of the signal that ended the run, ``"SIGTERM"`` for instance; ``None`` before.
        received: name of the signal received by this process; ``None`` before.
    """

    def __init__(self) -> None:
        self.signal: str | None = None
        self.received: str | None = None

    def __call__(self, report: Report) -> Stop | None:
        """Return `STOP` after a signal."""
        self.signal = _received_by_any(self.received)
        return None if self.signal is None else STOP

    def __bool__(self) -> bool:
        return self.signal is not None


@contextmanager
def interruptible(
    signals: Iterable[signal.Signals] = (signal.SIGINT, signal.SIGTERM),
) -> Iterator[Interruption]:
    """Stop after the current chunk of steps on Ctrl-C or SIGTERM, and at once on a second signal.

    Pass the yielded hook to ``fit``, together with ``SaveEvery``::

        with train.interruptible() as interruption:
            hooks = [interruption, train.SaveEvery(checkpoints)]
            state, history = train.fit(step, state, loader, epochs=9, hooks=hooks)
        if interruption:
            return  # saved: the exit status is 0

    A second signal raises KeyboardInterrupt. If Python cannot raise it, because it waits for compiled code, the process
    ends after a second with status 128 + the signal's number; a checkpoint is never left half written.

    Several processes exchange their signals at every report and stop after the same step, whichever received the
    signal first. A single process communicates with nobody.

    Raises:
        ValueError: the caller is not the main thread, the only one with signal handlers.
    """
    if threading.current_thread() is not threading.main_thread():
        raise ValueError(f"expected the main thread, got {threading.current_thread().name!r}; only it receives signals")
    signals = tuple(signals)
    interruption, count = Interruption(), 0

    def record(number: int, frame: FrameType | None) -> None:
        nonlocal count
        count += 1
        interruption.received = signal.Signals(number).name
        if count > 1:
            raise KeyboardInterrupt

    with _watch({int(number) for number in signals}):
        before = {number: signal.signal(number, record) for number in signals}
        try:
            yield interruption
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            if interruption.signal is not None and not count:  # another process has received it: it may come here too
                late = signal.Signals[interruption.signal]
                if late in before:
                    _ignore_once(late, before[late])


def _ignore_once(number: signal.Signals, before: Any) -> None:
    """Ignore the next signal if it comes soon; restore the handler ``before`` for all others."""
    expires = time.monotonic() + LATE

    def late(*_: object) -> None:
        signal.signal(number, before)
        if time.monotonic() > expires:
            signal.raise_signal(number)

    signal.signal(number, late)


def _received_by_any(name: str | None) -> str | None:
    """Return the name of a signal received by one of the processes."""
    if jax.process_count() == 1:
        return name
    number = np.int32(0 if name is None else signal.Signals[name])
    received = int(np.max(multihost_utils.process_allgather(number)))
    return signal.Signals(received).name if received else None


@contextmanager
def _watch(signals: set[int]) -> Iterator[None]:
    """End the process soon after a second signal, from a thread that runs even while Python waits for compiled code."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    closed = threading.Event()

    def watch() -> None:
        count = 0
        while number := os.read(reader, 1):
            count += number[0] in signals
            if count == 2:
                if not closed.wait(GRACE):
                    os._exit(128 + number[0])
                return

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        closed.set()
        os.close(writer)
        thread.join()
        os.close(reader)
