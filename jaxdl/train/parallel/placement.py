"""Placement of states, batches and data sets on the devices of a mesh."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxdl import tree
from jaxdl.train.gradient import count_rows
from jaxdl.train.leaves import check_alive
from jaxdl.train.parallel.consistency import check_same_leaves
from jaxdl.train.parallel.mesh import DATA, automatic, data_devices, format_mesh, process_share
from jaxdl.train.parallel.sharding import Rule, replicated, shardings
from jaxdl.typing import Array, ArrayLike, Batch, PyTree


def place(state: PyTree, mesh: Mesh, rule: Rule = replicated) -> PyTree:
    """Copy a state onto a mesh with the layout of `shardings`; the given state stays usable.

    In a run over several processes each passes the same state.

    Raises:
        ValueError: the mesh cannot realize the rule (see `shardings`), or the processes pass different states.
    """
    check_alive(state)
    layout = shardings(state, mesh, rule)
    check_same_leaves(state, mesh)
    return jax.tree.map(_put, state, layout)


def place_batch(batch: Mapping[str, ArrayLike], mesh: Mesh | None, *, axis: int = 0) -> Batch:
    """Send a batch to the devices, its rows sharded over ``"data"``; without a mesh, to the default device.

    In a run over several processes each passes its own rows, those of `process_share`.

    Args:
        batch: named arrays with the rows in dimension ``axis``; scalars go to every device.
        mesh: the devices; without an axis ``"data"`` every device holds all rows.
        axis: the dimension of the rows.

    Raises:
        ValueError: the devices do not divide the rows, or the arrays differ in their rows.
    """
    mesh = automatic(mesh)
    if mesh is None:
        return jax.device_put(dict(batch))
    rows = count_rows({**batch}) if axis == 0 else np.shape(next(iter(batch.values())))[axis]
    check_divisible(rows, data_devices(mesh) // process_share(mesh)["process_count"])
    rows_spec = PartitionSpec(*[None] * axis, DATA) if DATA in mesh.shape else PartitionSpec()

    def put(array: ArrayLike) -> Array:
        spec = rows_spec if np.ndim(array) else PartitionSpec()
        return jax.make_array_from_process_local_data(NamedSharding(mesh, spec), array)

    return {name: put(array) for name, array in batch.items()}


def check_divisible(rows: int, devices: int) -> None:
    """Check that the devices divide the rows of a batch.

    Raises:
        ValueError: they do not.

    >>> check_divisible(12, 8)
    Traceback (most recent call last):
    ValueError: expected a batch size divisible by 8 devices, got 12; take a multiple, or pad with parallel.PaddedLoader
    """
    if rows % devices:
        raise ValueError(
            f"expected a batch size divisible by {devices} devices, got {rows}; take a multiple, or pad with "
            "parallel.PaddedLoader"
        )


def place_arrays(arrays: Mapping[str, ArrayLike], mesh: Mesh | None, *, shard: bool = False) -> Batch:
    """Send a data set to the devices: all of it to each, or sharded over ``"data"`` to save memory.

    A sharded data set is padded with copies of its last example until the devices divide it. In a run over several
    processes each passes the same arrays.

    Raises:
        ValueError: the processes pass different arrays.
    """
    mesh = automatic(mesh)
    if mesh is None:
        return jax.device_put(dict(arrays))
    host = {name: np.asarray(array) for name, array in arrays.items()}
    check_same_leaves(host, mesh)
    missing = -len(next(iter(host.values()))) % data_devices(mesh) if shard else 0
    padded = {name: _repeat_last(array, missing) for name, array in host.items()}
    sharding = NamedSharding(mesh, PartitionSpec(DATA) if shard and DATA in mesh.shape else PartitionSpec())
    return jax.tree.map(lambda array: _put(array, sharding), padded)


class PaddedLoader:
    """A loader that pads every batch with masked examples until the devices divide it.

    The loss, its gradient and, with the tasks of ``jaxdl.tasks``, batch statistics are those of the original batch.

    >>> from jaxdl import data
    >>> loader = data.Loader({"x": np.arange(6)}, 3, shuffle=False)
    >>> PaddedLoader(loader, 2).batch(1)
    {'x': array([3, 4, 5, 5]), 'mask': array([1., 1., 1., 0.], dtype=float32)}

    Args:
        loader: a ``train.Loader``.
        multiple: divisor of the number of rows, ``data_devices(mesh)`` in a run of one process.
    """

    drop_remainder = False

    def __init__(self, loader: Any, multiple: int):
        self.loader, self.multiple = loader, multiple
        self.steps_per_epoch = loader.steps_per_epoch

    @property
    def arrays(self) -> Mapping[str, np.ndarray]:
        """The arrays of the loader, if they are in memory."""
        return self.loader.arrays

    def indices(self, first_step: int, count: int) -> np.ndarray:
        """Return the examples of ``count`` batches, -1 for padding."""
        indices = self.loader.indices(first_step, count)
        return np.pad(indices, ((0, 0), (0, -indices.shape[1] % self.multiple)), constant_values=-1)

    def batch(self, step: int) -> dict[str, np.ndarray]:
        """Return the batch of a step, with its mask."""
        batch = dict(self.loader.batch(step))
        rows = count_rows(batch)
        missing = -rows % self.multiple
        mask = batch.pop("mask", np.ones(rows, np.float32))
        padded = {name: _repeat_last(array, missing) if np.ndim(array) else array for name, array in batch.items()}
        return {**padded, "mask": np.concatenate([mask, np.zeros((missing, *mask.shape[1:]), mask.dtype)])}


def gather_batch(arrays: Batch, index: Array, *, padded: bool) -> Batch:
    """Take the rows ``index`` of every array, inside a compiled function; with padding (index -1), also a mask.

    >>> batch = gather_batch({"x": jnp.array([1.0, 2.0])}, jnp.array([1, -1]), padded=True)
    >>> batch["mask"].tolist()
    [1.0, 0.0]
    """
    batch = dict(tree.take(arrays, index))
    if padded:
        counts = (index >= 0).astype(jnp.float32)
        mask = batch.get("mask", counts)
        batch["mask"] = mask * counts.reshape(-1, *[1] * (mask.ndim - 1))
    return batch


def shard_batch(batch: Batch, mesh: Mesh | None) -> Batch:
    """Constrain the rows of a batch to be sharded over ``"data"``, inside a compiled function."""
    mesh = automatic(mesh)
    if mesh is None or DATA not in mesh.shape:
        return batch
    rows = NamedSharding(mesh, PartitionSpec(DATA))
    return jax.tree.map(lambda leaf: jax.lax.with_sharding_constraint(leaf, rows) if jnp.ndim(leaf) else leaf, batch)


def replicate(values: PyTree, mesh: Mesh | None) -> PyTree:
    """Constrain values to be replicated on all devices, inside a compiled function."""
    mesh = automatic(mesh)
    if mesh is None:
        return values
    return jax.lax.with_sharding_constraint(values, NamedSharding(mesh, PartitionSpec()))


def on_mesh(state: PyTree, mesh: Mesh | None) -> PyTree:
    """Replicate the leaves of a state that are not on the mesh yet.

    Raises:
        ValueError: a leaf is on another mesh, or the processes pass different leaves.
    """
    mesh = automatic(mesh)
    if mesh is None:
        return state
    leaves = tree.flatten(state)
    layout = {path: getattr(leaf, "sharding", None) for path, leaf in leaves.items()}
    placed = {path: sharding for path, sharding in layout.items() if isinstance(sharding, NamedSharding)}
    for path, sharding in placed.items():
        if automatic(sharding.mesh) != mesh:
            raise ValueError(
                f"expected {path} on the mesh {format_mesh(mesh.shape)}, got {format_mesh(sharding.mesh.shape)}; "
                "move the state with parallel.place"
            )
    check_same_leaves({path: leaf for path, leaf in leaves.items() if path not in placed}, mesh)

    def put(path: str, leaf: Any) -> Array:
        if path in placed and placed[path].mesh == mesh:
            return leaf
        return _put(leaf, NamedSharding(mesh, placed[path].spec if path in placed else PartitionSpec()))

    return tree.map_with_path(put, state)


def _put(leaf: Any, sharding: NamedSharding) -> Array:
    """Copy an array to its devices; the copy shares no buffer, so that it can be donated."""
    if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        bits = _put(jax.random.key_data(leaf), sharding)
        return jax.random.wrap_key_data(bits, impl=jax.random.key_impl(leaf))
    if sharding.is_fully_addressable:
        return jax.device_put(jnp.copy(leaf) if isinstance(leaf, jax.Array) else leaf, sharding)
    host = np.asarray(leaf)
    return jax.make_array_from_callback(host.shape, sharding, lambda index: host[index])


def _repeat_last(array: np.ndarray, count: int) -> np.ndarray:
    """Append ``count`` copies of the last row."""
    return np.concatenate([array, np.repeat(array[-1:], count, axis=0)]) if count else array
