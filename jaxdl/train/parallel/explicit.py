"""Data parallelism with its communication written out: the step runs on each device, on its own rows.

Here a device sees a part of the batch only, and whatever is a mean over the batch must be averaged by name. There is
one place for that: `mean_gradient`, which ``make_step(loss, optimizer, axis_name="data")`` uses. Batch normalisation
takes the same ``axis_name``. Under plain ``jax.jit`` (``train.fit(..., mesh=mesh)``) none of this is needed.
"""

from collections.abc import Callable

import jax
from einops import rearrange
from jax.sharding import Mesh, PartitionSpec

from jaxdl.train.parallel.mesh import DATA, data_devices
from jaxdl.train.parallel.placement import check_divisible
from jaxdl.typing import Array, Batch, PyTree


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
        check_divisible(len(jax.tree.leaves(batch)[0]), data_devices(mesh))
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
        check_divisible(len(jax.tree.leaves(batch)[0]), count)
        devices = list(mesh.devices.reshape(count, -1)[:, 0])
        parts = jax.tree.map(lambda rows: rearrange(rows, "(n b) ... -> n b ...", n=count), batch)
        mapped = jax.pmap(step, axis_name=DATA, in_axes=(None, 0), out_axes=None, devices=devices)
        return mapped(state, parts)

    return run
