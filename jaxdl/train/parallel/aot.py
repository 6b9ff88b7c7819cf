"""Ahead-of-time compilation of a training step for TPUs that are not there, and the compiler's report.

The compiler of libtpu, which the extra ``aot`` installs, runs on any Linux CPU. It reads environment variables when it
is imported: set those of `environment` before JAX is, in a process of its own.
"""

import importlib.util
import math
import re
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxdl.checks import did_you_mean
from jaxdl.train.parallel.communication import Collective
from jaxdl.train.parallel.executed import executed_collectives
from jaxdl.train.parallel.mesh import DATA, make_mesh
from jaxdl.train.parallel.operations import count_operations
from jaxdl.train.parallel.sharding import Rule, replicated, shardings
from jaxdl.typing import PyTree


class Chip(NamedTuple):
    """The limits of an accelerator, from its documentation.

    Attributes:
        memory: bytes that a program may use.
        operations: operations in bfloat16 in a second.
        memory_bandwidth: bytes read or written in a second.
        link_bandwidth: bytes that its links to other chips send in a second, all together, in one direction.
        network_bandwidth: bytes that it sends in a second over the data-centre network, its share of a full pod's.
    """

    memory: float
    operations: float
    memory_bandwidth: float
    link_bandwidth: float
    network_bandwidth: float


CHIPS = {
    "v5e": Chip(15.75 * 2**30, 197e12, 819e9, 200e9, 6.4e12 / 8 / 256),
    "v6e": Chip(31.25 * 2**30, 918e12, 1640e9, 400e9, 25.6e12 / 8 / 256),
}
"""By the first part of a topology's name; https://docs.cloud.google.com/tpu/docs/v5e and v6e. The memory is the
compiler's limit, a little less than that of the chip."""
LEAST_EFFORT: dict[str, Any] = {"exec_time_optimization_effort": -1.0}
"""The compiler's option for the fewest optimizations."""


class Report(NamedTuple):
    """The compiled training step on one chip.

    Attributes:
        fits: whether the memory suffices.
        peak: bytes of memory in use at once, of which are
        arguments: those of the state and the batch,
        temporaries: and those of activations, gradients and gathered parameters; None where the step does not fit.
        operations: of the whole step on all chips, by formula; see `count_operations`.
        bytes_accessed: read and written by the chip, the bodies of loops counted once; None where it does not fit.
        collectives: of one step, with the bodies of loops as often as they run.
        seconds: the time of the compilation.
    """

    fits: bool
    peak: float
    arguments: float
    temporaries: float | None
    operations: float
    bytes_accessed: float | None
    collectives: list[Collective]
    seconds: float


def environment() -> dict[str, str]:
    """Return the environment variables of a process that compiles for TPUs on a machine without one.

    >>> environment()["JAX_PLATFORMS"]
    'cpu'
    """
    return {
        "TPU_SKIP_MDS_QUERY": "1",
        "TPU_ACCELERATOR_TYPE": "v5litepod-8",
        "TPU_WORKER_HOSTNAMES": "localhost",
        "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",  # it locks the chips, of which there are none
        "JAX_PLATFORMS": "cpu",
    }


def check_installed() -> None:
    """Check that the compiler is installed.

    Raises:
        ImportError: it is not.
    """
    if importlib.util.find_spec("libtpu") is None:
        raise ImportError("expected libtpu, the compiler for TPUs, got none; run pip install 'jax[tpu]'")


def topology_mesh(topology: str, axes: Mapping[str, int]) -> Mesh:
    """Arrange the chips of a topology, ``"v5e:2x4"``, in a mesh, ``{"data": 8}``.

    Raises:
        ImportError: the compiler is not installed.
        ValueError: the chip or the topology is unknown, or has another number of chips than the mesh.
    """
    chip_of(topology)
    check_installed()
    from jax.experimental import topologies

    try:
        devices = topologies.get_topology_desc(platform="tpu", topology_name=topology).devices
    except Exception as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"expected a topology such as 'v5e:2x4' or 'v5e:16x16', got {topology!r}: {reason}") from error
    return make_mesh(axes, devices=devices)


def chip_of(topology: str) -> Chip:
    """Return the chip of a topology.

    Raises:
        ValueError: it is unknown.

    >>> chip_of("v5e:2x4").operations
    197000000000000.0
    """
    name = topology.partition(":")[0]
    if name not in CHIPS:
        raise ValueError(f"expected a topology of {sorted(CHIPS)}, got {topology!r}; {did_you_mean(name, CHIPS)}")
    return CHIPS[name]


def place_shapes(state: PyTree, batch: PyTree, mesh: Mesh, rule: Rule = replicated) -> tuple[PyTree, PyTree]:
    """Add shardings to the shapes of a state, by the rule, and of a batch, whose rows are sharded over ``"data"``."""

    def add(shape: jax.ShapeDtypeStruct, sharding: NamedSharding) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(shape.shape, shape.dtype, sharding=sharding)

    rows = jax.tree.map(lambda leaf: NamedSharding(mesh, PartitionSpec(DATA) if leaf.ndim else PartitionSpec()), batch)
    return jax.tree.map(add, state, shardings(state, mesh, rule)), jax.tree.map(add, batch, rows)


def compile_step(step: Callable[..., Any], state: PyTree, batch: PyTree, *, quick: bool = False) -> jax.stages.Compiled:
    """Compile a step whose state is donated, from shapes with shardings; see `place_shapes`.

    Args:
        step: ``step(state, batch) -> (state, metrics)``.
        state: shapes with shardings.
        batch: likewise.
        quick: optimize as little as possible.
    """
    return jax.jit(step, donate_argnums=0).lower(state, batch).compile(LEAST_EFFORT if quick else None)


def examine_step(
    step: Callable[..., Any],
    state: PyTree,
    batch: PyTree,
    mesh: Mesh,
    chip: Chip,
    rule: Rule = replicated,
    *,
    quick: bool = False,
) -> Report:
    """Compile a training step for the chips of a mesh, and report its memory, operations and communication.

    Args:
        step: ``step(state, batch) -> (state, metrics)``.
        state: arrays or ``jax.ShapeDtypeStruct``.
        batch: of all chips, likewise.
        mesh: from `topology_mesh`, or of devices that are there.
        chip: its limits.
        rule: the layout of the parameters.
        quick: compile with the least effort, in a half to a tenth of the time. Fewer operations are fused, so memory is
            an estimate, and fewer sums are moved out of loops, so communication is an upper bound.
    """
    placed = place_shapes(state, batch, mesh, rule)
    operations = count_operations(step, state, batch, platform=mesh.devices.flat[0].platform)
    arguments = float(sum(map(_shard_bytes, jax.tree.leaves(placed))))
    started = time.perf_counter()
    try:
        compiled = compile_step(step, *placed, quick=quick)
    except jax.errors.JaxRuntimeError as error:
        peak = used_memory(str(error))
        if peak is None:
            raise
        return Report(False, peak, arguments, None, operations, None, [], time.perf_counter() - started)
    seconds = time.perf_counter() - started
    memory: Any = compiled.memory_analysis()
    cost: Any = compiled.cost_analysis() or {}
    fresh = max(0, memory.output_size_in_bytes - memory.alias_size_in_bytes)
    peak = memory.argument_size_in_bytes + fresh + memory.temp_size_in_bytes + memory.generated_code_size_in_bytes
    return Report(
        peak <= chip.memory,
        float(peak),
        float(memory.argument_size_in_bytes),
        float(memory.temp_size_in_bytes),
        operations,
        cost.get("bytes accessed"),
        executed_collectives(compiled),
        seconds,
    )


def used_memory(message: str) -> float | None:
    """Parse the bytes that a program would use from the compiler's error; None if it is another error.

    Of a program that needs too much for temporaries alone, the compiler says no more than these.

    >>> used_memory("RESOURCE_EXHAUSTED: Ran out of memory in memory space hbm. Used 16.80G of 15.75G hbm.") / 2**30
    16.8
    """
    found = re.search(r"(?:Used |temporaries \()([\d.]+)([KMGT]?)(?: of [\d.]+[KMGT]? hbm|\) exceeds)", message)
    return None if found is None else float(found[1]) * 2.0 ** (10 * " KMGT".index(found[2] or " "))


def advise(report: Report, chip: Chip, rows: int, *, is_sharded: bool) -> str:
    """Summarize whether a step fits, by how much, and what to change.

    Args:
        report: of the step.
        chip: its limits.
        rows: rows of the batch on a chip.
        is_sharded: whether the parameters are.

    >>> report = Report(False, 20 * 2**30, 2**30, None, 1.0, None, [], 1.0)
    >>> advise(report, CHIPS["v5e"], 8, is_sharded=False)
    'does not fit: 4.25 GiB too much; about 6 rows a chip would fit; or rematerialize blocks'
    """
    free = chip.memory - report.peak
    if free >= 0:
        return f"fits: {free / 2**30:.2f} GiB free"
    changes = [] if is_sharded or report.arguments < chip.memory / 4 else ["shard the parameters (fully_sharded)"]
    possible = int(rows * (chip.memory - report.arguments) / (report.peak - report.arguments))
    if 0 < possible < rows:
        changes.append(f"about {possible} rows a chip would fit")
    changes.append("rematerialize blocks")
    return f"does not fit: {-free / 2**30:.2f} GiB too much; " + "; or ".join(changes)


def _shard_bytes(leaf: Any) -> int:
    """Return the size of a chip's part of an array."""
    return math.prod(leaf.sharding.shard_shape(leaf.shape)) * leaf.dtype.itemsize
