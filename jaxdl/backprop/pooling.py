"""Backpropagation through pooling, channel by channel.

A place ``(i, j)`` of the output sees the window ``x[i S + u, j S + v]`` with ``u, v = 0 .. F - 1``. For the maximum::

    y[i, j]   = max_(u, v) x[i S + u, j S + v]
    d x[p, q] = sum of d y[i, j] over the windows whose largest entry is x[p, q]

The derivative of a maximum is 1 for the largest entry and 0 for the others, so the forward pass keeps the place of the
largest, the *switch* (of equal entries the first). An entry may be the largest of several windows, and gets the sum.

For the average::

    y[i, j]   = 1/F^2 sum_(u, v) x[i S + u, j S + v]
    d x[p, q] = 1/F^2 sum of d y[i, j] over all windows that see x[p, q]
"""

from collections.abc import Iterator

import jax.numpy as jnp

from jaxdl.typing import Array


def max_forward(x: Array, *, size: int = 2, stride: int = 2) -> tuple[Array, Array]:
    """Return the largest of every window, and the switches.

    Args:
        x: ``[B, H, W, C]``.
        size: ``F``, rows and columns of a window.
        stride: ``S``; places that a whole step does not reach are left out.

    Returns:
        ``y`` and the switches ``u F + v``, both ``[B, (H - F) // S + 1, (W - F) // S + 1, C]``.

    Raises:
        ValueError: the window is larger than the input.

    >>> y, switches = max_forward(jnp.arange(4.0).reshape(1, 2, 2, 1))
    >>> y.item(), switches.item()
    (3.0, 3)
    """
    seen = jnp.stack([x[:, *place] for place in windows(x, size, stride)])
    return jnp.max(seen, axis=0), jnp.argmax(seen, axis=0)


def max_backward(x: Array, switches: Array, d_y: Array, *, size: int = 2, stride: int = 2) -> Array:
    """Send every ``d y`` to the entry that was the largest.

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
    """Return the mean of every window; arguments, shape and errors as in ``max_forward``."""
    return sum(x[:, *place] for place in windows(x, size, stride)) / size**2


def average_backward(x: Array, d_y: Array, *, size: int = 2, stride: int = 2) -> Array:
    """Share every ``d y`` equally among the entries of its window; arguments as in ``max_backward``."""
    d_x = jnp.zeros(x.shape, d_y.dtype)
    for place in windows(x, size, stride):
        d_x = d_x.at[:, *place].add(d_y / size**2)
    return d_x


def windows(x: Array, size: int, stride: int) -> Iterator[tuple[slice, slice]]:
    """For every ``(u, v)`` of the window, give the slices of the input that hold ``i S + u`` and ``j S + v``."""
    if x.ndim != 4 or min(x.shape[1:3]) < size:
        raise ValueError(f"pooling over {size} x {size} takes x [B, H, W, C] at least as large; got {x.shape}")
    lengths = [stride * ((extent - size) // stride) + 1 for extent in x.shape[1:3]]
    for u in range(size):
        for v in range(size):
            yield slice(u, u + lengths[0], stride), slice(v, v + lengths[1], stride)
