"""Evaluation of a data set in batches of one shape."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from einops import rearrange
from jax.sharding import Mesh

from jaxdl import tree
from jaxdl.checks import check_positive_integer
from jaxdl.metrics import Mean
from jaxdl.train import parallel
from jaxdl.train.leaves import check_alive
from jaxdl.typing import Array, ArrayLike, Batch, PyTree

Measure = Callable[[dict[str, PyTree], Batch], dict[str, Mean]]
"""``measure(variables, batch) -> {name: Mean}``: sums and counts over the examples whose mask is one.

A metric is a `Mean`, or any pytree with a method ``merge(other)`` and a property ``value``.
"""


def make_evaluation(
    measure: Measure, arrays: Mapping[str, ArrayLike], *, batch_size: int = 256, mesh: Mesh | None = None
) -> Callable[[PyTree], dict[str, Any]]:
    """Make a function that evaluates a model on all of ``arrays``, ``evaluation(variables) -> {name: value}``.

    It also takes a state with an attribute ``variables``, such as a `TrainState`: ``fit(..., evaluate=evaluation)``.

    One compiled scan reads the examples in order, in batches of one size. The last batch is padded with masked
    examples, so that each example counts exactly once; a mask in the data is kept.

    Stacked members are evaluated by `jax.vmap`: with
    ``make_evaluation(jax.vmap(task.measure, in_axes=(0, None)), arrays)`` every value is a list with one number a
    member.

    Args:
        measure: the measure of a task.
        arrays: named arrays ``[N, ...]``; they are sent to the device once.
        batch_size: examples in a batch. It affects memory and speed, not the result.
        mesh: the devices, from ``parallel.make_mesh``; each holds all arrays and evaluates a part of every batch. The
            batch size is raised to a multiple of their number.

    Raises:
        ValueError: there are no examples, the arrays differ in their number, or ``batch_size`` is below one; when
            called, the variables were donated to a step.
        TypeError: when called, ``measure`` returns something else than metrics.

    >>> from jaxdl import metrics
    >>> def measure(variables, batch):
    ...     return {"mean": metrics.mean(batch["x"], batch["mask"])}
    >>> make_evaluation(measure, {"x": np.arange(5.0)}, batch_size=2)({})
    {'mean': 2.0}
    """
    mesh = parallel.automatic(mesh)
    sizes = {name: np.shape(array)[0] for name, array in arrays.items()}
    if len(set(sizes.values())) != 1 or 0 in sizes.values():
        raise ValueError(f"expected arrays with one common number of examples above zero, got {sizes}")
    check_positive_integer("batch_size", batch_size)
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

    def evaluation(variables: PyTree) -> dict[str, Any]:
        variables = getattr(variables, "variables", variables)
        check_alive(variables)
        means = total(variables, on_device, index)
        return {name: np.asarray(mean.value).tolist() for name, mean in means.items()}

    return evaluation


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
