"""Autoregressive models of images: exact likelihood, and sampling pixel by pixel in one compiled program."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxdl import losses
from jaxdl.checks import check_in_range, is_integer
from jaxdl.typing import Array, ArrayLike, Key


def pixel_log_likelihood(logits: ArrayLike, x: ArrayLike) -> Array:
    """Compute ``ln p(x) = sum_i ln softmax(logits_i)[x_i]``, one number for each image.

    Args:
        logits: of every pixel given those before it, ``[B, ..., K]``.
        x: levels ``[B, ...]``, integers below ``K``.

    Returns:
        ``[B]``.

    >>> pixel_log_likelihood(jnp.zeros((1, 2, 2, 4)), jnp.zeros((1, 2, 2), int)).item() / jnp.log(4.0).item()
    -4.0
    """
    each = losses.cross_entropy(logits, x, reduction="none")
    return -jnp.sum(each, axis=tuple(range(1, each.ndim)))


def sample_pixels(
    key: Key,
    apply_fn: Callable[[Array], Array],
    x: ArrayLike,
    *,
    start: int = 0,
    temperature: ArrayLike = 1.0,
) -> Array:
    """Draw images pixel by pixel, in the order of rows: ``x_i ~ softmax(logits_i / temperature)``.

    It is one `jax.lax.scan` over the pixels, to be compiled by ``jax.jit`` of the caller; each runs the network once.

    Args:
        key: random key.
        apply_fn: maps images ``[B, H, W]`` to logits ``[B, H, W, K]``, those of a pixel given the pixels before it.
        x: levels ``[B, H, W]``, integers; only their first ``start`` pixels matter, which stay as they are.
        start: number of given pixels, of ``H W``: half of them to complete the lower half of images.
        temperature: above 0; 1 draws from the model.

    Returns:
        ``[B, H, W]``, of the dtype of ``x``.

    Raises:
        ValueError: ``x`` are no integers, more pixels are given than there are, or the temperature is not above 0.

    >>> always_two = lambda x: jnp.zeros((*x.shape, 4)).at[..., 2].set(100.0)
    >>> sample_pixels(jax.random.key(0), always_two, jnp.ones((1, 2, 2), int), start=1).ravel().tolist()
    [1, 2, 2, 2]
    """
    x = jnp.asarray(x)
    pixels = math.prod(x.shape[1:]) if x.ndim > 1 else 0
    if not jnp.issubdtype(x.dtype, jnp.integer) or x.ndim < 2:
        raise ValueError(f"expected images [B, H, W] of integers, got {x.shape} of {x.dtype}")
    if not is_integer(start) or not 0 <= start <= pixels:
        raise ValueError(f"expected start in 0 .. {pixels}, the number of given pixels, got {start}")
    check_in_range("temperature", temperature, includes_low=False)
    # What has not been drawn must be a valid level, and has no influence.
    flat = jnp.where(jnp.arange(pixels)[None] < start, x.reshape(len(x), pixels), 0)

    def draw(flat: Array, position: Array) -> tuple[Array, None]:
        logits = apply_fn(flat.reshape(x.shape))
        logits = logits.reshape(len(x), pixels, logits.shape[-1])[:, position] / temperature
        drawn = jax.random.categorical(jax.random.fold_in(key, position), logits).astype(x.dtype)
        return flat.at[:, position].set(drawn), None

    flat, _ = jax.lax.scan(draw, flat, jnp.arange(start, pixels))
    return flat.reshape(x.shape)
