"""Signals that ask a run to stop: it ends after the stretch of steps that it is in, and what it learned is saved."""

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

from jaxdl.train.report import Report

PATIENCE = 1.0
"""Seconds after a second signal in which Python may end by itself; compiled code does not hear of signals."""

LATE = 10.0
"""Seconds in which the signal that has stopped all processes may still reach one of them and be the same one."""


class Interruption:
    """A hook that ends the run once a signal has come; of several processes, to any: each must have the hook.

    It is true once the run has been ended by it. A signal that came after the last report ended nothing.

    Attributes:
        signal: name of the signal for which all have stopped, ``"SIGTERM"`` for instance; ``None`` before.
        heard: name of the signal that came to this process; ``None`` before.
    """

    def __init__(self) -> None:
        self.signal: str | None = None
        self.heard: str | None = None

    def __call__(self, report: Report) -> bool:
        """Say whether to stop."""
        self.signal = _heard_by_any(self.heard)  # one that comes while they agree waits for the next report
        return self.signal is not None

    def __bool__(self) -> bool:
        return self.signal is not None


@contextmanager
def interruptible(
    signals: Iterable[signal.Signals] = (signal.SIGINT, signal.SIGTERM),
) -> Iterator[Interruption]:
    """Turn Ctrl-C and SIGTERM into a stop after the present stretch of steps; a second one ends at once.

    Give what it yields to ``fit`` as a hook, with ``SaveEvery`` beside it::

        with train.interruptible() as interruption:
            hooks = [interruption, train.SaveEvery(checkpoints)]
            state, history = train.fit(step, state, loader, epochs=9, hooks=hooks)
        if interruption:
            return  # saved: the exit status is 0

    A second signal raises KeyboardInterrupt. Where Python does not come to that, because it waits for compiled code,
    the process ends after a second, with status 128 + the signal's number; a checkpoint is never left half written.

    Several processes tell each other at every report, and stop after the same step, whichever has heard of the signal
    and however much later it reaches the others. One process alone asks nobody.

    Raises:
        ValueError: called outside the main thread, which alone hears of signals.
    """
    if threading.current_thread() is not threading.main_thread():
        raise ValueError("interruptible() works in the main thread alone, the one that Python tells of signals")
    signals = tuple(signals)
    interruption, count = Interruption(), 0

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal count
        count += 1
        interruption.heard = signal.Signals(number).name
        if count > 1:
            raise KeyboardInterrupt

    with _watched({int(number) for number in signals}):
        before = {number: signal.signal(number, note) for number in signals}
        try:
            yield interruption
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            late = signal.Signals[interruption.signal] if interruption and not count else None
            if late in before:  # the others have heard it: to this process it may still be on its way
                _ignore_once(late, before[late])


def _ignore_once(number: signal.Signals, before: Any) -> None:
    """Ignore a signal that comes soon, the first time; one that comes later goes to the handler ``before``."""
    expires = time.monotonic() + LATE

    def late(*_: object) -> None:
        signal.signal(number, before)
        if time.monotonic() > expires:
            signal.raise_signal(number)

    signal.signal(number, late)


def _heard_by_any(name: str | None) -> str | None:
    """Name a signal that one of the processes has heard."""
    if jax.process_count() == 1:
        return name
    number = np.int32(0 if name is None else signal.Signals[name])
    heard = int(np.max(multihost_utils.process_allgather(number)))
    return signal.Signals(heard).name if heard else None


@contextmanager
def _watched(signals: set[int]) -> Iterator[None]:
    """End the process some time after a second signal, from a thread that hears of each even while Python waits."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    closed = threading.Event()

    def watch() -> None:
        count = 0
        while number := os.read(reader, 1):
            count += number[0] in signals
            if count == 2:
                if not closed.wait(PATIENCE):
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
