"""Meshes: devices in a grid with named axes.

The rows of a batch are sharded over the mesh axis ``"data"``; parameters are replicated, or sharded by a rule. The step
does not change: under ``jax.jit`` the compiler inserts the communication, and the step's mean over the batch is the
mean over all devices, batch statistics included. ``jaxdl.train.parallel.explicit`` has the two forms with explicit
communication.
"""

import contextlib
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh

from jaxdl.checks import check_in_range, shorten

DATA = "data"
"""The mesh axis over which the rows of a batch are sharded."""


def make_mesh(axes: Mapping[str, int], *, devices: Sequence[Any] | None = None) -> Mesh:
    """Arrange devices in a grid with named axes, ``make_mesh({"data": 4, "model": 2})`` for eight of them.

    Args:
        axes: number of devices along each axis. Batches are sharded over ``"data"``.
        devices: the devices, by default all; a smaller grid takes the first ones.

    Raises:
        ValueError: there is no axis, a size is below one, there are too few devices, or the grid of a run over several
            processes does not use all devices.

    >>> dict(make_mesh({"data": 1}).shape)
    {'data': 1}
    """
    devices = list(jax.devices() if devices is None else devices)
    count = math.prod(axes.values())
    if not axes or min(axes.values()) < 1:
        raise ValueError(f"expected named axes, each of at least one device, got {dict(axes)}")
    if count > len(devices):
        platform = devices[0].platform
        fix = f"start with --devices {count}" if platform == "cpu" else "make the mesh smaller"
        raise ValueError(
            f"expected {count} devices for the mesh {format_mesh(axes)}, got {len(devices)} ({platform}); {fix}"
        )
    if count < len(devices) and len({device.process_index for device in devices}) > 1:
        raise ValueError(
            f"expected a mesh of all {len(devices)} devices of the processes, got {format_mesh(axes)} with {count}"
        )
    axis_types = (AxisType.Auto,) * len(axes)
    return jax.make_mesh(tuple(axes.values()), tuple(axes), axis_types=axis_types, devices=devices[:count])


def automatic(mesh: Any) -> Any:
    """Return the same devices with axes of type `Auto`, along which the compiler inserts the communication.

    The axes of ``jax.make_mesh`` are of type `Explicit` by default.

    >>> mesh = automatic(jax.make_mesh((1,), ("data",), axis_types=(AxisType.Explicit,)))
    >>> mesh.axis_types
    (Auto,)
    """
    if mesh is None or all(kind == AxisType.Auto for kind in mesh.axis_types):
        return mesh
    return Mesh(mesh.devices, mesh.axis_names, axis_types=(AxisType.Auto,) * len(mesh.axis_names))


def parse_mesh(text: str) -> dict[str, int]:
    """Parse the axes of a mesh.

    Raises:
        ValueError: the text is not a list of ``name=number``, or repeats an axis.

    >>> parse_mesh("data=4,model=2")
    {'data': 4, 'model': 2}
    """
    parts = [re.fullmatch(r"\s*([a-zA-Z_]\w*)\s*=\s*([1-9]\d*)\s*", part) for part in text.split(",")]
    axes = {part[1]: int(part[2]) for part in parts if part}
    if len(axes) != len(parts):
        raise ValueError(f"expected a mesh like 'data=4,model=2', each axis once, got {shorten(repr(text))}")
    return axes


def format_mesh(axes: Mapping[str, int]) -> str:
    """Format the axes of a mesh, the inverse of `parse_mesh`.

    >>> format_mesh({"data": 4, "model": 2})
    'data=4,model=2'
    """
    return ",".join(f"{name}={size}" for name, size in axes.items())


def simulate_devices(count: int) -> None:
    """Simulate ``count`` devices that share the cores of the CPU, for tests and to try out a mesh.

    Raises:
        ValueError: the count is below one or above 1,024.
        RuntimeError: JAX is in use, with another number of CPU devices.
    """
    check_in_range("count", count, 1, 1024)
    try:
        jax.config.update("jax_num_cpu_devices", count)
    except RuntimeError as error:
        present = len(jax.local_devices(backend="cpu"))
        if present != count:
            raise RuntimeError(
                f"expected {count} CPU devices, got {present}, as JAX is in use; simulate them before the first use"
            ) from error


def mesh_from_flags(devices: int | None = None, axes: str | None = None, processes: int = 1) -> Mesh | None:
    """Make the mesh of ``--devices N`` and ``--mesh data=4,model=2``, before JAX is used.

    ``N`` devices are the mesh ``data=N``; a mesh implies its number of devices. They are simulated if there is only a
    CPU. Without flags the result is ``None`` for one process, and a mesh of all devices for several, as counted by
    ``distributed.initialize_from_flags``.

    Raises:
        ValueError: the flags contradict each other, there are too few devices, or the processes do not divide them.
    """
    if axes is not None:
        shape = parse_mesh(axes)
    elif devices is not None:
        shape = {DATA: devices}
    else:
        return None if processes == 1 else make_mesh({DATA: len(jax.devices())})
    count = math.prod(shape.values())
    if devices not in (None, count):
        raise ValueError(f"expected {count} devices for --mesh {axes}, got --devices {devices}; leave one of them out")
    if count % processes:
        raise ValueError(
            f"expected a number of devices divisible by {processes} processes, got {count}; take a multiple"
        )
    # If JAX is in use the devices are given, and make_mesh fails if there are too few.
    with contextlib.suppress(RuntimeError):
        simulate_devices(count // processes)
    return make_mesh(shape)


def data_devices(mesh: Mesh | None) -> int:
    """Return the number of parts of a batch: the size of the axis ``"data"``, or 1.

    >>> data_devices(None)
    1
    """
    return 1 if mesh is None else mesh.shape.get(DATA, 1)


def process_share(mesh: Mesh) -> dict[str, int]:
    """Return this process's share of every batch, as arguments of ``Loader(..., **process_share(mesh))``.

    Processes whose devices hold the same rows, those that only shard parameters further, have the same share.

    Raises:
        ValueError: the processes do not hold equal, disjoint parts of a batch.

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
        raise ValueError(
            f"expected a mesh that gives the processes equal, disjoint rows of a batch, got {format_mesh(mesh.shape)}; "
            f"make the axis {DATA!r} a multiple of the number of processes"
        )
    return {"process_index": mine[0], "process_count": len(shares)}
