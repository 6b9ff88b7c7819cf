"""Backpropagation through a convolution.

Forward (a correlation, as in all networks), with stride ``S`` and the input ``x`` padded by zeros::

    y[i, j, k] = b[k] + sum_(u, v, c) x[i S + u, j S + v, c] W[u, v, c, k]

Backward. Each weight is used at all positions, and each input by several of them; the gradient of a value with several
uses is the *sum* over the uses (not the average)::

    d W[u, v, c, k] = sum_(i, j) x[i S + u, j S + v, c] d y[i, j, k]
    d b[k]          = sum_(i, j) d y[i, j, k]
    d x[p, q, c]    = sum over i S + u = p, j S + v = q, and k, of d y[i, j, k] W[u, v, c, k]

``d W`` and ``d b`` are also summed over the examples of the batch. ``d W`` is a correlation of the input with ``d y``
dilated by ``S``; ``d x`` is, for ``S = 1``, the full correlation of ``d y`` with the flipped kernel.
The gradient of the padding is dropped.

In the code the sums over ``u`` and ``v`` are loops, and each iteration is one matrix product: for fixed ``(u, v)`` the
inputs ``x[i S + u, j S + v]`` of all positions are a strided slice. (LeCun et al., 1989)
"""

from collections.abc import Iterator

import jax.numpy as jnp

from jaxdl.typing import Array

Padding = tuple[tuple[int, int], tuple[int, int]]
NO_PADDING = ((0, 0), (0, 0))


def forward(x: Array, W: Array, b: Array, *, stride: int = 1, padding: Padding = NO_PADDING) -> tuple[Array, Array]:
    """Compute ``y``, and the padded input for the backward pass.

    Args:
        x: ``[B, H, W, C]``.
        W: ``[F, F', C, K]``.
        b: ``[K]``.
        stride: ``S``; a remainder at the end is ignored.
        padding: zeros before and after the rows, and the columns.

    Returns:
        ``y``, ``[B, (H + P - F) // S + 1, (W + P' - F') // S + 1, K]``, and ``x`` padded.

    Raises:
        ValueError: channels differ, or the kernel is larger than the input.

    >>> y, _ = forward(jnp.ones((1, 3, 3, 1)), jnp.ones((2, 2, 1, 1)), jnp.zeros(1))
    >>> y[0, :, :, 0].tolist()
    [[4.0, 4.0], [4.0, 4.0]]
    """
    x = jnp.pad(x, ((0, 0), *padding, (0, 0)))
    if x.ndim != 4 or W.ndim != 4 or x.shape[-1] != W.shape[2] or any(x.shape[d + 1] < W.shape[d] for d in (0, 1)):
        expected = "x [B, H, W, C] and a kernel [F, F', C, K] that is not larger"
        raise ValueError(f"expected {expected}, got the padded x {x.shape} and the kernel {W.shape}")
    shape = output_shape(x, W, stride)
    y = b[None, None, None]
    for u, v, place in windows(W, shape, stride):
        y = y + x[:, *place] @ W[u, v]
    return y, x


def backward(
    x: Array, W: Array, d_y: Array, *, stride: int = 1, padding: Padding = NO_PADDING
) -> tuple[Array, Array, Array]:
    """Compute ``d x``, ``d W`` and ``d b``.

    Args:
        x: the padded input, from ``forward``.
        W: ``[F, F', C, K]``.
        d_y: the gradient with respect to ``y``, of its shape.
        stride: as in ``forward``.
        padding: as in ``forward``.
    """
    d_x, d_W = jnp.zeros_like(x), jnp.zeros_like(W)
    for u, v, place in windows(W, (d_y.shape[1], d_y.shape[2]), stride):
        d_W = d_W.at[u, v].set(jnp.einsum("bijc,bijk->ck", x[:, *place], d_y))
        d_x = d_x.at[:, *place].add(d_y @ W[u, v].T)
    (top, _), (left, _) = padding
    height, width = (x.shape[d + 1] - sum(padding[d]) for d in (0, 1))
    return d_x[:, top : top + height, left : left + width], d_W, jnp.sum(d_y, axis=(0, 1, 2))


def output_shape(x: Array, W: Array, stride: int) -> tuple[int, int]:
    """Compute the rows and columns of ``y``, ``(H - F) // S + 1`` for the padded input."""
    return (x.shape[1] - W.shape[0]) // stride + 1, (x.shape[2] - W.shape[1]) // stride + 1


def windows(W: Array, shape: tuple[int, int], stride: int) -> Iterator[tuple[int, int, tuple[slice, slice]]]:
    """Yield ``(u, v)`` and the slices of the input ``i S + u`` and ``j S + v``, for every ``(u, v)`` of the kernel."""
    for u in range(W.shape[0]):
        for v in range(W.shape[1]):
            rows = slice(u, u + stride * (shape[0] - 1) + 1, stride)
            yield u, v, (rows, slice(v, v + stride * (shape[1] - 1) + 1, stride))
