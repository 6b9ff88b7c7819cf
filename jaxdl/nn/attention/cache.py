"""The key-value cache, with which each new position costs one query instead of the whole sequence.

Keys and values of earlier positions do not change when later positions follow. They are written side by side into
arrays of the full length, which keep their shape in a loop under ``jit``.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp

from jaxdl.checks import check_positive_integer
from jaxdl.typing import Array


class Cache(NamedTuple):
    """Keys ``k`` and values ``v`` of up to ``S`` positions, of which the scalar ``length`` are filled.

    ``k`` is ``[B, H, S, D]`` and ``v`` ``[B, H, S, E]`` for ``H`` heads: each head's keys are contiguous.
    """

    k: Array
    v: Array
    length: Array


def init_cache(batch_shape: Sequence[int], num_heads: int, max_length: int, head_dim: int, dtype: Any = None) -> Cache:
    """Return an empty cache.

    Args:
        batch_shape: ``(B,)``, or any leading dimensions.
        num_heads: ``H``.
        max_length: the number of slots, ``S``.
        head_dim: width of each head's keys and values, ``D``.
        dtype: of keys and values; None for JAX's default, float32, or float64 with ``jax_enable_x64``.

    Raises:
        ValueError: there is no slot.

    >>> init_cache((2,), num_heads=4, max_length=10, head_dim=8).k.shape
    (2, 4, 10, 8)
    """
    check_positive_integer("max_length", max_length)
    zeros = jnp.zeros((*batch_shape, num_heads, max_length, head_dim), dtype)
    return Cache(zeros, zeros, jnp.zeros((), jnp.int32))


def extend_cache(cache: Cache, k: Array, v: Array) -> Cache:
    """Write the keys and values of the ``T`` next positions.

    A traced length cannot be checked: positions beyond the last slot are written as nan, and so is all that is computed
    from them. The loops of ``jaxdl.decode`` end there, because `greedy_token` of such logits is -1; another generation
    loop has to test ``jnp.isnan`` or make the cache long enough.

    Args:
        cache: with enough slots.
        k: ``[B, H, T, D]``.
        v: ``[B, H, T, E]``.

    Raises:
        ValueError: the sizes of the cache differ, or its slots are fewer than ``T``.

    >>> cache = extend_cache(init_cache((), 1, 3, 1), jnp.ones((1, 2, 1)), jnp.ones((1, 2, 1)))
    >>> cache.k.ravel().tolist(), int(cache.length)
    ([1.0, 1.0, 0.0], 2)
    """
    for name, old, new in (("keys", cache.k, k), ("values", cache.v, v)):
        if (*old.shape[:-2], old.shape[-1]) != (*new.shape[:-2], new.shape[-1]) or old.shape[-2] < new.shape[-2]:
            raise ValueError(
                f"expected {name} that fit into the cache's {old.shape}, got {new.shape}; "
                "make the cache for this batch, with a slot for every position"
            )
    chex.assert_equal_shape_prefix([k, v], k.ndim - 1)
    length = cache.length + k.shape[-2]
    fits = length <= cache.k.shape[-2]

    def write(old: Array, new: Array) -> Array:
        new = jnp.where(fits, new, jnp.nan).astype(old.dtype)
        return jax.lax.dynamic_update_slice_in_dim(old, new, cache.length, axis=-2)

    return Cache(write(cache.k, k), write(cache.v, v), length)
