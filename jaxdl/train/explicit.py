"""Data parallelism with its communication written out: the step runs on each device, on its own rows.

Here a device sees a part of the batch only, and whatever is a mean over the batch must be averaged by name. There is
one place for that: `mean_gradient`, which ``make_step(loss, optimizer, axis_name="data")`` uses. Batch normalisation
takes the same ``axis_name``. Under plain ``jax.jit`` (``train.fit(..., mesh=mesh)``) none of this is needed.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from einops import rearrange
from jax.sharding import Mesh, PartitionSpec

from jaxdl.train.parallel import DATA, data_devices, refuse_remainder
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


def with_shard_map(step: Callable, mesh: Mesh, *, check: bool = True) -> Callable:
    """Run a step on every ``"data"`` device of a mesh, each on its rows of the batch: a step again.

    Args:
        step: made with ``axis_name="data"``. Its state is replicated.
        mesh: from ``parallel.mesh``.
        check: have JAX prove that all devices end with the same state; a step that forgot to average is refused. A
            model whose loop starts from constants needs ``False``, since JAX takes a constant for unvarying.

    Raises:
        ValueError: the devices do not divide the rows.
    """

    def run(state: PyTree, batch: Batch) -> tuple[PyTree, dict[str, Array]]:
        refuse_remainder(len(jax.tree.leaves(batch)[0]), data_devices(mesh))
        parts = jax.shard_map(
            step, mesh=mesh, in_specs=(PartitionSpec(), PartitionSpec(DATA)), out_specs=PartitionSpec(), check_vma=check
        )
        return parts(state, batch)

    return run


def with_pmap(step: Callable, mesh: Mesh) -> Callable:
    """Do as `with_shard_map` does, in the form that came before it: ``jax.pmap``, one program for each device.

    The rows ``[B, ...]`` become ``[N, B / N, ...]``, a part for each of ``N`` devices. Nothing proves that the devices
    agree; the first one's state is returned.
    """

    def run(state: PyTree, batch: Batch) -> tuple[PyTree, dict[str, Array]]:
        count = data_devices(mesh)
        refuse_remainder(len(jax.tree.leaves(batch)[0]), count)
        devices = list(mesh.devices.reshape(count, -1)[:, 0])
        parts = jax.tree.map(lambda rows: rearrange(rows, "(n b) ... -> n b ...", n=count), batch)
        mapped = jax.pmap(step, axis_name=DATA, in_axes=(None, 0), out_axes=None, devices=devices)
        return mapped(state, parts)

    return run


def _weighted(share: Array, values: Array) -> Array:
    """Multiply by a share; a share of nothing gives nothing, whatever the mean over nothing was."""
    return jnp.where(share > 0, share * values, 0).astype(values.dtype)


def _agreed(leaf: Array, axis_name: str) -> Array:
    """Make a collection's leaf the same everywhere: a mean, or of whole numbers the largest."""
    reduce = jax.lax.pmean if jnp.issubdtype(leaf.dtype, jnp.inexact) else jax.lax.pmax
    return reduce(leaf, axis_name)
