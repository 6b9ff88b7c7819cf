"""The gradient of a mean over a batch, on one device or along a mapped axis."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxdl.typing import Array, Batch, Key, PyTree

Loss = Callable[[PyTree, dict[str, PyTree], Batch, Key], tuple[Array, tuple[dict[str, PyTree], dict[str, Array]]]]
"""``loss(params, collections, batch, key) -> (loss, (collections, metrics))``."""


def mean_gradient(loss: Loss, axis_name: str | None = None) -> Callable[..., Any]:
    """Differentiate a mean over the batch, also where each device along ``axis_name`` holds a part of the batch only.

    With ``n_i`` examples that count on device ``i`` (``batch["mask"]``), ``L = sum_i n_i L_i / sum_i n_i`` and
    ``g = sum_i d(n_i L_i / sum_j n_j) / dw``: each device differentiates its share of the one loss, and the shares are
    added. So the weights are right also where the devices' losses hang together, as through batch normalisation.

    The parameters are first declared to vary over the devices. Otherwise the derivative of an unvarying value is
    itself a sum over the devices under ``shard_map``'s default checks, and averaging it again would make the gradient
    as many times too large as there are devices, without an error.

    Metrics are averaged like the loss, other collections plainly. Each device draws from a key of its own.

    Returns:
        ``gradient(params, collections, batch, key) -> ((loss, (collections, metrics)), gradients)``, the same on every
        device.
    """
    if axis_name is None:
        return jax.value_and_grad(loss, has_aux=True)

    def gradient(params: PyTree, collections: dict[str, PyTree], batch: Batch, key: Key):
        count = count_examples(batch)
        share = count / jnp.maximum(jax.lax.psum(count, axis_name), jnp.finfo(count.dtype).tiny)

        def part(params: PyTree):
            value, aux = loss(params, collections, batch, jax.random.fold_in(key, jax.lax.axis_index(axis_name)))
            return _weighted(share, value), aux

        varying = jax.tree.map(lambda leaf: jax.lax.pcast(leaf, axis_name, to="varying"), params)
        (value, (updated, metrics)), grads = jax.value_and_grad(part, has_aux=True)(varying)
        metrics = jax.tree.map(lambda leaf: _weighted(share, leaf), metrics)
        value, metrics, grads = jax.lax.psum((value, metrics, grads), axis_name)
        return (value, (jax.tree.map(lambda leaf: _agreed(leaf, axis_name), updated), metrics)), grads

    return gradient


def count_examples(batch: Batch) -> Array:
    """Count what a batch's mean is over: the sum of its mask, else its rows."""
    if "mask" in batch:
        return jnp.sum(batch["mask"], dtype=jnp.promote_types(batch["mask"].dtype, jnp.float32))
    return jnp.asarray(jax.tree.leaves(batch)[0].shape[0], jnp.float32)


def _weighted(share: Array, values: Array) -> Array:
    """Multiply by a share; a share of nothing gives nothing, whatever the mean over nothing was."""
    return jnp.where(share > 0, share * values, 0).astype(values.dtype)


def _agreed(leaf: Array, axis_name: str) -> Array:
    """Make a collection's leaf the same everywhere: a mean, or of whole numbers the largest."""
    reduce = jax.lax.pmean if jnp.issubdtype(leaf.dtype, jnp.inexact) else jax.lax.pmax
    return reduce(leaf, axis_name)
