"""Interfaces of the loop: the loader it reads, the report it makes, and the hooks it calls."""

import enum
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, Protocol

import numpy as np

from jaxdl.train.gradient import is_geometric
from jaxdl.typing import Batch, PyTree


class Loader(Protocol):
    """Batches by number, the same for the same number (``jaxdl.data.Loader`` is one)."""

    steps_per_epoch: int | None
    """None for a stream without a length: then the whole run is one epoch."""

    def batch(self, step: int) -> Batch:
        """Return the batch of update ``step``, counted from zero over all epochs."""
        ...


class InMemoryLoader(Loader, Protocol):
    """A loader with all examples in memory: they can go to the device once, and each batch is gathered there."""

    @property
    def arrays(self) -> Mapping[str, np.ndarray]:
        """The examples: named arrays ``[N, ...]``."""
        ...

    def indices(self, first_step: int, count: int) -> np.ndarray:
        """Return the examples of ``count`` batches, ``[count, B]``."""
        ...


class Report(NamedTuple):
    """What a hook receives after every chunk of steps.

    Attributes:
        step: number of updates made so far.
        epoch: epochs completed, a fraction inside one.
        state: the state after ``step``. The next step reuses its buffers: a hook that keeps it must copy it.
        metrics: the step's metrics, each ``[n, ...]`` for the ``n`` steps since the last report.
        evaluation: the result of ``evaluate``, at the end of an epoch: numbers, or lists for stacked members.
        seconds: duration of those ``n`` steps, without compilation and evaluation.
        compile_seconds: time spent compiling so far.
        total: number of updates planned for the whole run.
        steps: the number ``n`` of updates since the last report, also for a step without metrics.
    """

    step: int
    epoch: float
    state: PyTree
    metrics: dict[str, np.ndarray]
    evaluation: dict[str, Any] | None
    seconds: float
    compile_seconds: float
    total: int
    steps: int


class Stop(enum.Enum):
    """The type of `STOP`."""

    STOP = "STOP"

    def __repr__(self) -> str:
        return "train.STOP"


STOP: Final = Stop.STOP
"""The result of a hook that ends the run."""

Hook = Callable[[Report], Any]
"""A function of a report, called after every chunk of steps; the result `STOP` ends the run.

Other results must be false, such as None: a hook that happens to return something, as ``file.write`` does, is an error.

A hook may have a method ``finish(report)``: at the end of the run, whichever hook ended it, it is called with the last
report once all hooks have seen that. A hook with a true attribute ``needs_evaluation`` requires ``evaluate``.
"""


def call_hook(hook: Hook, report: Report) -> bool:
    """Call a hook, and return whether it ends the run.

    Raises:
        TypeError: the hook has returned neither `STOP` nor something false.
    """
    result = hook(report)
    if result is STOP or result is None:
        return result is STOP
    if np.ndim(result) or result:
        name = getattr(hook, "__qualname__", type(hook).__name__)
        raise TypeError(
            f"expected the hook {name} to return None or train.STOP, got {result!r:.100}; return train.STOP to end the "
            "run, and nothing else"
        )
    return False


def call_finish(hook: Hook, report: Report) -> None:
    """Call a hook's method ``finish``, if it has one."""
    method = getattr(hook, "finish", None)
    if method is not None:
        method(report)


def summarise(report: Report) -> dict[str, Any]:
    """Flatten a report into one row of plain numbers, for histories and logs.

    A metric is averaged over the steps of the report, a perplexity by its geometric mean, the exponential of the mean
    loss.
    """

    def average(name: str, values: np.ndarray) -> np.ndarray:
        return np.exp(np.mean(np.log(values), axis=0)) if is_geometric(name) else np.mean(values, axis=0)

    means = {f"train/{name}": average(name, values).tolist() for name, values in report.metrics.items()}
    if not isinstance(report.evaluation, Mapping | None):
        got = type(report.evaluation).__name__
        raise TypeError(f"expected evaluate to return {{name: value}}, got a {got}; see train.make_evaluation")
    tests = {f"evaluation/{name}": value for name, value in (report.evaluation or {}).items()}
    times = {"seconds": report.seconds, "compile_seconds": report.compile_seconds}
    return {"step": report.step, "epoch": report.epoch, **times, **means, **tests}
