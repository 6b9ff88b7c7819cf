"""Backpropagation through pooling, channel by channel.

The output ``(i, j)`` has the window ``x[i S + u, j S + v]`` with ``u, v = 0 .. F - 1``. For the maximum::

    y[i, j]   = max_(u, v) x[i S + u, j S + v]
    d x[p, q] = sum of d y[i, j] over the windows whose largest entry is x[p, q]

The derivative of a maximum is 1 for the largest entry and 0 for the others, so the forward pass saves the position of
the largest, the *switch* (the first of equal entries). The gradient of an entry that is the largest of several windows
is the sum.

For the average::

    y[i, j]   = 1/F^2 sum_(u, v) x[i S + u, j S + v]
    d x[p, q] = 1/F^2 sum of d y[i, j] over all windows with x[p, q]
"""

from collections.abc import Iterator
from functools import reduce

import jax.numpy as jnp

from jaxdl.arrays import to_floating
from jaxdl.typing import Array


def max_forward(x: Array, *, size: int = 2, stride: int = 2) -> tuple[Array, Array]:
    """Compute the maximum of every window, and the switches.

    Args:
        x: ``[B, H, W, C]``.
        size: ``F``, rows and columns of a window.
        stride: ``S``; a remainder at the end is ignored.

    Returns:
        ``y`` and the switches ``u F + v``, both ``[B, (H - F) // S + 1, (W - F) // S + 1, C]``.

    Raises:
        ValueError: the window is larger than the input.

    >>> y, switches = max_forward(jnp.arange(4.0).reshape(1, 2, 2, 1))
    >>> y.item(), switches.item()
    (3.0, 3)
    """
    entries = jnp.stack([x[:, *place] for place in windows(x, size, stride)])
    return jnp.max(entries, axis=0), jnp.argmax(entries, axis=0)


def max_backward(x: Array, switches: Array, d_y: Array, *, size: int = 2, stride: int = 2) -> Array:
    """Scatter every ``d y`` to the entry of its switch.

    Args:
        x: the input, for its shape alone.
        switches: from ``max_forward``.
        d_y: the gradient with respect to ``y``, of its shape.
        size: as in ``max_forward``.
        stride: as in ``max_forward``.
    """
    d_x = jnp.zeros(x.shape, d_y.dtype)
    for switch, place in enumerate(windows(x, size, stride)):
        d_x = d_x.at[:, *place].add(jnp.where(switches == switch, d_y, 0))
    return d_x


def average_forward(x: Array, *, size: int = 2, stride: int = 2) -> Array:
    """Compute the mean of every window; arguments, shape and errors as in ``max_forward``."""
    x = to_floating(x)
    return reduce(jnp.add, (x[:, *place] for place in windows(x, size, stride))) / size**2


def average_backward(x: Array, d_y: Array, *, size: int = 2, stride: int = 2) -> Array:
    """Distribute every ``d y`` equally to the entries of its window; arguments as in ``max_backward``."""
    d_x = jnp.zeros(x.shape, d_y.dtype)
    for place in windows(x, size, stride):
        d_x = d_x.at[:, *place].add(d_y / size**2)
    return d_x


def windows(x: Array, size: int, stride: int) -> Iterator[tuple[slice, slice]]:
    """Yield the slices of the input ``i S + u`` and ``j S + v``, for every ``(u, v)`` of the window."""
    if x.ndim != 4 or min(x.shape[1:3]) < size:
        raise ValueError(f"expected x [B, H, W, C] of at least {size} x {size}, the window, got {x.shape}")
    lengths = [stride * ((extent - size) // stride) + 1 for extent in x.shape[1:3]]
    for u in range(size):
        for v in range(size):
            yield slice(u, u + lengths[0], stride), slice(v, v + lengths[1], stride)
