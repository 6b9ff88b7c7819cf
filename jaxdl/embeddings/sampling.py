"""Random words: the noise of negative sampling, from all words or from those never seen with a given one."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.arrays import widen_floating
from jaxdl.typing import Array, ArrayLike, Key

POWER = 0.75


class AliasTable(NamedTuple):
    """A distribution over ``0 .. V - 1`` from which a draw takes constant time (Walker, 1977).

    Attributes:
        keep: probability that a uniform draw ``i`` is kept, ``[V]``.
        alias: what replaces it otherwise, ``[V]``.
    """

    keep: Array
    alias: Array


def noise_distribution(counts: ArrayLike, power: float = POWER) -> Array:
    """Compute ``p(w) = count(w)^power / sum count^power``, the unigram distribution flattened by 3/4.

    Source: Mikolov et al., "Distributed representations of words and phrases" (2013).

    >>> [round(float(p), 3) for p in noise_distribution(jnp.array([16, 1]))]
    [0.889, 0.111]
    """
    weights = widen_floating(counts) ** power
    return weights / jnp.sum(weights)


def unseen_distribution(counts: ArrayLike, cooccurrences: ArrayLike, power: float = POWER) -> Array:
    """Compute the noise of each word among the words that never occur with it, ``[V, V]``; rows sum to 1.

    A row of a word that occurs with all others is `noise_distribution`.

    Args:
        counts: ``count(w)``, ``[V]``.
        cooccurrences: ``count(w, c)``, ``[V, V]``.
        power: as in `noise_distribution`.

    Raises:
        ValueError: the shapes do not fit.

    >>> unseen_distribution(jnp.array([1, 1, 1]), jnp.array([[0, 2, 0], [2, 0, 1], [0, 1, 0]]))[1].tolist()
    [0.0, 1.0, 0.0]
    """
    counts, cooccurrences = jnp.asarray(counts), jnp.asarray(cooccurrences)
    if cooccurrences.shape != counts.shape * 2:
        raise ValueError(f"expected cooccurrences {counts.shape * 2}, got shape {cooccurrences.shape}")
    noise = noise_distribution(counts, power)[None, :]
    unseen = jnp.where(cooccurrences > 0, 0, noise)
    total = jnp.sum(unseen, axis=1, keepdims=True)
    return jnp.where(total > 0, unseen / jnp.where(total > 0, total, 1), noise)


def alias_table(probabilities: ArrayLike) -> AliasTable:
    """Prepare a distribution ``[V]`` for `draw_words` (Vose, 1991).

    Raises:
        ValueError: a probability is negative or not finite, or all are 0.

    >>> [array.tolist() for array in alias_table([0.75, 0.25])]
    [[1.0, 0.5], [0, 0]]
    """
    p = np.asarray(probabilities, np.float64)
    if p.ndim != 1 or not np.isfinite(p).all() or (p < 0).any() or not p.sum() > 0:
        raise ValueError(f"expected probabilities [V] >= 0 with a positive sum, got {p!r:.80}")
    scaled = (p * (len(p) / p.sum())).tolist()
    keep, alias = np.ones(len(p), np.float32), np.arange(len(p), dtype=np.int32)
    small = [i for i, value in enumerate(scaled) if value < 1]
    large = [i for i, value in enumerate(scaled) if value >= 1]
    while small and large:
        less, more = small.pop(), large[-1]
        keep[less], alias[less] = scaled[less], more
        scaled[more] -= 1 - scaled[less]
        if scaled[more] < 1:
            small.append(large.pop())
    return AliasTable(jnp.asarray(keep), jnp.asarray(alias))


def draw_words(key: Key, table: AliasTable, shape: tuple[int, ...] = ()) -> Array:
    """Draw words from a distribution with replacement, int32 of the given shape.

    >>> draw_words(jax.random.key(0), alias_table([0.0, 1.0]), (3,)).tolist()
    [1, 1, 1]
    """
    place_key, keep_key = jax.random.split(key)
    place = jax.random.randint(place_key, shape, 0, len(table.keep))
    return jnp.where(jax.random.uniform(keep_key, shape) < table.keep[place], place, table.alias[place])
