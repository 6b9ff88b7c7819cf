"""Prediction of the time of a training step on many chips, from its operations, its collectives and published speeds.

Nothing here is measured: computation and communication are taken one after the other, and messages without latency.
"""

from collections.abc import Sequence
from typing import NamedTuple

from jaxdl.checks import check_in_range
from jaxdl.train.parallel.communication import Collective, all_reduce_seconds


class Scaling(NamedTuple):
    """A step on a number of chips, each with as many rows as before.

    Attributes:
        chips: their number.
        compute_seconds: of the operations of one chip.
        communication_seconds: of the collectives.
    """

    chips: int
    compute_seconds: float
    communication_seconds: float

    @property
    def communication_share(self) -> float:
        """The share of communication in the step."""
        return self.communication_seconds / (self.compute_seconds + self.communication_seconds)

    @property
    def efficiency(self) -> float:
        """The examples per second and chip, relative to one chip alone."""
        return 1 - self.communication_share


def communication_seconds(collectives: Sequence[Collective], devices: int, bandwidth: float) -> float:
    """Predict the time of the collectives of a step in rings of ``N`` devices.

    With ``S`` the bytes of a result, each device sends ``2 (N - 1) / N S`` for an all-reduce, ``(N - 1) / N S`` for an
    all-gather or an all-to-all, ``(N - 1) S`` for a reduce-scatter, whose result is a part, and ``S`` for all others.

    Args:
        collectives: of one step, from `executed_collectives`.
        devices: ``N``.
        bandwidth: bytes sent by a device in a second.

    Raises:
        ValueError: the bandwidth is not positive.

    >>> communication_seconds([Collective("all-gather", 12, 8 * 10**9)], devices=8, bandwidth=1e9)
    7.0
    """
    check_in_range("bandwidth", bandwidth, includes_low=False)
    factors = {
        "all-reduce": 2 * (devices - 1) / devices,
        "all-gather": (devices - 1) / devices,
        "all-to-all": (devices - 1) / devices,
        "reduce-scatter": devices - 1,
    }
    return sum(factors.get(found.kind, 1) * found.bytes for found in collectives) / bandwidth


def at_size(collectives: Sequence[Collective], devices: int, others: int) -> list[Collective]:
    """Convert the collectives of a step on ``devices`` to those on ``others``, with as many rows on each.

    A gradient and gathered parameters have their size on any number; a part of a reduce-scatter is that of one device.

    >>> at_size([Collective("reduce-scatter", 1, 800)], 8, 64)
    [Collective(kind='reduce-scatter', count=1, bytes=100)]
    """
    scales = {"reduce-scatter": devices / others}
    return [found._replace(bytes=round(found.bytes * scales.get(found.kind, 1))) for found in collectives]


def weak_scaling(
    operations: float,
    collectives: Sequence[Collective],
    devices: int,
    others: Sequence[int],
    *,
    speed: float,
    bandwidth: float,
) -> list[Scaling]:
    """Predict a step on other numbers of chips, each with as many rows.

    Args:
        operations: of the step on all ``devices``.
        collectives: of the step on them.
        devices: for which it was compiled.
        others: numbers of chips.
        speed: operations of a chip in a second, as they are reached.
        bandwidth: bytes that a chip sends in a second.

    >>> (one,) = weak_scaling(8e12, [Collective("all-reduce", 1, 10**9)], 8, [8], speed=1e12, bandwidth=1e9)
    >>> one.compute_seconds, one.communication_seconds, round(one.communication_share, 2)
    (1.0, 1.75, 0.64)
    """
    seconds = operations / devices / speed
    return [
        Scaling(count, seconds, communication_seconds(at_size(collectives, devices, count), count, bandwidth))
        for count in others
    ]


def torus_share(topology: str, ring: int = 16) -> float:
    """Return the share of a chip's links that a ring uses: all in a torus, half where the ends of an axis do not meet.

    Args:
        topology: ``"v5e:16x16"``.
        ring: chips along an axis whose ends meet.

    >>> torus_share("v5e:16x16"), torus_share("v5e:8x8")
    (1.0, 0.5)
    """
    return 1.0 if all(int(size) >= ring for size in topology.partition(":")[2].split("x")) else 0.5


def multislice_seconds(
    size: float, slices: int, chips: int, *, link_bandwidth: float, network_bandwidth: float
) -> float:
    """Predict a hierarchical all-reduce over slices that the data-centre network connects.

    The ``n`` chips of a slice sum the data into parts, each chip sums its part with those of its peers in the other
    slices over the network, and the slice gathers the parts: the network carries an ``n``-th of the data per chip::

        2 (n - 1) / n size / link_bandwidth + 2 (k - 1) / k (size / n) / network_bandwidth

    Args:
        size: bytes to be summed.
        slices: ``k``.
        chips: ``n``, in a slice.
        link_bandwidth: bytes sent in a second to chips of the slice.
        network_bandwidth: bytes sent in a second by a chip over the network.

    Source: Cho et al., "BlueConnect: decomposing all-reduce for deep learning on heterogeneous network hierarchy"
    (2019).

    >>> multislice_seconds(1e9, 2, 4, link_bandwidth=1e9, network_bandwidth=1e8)
    4.0
    """
    within = all_reduce_seconds(size, chips, link_bandwidth)
    return within + all_reduce_seconds(size / chips, slices, network_bandwidth)


def flat_seconds(size: float, slices: int, chips: int, *, network_bandwidth: float) -> float:
    """Predict the same sum by one ring over all chips of all slices, whose speed is that of its slowest link.

    >>> round(flat_seconds(1e9, 2, 4, network_bandwidth=1e8), 6)
    17.5
    """
    return all_reduce_seconds(size, slices * chips, network_bandwidth)
