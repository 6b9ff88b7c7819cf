"""The linear map, for dense and for sparse inputs, and the quadratic form.

With parameters the linear map is ``flax.linen.Dense``, with the same names ``kernel`` and ``bias``.
"""

import jax.numpy as jnp

from jaxdl.arrays import expand_leading, to_floating
from jaxdl.checks import check_indices
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


def sparse_linear(indices: ArrayLike, values: ArrayLike, kernel: ArrayLike, bias: ArrayLike | None = None) -> Array:
    """Compute ``y = x W + b`` of sparse inputs, ``y = sum_k v_k W[i_k] + b``: an embedding bag.

    An input has the ``values`` at the ``indices`` and 0 elsewhere; indices that repeat are added. The cost is ``2 S M``
    operations for ``S`` entries, where `linear` takes ``2 N M``, and the gradient of the kernel reaches the rows of the
    entries alone.

    Args:
        indices: integers below ``N``, ``[..., S]``.
        values: ``v``, ``[..., S]``; 0 for padding. Ones of a bag of words give the sum of its vectors.
        kernel: ``W``, ``[N, M]``.
        bias: ``b``, ``[M]``.

    Returns:
        ``[..., M]``; NaN for an index outside of the kernel.

    Raises:
        ValueError: shapes do not match, or an index is known to be outside of the kernel.
        TypeError: the indices are not integers.

    >>> kernel = jnp.array([[1.0], [10.0], [100.0]])
    >>> sparse_linear(jnp.array([0, 2]), jnp.array([3.0, 1.0]), kernel).tolist()
    [103.0]
    """
    indices, values, kernel = jnp.asarray(indices), to_floating(values), to_floating(kernel)
    if not jnp.issubdtype(indices.dtype, jnp.integer):
        raise TypeError(f"expected integer indices, got {indices.dtype}")
    if kernel.ndim != 2 or indices.ndim < 1 or indices.shape != values.shape:
        raise ValueError(
            f"expected indices and values [..., S] and a kernel [N, M], got {indices.shape}, {values.shape} and "
            f"{kernel.shape}"
        )
    check_indices("indices", indices, kernel.shape[0])
    rows = kernel.at[indices].get(mode="fill", fill_value=jnp.nan, wrap_negative_indices=False)
    y = jnp.einsum("...s,...sm->...m", values, rows)
    return y if bias is None else y + expand_leading(bias, y.ndim)


def quadratic(x: ArrayLike, kernel: ArrayLike) -> Array:
    """Compute the quadratic model ``y = x^T W x``, whose gradient is ``(W + W^T) x``.

    Only the symmetric part of ``W`` matters.

    Args:
        x: ``[..., N]``.
        kernel: ``W``, ``[N, N]``.

    Returns:
        ``[...]``.

    Raises:
        ValueError: shapes do not match.

    >>> quadratic(jnp.array([1.0, 2.0]), jnp.array([[1.0, 1.0], [0.0, 3.0]])).tolist()
    15.0
    """
    y = linear(x, kernel)
    if y.shape != jnp.shape(x):
        raise ValueError(f"expected a kernel [N, N], got {jnp.shape(kernel)}")
    return jnp.sum(y * jnp.asarray(x), axis=-1)
