"""Numbers that are not finite: stop at them, name where they are, or leave out the steps that make them."""

import functools

import jax.numpy as jnp
import numpy as np

from jaxdl import tree
from jaxdl.train.checkpointing.integrity import is_key
from jaxdl.train.report import Report
from jaxdl.train.step import Metrics, Step
from jaxdl.typing import Array, Batch, PyTree

OPTIMIZER = "opt_state"
"""Where a state may hold infinities that mean something, such as the best loss before the first one."""

ADVICE = "Look at the batch, lower the learning rate, clip the gradient, or wrap the step in train.skip_nonfinite"


class NonfiniteError(FloatingPointError):
    """A metric or a leaf of the state has become NaN or infinite.

    Attributes:
        step: the step that did it, counted from zero as the loader's batches are.
        metric: the first such metric, ``None`` where only the state shows it.
        leaf: path of the first such leaf of the state, ``None`` where the state is finite.
    """

    def __init__(self, message: str, *, step: int, metric: str | None, leaf: str | None):
        super().__init__(message)
        self.step, self.metric, self.leaf = step, metric, leaf


class StopAtNonfinite:
    """A hook that raises NonfiniteError at the first report with a metric that is NaN or infinite.

    It looks only at the metrics, which are on the host; the state's leaves are searched once it has found something.
    Steps that ``skip_nonfinite`` left out are no reason to stop, unless too many follow each other.

    Args:
        ignore: metrics that may be infinite.
        most_skipped: steps left out in a row that are tolerated.
    """

    def __init__(self, *, ignore: tuple[str, ...] = (), most_skipped: int = 100):
        self.ignore = {*ignore, "skipped"}
        self.most_skipped = most_skipped
        self.skipped_in_a_row = 0

    def __call__(self, report: Report) -> None:
        """Look at a report's metrics."""
        first = report.step - report.steps
        skipped = _any(report.metrics["skipped"] != 0) if "skipped" in report.metrics else np.zeros(report.steps, bool)
        bad = {name: _any(~np.isfinite(values)) & ~skipped for name, values in self._watched(report).items()}
        indices = [int(np.argmax(marks)) for marks in bad.values() if marks.any()]
        if indices:
            index = min(indices)
            metric = next(name for name in bad if bad[name][index])
            raise _error(report, f"{metric} is {_worst(report.metrics[metric][index])}", first + index, metric)
        for index, left_out in enumerate(skipped):
            self.skipped_in_a_row = self.skipped_in_a_row + 1 if left_out else 0
            if self.skipped_in_a_row > self.most_skipped:
                raise _error(report, f"{self.skipped_in_a_row} steps in a row were left out, the last", first + index)

    def _watched(self, report: Report) -> dict[str, np.ndarray]:
        # The loss comes first: where it is bad, all that follows from it is.
        names = sorted(report.metrics.keys() - self.ignore, key=lambda name: (name != "loss", name))
        floating = {name: np.asarray(report.metrics[name]) for name in names}
        return {name: values for name, values in floating.items() if jnp.issubdtype(values.dtype, jnp.inexact)}


def skip_nonfinite(step: Step) -> Step:
    """Make a step that changes nothing but ``state.step`` where ``step`` would give NaN or infinity.

    A step is left out if a metric is not finite, or a leaf of the new state, as ``nonfinite_leaves`` says. The metrics
    are those of ``step``, and ``skipped``: 1 for a step left out, else 0. It is pure: ``jit``, ``vmap`` and
    ``lax.scan`` take it as they take ``step``.

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
        numbers = [jnp.asarray(value) for value in metrics.values()]  # also where a metric is a number of Python's
        signs = [jnp.all(jnp.isfinite(value)) for value in numbers if jnp.issubdtype(value.dtype, jnp.inexact)]
        signs += [~jnp.any(_bad(name, leaf, jnp)) for name, leaf in tree.flatten(after).items() if _is_inexact(leaf)]
        good = functools.reduce(jnp.logical_and, signs, jnp.array(True))

        def chosen(name: str, new: Array, old: Array) -> Array:
            return new if name == "step" else jnp.where(good, new, old)

        return tree.map_with_path(chosen, after, state), {**metrics, "skipped": (~good).astype(jnp.int32)}

    return guarded


def nonfinite_leaves(state: PyTree) -> list[str]:
    """List the paths of the leaves with NaN, or with infinity outside the optimizer's state.

    >>> nonfinite_leaves({"params": {"w": np.array([1.0, np.inf])}, "opt_state": np.array(np.inf)})
    ['params/w']
    """
    named = tree.flatten(state).items()
    return [name for name, leaf in named if _is_inexact(leaf) and np.any(_bad(name, np.asarray(leaf), np))]


def check_finite(report: Report) -> None:
    """Raise NonfiniteError if a leaf of the report's state is not finite, as ``nonfinite_leaves`` says."""
    leaves = nonfinite_leaves(report.state)
    if leaves:
        raise NonfiniteError(
            f"the state after step {report.step - 1} is not finite, first at leaf {leaves[0]}: not saved. {ADVICE}",
            step=report.step - 1,
            metric=None,
            leaf=leaves[0],
        )


def _is_inexact(leaf: Array) -> bool:
    return not is_key(leaf) and jnp.issubdtype(leaf.dtype, jnp.inexact)


def _bad(name: str, leaf: Array, numpy: object) -> Array:
    """Mark what must not be in a leaf; ``numpy`` is that of the host or of JAX."""
    return numpy.isnan(leaf) if OPTIMIZER in name.split("/") else ~numpy.isfinite(leaf)


def _any(marks: np.ndarray) -> np.ndarray:
    """Say for each step, ``[n, ...] -> [n]``, whether any mark is set."""
    return np.asarray(marks).reshape(len(marks), -1).any(axis=1)


def _worst(values: np.ndarray) -> float:
    """Return the first value that is not finite."""
    values = np.ravel(values)
    return values[~np.isfinite(values)][0]


def _error(report: Report, what: str, step: int, metric: str | None = None) -> NonfiniteError:
    leaves = nonfinite_leaves(report.state)
    where = f"the first such leaf is {leaves[0]}" if leaves else "every leaf is finite"
    return NonfiniteError(
        f"{what} in step {step}, loader.batch({step}); in the state after step {report.step - 1} {where}. {ADVICE}",
        step=step,
        metric=metric,
        leaf=leaves[0] if leaves else None,
    )
