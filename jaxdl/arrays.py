"""Arithmetic in at least float32, and the alignment of masks and parameters to the dimensions of an array."""

import math

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.checks import known_value
from jaxdl.typing import Array, ArrayLike, PyTree


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

    Raises:
        TypeError: the numbers are complex.
    """
    return widen(to_floating(x))


def widen_integers(x: ArrayLike) -> Array:
    """Cast integers and Booleans to at least int32, as the number of classes may exceed the range of the labels.

    >>> widen_integers(jnp.ones(2, jnp.uint8)).dtype
    dtype('int32')
    """
    x = jnp.asarray(x)
    integers = jnp.issubdtype(x.dtype, jnp.integer) or x.dtype == bool
    return x.astype(jnp.int32) if integers and x.dtype.itemsize < jnp.dtype(jnp.int32).itemsize else x


def to_floating(x: ArrayLike) -> Array:
    """Cast integers and Booleans to the default floating-point dtype; a floating-point dtype stays.

    Raises:
        TypeError: the numbers are complex.

    >>> to_floating(1).dtype
    dtype('float32')
    """
    x = jnp.asarray(x)
    if jnp.issubdtype(x.dtype, jnp.complexfloating):
        raise TypeError(f"expected real numbers, got {x.dtype}; take the real part or the modulus")
    return x if jnp.issubdtype(x.dtype, jnp.floating) else x.astype(jnp.result_type(float))


def square_modulus(x: Array) -> Array:
    """Compute ``|x|^2``, a real number also for a complex one.

    >>> square_modulus(jnp.array([3.0 + 4.0j])).tolist()
    [25.0]
    """
    if jnp.issubdtype(x.dtype, jnp.complexfloating):
        return jnp.square(x.real) + jnp.square(x.imag)
    return jnp.square(x)


def square_root(x: Array) -> Array:
    """Compute ``sqrt(x)``, with the gradient 0 at 0, where that of a norm is undefined.

    >>> jax.grad(square_root)(0.0).item()
    0.0
    """
    return jnp.where(x == 0, 0, jnp.sqrt(jnp.where(x == 0, 1, x)))


def fit_mask(mask: ArrayLike, shape: tuple[int, ...]) -> Array:
    """Align a mask with leading dimensions: append dimensions of 1 up to the rank of ``shape``, widened.

    Raises:
        ValueError: the mask does not broadcast to the leading dimensions, or is known to be negative or NaN somewhere.

    >>> fit_mask(jnp.ones(3), (3, 4)).shape
    (3, 1)
    """
    mask = widen(mask)
    if mask.ndim > len(shape) or any(m not in (1, n) for m, n in zip(mask.shape, shape, strict=False)):
        raise ValueError(f"expected a mask over the leading dimensions of {shape}, got {mask.shape}")
    check_weights(mask)
    return mask.reshape(mask.shape + (1,) * (len(shape) - mask.ndim))


def check_boolean(mask: ArrayLike) -> Array:
    """Return a mask as an array; one of numbers, which might be added to scores elsewhere, is refused.

    Raises:
        TypeError: the mask is not Boolean.
    """
    mask = jnp.asarray(mask)
    if mask.dtype != bool:
        raise TypeError(
            f"expected a Boolean mask, got {mask.dtype}; cast one of 1 and 0 with mask != 0, an additive one with "
            "mask >= 0"
        )
    return mask


def check_weights(mask: ArrayLike) -> None:
    """Check that a mask holds no number below 0, as one that is added to scores does; a traced one passes unchecked.

    Raises:
        ValueError: a weight is negative or NaN.
    """
    known = known_value(mask)
    if known is not None and not (known >= 0).all():
        least = np.min(known)  # NaN where there is one
        raise ValueError(f"expected a mask of 1 and 0, or of weights >= 0, got {least}; an additive mask is mask >= 0")


def expand_leading(x: ArrayLike, ndim: int) -> Array:
    """Align an array with trailing dimensions: prepend dimensions of 1 up to ``ndim``, rank promotion made explicit.

    >>> expand_leading(jnp.ones(3), 2).shape
    (1, 3)
    """
    x = jnp.asarray(x)
    return jnp.expand_dims(x, tuple(range(ndim - x.ndim)))


def flatten_examples(x: Array) -> Array:
    """Reshape examples ``[B, ...]`` to vectors ``[B, N]``, also where ``B`` is 0, of which -1 is no size.

    >>> flatten_examples(jnp.ones((0, 2, 3))).shape
    (0, 6)
    """
    return x.reshape(len(x), math.prod(x.shape[1:]))


def vary_alike(arrays: PyTree) -> PyTree:
    """Cast arrays inside of ``jax.shard_map`` to vary over the same axes of the mesh; elsewhere they stay as they are.

    A loop may then add what depends on any of them to zeros like one of them. The gradient of an array that was the
    same on all devices is the sum of theirs.

    >>> [x.shape for x in vary_alike([jnp.ones(3), jnp.ones(2)])]
    [(3,), (2,)]
    """
    if jax.sharding.AxisType.Manual not in jax.sharding.get_abstract_mesh().axis_types:
        return arrays
    # An operation casts its operands, and its result varies over the axes of all of them.
    zero = sum(jnp.zeros_like(leaf, jnp.int32, ()) for leaf in jax.tree.leaves(arrays))
    return jax.tree.map(lambda leaf: jax.lax.select(zero == 0, leaf, leaf), arrays)
