"""The linear map; with parameters it is ``flax.linen.Dense``, with the same names ``kernel`` and ``bias``."""

import jax.numpy as jnp

from jaxdl.arrays import expand_leading, to_floating
from jaxdl.typing import Array, ArrayLike


def linear(x: ArrayLike, kernel: ArrayLike, bias: ArrayLike | None = None) -> Array:
    """Compute ``y = x W + b``, in the default floating-point dtype where all are integers.

    Args:
        x: ``[..., N]``.
        kernel: ``W``, ``[N, M]``.
        bias: ``b``, ``[M]``.

    Raises:
        ValueError: shapes do not match.

    >>> linear(jnp.array([1.0, 2.0]), jnp.array([[1.0], [10.0]]), jnp.array([100.0])).tolist()
    [121.0]
    """
    x, kernel = jnp.asarray(x), jnp.asarray(kernel)
    if not jnp.issubdtype(jnp.result_type(x, kernel), jnp.inexact):
        x, kernel = to_floating(x), to_floating(kernel)
    if kernel.ndim != 2 or x.ndim < 1 or x.shape[-1] != kernel.shape[0]:
        raise ValueError(
            f"expected x [..., N] and a kernel [N, M], got {x.shape} and {kernel.shape}; "
            "the last dimension of x must equal the first of the kernel"
        )
    y = jnp.matmul(x, kernel)
    if bias is None:
        return y
    bias = jnp.asarray(bias)
    if bias.shape != kernel.shape[1:]:
        raise ValueError(f"expected a bias {kernel.shape[1:]} for a kernel {kernel.shape}, got {bias.shape}")
    return y + expand_leading(bias, y.ndim)
