"""Many devices: a mesh, and where each array lies on it. The step stays the ordinary one.

The rows of a batch are spread over the mesh axis ``"data"``; parameters are copied to every device, or cut by a rule.
Under ``jax.jit`` the compiler then inserts the communication: the step's mean over the batch is the mean over all of
it, batch statistics included. ``jaxdl.train.parallel.explicit`` has the two forms in which the communication is written
out.
"""

import contextlib
import math
import re
from collections.abc import Mapping, Sequence

import jax
import numpy as np
from jax.sharding import AxisType, Mesh

DATA = "data"
"""The mesh axis over which the rows of a batch are spread."""


def make_mesh(axes: Mapping[str, int], *, devices: Sequence[jax.Device] | None = None) -> Mesh:
    """Arrange devices in a grid with named axes, ``make_mesh({"data": 4, "model": 2})`` for eight of them.

    Args:
        axes: number of devices along each axis. Batches are spread over ``"data"``.
        devices: those to use; by default all that there are, and of them the first where the grid is smaller.

    Raises:
        ValueError: no axis, a size below one, more devices than there are, or a grid that leaves out devices of a run
            over several processes.

    >>> dict(make_mesh({"data": 1}).shape)
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
        return None if processes == 1 else make_mesh({DATA: len(jax.devices())})
    wanted = {DATA: devices} if axes is None else parse_mesh(axes)
    count = math.prod(wanted.values())
    if devices not in (None, count):
        raise ValueError(f"--mesh {axes} is a mesh of {count} devices, --devices asks for {devices}: leave one out")
    if count % processes:
        raise ValueError(f"{count} devices do not divide over {processes} processes: take a multiple of {processes}")
    # Where JAX runs already the devices are what they are, and the mesh is refused if they are too few.
    with contextlib.suppress(RuntimeError):
        simulate_devices(count // processes)
    return make_mesh(wanted)


def data_devices(mesh: Mesh | None) -> int:
    """Count the parts into which a batch is cut."""
    return 1 if mesh is None else mesh.shape.get(DATA, 1)


def process_share(mesh: Mesh) -> dict[str, int]:
    """Say which share of every batch this process reads, as ``Loader(arrays, batch_size, **process_share(mesh))``.

    Processes whose devices hold the same rows - those that only cut parameters further - read the same share.

    >>> process_share(make_mesh({"data": 1}))
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
