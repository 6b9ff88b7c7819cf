"""NaN and infinity: stop at them, locate them, or skip the steps that produce them."""

import functools
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxdl import tree
from jaxdl.train.leaves import is_key
from jaxdl.train.report import Report
from jaxdl.train.step import Metrics, Step
from jaxdl.typing import Array, ArrayLike, Batch, PyTree

OPTIMIZER = "opt_state"
"""The part of a state that may hold infinities on purpose, such as the best loss before the first one."""

ADVICE = "look at the batch, lower the learning rate, clip the gradient, or wrap the step in train.skip_nonfinite"


class NonfiniteError(FloatingPointError):
    """A metric or a leaf of the state has become NaN or infinite.

    Attributes:
        step: number of the step, counted from zero like the loader's batches.
        metric: the first such metric, ``None`` if all metrics are finite.
        leaf: path of the first such leaf of the state, ``None`` if the state is finite.
    """

    def __init__(self, message: str, *, step: int, metric: str | None, leaf: str | None):
        super().__init__(message)
        self.step, self.metric, self.leaf = step, metric, leaf


class StopAtNonfinite:
    """A hook that raises NonfiniteError at the first report with a metric that is NaN or infinite.

    It checks the metrics only, which are on the host; the state's leaves are searched to complete the error. Steps
    skipped by ``skip_nonfinite`` do not count, unless too many follow each other.

    Args:
        ignore: metrics that may be infinite.
        max_skipped: number of consecutive skipped steps that is tolerated.
    """

    def __init__(self, *, ignore: tuple[str, ...] = (), max_skipped: int = 100):
        self.ignore = {*ignore, "skipped"}
        self.max_skipped = max_skipped
        self.consecutive_skipped = 0

    def __call__(self, report: Report) -> None:
        """Check a report's metrics."""
        first = report.step - report.steps
        skipped = _any(report.metrics["skipped"] != 0) if "skipped" in report.metrics else np.zeros(report.steps, bool)
        bad = {name: _any(~np.isfinite(values)) & ~skipped for name, values in self._watched(report).items()}
        indices = [int(np.argmax(marks)) for marks in bad.values() if marks.any()]
        if indices:
            index = min(indices)
            metric = next(name for name in bad if bad[name][index])
            value = _first_nonfinite(report.metrics[metric][index])
            raise _error(report, f"a finite {metric}, got {value}", first + index, metric)
        for index, is_skipped in enumerate(skipped):
            self.consecutive_skipped = self.consecutive_skipped + 1 if is_skipped else 0
            if self.consecutive_skipped > self.max_skipped:
                found = (
                    f"at most {self.max_skipped} consecutive skipped steps, got {self.consecutive_skipped}, the last"
                )
                raise _error(report, found, first + index)

    def _watched(self, report: Report) -> dict[str, np.ndarray]:
        # The loss first: the other metrics follow from it.
        names = sorted(report.metrics.keys() - self.ignore, key=lambda name: (name != "loss", name))
        floating = {name: np.asarray(report.metrics[name]) for name in names}
        return {name: values for name, values in floating.items() if jnp.issubdtype(values.dtype, jnp.inexact)}


def skip_nonfinite(step: Step) -> Step:
    """Make a step that changes only ``state.step`` and the scale of the loss if ``step`` would give NaN or infinity.

    A step is skipped if a metric is not finite, or a leaf of the new state (see ``nonfinite_leaves``). The metrics are
    those of ``step`` and ``skipped``, 1 for a skipped step and else 0. Like ``step`` it is pure and works under
    ``jit``, ``vmap`` and ``lax.scan``.

    >>> import jax
    >>> from jaxdl import optim, train
    >>> def loss(variables, batch, key):
    ...     return jnp.mean((variables["params"]["w"] - batch["x"]) ** 2), ({}, {})
    >>> optimizer = optim.sgd(0.25)
    >>> state = train.TrainState.create({"params": {"w": jnp.array([1.0])}}, optimizer, jax.random.key(0))
    >>> step = jax.jit(skip_nonfinite(train.make_step(loss, optimizer)))
    >>> state, metrics = step(state, {"x": jnp.array([jnp.nan])})
    >>> float(state.params["w"][0]), int(state.step), int(metrics["skipped"])
    (1.0, 1, 1)
    """

    @functools.wraps(step)
    def guarded(state: PyTree, batch: Batch) -> tuple[PyTree, Metrics]:
        after, metrics = step(state, batch)
        values = [jnp.asarray(value) for value in metrics.values()]  # a metric may be a Python number
        finite = [jnp.all(jnp.isfinite(value)) for value in values if jnp.issubdtype(value.dtype, jnp.inexact)]
        finite += [
            ~jnp.any(_is_bad(name, leaf, jnp)) for name, leaf in tree.flatten(after).items() if _is_inexact(leaf)
        ]
        accept = functools.reduce(jnp.logical_and, finite, jnp.array(True))

        def choose(name: str, new: Array, old: Array) -> Array:
            return new if name == "step" or name.startswith("loss_scale/") else jnp.where(accept, new, old)

        return tree.map_with_path(choose, after, state), {**metrics, "skipped": (~accept).astype(jnp.int32)}

    return guarded


def nonfinite_leaves(state: PyTree) -> list[str]:
    """List the paths of the leaves with NaN, or with infinity outside of the optimizer's state.

    >>> nonfinite_leaves({"params": {"w": np.array([1.0, np.inf])}, "opt_state": np.array(np.inf)})
    ['params/w']
    """
    named = tree.flatten(state).items()
    return [name for name, leaf in named if _is_inexact(leaf) and np.any(_is_bad(name, np.asarray(leaf), np))]


def check_finite(report: Report) -> None:
    """Check that every leaf of the report's state is finite, in the sense of ``nonfinite_leaves``.

    Raises:
        NonfiniteError: a leaf is not finite.
    """
    leaves = nonfinite_leaves(report.state)
    if leaves:
        raise NonfiniteError(
            f"expected a finite state after step {report.step - 1}, got NaN or infinity first in leaf {leaves[0]}, "
            f"and saved nothing; {ADVICE}",
            step=report.step - 1,
            metric=None,
            leaf=leaves[0],
        )


def _is_inexact(leaf: Array) -> bool:
    return not is_key(leaf) and jnp.issubdtype(leaf.dtype, jnp.inexact)


def _is_bad(name: str, leaf: ArrayLike, numpy: Any) -> Any:
    """Mark NaN in a leaf, and infinity outside of the optimizer's state; ``numpy`` is NumPy or ``jax.numpy``."""
    return numpy.isnan(leaf) if OPTIMIZER in name.split("/") else ~numpy.isfinite(leaf)


def _any(marks: np.ndarray) -> np.ndarray:
    """Reduce marks to one a step, ``[n, ...] -> [n]``: is any of them set?"""
    return np.any(np.reshape(marks, (len(marks), -1)), axis=1)


def _first_nonfinite(values: np.ndarray) -> float:
    values = np.ravel(values)
    return values[~np.isfinite(values)][0]


def _error(report: Report, finding: str, step: int, metric: str | None = None) -> NonfiniteError:
    leaves = nonfinite_leaves(report.state)
    where = f"the first bad leaf is {leaves[0]}" if leaves else "every leaf is finite"
    return NonfiniteError(
        f"expected {finding} in step {step}, loader.batch({step}); in the state after step {report.step - 1} {where}; "
        f"{ADVICE}",
        step=step,
        metric=metric,
        leaf=leaves[0] if leaves else None,
    )
