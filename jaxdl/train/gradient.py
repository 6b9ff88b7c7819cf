"""The gradient of a mean over a batch, on one device or along a mapped axis."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxdl.typing import Array, Batch, Key, PyTree

ParamsLoss = Callable[[PyTree, dict[str, PyTree], Batch, Key], tuple[Array, tuple[dict[str, PyTree], dict[str, Array]]]]
"""``loss(params, collections, batch, key) -> (loss, (collections, metrics))``."""


def mean_gradient(loss: ParamsLoss, axis_name: str | None = None) -> Callable[..., Any]:
    """Differentiate a mean over the batch, also one that is split over the devices along ``axis_name``.

    With ``n_i`` unmasked examples on device ``i`` (``batch["mask"]``), ``L = sum_i n_i L_i / sum_i n_i`` and
    ``g = sum_i d(n_i L_i / sum_j n_j) / dw``: each device differentiates its share of the one loss, and the shares are
    summed. The weights are right even if each device's loss depends on the others' rows, as with batch normalisation.

    The parameters are first declared to vary over the devices. Otherwise the derivative of an unvarying value is
    itself a sum over the devices under ``shard_map``'s default checks, and averaging it again would give, without an
    error, a gradient too large by the number of devices.

    Metrics are averaged like the loss, other collections without weights. Each device folds its index into the key.

    Returns:
        ``gradient(params, collections, batch, key) -> ((loss, (collections, metrics)), gradients)``, the same on every
        device.
    """
    if axis_name is None:
        return jax.value_and_grad(loss, has_aux=True)

    def gradient(params: PyTree, collections: dict[str, PyTree], batch: Batch, key: Key):
        count = count_examples(batch)
        share = count / jnp.maximum(jax.lax.psum(count, axis_name), jnp.finfo(count.dtype).tiny)

        def local_loss(params: PyTree):
            value, aux = loss(params, collections, batch, jax.random.fold_in(key, jax.lax.axis_index(axis_name)))
            return _weighted(share, value), aux

        varying = jax.tree.map(lambda leaf: jax.lax.pcast(leaf, axis_name, to="varying"), params)
        (value, (updated, metrics)), grads = jax.value_and_grad(local_loss, has_aux=True)(varying)
        metrics = jax.tree.map(lambda leaf: _weighted(share, leaf), metrics)
        value, metrics, grads = jax.lax.psum((value, metrics, grads), axis_name)
        return (value, (jax.tree.map(lambda leaf: _mean_over(leaf, axis_name), updated), metrics)), grads

    return gradient


def count_examples(batch: Batch) -> Array:
    """Return the denominator of a batch's mean: the sum of its mask, else its number of rows.

    >>> float(count_examples({"x": jnp.zeros((3, 2)), "mask": jnp.array([1.0, 1.0, 0.0])}))
    2.0
    """
    if "mask" in batch:
        return jnp.sum(batch["mask"], dtype=jnp.promote_types(batch["mask"].dtype, jnp.float32))
    return jnp.asarray(jax.tree.leaves(batch)[0].shape[0], jnp.float32)


def _weighted(share: Array, values: Array) -> Array:
    """Multiply by a share; a share of zero gives zero even where the values, means over no examples, are nan."""
    return jnp.where(share > 0, share * values, 0).astype(values.dtype)


def _mean_over(leaf: Array, axis_name: str) -> Array:
    """Make a collection's leaf equal on all devices: the mean, or the maximum for integers."""
    reduce = jax.lax.pmean if jnp.issubdtype(leaf.dtype, jnp.inexact) else jax.lax.pmax
    return reduce(leaf, axis_name)
