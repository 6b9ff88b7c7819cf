"""The interfaces around the loop: what it reads its batches from, what it reports, and what it reports to."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np

from jaxdl.typing import Batch, PyTree


class Loader(Protocol):
    """What ``fit`` asks of its data: batches by number, the same for the same number (``jaxdl.data.Loader`` is one).

    A loader whose examples lie in memory also has ``arrays`` (named arrays ``[N, ...]``) and
    ``indices(first_step, count)`` (``[count, B]``, the examples of each batch); then the examples can go to the device
    once, and the batches are gathered there.
    """

    steps_per_epoch: int

    def batch(self, step: int) -> Batch:
        """Give the batch of update ``step``, counted from zero over all epochs."""
        ...


class Report(NamedTuple):
    """What a hook is told after a stretch of steps.

    Attributes:
        step: number of updates made so far.
        epoch: epochs completed, a fraction inside one.
        state: the state after ``step``. Its buffers are given to the next step: a hook that keeps it must copy it.
        metrics: the step's metrics, each ``[n, ...]`` for the ``n`` steps since the last report.
        evaluation: what ``evaluate`` returned, at the end of an epoch: numbers, or lists where members are stacked.
        seconds: time that those ``n`` steps took, without compilation and evaluation.
        compile_seconds: time spent compiling so far.
        total: number of updates that the run will have made at its end.
        steps: the number ``n`` of updates since the last report, also where a step has no metrics.
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


Hook = Callable[[Report], bool | None]
"""Called after every stretch of steps; a true answer ends the run.

A hook with a method ``finish`` is told the last report once more, ``hook.finish(report)``, after all have been called:
then it is known that the run ends, also where another hook has ended it.
"""


def summarise(report: Report) -> dict[str, Any]:
    """Flatten a report into one row of plain numbers, as histories and logs keep it."""
    means = {f"train/{name}": np.mean(values, axis=0).tolist() for name, values in report.metrics.items()}
    tests = {f"evaluation/{name}": value for name, value in (report.evaluation or {}).items()}
    times = {"seconds": report.seconds, "compile_seconds": report.compile_seconds}
    return {"step": report.step, "epoch": report.epoch, **times, **means, **tests}
