"""The communication in a compiled program, parsed from its text."""

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

import jax

from jaxdl.train.parallel._notation import find_collectives


class Collective(NamedTuple):
    """The collective operations of one kind.

    Attributes:
        kind: ``"all-reduce"``, ``"all-gather"``, ``"reduce-scatter"``, ``"all-to-all"``, ``"collective-permute"`` or
            ``"collective-broadcast"``.
        count: number of operations.
        bytes: total size of their results on each device: the sum for an all-reduce, all parts for an all-gather, one
            part for a reduce-scatter.
    """

    kind: str
    count: int
    bytes: int


def list_collectives(compiled: jax.stages.Compiled) -> list[Collective]:
    """List the collectives in one call of a compiled program, by kind.

    The body of a loop is counted once: for a scan over training steps the numbers are those of one step.

    >>> import jax.numpy as jnp
    >>> list_collectives(jax.jit(jnp.sin).lower(1.0).compile())
    []
    """
    return parse_collectives(compiled.as_text() or "")


def parse_collectives(program: str) -> list[Collective]:
    """List the collectives in the text of a compiled program, by kind.

    >>> parse_collectives("  %sum = (f32[8]{0}, bf16[2,3]{1,0}) all-reduce(%a, %b), channel_id=1")
    [Collective(kind='all-reduce', count=1, bytes=44)]
    """
    return add_up(Collective(kind, 1, size) for kind, size in find_collectives(program))


def add_up(collectives: Iterable[Collective]) -> list[Collective]:
    """Add the collectives of each kind.

    >>> add_up([Collective("all-reduce", 1, 4), Collective("all-reduce", 2, 8)])
    [Collective(kind='all-reduce', count=3, bytes=12)]
    """
    counts, sizes = Counter(), Counter()
    for kind, count, size in collectives:
        counts[kind] += count
        sizes[kind] += size
    return [Collective(kind, counts[kind], sizes[kind]) for kind in sorted(counts)]


def all_reduce_seconds(size: float, devices: int, bandwidth: float, latency: float = 0.0) -> float:
    """Predict the time of an all-reduce in a ring, ``2 (N - 1) / N size / bandwidth + 2 (N - 1) latency``.

    The data are split into ``N`` parts, and each device sends ``N - 1`` of them to its neighbour twice: once to sum,
    once to distribute the sums (Patarasuk and Yuan, "Bandwidth optimal all-reduce algorithms", 2009).

    Args:
        size: size of the summed data in bytes.
        devices: ``N``.
        bandwidth: bytes sent by a device in a second.
        latency: duration of the smallest message, in seconds.

    >>> all_reduce_seconds(102.2e6, 8, bandwidth=450e9)
    0.00039...
    """
    parts = 2 * (devices - 1)
    return parts / devices * size / bandwidth + parts * latency
