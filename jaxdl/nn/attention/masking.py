"""Masks of attention: Booleans that broadcast to the scores ``[..., T, S]``, True where a query may attend to a key."""

from functools import reduce

import jax.numpy as jnp

from jaxdl.arrays import check_boolean, check_weights, expand_leading
from jaxdl.typing import Array, ArrayLike


def clear_hidden(x: ArrayLike, mask: ArrayLike) -> Array:
    """Replace NaN and infinity by 0 in keys or values ``[..., S, D]`` that are hidden from every query.

    A weight of 0 alone does not hide them, ``0 NaN = NaN``, neither in a mean nor in its gradient. Finite entries stay.

    Args:
        x: ``[..., S, D]``.
        mask: Booleans that broadcast to ``[..., T, S]``.

    Raises:
        TypeError: the mask is not Boolean.

    >>> clear_hidden(jnp.array([[1.0], [jnp.nan], [2.0]]), jnp.array([[True, False, False]])).ravel().tolist()
    [1.0, 0.0, 2.0]
    """
    x = jnp.asarray(x)
    hidden = ~jnp.any(jnp.atleast_2d(check_boolean(mask)), axis=-2)  # [..., S]
    if hidden.ndim > x.ndim - 1 or hidden.shape[-1] not in (1, x.shape[-2]):
        return x  # no mask of these keys: an error elsewhere
    hidden = expand_leading(hidden, x.ndim - 1)[..., None]
    return jnp.where(hidden & ~jnp.isfinite(x), jnp.zeros((), x.dtype), x)


def causal_mask(queries: int, keys: int | None = None, first: ArrayLike = 0) -> Array:
    """Return the mask ``[T, S]`` in which every query attends to the keys up to its own position.

    Args:
        queries: ``T``.
        keys: ``S``; None for ``T``.
        first: the position of the first query among the keys; may be traced.

    >>> causal_mask(2, 4, first=1).astype(int).tolist()
    [[1, 1, 0, 0], [1, 1, 1, 0]]
    """
    keys = queries if keys is None else keys
    return jnp.arange(keys)[None] <= first + jnp.arange(queries)[:, None]


def padding_mask(valid: ArrayLike) -> Array:
    """Return the mask ``[..., 1, S]`` in which every query attends to the valid keys, of ``valid`` ``[..., S]``.

    Args:
        valid: Booleans, or numbers greater than 0 for valid keys.

    Raises:
        ValueError: a number is known to be negative, as in masks that are added to scores.

    >>> padding_mask(jnp.array([[1.0, 0.0]])).tolist()
    [[[True, False]]]
    """
    valid = jnp.asarray(valid)
    check_weights(valid)
    return jnp.expand_dims(valid > 0, -2)


def window_mask(length: int, window: int) -> Array:
    """Return the mask ``[T, T]`` in which every query attends to the keys less than ``window`` positions away.

    >>> window_mask(3, 2).astype(int).tolist()
    [[1, 1, 0], [1, 1, 1], [0, 1, 1]]
    """
    t = jnp.arange(length)
    return jnp.abs(t[:, None] - t[None]) < window


def segment_mask(segment_ids: ArrayLike) -> Array:
    """Return the mask ``[..., T, T]`` in which every query attends to the keys of its own segment.

    Args:
        segment_ids: integers ``[..., T]``.

    >>> segment_mask(jnp.array([1, 1, 2])).astype(int).tolist()
    [[1, 1, 0], [1, 1, 0], [0, 0, 1]]
    """
    ids = jnp.asarray(segment_ids)
    return ids[..., :, None] == ids[..., None, :]


def combine_masks(*masks: ArrayLike | None) -> Array | None:
    """Compute the logical and of masks ``[..., T, S]``, of which some may lack leading dimensions or be None.

    Raises:
        ValueError: the masks do not broadcast to each other.
        TypeError: a mask is not Boolean.

    >>> combine_masks(padding_mask(jnp.array([[1, 1], [1, 0]])), causal_mask(2), None).astype(int).tolist()
    [[[1, 0], [1, 1]], [[1, 0], [1, 0]]]
    """
    given = [check_boolean(mask) for mask in masks if mask is not None]
    shapes = [mask.shape for mask in given]
    try:
        rank = len(jnp.broadcast_shapes(*shapes))
    except ValueError:
        raise ValueError(
            f"expected masks [..., T, S] that broadcast to each other, got {' and '.join(map(str, shapes))}; "
            "with a cache, S counts all of its slots, filled or not"
        ) from None
    return reduce(jnp.logical_and, [expand_leading(mask, rank) for mask in given]) if given else None


def fit_scores(mask: ArrayLike, shape: tuple[int, ...]) -> Array:
    """Align a Boolean mask with the trailing dimensions of scores of this shape.

    Raises:
        ValueError: the mask does not broadcast to the shape.
        TypeError: it is not Boolean.

    >>> fit_scores(jnp.ones((3,), bool), (1, 2, 3)).shape
    (1, 1, 3)
    """
    mask = check_boolean(mask)
    fits = mask.ndim <= len(shape) and all(m in (1, n) for m, n in zip(mask.shape[::-1], shape[::-1], strict=False))
    if not fits:
        raise ValueError(f"expected a mask that broadcasts to [..., T, S] of shape {shape}, got {mask.shape}")
    return expand_leading(mask, len(shape))
