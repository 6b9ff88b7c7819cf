"""Evaluation of a whole data set without bias and without a second compilation."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from jaxdl.metrics import Mean
from jaxdl.train import parallel
from jaxdl.train.loop import gather
from jaxdl.typing import Array, ArrayLike, Batch, PyTree

Measure = Callable[[dict[str, PyTree], Batch], dict[str, Mean]]
"""``measure(variables, batch) -> {name: Mean}``: sums and counts over the examples whose mask is one."""


def make_evaluation(
    measure: Measure, arrays: Mapping[str, ArrayLike], *, batch_size: int = 256, mesh: Mesh | None = None
) -> Callable[[dict[str, PyTree]], dict[str, Any]]:
    """Make the function that measures a model on all of ``arrays``, ``evaluation(variables) -> {name: value}``.

    The examples are read in order, in batches of one size inside one compiled scan. The last batch is filled up with
    examples that its mask excludes, so that each example counts exactly once; a mask in the data is kept.

    Members that are stacked are measured as they are trained, by `jax.vmap`: with
    ``make_evaluation(jax.vmap(task.measure, in_axes=(0, None)), arrays)`` every value is a list, one number a member.

    Args:
        measure: as a task gives it.
        arrays: named arrays ``[N, ...]``; they are put on the device once.
        batch_size: examples at a time. It decides memory and speed, not the result.
        mesh: devices that share the work, from ``parallel.mesh``; each holds all arrays and measures a part of every
            batch, whose size is raised to a multiple of their number.

    >>> from jaxdl import metrics
    >>> def measure(variables, batch):
    ...     return {"mean": metrics.mean(batch["x"], batch["mask"])}
    >>> make_evaluation(measure, {"x": np.arange(5.0)}, batch_size=2)({})
    {'mean': 2.0}
    """
    sizes = {name: len(array) for name, array in arrays.items()}
    if len(set(sizes.values())) != 1 or 0 in sizes.values():
        raise ValueError(f"expected arrays with one common number of examples above zero, got {sizes}")
    if batch_size < 1:
        raise ValueError(f"expected batch_size >= 1, got {batch_size}")
    size = next(iter(sizes.values()))
    batch_size = min(batch_size, size)
    batch_size += -batch_size % parallel.data_devices(mesh)
    steps = -(-size // batch_size)
    places = np.arange(steps * batch_size).reshape(steps, batch_size)
    index = np.where(places < size, places, -1)
    on_device = parallel.place_arrays(arrays, mesh)

    @jax.jit
    def total(variables: dict[str, PyTree], arrays: Batch, index: Array) -> dict[str, Mean]:
        def one(index: Array) -> dict[str, Mean]:
            return measure(variables, parallel.spread(gather(arrays, index, padded=True), mesh))

        sums = jax.tree.map(lambda parts: jnp.sum(parts, axis=0), jax.lax.map(one, index))
        return parallel.gathered(sums, mesh)

    def evaluation(variables: dict[str, PyTree]) -> dict[str, Any]:
        means = total(variables, on_device, index)
        return {name: np.asarray(mean.value).tolist() for name, mean in means.items()}

    return evaluation
