"""Data parallelism with explicit communication: each device runs the step on its own rows.

A device sees a part of the batch only, so every mean over the batch must be averaged over the mapped axis.
`mean_gradient`, used by ``make_step(loss, optimizer, axis_name="data")``, does that in one place; batch normalisation
takes the same ``axis_name``. Under ``jax.jit`` (``train.fit(..., mesh=mesh)``) none of this is needed.
"""

from collections.abc import Callable

import jax
from einops import rearrange
from jax.sharding import Mesh, PartitionSpec

from jaxdl.train.parallel.mesh import DATA, data_devices
from jaxdl.train.parallel.placement import check_divisible
from jaxdl.typing import Array, Batch, PyTree


def with_shard_map(step: Callable, mesh: Mesh, *, check: bool = True) -> Callable:
    """Map a step over the ``"data"`` devices of a mesh with ``jax.shard_map``, each on its rows of the batch.

    Args:
        step: made with ``axis_name="data"``. Its state is replicated.
        mesh: from ``parallel.make_mesh``.
        check: let JAX verify that all devices return the same state, which rejects a step without the average. A model
            with a loop that starts from constants needs ``False``, since JAX treats a constant as unvarying.

    Returns:
        A step on the full batch.

    Raises:
        ValueError: when called, the devices do not divide the rows.
    """

    def run(state: PyTree, batch: Batch) -> tuple[PyTree, dict[str, Array]]:
        check_divisible(len(jax.tree.leaves(batch)[0]), data_devices(mesh))
        parts = jax.shard_map(
            step, mesh=mesh, in_specs=(PartitionSpec(), PartitionSpec(DATA)), out_specs=PartitionSpec(), check_vma=check
        )
        return parts(state, batch)

    return run


def with_pmap(step: Callable, mesh: Mesh) -> Callable:
    """Map a step over the ``"data"`` devices of a mesh with ``jax.pmap``, the predecessor of ``jax.shard_map``.

    The rows ``[B, ...]`` become ``[N, B / N, ...]``, a part for each of ``N`` devices. JAX does not verify that the
    devices agree; the state of the first is returned. Arguments and errors as in `with_shard_map`.
    """

    def run(state: PyTree, batch: Batch) -> tuple[PyTree, dict[str, Array]]:
        count = data_devices(mesh)
        check_divisible(len(jax.tree.leaves(batch)[0]), count)
        devices = list(mesh.devices.reshape(count, -1)[:, 0])
        parts = jax.tree.map(lambda rows: rearrange(rows, "(n b) ... -> n b ...", n=count), batch)
        mapped = jax.pmap(step, axis_name=DATA, in_axes=(None, 0), out_axes=None, devices=devices)
        return mapped(state, parts)

    return run
