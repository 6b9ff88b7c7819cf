"""Fixed filters for images: blur, sharpen, edges, high-pass, each a convolution with a constant kernel.

Images are ``[..., H, W, C]``; every channel is filtered separately, and the size is unchanged. ``mode`` is the padding,
as in ``jnp.pad``: ``"symmetric"`` mirrors the image with its border (scipy's "reflect"), ``"reflect"`` without it
(scipy's "mirror"), ``"edge"`` repeats the border, ``"constant"`` is 0, ``"wrap"`` is periodic.
"""

from typing import Literal, get_args

import jax.numpy as jnp
import numpy as np
from einops import rearrange

from jaxdl.arrays import widen
from jaxdl.checks import check_one_of
from jaxdl.nn.convolution.convolution import convolve
from jaxdl.typing import Array, ArrayLike

Mode = Literal["symmetric", "reflect", "edge", "constant", "wrap"]

LAPLACE = np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]])
"""The sum of the second differences along rows and columns."""

SHARPEN = np.array([[0, -1, 0], [-1, 5, -1], [0, -1, 0]])
"""The image minus its Laplacian."""

HIGH_PASS = np.array([[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]]) / 9
"""The image minus its mean over 3 x 3: the details that a box blur removes."""

SOBEL_ROWS = np.array([[-1, -2, -1], [0, 0, 0], [1, 2, 1]])
"""The derivative downwards, smoothed across."""

SOBEL_COLUMNS = SOBEL_ROWS.T
"""The derivative to the right, smoothed down."""


def correlate(x: ArrayLike, kernel: ArrayLike, *, mode: Mode = "symmetric") -> Array:
    """Compute ``y[.., i, j, c] = sum_(u, v) kernel[u, v] x[.., i + u - a, j + v - b, c]`` with centre ``(a, b)``.

    The operation that networks call a convolution, without flipping the kernel.

    Args:
        x: images ``[..., H, W, C]``; integers become floating.
        kernel: ``[F, F']``, both odd.
        mode: padding.

    Returns:
        ``[..., H, W, C]``.

    Raises:
        ValueError: ranks do not match, a size of the kernel is even, or the mode is unknown.

    >>> x = jnp.array([0.0, 0.0, 1.0, 0.0, 0.0]).reshape(1, 5, 1)
    >>> correlate(x, jnp.array([[1.0, 2.0, 3.0]])).ravel().tolist()
    [0.0, 3.0, 2.0, 1.0, 0.0]
    """
    x, kernel = jnp.asarray(x), jnp.asarray(kernel)
    if kernel.ndim != 2 or not all(n % 2 for n in kernel.shape):
        raise ValueError(f"expected a kernel [F, F'] of odd sizes, got {kernel.shape}")
    if x.ndim < 3:
        raise ValueError(f"expected images [..., H, W, C], got {x.shape}; for a single channel pass x[..., None]")
    check_one_of("mode", mode, get_args(Mode))
    dtype = x.dtype if jnp.issubdtype(x.dtype, jnp.inexact) else jnp.result_type(float)
    sides = [(n // 2, n // 2) for n in kernel.shape]
    channels_first = rearrange(widen(x.astype(dtype)), "... h w c -> ... c h w")
    padded = jnp.pad(channels_first, [*[(0, 0)] * (x.ndim - 2), *sides], mode=mode)
    y = convolve(padded[..., None], kernel[..., None, None].astype(padded.dtype))[..., 0]
    return rearrange(y, "... c h w -> ... h w c").astype(dtype)


def convolve_true(x: ArrayLike, kernel: ArrayLike, *, mode: Mode = "symmetric") -> Array:
    """Compute ``y[.., i, j, c] = sum_(u, v) kernel[u, v] x[.., i - u + a, j - v + b, c]`` with centre ``(a, b)``.

    The convolution of mathematics: the response to a unit impulse is the kernel, where that of `correlate` is the
    flipped kernel.

    >>> x = jnp.array([0.0, 0.0, 1.0, 0.0, 0.0]).reshape(1, 5, 1)
    >>> convolve_true(x, jnp.array([[1.0, 2.0, 3.0]])).ravel().tolist()
    [0.0, 1.0, 2.0, 3.0, 0.0]
    """
    return correlate(x, jnp.flip(jnp.asarray(kernel)), mode=mode)


def box_blur(x: ArrayLike, size: int = 3, *, mode: Mode = "symmetric") -> Array:
    """Compute the mean over ``size x size`` pixels, ``size`` odd, along rows and then along columns.

    >>> box_blur(jnp.array([0.0, 3.0, 0.0, 0.0]).reshape(1, 4, 1)).ravel().tolist()
    [1.0, 1.0, 1.0, 0.0]
    """
    if size < 1 or size % 2 == 0:
        raise ValueError(f"expected an odd size >= 1, got {size}")
    return _separable(x, np.full(size, 1 / size), mode)


def gaussian_blur(x: ArrayLike, sigma: float = 1.0, *, truncate: float = 4.0, mode: Mode = "symmetric") -> Array:
    """Compute the mean weighted by ``exp(-(u^2 + v^2) / (2 sigma^2))``, along rows and then along columns.

    ``sigma`` is in numbers of the grid; the weights are cut off at ``truncate`` times as many.

    >>> gaussian_blur(jnp.ones((4, 4, 1))).round(4).min().item()
    1.0
    """
    return _separable(x, gaussian(sigma, truncate=truncate), mode)


def sharpen(x: ArrayLike, amount: float = 1.0, *, mode: Mode = "symmetric") -> Array:
    """Compute ``x - amount laplacian(x)``; for ``amount=1`` the kernel is ``SHARPEN``.

    >>> sharpen(jnp.array([0.0, 0.0, 1.0, 1.0]).reshape(1, 4, 1)).ravel().tolist()
    [0.0, -1.0, 2.0, 1.0]
    """
    identity = np.pad([[1]], 1)
    return correlate(x, identity - amount * LAPLACE, mode=mode)


def laplacian(x: ArrayLike, *, mode: Mode = "symmetric") -> Array:
    """Compute the sum of the second differences along rows and columns: 0 on slopes, of both signs beside an edge.

    >>> laplacian(jnp.array([0.0, 0.0, 1.0, 1.0]).reshape(1, 4, 1)).ravel().tolist()
    [0.0, 1.0, -1.0, 0.0]
    """
    return correlate(x, LAPLACE, mode=mode)


def sobel(x: ArrayLike, *, mode: Mode = "symmetric") -> tuple[Array, Array]:
    """Compute the derivatives downwards and to the right, both times 8.

    The length ``sqrt(rows^2 + columns^2)`` is the strength of an edge, and the vector is orthogonal to it.

    >>> rows, columns = sobel(jnp.broadcast_to(jnp.arange(3.0)[:, None, None], (3, 3, 1)))
    >>> rows[1, 1].item(), columns[1, 1].item()
    (8.0, 0.0)
    """
    return correlate(x, SOBEL_ROWS, mode=mode), correlate(x, SOBEL_COLUMNS, mode=mode)


def high_pass(x: ArrayLike, sigma: float = 1.0, *, mode: Mode = "symmetric") -> Array:
    """Compute ``x - gaussian_blur(x, sigma)``, the details that the blur removes.

    >>> high_pass(jnp.ones((4, 4, 1))).round(4).max().item()
    0.0
    """
    blurred = gaussian_blur(x, sigma, mode=mode)
    return jnp.asarray(x).astype(blurred.dtype) - blurred


def gaussian(sigma: float, *, truncate: float = 4.0) -> np.ndarray:
    """Compute ``exp(-u^2 / (2 sigma^2))`` for ``u`` from ``-r`` to ``r``, divided by the sum.

    ``r`` is ``truncate sigma``, rounded.

    Raises:
        ValueError: ``sigma`` or ``truncate`` is not positive.

    >>> gaussian(0.5).round(4).tolist()
    [0.0003, 0.1065, 0.7866, 0.1065, 0.0003]
    """
    if not (sigma > 0 and truncate > 0):
        raise ValueError(f"expected sigma > 0 and truncate > 0, got {sigma} and {truncate}")
    radius = int(truncate * sigma + 0.5)
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    return weights / weights.sum()


def _separable(x: ArrayLike, weights: np.ndarray, mode: Mode) -> Array:
    """Filter by ``weights[u] weights[v]``."""
    return correlate(correlate(x, weights[:, None], mode=mode), weights[None], mode=mode)
