import os
import signal
import threading
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import data, train
from jaxdl.train.checkpointing import interrupt


class Counter(NamedTuple):
    """The smallest state: a counter of steps."""

    step: jax.Array


def step(state, batch):
    return state._replace(step=state.step + 1), {"loss": jnp.float32(0)}


@pytest.fixture(autouse=True)
def handlers():
    """Python's default handlers, as a shell ignores Ctrl-C for a process in the background."""
    before = [signal.signal(signal.SIGINT, signal.default_int_handler), signal.signal(signal.SIGTERM, signal.SIG_DFL)]
    yield
    for number, handler in zip((signal.SIGINT, signal.SIGTERM), before, strict=True):
        signal.signal(number, handler)


@pytest.fixture
def run(tmp_path):
    loader = data.Loader({"x": np.zeros(40, np.float32)}, 1)
    checkpoints = train.Checkpoints(tmp_path, config={})

    def run(*hooks):
        save = train.SaveEvery(checkpoints)
        state, _ = train.fit(
            step, Counter(jnp.int32(0)), loader, epochs=1, report_every=5, scan=False, hooks=[save, *hooks]
        )
        return int(state.step), checkpoints.steps()

    return run


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run_after_its_chunk_and_the_state_is_saved(run, number):
    before = signal.getsignal(number)

    def kill(report):
        if report.step == 10:
            os.kill(os.getpid(), number)

    with train.interruptible() as interruption:
        assert not interruption
        assert run(interruption, kill) in [(10, [10]), (15, [15])]
    assert interruption.signal == number.name
    assert interruption
    assert signal.getsignal(number) is before


def test_without_a_signal_the_run_is_complete(run):
    with train.interruptible() as interruption:
        assert run(interruption) == (40, [40])
    assert interruption.signal is None


def test_a_second_signal_ends_at_once(run):
    steps = []

    def kill_twice(report):
        steps.append(report.step)
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt), train.interruptible() as interruption:
        run(interruption, kill_twice)
    assert steps == [5]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.set_wakeup_fd(-1) == -1


@pytest.fixture
def received_before():
    """The signals received by the handler of SIGTERM installed before the run."""
    received = []
    signal.signal(signal.SIGTERM, lambda *_: received.append(True))
    return received


@pytest.mark.parametrize(("seconds", "expected"), [(60.0, [0, 1, 2]), (0.0, [1, 2, 3])], ids=["soon", "late"])
def test_a_signal_received_by_another_process_first_is_ignored_once_and_soon(
    run, monkeypatch, received_before, seconds, expected
):
    monkeypatch.setattr(interrupt, "_received_by_any", lambda name: "SIGTERM")
    monkeypatch.setattr(interrupt, "LATE", seconds)
    with train.interruptible() as interruption:
        run(interruption)
    assert (interruption.signal, interruption.received) == ("SIGTERM", None)
    counts = []
    for _ in expected:
        os.kill(os.getpid(), signal.SIGTERM)
        counts.append(len(received_before))
    assert counts == expected


def test_an_unwatched_signal_of_another_process_leaves_its_handler(run, monkeypatch, received_before):
    monkeypatch.setattr(interrupt, "_received_by_any", lambda name: "SIGTERM")
    with train.interruptible([signal.SIGINT]) as interruption:
        assert run(interruption) == (5, [5])
    os.kill(os.getpid(), signal.SIGTERM)
    assert received_before == [True]


def test_a_signal_after_the_last_report_has_no_effect(run):
    class Late:
        def __call__(self, report):
            pass

        def finish(self, report):
            os.kill(os.getpid(), signal.SIGTERM)

    with train.interruptible() as interruption:
        assert run(interruption, Late()) == (40, [40])
    assert not interruption
    assert (interruption.signal, interruption.received) == (None, "SIGTERM")


def test_interruptible_raises_outside_of_the_main_thread():
    errors = []

    def enter():
        try:
            with train.interruptible():
                pass
        except ValueError as error:
            errors.append(str(error))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert len(errors) == 1
    assert thread.name in errors[0]
