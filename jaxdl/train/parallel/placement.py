"""Placement: states, batches and data sets on the devices of a mesh."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxdl import tree
from jaxdl.train.parallel.consistency import check_same_leaves
from jaxdl.train.parallel.mesh import DATA, data_devices, process_share, write_mesh
from jaxdl.train.parallel.sharding import Rule, replicated, shardings
from jaxdl.typing import Array, ArrayLike, Batch, PyTree


def place(state: PyTree, mesh: Mesh, rule: Rule = replicated) -> PyTree:
    """Copy a state onto a mesh, every leaf where `shardings` says; the state passed in stays usable.

    In a run over several processes each passes the same state; it is compared, and refused where one passes another.
    Errors as in `shardings`.
    """
    where = shardings(state, mesh, rule)
    check_same_leaves(state, mesh)
    return jax.tree.map(_put, state, where)


def place_batch(batch: Mapping[str, ArrayLike], mesh: Mesh | None, *, axis: int = 0) -> Batch:
    """Send a batch to the devices, its rows spread over ``"data"``; without a mesh, to the default device.

    In a run over several processes each passes its own rows, which `process_share` numbers.

    Args:
        batch: named arrays, the dimension ``axis`` of each the rows.
        mesh: with or without an axis ``"data"``; without, every device holds all rows.
        axis: the dimension of the rows.

    Raises:
        ValueError: the devices do not divide the rows.
    """
    if mesh is None:
        return jax.device_put(dict(batch))
    rows = np.shape(next(iter(batch.values())))[axis]
    check_divisible(rows, data_devices(mesh) // process_share(mesh)["process_count"])
    spec = PartitionSpec(*[None] * axis, DATA) if DATA in mesh.shape else PartitionSpec()
    return jax.make_array_from_process_local_data(NamedSharding(mesh, spec), dict(batch))


def check_divisible(rows: int, devices: int) -> None:
    """Raise ValueError unless the devices divide the rows of a batch.

    >>> check_divisible(12, 8)
    Traceback (most recent call last):
    ...
    ValueError: a batch of 12 rows does not divide over 8 devices, 4 would be left over: take a multiple of 8...
    """
    if rows % devices:
        raise ValueError(
            f"a batch of {rows} rows does not divide over {devices} devices, {rows % devices} would be left over: "
            f"take a multiple of {devices}, or fill it up with jaxdl.train.parallel.mesh.PaddedLoader"
        )


def place_arrays(arrays: Mapping[str, ArrayLike], mesh: Mesh | None, *, cut: bool = False) -> Batch:
    """Send a data set to the devices, whole to each, or cut over ``"data"`` to save memory.

    A cut data set is filled up with copies of its last example until the devices divide it. In a run over several
    processes each passes the same arrays; others are refused.
    """
    if mesh is None:
        return jax.device_put(dict(arrays))
    missing = -len(next(iter(arrays.values()))) % data_devices(mesh) if cut else 0
    whole = {name: np.asarray(array) for name, array in arrays.items()}
    check_same_leaves(whole, mesh)
    filled = {
        name: np.concatenate([x, np.repeat(x[-1:], missing, axis=0)]) if missing else x for name, x in whole.items()
    }
    sharding = NamedSharding(mesh, PartitionSpec(DATA) if cut and DATA in mesh.shape else PartitionSpec())
    return jax.tree.map(lambda array: _put(array, sharding), filled)


class PaddedLoader:
    """A loader whose batches are filled up, with examples that their mask excludes, until the devices divide them.

    The loss and its gradient stay those of the batch; only batch statistics that know no mask see the copies.

    >>> from jaxdl import data
    >>> loader = data.Loader({"x": np.arange(6)}, 3, shuffle=False)
    >>> PaddedLoader(loader, 2).batch(1)
    {'x': array([3, 4, 5, 5]), 'mask': array([1., 1., 1., 0.], dtype=float32)}

    Args:
        loader: as ``train.fit`` takes it.
        multiple: what shall divide the rows, ``data_devices(mesh)`` in a run of one process.
    """

    drop_remainder = False

    def __init__(self, loader: Any, multiple: int):
        self.loader, self.multiple = loader, multiple
        self.steps_per_epoch = loader.steps_per_epoch

    @property
    def arrays(self) -> Mapping[str, np.ndarray]:
        """The arrays of the loader, where it has them in memory."""
        return self.loader.arrays

    def indices(self, first_step: int, count: int) -> np.ndarray:
        """Return the examples of ``count`` batches, -1 where a row is filled up."""
        indices = self.loader.indices(first_step, count)
        return np.pad(indices, ((0, 0), (0, -indices.shape[1] % self.multiple)), constant_values=-1)

    def batch(self, step: int) -> dict[str, np.ndarray]:
        """Give the batch of a step, with its mask."""
        batch = dict(self.loader.batch(step))
        rows = len(next(iter(batch.values())))
        missing = -rows % self.multiple
        mask = batch.pop("mask", np.ones(rows, np.float32))
        filled = {
            name: np.concatenate([array, np.repeat(array[-1:], missing, axis=0)]) for name, array in batch.items()
        }
        return {**filled, "mask": np.concatenate([mask, np.zeros((missing, *mask.shape[1:]), mask.dtype)])}


def spread(batch: Batch, mesh: Mesh | None) -> Batch:
    """Inside a compiled function: have the rows of a batch spread over ``"data"``."""
    if mesh is None or DATA not in mesh.shape:
        return batch
    return jax.lax.with_sharding_constraint(batch, NamedSharding(mesh, PartitionSpec(DATA)))


def gathered(values: PyTree, mesh: Mesh | None) -> PyTree:
    """Inside a compiled function: have every device hold all of the values."""
    if mesh is None:
        return values
    return jax.lax.with_sharding_constraint(values, NamedSharding(mesh, PartitionSpec()))


def on_mesh(state: PyTree, mesh: Mesh | None) -> PyTree:
    """Replicate over the mesh what does not lie on it yet.

    Raises:
        ValueError: a leaf lies on another mesh, or another process passes another leaf.
    """
    if mesh is None:
        return state

    leaves = tree.flatten(state)
    lie = {path: getattr(leaf, "sharding", None) for path, leaf in leaves.items()}
    placed = {path: sharding.mesh for path, sharding in lie.items() if isinstance(sharding, NamedSharding)}
    for path, other in placed.items():
        if other != mesh:
            there, here = write_mesh(other.shape), write_mesh(mesh.shape)
            raise ValueError(f"{path} lies on the mesh {there}, expected {here}: place the state on it first")
    check_same_leaves({path: leaf for path, leaf in leaves.items() if path not in placed}, mesh)
    whole = NamedSharding(mesh, PartitionSpec())
    return tree.map_with_path(lambda path, leaf: leaf if path in placed else _put(leaf, whole), state)


def _put(leaf: Any, sharding: NamedSharding) -> Array:
    """Copy an array to where it shall lie; the copy shares no buffer, so that it may be donated."""
    if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        bits = _put(jax.random.key_data(leaf), sharding)
        return jax.random.wrap_key_data(bits, impl=jax.random.key_impl(leaf))
    if sharding.is_fully_addressable:
        return jax.device_put(jnp.copy(leaf) if isinstance(leaf, jax.Array) else leaf, sharding)
    host = np.asarray(leaf)
    return jax.make_array_from_callback(host.shape, sharding, lambda index: host[index])
