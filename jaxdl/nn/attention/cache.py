"""What attention keeps of the positions so far, so that each new one costs one query and not the sequence again.

A query sees keys and values of earlier positions, which do not change when later ones come. They are written side by
side into arrays of the full length, which keep their shape in a loop under ``jit``.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxdl.typing import Array


class Cache(NamedTuple):
    """Keys ``k`` and values ``v`` of up to ``T_max`` positions, and how many of these are filled, a scalar ``length``.

    ``k`` is ``[B, H, T_max, K]`` and ``v`` ``[B, H, T_max, E]`` for ``H`` heads: a head's keys lie together.
    """

    k: Array
    v: Array
    length: Array


def empty(batch_shape: Sequence[int], heads: int, length: int, features: int, dtype: Any = None) -> Cache:
    """Return a cache of no position yet.

    Args:
        batch_shape: ``(B,)``, or any leading dimensions.
        heads: ``H``.
        length: how many positions there is room for, ``T_max``.
        features: of a head's keys and of its values, ``K``.
        dtype: of keys and values; None for JAX's default, float32, or float64 with ``jax_enable_x64``.

    Raises:
        ValueError: there is room for no position.

    >>> empty((2,), heads=4, length=10, features=8).k.shape
    (2, 4, 10, 8)
    """
    if length < 1:
        raise ValueError(f"a cache has room for at least one position; came length={length}")
    nothing = jnp.zeros((*batch_shape, heads, length, features), dtype)
    return Cache(nothing, nothing, jnp.zeros((), jnp.int32))


def extend(cache: Cache, k: Array, v: Array) -> Cache:
    """Write the keys and values of the ``T`` positions that follow.

    A traced length cannot be checked: where the ``T`` positions find no room, they are written as nan, which all that
    is computed from them then is. The most probable token of logits that are nan is a token like any other, so whoever
    writes without ``decode``, which ends there, asks ``jnp.isnan`` or makes the cache long enough.

    Args:
        cache: with room for them.
        k: ``[B, H, T, K]``.
        v: ``[B, H, T, E]``.

    Raises:
        ValueError: the cache is of other sizes, or has too few places for them.

    >>> cache = extend(empty((), 1, 3, 1), jnp.ones((1, 2, 1)), jnp.ones((1, 2, 1)))
    >>> cache.k.ravel().tolist(), int(cache.length)
    ([1.0, 1.0, 0.0], 2)
    """
    for name, kept, new in (("keys", cache.k, k), ("values", cache.v, v)):
        if (*kept.shape[:-2], kept.shape[-1]) != (*new.shape[:-2], new.shape[-1]) or kept.shape[-2] < new.shape[-2]:
            raise ValueError(
                f"the cache has places for {name} of shape {kept.shape} and came to be extended by {new.shape}: "
                "make it for this batch, with room for every position there will be"
            )
    after = cache.length + k.shape[-2]
    fits = after <= cache.k.shape[-2]

    def write(kept: Array, new: Array) -> Array:
        new = jnp.where(fits, new, jnp.nan).astype(kept.dtype)
        return jax.lax.dynamic_update_slice_in_dim(kept, new, cache.length, axis=-2)

    return Cache(write(cache.k, k), write(cache.v, v), after)
