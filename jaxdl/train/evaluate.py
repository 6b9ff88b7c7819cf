"""Evaluation of a data set in batches of one shape, and predictions for it."""

from __future__ import annotations  # short signatures in help

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from einops import rearrange
from jax.sharding import Mesh

from jaxdl import tree
from jaxdl.checks import check_one_of, check_positive_integer
from jaxdl.metrics import Mean
from jaxdl.train import parallel
from jaxdl.train.gradient import count_rows
from jaxdl.train.leaves import check_alive
from jaxdl.typing import Array, ArrayLike, Batch, PyTree

Measure = Callable[[dict[str, PyTree], Batch], dict[str, Mean]]
"""``measure(variables, batch) -> {name: Mean}``: sums and counts over the examples whose mask is one.

A metric is a `Mean`, or any pytree with a method ``merge(other)`` and a property ``value``.
"""


def make_evaluation(
    measure: Measure,
    arrays: Mapping[str, ArrayLike] | Iterable[Batch] | Any,
    *,
    batch_size: int = 256,
    mesh: Mesh | None = None,
    evaluate: str = "params",
) -> Callable[[PyTree], dict[str, Any]]:
    """Make a function that evaluates a model on all of ``arrays``, ``evaluation(variables) -> {name: value}``.

    It also takes a state with an attribute ``variables``, such as a `TrainState`: ``fit(..., evaluate=evaluation)``.
    With ``evaluate="average"`` it takes a state and evaluates its average, see ``make_step(average=...)``.

    One compiled scan reads the examples in order, in batches of one size. The last batch is padded with masked
    examples, so that each example counts exactly once; a mask in the data is kept.

    Stacked members are evaluated by `jax.vmap`: with
    ``make_evaluation(jax.vmap(task.measure, in_axes=(0, None)), arrays)`` every value is a list with one number a
    member.

    Args:
        measure: the measure of a task.
        arrays: named arrays ``[N, ...]``, which are sent to the device once; or a loader or another iterable of
            batches, which are sent one after the other: one pass of it, from the first batch on. A batch with fewer
            rows than the first is padded and masked.
        batch_size: examples in a batch. It affects memory and speed, not the result.
        mesh: the devices, from ``parallel.make_mesh``; each holds all arrays and evaluates a part of every batch. The
            batch size is raised to a multiple of their number.
        evaluate: "params", or "average" for the average of the parameters.

    Raises:
        ValueError: there are no examples, the arrays differ in their number, or ``batch_size`` is below one; when
            called, the variables were donated to a step.
        TypeError: when called, ``measure`` returns something else than metrics, or the average of variables is wanted.

    >>> from jaxdl import metrics
    >>> def measure(variables, batch):
    ...     return {"mean": metrics.mean(batch["x"], batch["mask"])}
    >>> make_evaluation(measure, {"x": np.arange(5.0)}, batch_size=2)({})
    {'mean': 2.0}
    """
    check_one_of("evaluate", evaluate, ("params", "average"))
    check_positive_integer("batch_size", batch_size)
    mesh = parallel.automatic(mesh)
    if isinstance(arrays, Mapping):
        named: Any = {
            name: np.asarray(array) if isinstance(array, list | tuple) else array for name, array in arrays.items()
        }
        means_of = _in_memory(measure, named, batch_size, mesh)
    else:
        means_of = _streamed(measure, arrays, mesh)

    def evaluation(variables: PyTree) -> dict[str, Any]:
        variables = _variables(variables, evaluate)
        check_alive(variables)
        return {name: np.asarray(mean.value).tolist() for name, mean in means_of(variables).items()}

    return evaluation


def predict(apply: Callable[[PyTree, Any], PyTree], variables: PyTree, arrays: Any, *, batch_size: int = 256) -> PyTree:
    """Compute ``apply(variables, x)`` for all examples, in batches of one shape.

    Args:
        apply: a pure function of the variables and a batch; its outputs have the rows of the batch. It is compiled.
        variables: of a model, or a state with an attribute ``variables``.
        arrays: an array ``[N, ...]`` or named arrays, of which ``x`` is a part; or a loader or another iterable of
            batches, in its order. Rows that fill up a batch, whose mask is 0, have no output.
        batch_size: examples in a batch of arrays.

    Returns:
        The outputs of all examples in order, NumPy arrays ``[N, ...]``.

    Raises:
        ValueError: there are no examples, the arrays differ in their number, an output has not the rows of the batch,
            or the variables were donated to a step.

    >>> predict(lambda variables, x: variables["w"] * x, {"w": 2.0}, np.arange(3.0), batch_size=2).tolist()
    [0.0, 2.0, 4.0]
    """
    check_positive_integer("batch_size", batch_size)
    variables = getattr(variables, "variables", variables)
    check_alive(variables)
    compiled, rows = jax.jit(apply), 0
    outputs = []
    for batch in _cut(arrays, batch_size) if _is_arrays(arrays) else _batches(arrays):
        count = count_rows(batch)
        rows = rows or count
        output = compiled(variables, _pad(batch, rows - count))
        _check_rows(output, max(rows, count))
        kept = _kept_rows(batch, count)
        outputs.append(jax.tree.map(lambda leaf, count=count, kept=kept: np.asarray(leaf)[:count][kept], output))
    if not outputs:
        raise ValueError("expected at least one batch, got none")
    return jax.tree.map(lambda *parts: np.concatenate(parts), *outputs)


def _in_memory(
    measure: Measure, arrays: Mapping[str, ArrayLike], batch_size: int, mesh: Mesh | None
) -> Callable[[PyTree], dict[str, Mean]]:
    """Make the evaluation of arrays in memory, as one compiled scan."""
    sizes = {name: np.shape(array)[0] for name, array in arrays.items()}
    if len(set(sizes.values())) != 1 or 0 in sizes.values():
        raise ValueError(f"expected arrays with one common number of examples above zero, got {sizes}")
    size = next(iter(sizes.values()))
    batch_size = min(batch_size, size)
    batch_size += -batch_size % parallel.data_devices(mesh)
    steps = -(-size // batch_size)
    index = rearrange(np.arange(steps * batch_size), "(t b) -> t b", t=steps)
    index = np.where(index < size, index, -1)
    on_device = parallel.place_arrays(arrays, mesh)

    @jax.jit
    def total(variables: dict[str, PyTree], arrays: Batch, index: Array) -> dict[str, Mean]:
        def measure_batch(index: Array) -> dict[str, Mean]:
            batch = parallel.gather_batch(arrays, index, padded=True)
            metrics = measure(variables, parallel.shard_batch(batch, mesh))
            _check_metrics(metrics)
            return metrics

        return parallel.replicate(_merge(jax.lax.map(measure_batch, index)), mesh)

    return lambda variables: total(variables, on_device, index)


def _streamed(measure: Measure, batches: Any, mesh: Mesh | None) -> Callable[[PyTree], dict[str, Mean]]:
    """Make the evaluation of one pass over a stream of batches, one compiled call for each."""
    if isinstance(batches, Iterator) or not (_has_numbers(batches) or isinstance(batches, Iterable)):
        raise TypeError(
            f"expected arrays, or batches that can be read repeatedly, got {type(batches).__name__}; use "
            "data.from_iterable with the function that makes the iterator"
        )

    @jax.jit
    def one(variables: PyTree, batch: Batch) -> dict[str, Mean]:
        metrics = measure(variables, parallel.shard_batch(batch, mesh))
        _check_metrics(metrics)
        return parallel.replicate(metrics, mesh)

    @jax.jit
    def merge(merged: dict[str, Mean], part: dict[str, Mean]) -> dict[str, Mean]:
        return {name: metric.merge(part[name]) for name, metric in merged.items()}

    def total(variables: PyTree) -> dict[str, Mean]:
        merged, rows = None, 0
        for batch in _batches(batches):
            count = count_rows(batch)
            rows = rows or count + -count % parallel.data_devices(mesh)
            part = one(variables, parallel.place_batch(_masked(batch, rows - count), mesh))
            merged = part if merged is None else merge(merged, part)
        if merged is None:
            raise ValueError("expected at least one batch, got none")
        return merged

    return total


def _variables(state: PyTree, evaluate: str) -> PyTree:
    """Return the variables that are evaluated: as given, those of a state, or those with its average."""
    if evaluate == "params":
        return getattr(state, "variables", state)
    if not hasattr(state, "averaged"):
        raise TypeError(f"expected a state for evaluate='average', got a {type(state).__name__}; give the state")
    return state.averaged


def _has_numbers(loader: Any) -> bool:
    return callable(getattr(loader, "batch", None)) and getattr(loader, "steps_per_epoch", None) is not None


def _batches(loader: Any) -> Iterator[Batch]:
    """Yield the batches of one pass: by number where they have one, else by iteration."""
    if _has_numbers(loader):
        yield from (loader.batch(step) for step in range(loader.steps_per_epoch))
    else:
        yield from loader


def _is_arrays(arrays: Any) -> bool:
    """Distinguish an array or named arrays from batches."""
    return isinstance(arrays, Mapping) or hasattr(arrays, "shape")


def _kept_rows(batch: Any, count: int) -> np.ndarray:
    """Mark the rows of a batch that are examples, ``[B]``."""
    mask = np.asarray(batch["mask"]) if isinstance(batch, Mapping) and "mask" in batch else np.ones(count)
    return mask != 0 if mask.ndim == 1 else np.ones(count, bool)


def _check_rows(output: PyTree, rows: int) -> None:
    """Check that outputs have the rows of a batch."""
    for leaf in jax.tree.leaves(output):
        if not jnp.ndim(leaf) or len(leaf) != rows:
            raise ValueError(f"expected outputs [{rows}, ...] with the rows of the batch, got shape {jnp.shape(leaf)}")


def _cut(arrays: PyTree, batch_size: int) -> Iterator[PyTree]:
    """Cut arrays into batches along their rows."""
    arrays = jax.tree.map(lambda leaf: leaf if isinstance(leaf, jax.Array) else np.asarray(leaf), arrays)
    for start in range(0, count_rows(arrays), batch_size):
        yield jax.tree.map(lambda leaf, start=start: leaf[start : start + batch_size], arrays)


def _pad(batch: PyTree, missing: int) -> Any:
    """Append copies of the last row to a batch, or nothing."""
    if missing <= 0:
        return batch
    return jax.tree.map(
        lambda leaf: np.concatenate([leaf, np.repeat(leaf[-1:], missing, axis=0)]) if np.ndim(leaf) else leaf, batch
    )


def _masked(batch: Batch, missing: int) -> Batch:
    """Pad a batch, with a mask that is 0 for the padding."""
    arrays: dict[str, Any] = dict(batch)
    mask = np.asarray(arrays.pop("mask", np.ones(count_rows(batch), np.float32)))
    padding = np.zeros((max(missing, 0), *mask.shape[1:]), mask.dtype)
    padded: Any = {**_pad(arrays, missing), "mask": np.concatenate([mask, padding])}
    return padded


def _merge(parts: dict[str, Mean]) -> dict[str, Mean]:
    """Merge the metrics of batches, ``[t, ...]``, one after the other, each by its own method."""
    first, rest = tree.take(parts, 0), jax.tree.map(lambda leaf: leaf[1:], parts)

    def merge(merged: dict[str, Mean], part: dict[str, Mean]) -> dict[str, Mean]:
        return {name: metric.merge(part[name]) for name, metric in merged.items()}

    leaves = jax.tree.leaves(rest)
    if not leaves or not len(leaves[0]):
        return first
    # A merged metric may be wider than that of one batch.
    first = jax.tree.map(lambda leaf, form: leaf.astype(form.dtype), first, jax.eval_shape(merge, first, first))
    merged, _ = jax.lax.scan(lambda merged, part: (merge(merged, part), None), first, rest)
    return merged


def _check_metrics(metrics: Any) -> None:
    """Check that a measure has returned metrics by name."""
    if not isinstance(metrics, Mapping):
        raise TypeError(f"expected measure to return {{name: metric}}, got a {type(metrics).__name__}")
    for name, metric in metrics.items():
        if not (hasattr(metric, "merge") and hasattr(metric, "value")):
            raise TypeError(
                f"expected {name} to be a metric with merge and value, got a {type(metric).__name__}; return "
                "metrics.mean(values, batch['mask'])"
            )
