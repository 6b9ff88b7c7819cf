"""Prompts of different lengths in one batch, and generation beyond the context of a model."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxdl.checks import check_positive_integer, known_value
from jaxdl.typing import Array, ArrayLike


class Window(NamedTuple):
    """The carry of `window_step`: the last ``min(length, W)`` tokens, first in ``tokens`` ``[B, W]``."""

    tokens: Array
    length: Array


def align_left(tokens: ArrayLike, mask: ArrayLike) -> tuple[Array, Array]:
    """Move the tokens of every row to its left end, and count them.

    The result is what the loops of `jaxdl.decode` take, whichever side the padding was on; its padding is 0.

    Args:
        tokens: ``[B, P]``.
        mask: ``[B, P]``, 0 for padding: the ``attention_mask`` of a tokenizer.

    Returns:
        ``tokens`` ``[B, P]`` and ``prompt_lengths`` ``[B]``.

    Raises:
        ValueError: the shapes differ, a row has padding between tokens, or no token.

    >>> tokens, lengths = align_left([[0, 0, 5], [7, 8, 0]], [[0, 0, 1], [1, 1, 0]])
    >>> tokens.tolist(), lengths.tolist()
    ([[5, 0, 0], [7, 8, 0]], [1, 2])
    """
    tokens, mask = jnp.asarray(tokens), jnp.asarray(mask) != 0
    if tokens.ndim != 2 or tokens.shape != mask.shape:
        raise ValueError(f"expected tokens and mask [B, P], got {tokens.shape} and {mask.shape}")
    known = known_value(mask)
    if known is not None:
        starts = known & ~np.pad(known, ((0, 0), (1, 0)))[:, :-1]
        counts = starts.sum(axis=1)
        if (counts != 1).any():
            row = int((counts != 1).argmax())
            raise ValueError(
                f"expected one span of tokens in every row of the mask, got {known[row].astype(int).tolist()}"
            )
    first = jnp.argmax(mask, axis=1)
    lengths = jnp.sum(mask, axis=1, dtype=jnp.int32)
    positions = jnp.arange(tokens.shape[1])[None]  # [1, P]
    moved = jnp.take_along_axis(tokens, (positions + first[:, None]) % tokens.shape[1], axis=1)
    return jnp.where(positions < lengths[:, None], moved, 0), lengths


def window_step(
    apply_fn: Callable[[Array], Array], window_length: int
) -> Callable[[Window, Array], tuple[Window, Array]]:
    """Make a step function that reads the last ``window_length`` tokens anew at every step.

    It generates texts of any length with a model of bounded context and absolute positions, whose keys and values
    change as the window slides and cannot be cached; a step costs a whole pass. Within the window the logits are those
    of ``model.step`` with its cache.

    Args:
        apply_fn: causal: tokens ``[B, W]`` to the logits ``[B, W, V]`` of the tokens that follow them.
        window_length: ``W``.

    Raises:
        ValueError: ``window_length`` is not positive.

    >>> def repeat(tokens):
    ...     return jnp.eye(5)[tokens]
    >>> carry, logits = window_step(repeat, 3)(init_window((1,), 3), jnp.array([4]))
    >>> carry.tokens.tolist(), int(carry.length), logits.tolist()
    ([[4, 0, 0]], 1, [[0.0, 0.0, 0.0, 0.0, 1.0]])
    """
    check_positive_integer("window_length", window_length)

    def step(carry: Window, token: Array) -> tuple[Window, Array]:
        slot = jnp.minimum(carry.length, window_length - 1)
        is_full = carry.length >= window_length
        tokens = jnp.where(is_full, jnp.roll(carry.tokens, -1, axis=1), carry.tokens).at[:, slot].set(token)
        return Window(tokens, carry.length + 1), apply_fn(tokens)[:, slot]

    return step


def init_window(batch_shape: Sequence[int], window_length: int) -> Window:
    """Make the empty carry of `window_step`."""
    return Window(jnp.zeros((*batch_shape, window_length), jnp.int32), jnp.zeros((), jnp.int32))
