"""Evaluation of a data set in batches of one shape."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from einops import rearrange
from jax.sharding import Mesh

from jaxdl.checks import check_positive_integer
from jaxdl.metrics import Mean
from jaxdl.train import parallel
from jaxdl.typing import Array, ArrayLike, Batch, PyTree

Measure = Callable[[dict[str, PyTree], Batch], dict[str, Mean]]
"""``measure(variables, batch) -> {name: Mean}``: sums and counts over the examples whose mask is one."""


def make_evaluation(
    measure: Measure, arrays: Mapping[str, ArrayLike], *, batch_size: int = 256, mesh: Mesh | None = None
) -> Callable[[dict[str, PyTree]], dict[str, Any]]:
    """Make a function that evaluates a model on all of ``arrays``, ``evaluation(variables) -> {name: value}``.

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
        ValueError: there are no examples, the arrays differ in their number, or ``batch_size`` is below one.

    >>> from jaxdl import metrics
    >>> def measure(variables, batch):
    ...     return {"mean": metrics.mean(batch["x"], batch["mask"])}
    >>> make_evaluation(measure, {"x": np.arange(5.0)}, batch_size=2)({})
    {'mean': 2.0}
    """
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
            return measure(variables, parallel.shard_batch(batch, mesh))

        sums = jax.tree.map(lambda parts: jnp.sum(parts, axis=0), jax.lax.map(measure_batch, index))
        return parallel.replicate(sums, mesh)

    def evaluation(variables: dict[str, PyTree]) -> dict[str, Any]:
        means = total(variables, on_device, index)
        return {name: np.asarray(mean.value).tolist() for name, mean in means.items()}

    return evaluation
