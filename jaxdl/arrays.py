"""Precision and masks: arithmetic in at least float32, masks over leading dimensions."""

import jax.numpy as jnp

from jaxdl.typing import Array, ArrayLike


def widen(x: ArrayLike) -> Array:
    """Cast to at least float32.

    >>> widen(jnp.ones(2, jnp.bfloat16)).dtype
    dtype('float32')
    """
    x = jnp.asarray(x)
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def widen_integers(x: ArrayLike) -> Array:
    """Cast integers to at least int32, as the number of classes may exceed the range of the labels.

    >>> widen_integers(jnp.ones(2, jnp.uint8)).dtype
    dtype('int32')
    """
    x = jnp.asarray(x)
    narrow = jnp.issubdtype(x.dtype, jnp.integer) and x.dtype.itemsize < jnp.dtype(jnp.int32).itemsize
    return x.astype(jnp.int32) if narrow else x


def fit_mask(mask: ArrayLike, shape: tuple[int, ...]) -> Array:
    """Widen a mask over leading dimensions and append dimensions to the rank of ``shape``.

    Raises:
        ValueError: the mask does not broadcast to the leading dimensions.

    >>> fit_mask(jnp.ones(3), (3, 4)).shape
    (3, 1)
    """
    mask = widen(mask)
    if mask.ndim > len(shape) or any(m not in (1, n) for m, n in zip(mask.shape, shape, strict=False)):
        raise ValueError(f"expected a mask over the leading dimensions of {shape}, got shape {mask.shape}")
    return mask.reshape(mask.shape + (1,) * (len(shape) - mask.ndim))
