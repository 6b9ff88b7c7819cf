"""What a compiled program's devices say to each other, read from its text."""

import math
import re
from collections import Counter
from typing import NamedTuple

import jax


class Collective(NamedTuple):
    """Communication of one kind.

    Attributes:
        kind: ``"all-reduce"``, ``"all-gather"``, ``"reduce-scatter"``, ``"all-to-all"``, ``"collective-permute"`` or
            ``"collective-broadcast"``.
        count: number of operations.
        bytes: what their results take on each device, together: of an all-reduce what is summed, of an all-gather all
            parts, of a reduce-scatter one part.
    """

    kind: str
    count: int
    bytes: int


def collectives(compiled: jax.stages.Compiled) -> list[Collective]:
    """List the communication in one call of a compiled program, by kind.

    What stands in a loop is counted once: for a scan over training steps these are the numbers of a step.

    >>> import jax.numpy as jnp
    >>> collectives(jax.jit(jnp.sin).lower(1.0).compile())
    []
    """
    return in_text(compiled.as_text())


def in_text(program: str) -> list[Collective]:
    """Do as `collectives` does, from the text of the program.

    >>> in_text("  %sum = (f32[8]{0}, bf16[2,3]{1,0}) all-reduce(%a, %b), channel_id=1")
    [Collective(kind='all-reduce', count=1, bytes=44)]
    """
    counts, sizes = Counter(), Counter()
    for result, kind, started in _COLLECTIVE.findall(program):
        shapes = _SHAPE.findall(result)
        if started and kind != "all-reduce":
            # Where start and end are apart, the start holds operands, results and perhaps two counters.
            shapes = [shape for shape in shapes if shape != ("u32", "")]
            shapes = shapes[len(shapes) // 2 :]
        counts[kind] += 1
        sizes[kind] += sum(_bytes(dtype, dims) for dtype, dims in shapes)
    return [Collective(kind, counts[kind], sizes[kind]) for kind in sorted(counts)]


def all_reduce_seconds(size: float, devices: int, bandwidth: float, latency: float = 0.0) -> float:
    """Predict the time of an all-reduce in a ring, ``2 (N - 1) / N size / bandwidth + 2 (N - 1) latency``.

    The data are cut into ``N`` parts, and each device sends ``N - 1`` of them to its neighbour twice: once to sum, once
    to spread the sums (Patarasuk and Yuan, "Bandwidth optimal all-reduce algorithms", 2009).

    Args:
        size: bytes that are summed.
        devices: ``N``.
        bandwidth: bytes that a device sends a second.
        latency: seconds that a message takes, however small it is.

    >>> all_reduce_seconds(102.2e6, 8, bandwidth=450e9)
    0.00039...
    """
    parts = 2 * (devices - 1)
    return parts / devices * size / bandwidth + parts * latency


_COLLECTIVE = re.compile(
    r" = (\(.*?\)|\S+) "
    r"(all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute|collective-broadcast)(-start)?\("
)
_SHAPE = re.compile(r"\b([a-z]\w*)\[([\d,]*)\]")


def _bytes(dtype: str, dims: str) -> int:
    """Count the bytes of an array as a program writes it: ``f32[8,16]`` has 512."""
    bits = 8 if dtype == "pred" else int(re.search(r"\d+", dtype)[0])
    return math.prod(int(size) for size in dims.split(",") if size) * bits // 8
