"""Data parallelism with explicit communication: each device runs the step on its own rows.

A device sees a part of the batch only, so every mean over the batch must be averaged over the mapped axis.
`mean_gradient`, used by ``make_step(loss, optimizer, axis_name="data")``, does that in one place; batch normalisation
takes the same ``axis_name``. Under ``jax.jit`` (``train.fit(..., mesh=mesh)``) none of this is needed.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from einops import rearrange
from jax.sharding import Mesh, PartitionSpec

from jaxdl.train.gradient import count_rows
from jaxdl.train.parallel.mesh import DATA, automatic, data_devices
from jaxdl.train.parallel.placement import check_divisible
from jaxdl.typing import Array, Batch, PyTree


def with_shard_map(step: Callable, mesh: Mesh, *, check: bool = True) -> Callable:
    """Map a step over the ``"data"`` devices of a mesh with ``jax.shard_map``, each on its rows of the batch.

    Args:
        step: made with ``axis_name="data"``. Its state is replicated, and so are scalars in a batch.
        mesh: from ``parallel.make_mesh``.
        check: let JAX verify that all devices return the same state, which rejects a step without the average. A model
            with a loop that starts from constants needs ``False``, since JAX treats a constant as unvarying.

    Returns:
        A step on the full batch.

    Raises:
        ValueError: when called, the devices do not divide the rows, or the arrays differ in their rows.
    """
    mesh = automatic(mesh)

    @functools.wraps(step)
    def run(state: PyTree, batch: Batch) -> tuple[PyTree, dict[str, Array]]:
        check_divisible(count_rows(batch), data_devices(mesh))
        rows = jax.tree.map(lambda leaf: PartitionSpec(DATA) if jnp.ndim(leaf) else PartitionSpec(), batch)
        parts = jax.shard_map(
            step, mesh=mesh, in_specs=(PartitionSpec(), rows), out_specs=PartitionSpec(), check_vma=check
        )
        return parts(state, batch)

    return run


def with_pmap(step: Callable, mesh: Mesh) -> Callable:
    """Map a step over the ``"data"`` devices of a mesh with ``jax.pmap``, the predecessor of ``jax.shard_map``.

    The rows ``[B, ...]`` become ``[N, B / N, ...]``, a part for each of ``N`` devices. JAX does not verify that the
    devices agree; the state of the first is returned. Arguments and errors as in `with_shard_map`.
    """

    @functools.wraps(step)
    def run(state: PyTree, batch: Batch) -> tuple[PyTree, dict[str, Array]]:
        count = data_devices(mesh)
        check_divisible(count_rows(batch), count)
        devices = list(mesh.devices.reshape(count, -1)[:, 0])
        axes = jax.tree.map(lambda leaf: 0 if jnp.ndim(leaf) else None, batch)
        parts = jax.tree.map(
            lambda leaf: rearrange(leaf, "(n b) ... -> n b ...", n=count) if jnp.ndim(leaf) else leaf, batch
        )
        mapped = jax.pmap(step, axis_name=DATA, in_axes=(None, axes), out_axes=None, devices=devices)
        return mapped(state, parts)

    return run
