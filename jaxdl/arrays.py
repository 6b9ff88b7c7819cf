"""Arithmetic in at least float32, and the alignment of masks and parameters to the dimensions of an array."""

import jax.numpy as jnp

from jaxdl.typing import Array, ArrayLike


def widen(x: ArrayLike) -> Array:
    """Cast to at least float32.

    >>> widen(jnp.ones(2, jnp.bfloat16)).dtype
    dtype('float32')
    """
    x = jnp.asarray(x)
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def widen_floating(x: ArrayLike) -> Array:
    """Cast to a floating-point type of at least float32; integers become JAX's default floating type.

    >>> widen_floating(jnp.array([1, 2])).dtype, widen_floating(jnp.ones(2, jnp.bfloat16)).dtype
    (dtype('float32'), dtype('float32'))
    """
    x = jnp.asarray(x)
    floating = jnp.issubdtype(x.dtype, jnp.floating)
    return x.astype(jnp.promote_types(x.dtype, jnp.float32) if floating else jnp.result_type(float))


def widen_integers(x: ArrayLike) -> Array:
    """Cast integers to at least int32, as the number of classes may exceed the range of the labels.

    >>> widen_integers(jnp.ones(2, jnp.uint8)).dtype
    dtype('int32')
    """
    x = jnp.asarray(x)
    narrow = jnp.issubdtype(x.dtype, jnp.integer) and x.dtype.itemsize < jnp.dtype(jnp.int32).itemsize
    return x.astype(jnp.int32) if narrow else x


def to_floating(x: ArrayLike) -> Array:
    """Cast to the default floating-point dtype, unless the dtype is floating already.

    >>> to_floating(1).dtype
    dtype('float32')
    """
    x = jnp.asarray(x)
    return x if jnp.issubdtype(x.dtype, jnp.floating) else x.astype(jnp.result_type(float))


def fit_mask(mask: ArrayLike, shape: tuple[int, ...]) -> Array:
    """Align a mask with leading dimensions: append dimensions of 1 up to the rank of ``shape``, widened.

    Raises:
        ValueError: the mask does not broadcast to the leading dimensions.

    >>> fit_mask(jnp.ones(3), (3, 4)).shape
    (3, 1)
    """
    mask = widen(mask)
    if mask.ndim > len(shape) or any(m not in (1, n) for m, n in zip(mask.shape, shape, strict=False)):
        raise ValueError(f"expected a mask over the leading dimensions of {shape}, got {mask.shape}")
    return mask.reshape(mask.shape + (1,) * (len(shape) - mask.ndim))


def expand_leading(x: ArrayLike, ndim: int) -> Array:
    """Align an array with trailing dimensions: prepend dimensions of 1 up to ``ndim``, rank promotion made explicit.

    >>> expand_leading(jnp.ones(3), 2).shape
    (1, 3)
    """
    x = jnp.asarray(x)
    return jnp.expand_dims(x, tuple(range(ndim - x.ndim)))
