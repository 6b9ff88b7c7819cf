"""Sequences token by token, on the device in one loop.

A model is ``step_fn(carry, token) -> (carry, logits)`` with ``token [B]`` and ``logits [B, V]``; the carry is a
recurrent state, a cache, whatever the model needs. Wrap the call in ``jax.jit`` with ``step_fn`` inside.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxdl.arrays import widen
from jaxdl.decode.sampling import draw, greedy_token
from jaxdl.typing import Array, ArrayLike, Key, PyTree

StepFunction = Callable[[PyTree, Array], tuple[PyTree, Array]]
Choice = Callable[[Key | None, Array], Array]


class Generated(NamedTuple):
    """Tokens ``[B, T]`` with padding after the end; ``lengths [B]``, the end counted; and the logarithm of the
    probability that the model itself gives to them, ``[B]``.
    """

    tokens: Array
    lengths: Array
    log_probability: Array


def generate(
    step_fn: StepFunction,
    carry: PyTree,
    first: ArrayLike,
    choose: Choice,
    *,
    length: int,
    key: Key | None = None,
    end: int | None = None,
    pad: int = 0,
) -> Generated:
    """Feed tokens back into the model: ``token_(t+1) = choose(key_t, logits_t)``, until the end or the length.

    Where logits give no probabilities (nan, as from a cache without room), a sequence is over too: padding follows, and
    its log-probability is nan.

    Args:
        step_fn: the model.
        carry: what it starts from.
        first: the token before the first that is generated, ``[B]``: a start mark, or the last of a prompt.
        choose: ``(key, logits [B, V]) -> token [B]``.
        length: how many tokens at most, ``T``.
        key: for the choices; None where they are certain.
        end: the token that ends a sequence; None for none. The loop stops when all have ended.
        pad: what stands after the end.

    Raises:
        ValueError: the length is not positive, or ``first`` is not ``[B]``.
    """
    first = check_start(first, length)
    size = first.shape[0]
    tokens = jnp.full((size, length), pad, jnp.int32)
    nothing = Generated(tokens, jnp.zeros(size, jnp.int32), jnp.zeros(size))

    def unfinished(state):
        t, *_, done = state
        return (t < length) & ~jnp.all(done)

    def body(state):
        t, carry, token, so_far, done = state
        carry, logits = step_fn(carry, token)
        token = choose(None if key is None else jax.random.fold_in(key, t), logits).astype(jnp.int32)
        gained = jnp.take_along_axis(log_softmax(logits), token[:, None], axis=-1)[:, 0]
        over = done | jnp.isnan(gained)
        token = jnp.where(over, pad, token)
        so_far = Generated(
            so_far.tokens.at[:, t].set(token),
            so_far.lengths + ~over,
            so_far.log_probability + jnp.where(done, 0, gained).astype(so_far.log_probability.dtype),
        )
        return t + 1, carry, token, so_far, over if end is None else over | (token == end)

    state = jnp.zeros((), jnp.int32), carry, first, nothing, jnp.zeros(size, bool)
    return jax.lax.while_loop(unfinished, body, state)[3]


def greedy(
    step_fn: StepFunction, carry: PyTree, first: ArrayLike, *, length: int, end: int | None = None, pad: int = 0
) -> Generated:
    """Take the most probable token at every time; arguments as in ``generate``.

    >>> def count_up(carry, token):
    ...     return carry, 9.0 * jax.nn.one_hot((token + 1) % 5, 5)
    >>> jax.jit(lambda first: greedy(count_up, None, first, length=6, end=4))(jnp.array([1, 3])).tokens.tolist()
    [[2, 3, 4, 0, 0, 0], [4, 0, 0, 0, 0, 0]]
    """
    return generate(step_fn, carry, first, greedy_token, length=length, end=end, pad=pad)


def sample(
    key: Key,
    step_fn: StepFunction,
    carry: PyTree,
    first: ArrayLike,
    *,
    length: int,
    temperature: ArrayLike = 1.0,
    top_k: int | None = None,
    top_p: ArrayLike | None = None,
    end: int | None = None,
    pad: int = 0,
) -> Generated:
    """Draw every token, as ``sampling.draw`` does; other arguments as in ``generate``."""
    choose = partial(draw, temperature=temperature, top_k=top_k, top_p=top_p)
    return generate(step_fn, carry, first, choose, length=length, key=key, end=end, pad=pad)


def log_softmax(logits: Array) -> Array:
    """Return the logarithms of the probabilities in at least float32."""
    return jax.nn.log_softmax(widen(logits), axis=-1)


def check_start(first: ArrayLike, length: int) -> Array:
    """Return the first tokens as integers.

    Raises:
        ValueError: the length is not positive, or ``first`` is not ``[B]``.
    """
    first = jnp.asarray(first)
    if first.ndim != 1 or not jnp.issubdtype(first.dtype, jnp.integer):
        raise ValueError(f"first must be integer tokens [B], one for each sequence; got {first.shape} of {first.dtype}")
    if length < 1:
        raise ValueError(f"length is how many tokens are generated at most and must be at least 1; got {length}")
    return first.astype(jnp.int32)
