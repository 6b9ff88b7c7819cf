"""Many devices: a mesh, and where each array lies on it. The step stays the ordinary one.

The rows of a batch are spread over the mesh axis ``"data"``; parameters are copied to every device, or cut by a rule.
Under ``jax.jit`` the compiler then inserts the communication: the step's mean over the batch is the mean over all of
it, batch statistics included. ``jaxdl.train.explicit`` has the two forms in which the communication is written out.
"""

import contextlib
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from jaxdl import tree
from jaxdl.train.agreement import refuse_other_leaves
from jaxdl.typing import Array, ArrayLike, Batch, PyTree

DATA = "data"
"""The mesh axis over which the rows of a batch are spread."""

Rule = Callable[[str, tuple[int, ...], Mesh], PartitionSpec]
"""``rule(path, shape, mesh)`` says over which mesh axis each dimension of a parameter is cut."""


def mesh(axes: Mapping[str, int], *, devices: Sequence[jax.Device] | None = None) -> Mesh:
    """Arrange devices in a grid with named axes, ``mesh({"data": 4, "model": 2})`` for eight of them.

    Args:
        axes: number of devices along each axis. Batches are spread over ``"data"``.
        devices: those to use; by default all that there are, and of them the first where the grid is smaller.

    Raises:
        ValueError: no axis, a size below one, more devices than there are, or a grid that leaves out devices of a run
            over several processes.

    >>> dict(mesh({"data": 1}).shape)
    {'data': 1}
    """
    devices = list(jax.devices() if devices is None else devices)
    wanted = math.prod(axes.values())
    written = write_mesh(axes)
    if not axes or min(axes.values()) < 1:
        raise ValueError(f"expected a mesh of named axes, each of at least one device, got {dict(axes)}")
    if wanted > len(devices):
        kind = devices[0].platform
        hint = f"; on a CPU start with --devices {wanted}" if kind == "cpu" else ""
        raise ValueError(f"the mesh {written} needs {wanted} devices, there are {len(devices)} ({kind}){hint}")
    if wanted < len(devices) and len({device.process_index for device in devices}) > 1:
        raise ValueError(
            f"the mesh {written} has {wanted} devices, the processes together {len(devices)}: use them all"
        )
    kinds = (AxisType.Auto,) * len(axes)
    return jax.make_mesh(tuple(axes.values()), tuple(axes), axis_types=kinds, devices=devices[:wanted])


def parse_mesh(text: str) -> dict[str, int]:
    """Read the axes of a mesh.

    Raises:
        ValueError: the text is no list of ``name=number``, or names an axis twice.

    >>> parse_mesh("data=4,model=2")
    {'data': 4, 'model': 2}
    """
    parts = [re.fullmatch(r"\s*([a-zA-Z_]\w*)\s*=\s*([1-9]\d*)\s*", part) for part in text.split(",")]
    axes = {part[1]: int(part[2]) for part in parts if part}
    if len(axes) != len(parts):
        raise ValueError(f"expected a mesh like 'data=4,model=2', each axis once, got {text!r}")
    return axes


def write_mesh(axes: Mapping[str, int]) -> str:
    """Write the axes of a mesh as `parse_mesh` reads them.

    >>> write_mesh({"data": 4, "model": 2})
    'data=4,model=2'
    """
    return ",".join(f"{name}={size}" for name, size in axes.items())


def simulate_devices(count: int) -> None:
    """Let the CPU count as ``count`` devices, which share its cores: for tests, and to try out a mesh.

    Raises:
        ValueError: a count below one.
        RuntimeError: JAX already runs, with another number of CPU devices.
    """
    if not 1 <= count <= 1024:
        raise ValueError(f"expected 1 to 1,024 devices, got {count}")
    try:
        jax.config.update("jax_num_cpu_devices", count)
    except RuntimeError as error:
        present = len(jax.local_devices(backend="cpu"))
        if present != count:
            raise RuntimeError(
                f"JAX already runs with {present} CPU devices: ask for {count} before anything else uses JAX"
            ) from error


def from_flags(devices: int | None = None, axes: str | None = None, processes: int = 1) -> Mesh | None:
    """Make the mesh that ``--devices N`` and ``--mesh data=4,model=2`` ask for; to be called before JAX is used.

    One flag is enough: ``N`` devices are ``data=N``, and a mesh says itself how many devices it needs. Where the CPU is
    all there is, it counts as so many. Without flags there is no mesh, ``None``; several processes, which
    ``distributed.from_flags`` has counted, have one of all their devices.

    Raises:
        ValueError: the flags contradict each other, there are too few devices, or the processes do not divide them.
    """
    if devices is None and axes is None:
        return None if processes == 1 else mesh({DATA: len(jax.devices())})
    wanted = {DATA: devices} if axes is None else parse_mesh(axes)
    count = math.prod(wanted.values())
    if devices not in (None, count):
        raise ValueError(f"--mesh {axes} is a mesh of {count} devices, --devices asks for {devices}: leave one out")
    if count % processes:
        raise ValueError(f"{count} devices do not divide over {processes} processes: take a multiple of {processes}")
    # Where JAX runs already the devices are what they are, and the mesh is refused if they are too few.
    with contextlib.suppress(RuntimeError):
        simulate_devices(count // processes)
    return mesh(wanted)


def replicated(path: str, shape: tuple[int, ...], mesh: Mesh) -> PartitionSpec:
    """Rule: every device holds the whole parameter."""
    del path, shape, mesh
    return PartitionSpec()


def fully_sharded(path: str, shape: tuple[int, ...], mesh: Mesh, *, minimum_size: int = 0) -> PartitionSpec:
    """Rule: cut the largest dimension that the ``"data"`` devices divide; where there is none, replicate.

    Each device keeps a share of the parameters and of the optimizer's state, gathers a layer when it needs it, and
    receives the sum of its share of the gradient (Rajbhandari et al., "ZeRO", 2020; fully sharded data parallel).

    Args:
        path: the parameter's.
        shape: the parameter's.
        mesh: with an axis ``"data"``.
        minimum_size: parameters with fewer numbers are replicated (``functools.partial`` sets it).
    """
    del path
    count = data_devices(mesh)
    divisible = [(size, -i) for i, size in enumerate(shape) if size % count == 0 and size > 0]
    if count == 1 or not divisible or math.prod(shape) < minimum_size:
        return PartitionSpec()
    cut = -max(divisible)[1]
    return PartitionSpec(*(DATA if i == cut else None for i in range(cut + 1)))


def by_path(rules: Sequence[tuple[str, PartitionSpec]], otherwise: Rule = replicated) -> Rule:
    """Make the rule that gives a parameter the ``PartitionSpec`` of the first pattern that is found in its path.

    Tensor parallelism in pairs of layers needs one sum a pair (Shoeybi et al., "Megatron-LM", 2019): the first
    kernel is cut by its outputs, the second by its inputs.

    >>> cut = by_path([("up/kernel$", PartitionSpec(None, "model")), ("down/kernel$", PartitionSpec("model"))])
    >>> cut("block/up/kernel", (64, 256), mesh({"model": 1}))
    P(None, 'model')
    """
    searches = [(re.compile(pattern).search, spec) for pattern, spec in rules]

    def rule(path: str, shape: tuple[int, ...], mesh: Mesh) -> PartitionSpec:
        found = (spec for search, spec in searches if search(path))
        spec = next(found, None)
        return otherwise(path, shape, mesh) if spec is None else spec

    return rule


def shardings(state: PyTree, mesh: Mesh, rule: Rule = replicated) -> PyTree:
    """Say where every leaf of a state lies: a tree of ``NamedSharding``.

    ``rule`` is asked for every leaf of ``state.params``. A leaf elsewhere whose path ends with a parameter's and that
    has its shape - a moment of the optimizer, an average of the parameters - lies as the parameter does; all others are
    replicated. In a state without ``params`` the rule is asked for every leaf.

    The leaves may be shapes only. So a state that is too large for one device is born where it belongs:
    ``jax.jit(make, out_shardings=shardings(jax.eval_shape(make), mesh, rule))()``.

    Raises:
        ValueError: the rule names an axis that the mesh does not have, more dimensions than there are, or a dimension
            that the axis does not divide.
    """
    params = tree.flatten(getattr(state, "params", {}))
    specs = {path: _checked(path, leaf.shape, rule(path, leaf.shape, mesh), mesh) for path, leaf in params.items()}

    def place_of(path: str, leaf: Array) -> NamedSharding:
        if not params:
            return NamedSharding(mesh, _checked(path, leaf.shape, rule(path, leaf.shape, mesh), mesh))
        parts = path.split("/")
        endings = ("/".join(parts[i:]) for i in range(len(parts)))
        owner = next((end for end in endings if end in params and params[end].shape == leaf.shape), None)
        return NamedSharding(mesh, PartitionSpec() if owner is None else specs[owner])

    return tree.map_with_path(place_of, state)


def place(state: PyTree, mesh: Mesh, rule: Rule = replicated) -> PyTree:
    """Copy a state onto a mesh, every leaf where `shardings` says; the state passed in stays usable.

    In a run over several processes each passes the same state; it is compared, and refused where one passes another.
    Errors as in `shardings`.
    """
    where = shardings(state, mesh, rule)
    refuse_other_leaves(state, mesh)
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
    refuse_remainder(rows, data_devices(mesh) // process_share(mesh)["process_count"])
    spec = PartitionSpec(*[None] * axis, DATA) if DATA in mesh.shape else PartitionSpec()
    return jax.make_array_from_process_local_data(NamedSharding(mesh, spec), dict(batch))


def refuse_remainder(rows: int, devices: int) -> None:
    """Raise ValueError unless the devices divide the rows of a batch.

    >>> refuse_remainder(12, 8)
    Traceback (most recent call last):
    ...
    ValueError: a batch of 12 rows does not divide over 8 devices, 4 would be left over: take a multiple of 8...
    """
    if rows % devices:
        raise ValueError(
            f"a batch of {rows} rows does not divide over {devices} devices, {rows % devices} would be left over: "
            f"take a multiple of {devices}, or fill it up with jaxdl.train.parallel.PaddedLoader"
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
    refuse_other_leaves(whole, mesh)
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


def data_devices(mesh: Mesh | None) -> int:
    """Count the parts into which a batch is cut."""
    return 1 if mesh is None else mesh.shape.get(DATA, 1)


def process_share(mesh: Mesh) -> dict[str, int]:
    """Say which share of every batch this process reads, as ``Loader(arrays, batch_size, **process_share(mesh))``.

    Processes whose devices hold the same rows - those that only cut parameters further - read the same share.

    >>> process_share(mesh({"data": 1}))
    {'process_index': 0, 'process_count': 1}
    """
    if DATA not in mesh.shape:
        return {"process_index": 0, "process_count": 1}
    rows = np.moveaxis(mesh.devices, mesh.axis_names.index(DATA), 0).reshape(mesh.shape[DATA], -1)
    readers = [frozenset(device.process_index for device in row) for row in rows]
    shares = list(dict.fromkeys(readers))
    mine = [i for i, share in enumerate(shares) if jax.process_index() in share]
    sizes = {readers.count(share) for share in shares}
    if len(mine) != 1 or len(sizes) > 1:
        raise ValueError(f"the mesh {write_mesh(mesh.shape)} gives the processes no equal, separate rows of a batch")
    return {"process_index": mine[0], "process_count": len(shares)}


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
    refuse_other_leaves({path: leaf for path, leaf in leaves.items() if path not in placed}, mesh)
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


def _checked(path: str, shape: tuple[int, ...], spec: PartitionSpec, mesh: Mesh) -> PartitionSpec:
    """Refuse what the mesh cannot do."""
    if len(spec) > len(shape):
        raise ValueError(f"{path} has {len(shape)} dimensions, {spec} cuts {len(spec)}")
    for size, entry in zip(shape, spec, strict=False):
        names = () if entry is None else (entry,) if isinstance(entry, str) else entry
        unknown = [name for name in names if name not in mesh.shape]
        if unknown:
            raise ValueError(f"{spec} for {path} names {unknown}, the mesh has {write_mesh(mesh.shape)}")
        count = math.prod(mesh.shape[name] for name in names)
        if size % count:
            raise ValueError(f"{path} {list(shape)}: {count} devices of {names} do not divide a dimension of {size}")
    return spec
