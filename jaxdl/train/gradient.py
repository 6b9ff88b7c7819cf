"""The gradient of a mean over a batch, on one device or along a mapped axis."""

from __future__ import annotations  # short signatures in help

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl import tree
from jaxdl.typing import Array, Batch, Key, PyTree

ParamsLoss = Callable[[PyTree, dict[str, PyTree], Batch, Key], tuple[Array, tuple[dict[str, PyTree], dict[str, Array]]]]
"""``loss(params, collections, batch, key) -> (loss, (collections, metrics))``."""
Count = Callable[[Batch], Array]
"""``count(batch)`` returns the denominator of a batch's mean loss."""


def mean_gradient(loss: ParamsLoss, axis_name: str | None = None, count: Count | None = None) -> Callable[..., Any]:
    """Differentiate a mean over the batch, also one that is split over the devices along ``axis_name``.

    With the denominator ``n_i = count(batch)`` on device ``i``, by default the number of its unmasked examples
    (``batch["mask"]``), ``L = sum_i n_i L_i / sum_i n_i`` and
    ``g = sum_i d(n_i L_i / sum_j n_j) / dw``: each device differentiates its share of the one loss, and the shares are
    summed. The weights are right even if each device's loss depends on the others' rows, as with batch normalisation.

    The parameters are first declared to vary over the devices. Otherwise the derivative of an unvarying value is
    itself a sum over the devices under ``shard_map``'s default checks, and averaging it again would give, without an
    error, a gradient too large by the number of devices.

    Metrics are averaged like the loss, perplexities by their geometric mean, other collections without weights. Each
    device folds its index into the key. Without a mask no example is left out, and a batch whose examples are all
    masked gives a loss, metrics and a gradient of zero.

    Returns:
        ``gradient(params, collections, batch, key) -> ((loss, (collections, metrics)), gradients)``, the same on every
        device.
    """
    if axis_name is None:
        return _zero_without_examples(jax.value_and_grad(loss, has_aux=True), count)

    def gradient(params: PyTree, collections: dict[str, PyTree], batch: Batch, key: Key):
        own = (count or count_examples)(batch)
        share = own / jnp.maximum(jax.lax.psum(own, axis_name), jnp.finfo(own.dtype).tiny)

        def local_loss(params: PyTree):
            value, aux = loss(params, collections, batch, jax.random.fold_in(key, jax.lax.axis_index(axis_name)))
            return _weighted(share, value), aux

        varying = jax.tree.map(lambda leaf: jax.lax.pcast(leaf, axis_name, to="varying"), params)
        (value, (updated, metrics)), grads = jax.value_and_grad(local_loss, has_aux=True)(varying)
        metrics = jax.tree.map(lambda leaf: _weighted(share, leaf), to_additive(metrics))
        grads = jax.tree.map(lambda leaf: jnp.where(share > 0, leaf, 0), grads)  # of a mean over no examples: nan
        value, metrics, grads = jax.lax.psum((value, metrics, grads), axis_name)
        metrics = from_additive(metrics)
        return (value, (jax.tree.map(lambda leaf: _mean_over(leaf, axis_name), updated), metrics)), grads

    return gradient


def count_examples(batch: Batch) -> Array:
    """Return the denominator of a batch's mean: the sum of its mask, else its number of rows.

    >>> float(count_examples({"x": jnp.zeros((3, 2)), "mask": jnp.array([1.0, 1.0, 0.0])}))
    2.0
    """
    if "mask" in batch:
        return jnp.sum(batch["mask"], dtype=jnp.promote_types(batch["mask"].dtype, jnp.float32))
    return jnp.asarray(count_rows(batch), jnp.float32)


def count_rows(batch: PyTree) -> int:
    """Return the number of rows of a batch, the first dimension that all of its arrays share; scalars have no rows.

    What is processed in parts (microbatches, devices) is cut along the rows; scalars go to every part.

    Raises:
        ValueError: the arrays differ in their first dimension.

    >>> count_rows({"x": np.zeros((3, 2)), "label": np.zeros(3), "temperature": 0.5})
    3
    """
    sizes = {name: np.shape(leaf)[0] for name, leaf in tree.flatten(batch).items() if np.ndim(leaf)}
    if len(set(sizes.values())) != 1:
        raise ValueError(
            f"expected arrays with one common number of rows, got {sizes}; give the loss what is no row, such as a "
            "matrix of constants, in a closure"
        )
    return next(iter(sizes.values()))


def is_geometric(name: str) -> bool:
    """Return whether the mean of a metric over parts is geometric: ``exp mean ln`` for a perplexity."""
    return name.endswith("perplexity")


def to_additive(metrics: dict[str, Array]) -> dict[str, Array]:
    """Take the logarithm of the metrics whose mean is geometric."""
    return {name: jnp.log(value) if is_geometric(name) else value for name, value in metrics.items()}


def from_additive(metrics: dict[str, Array]) -> dict[str, Array]:
    """Invert `to_additive`."""
    return {name: jnp.exp(value) if is_geometric(name) else value for name, value in metrics.items()}


def _zero_without_examples(gradient: Callable[..., Any], count: Count | None) -> Callable[..., Any]:
    """Return zeros, no nan, from batches whose examples are all masked."""

    def guarded(params: PyTree, collections: dict[str, PyTree], batch: Batch, key: Key):
        (value, (updated, metrics)), grads = gradient(params, collections, batch, key)
        if count is not None or "mask" in batch:
            exist = (count or count_examples)(batch) > 0
            value, metrics, grads = jax.tree.map(lambda x: jnp.where(exist, x, 0), (value, metrics, grads))
        return (value, (updated, metrics)), grads

    return guarded


def _weighted(share: Array, values: Array) -> Array:
    """Multiply by a share; a share of zero gives zero even where the values, means over no examples, are nan."""
    return jnp.where(share > 0, share * values, 0).astype(values.dtype)


def _mean_over(leaf: Array, axis_name: str) -> Array:
    """Make a collection's leaf equal on all devices: the mean, or the maximum for integers."""
    reduce = jax.lax.pmean if jnp.issubdtype(leaf.dtype, jnp.inexact) else jax.lax.pmax
    return reduce(leaf, axis_name)
