"""The networks of word2vec and their losses, as pure functions.

Every word has two vectors, a row ``w`` of the table of words and a row ``c`` of the table of contexts. A network makes
a hidden vector ``h`` ``[D]`` of one-hot words, and predicts a word from it:

- the bigram network predicts the next word from a word, ``h = w``;
- CBOW predicts a word from the mean of the words around it, ``h = mean w``;
- skip-gram predicts every word around a word, ``h = w``.

The prediction is a softmax over all words, or one of its replacements: negative sampling, a margin, or the hierarchical
softmax of `jaxdl.embeddings.hierarchical`. Losses are per example; `jaxdl.backprop.embeddings` has their gradients by
hand, `jaxdl.embeddings.training` the fast training. Source: Mikolov et al., "Efficient estimation of word
representations in vector space", "Distributed representations of words and phrases" (both 2013).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxdl.typing import Array, Key


class Tables(NamedTuple):
    """The two vectors of every word.

    Attributes:
        words: ``[V, D]``.
        contexts: ``[V, D]``; with a hierarchical softmax the inner nodes, ``[V - 1, D]``.
    """

    words: Array
    contexts: Array


def init_tables(key: Key, vocab_size: int, size: int) -> Tables:
    """Initialize as word2vec does: words uniform in ``(-1/2, 1/2) / D``, contexts 0.

    >>> init_tables(jax.random.key(0), vocab_size=5, size=3).words.shape
    (5, 3)
    """
    words = jax.random.uniform(key, (vocab_size, size), minval=-0.5, maxval=0.5) / size
    return Tables(words, jnp.zeros_like(words))


def bigram_loss(tables: Tables, first: Array, second: Array) -> Array:
    """Compute ``-ln p(second | first)`` of the bigram network.

    Args:
        tables: the vectors.
        first: word ids, ``[...]``.
        second: the ids of the words after them, ``[...]``.

    Returns:
        ``[...]``.

    >>> tables = Tables(jnp.ones((4, 2)), jnp.zeros((4, 2)))
    >>> bigram_loss(tables, jnp.array([0]), jnp.array([3])).tolist()
    [1.386...]
    """
    return softmax_loss(tables.words[first], tables.contexts, second)


def skip_gram_loss(tables: Tables, words: Array, contexts: Array, mask: Array) -> Array:
    """Compute ``-sum_j ln p(c_j | w)`` over the contexts of each word.

    Args:
        tables: the vectors.
        words: ``w``, ids ``[...]``.
        contexts: ``c_j``, ids ``[..., C]``.
        mask: 0 where there is no context, ``[..., C]``.

    Returns:
        ``[...]``.
    """
    log_p = jax.nn.log_softmax(tables.words[words] @ tables.contexts.T)
    return -jnp.sum(jnp.where(mask > 0, jnp.take_along_axis(log_p, contexts, axis=-1), 0), axis=-1)


def cbow_loss(tables: Tables, words: Array, contexts: Array, mask: Array) -> Array:
    """Compute ``-ln p(w | mean of the contexts)``; arguments and result as for `skip_gram_loss`."""
    return softmax_loss(mean_vector(tables.words[contexts], mask), tables.contexts, words)


def mean_vector(vectors: Array, mask: Array) -> Array:
    """Compute the mean of vectors, ``[..., C, D]`` to ``[..., D]``; 0 where the mask ``[..., C]`` has none.

    >>> mean_vector(jnp.array([[1.0], [4.0], [9.0]]), jnp.array([1, 1, 0])).tolist()
    [2.5]
    """
    mask = mask[..., None] > 0
    return jnp.sum(jnp.where(mask, vectors, 0), axis=-2) / jnp.maximum(jnp.sum(mask, axis=-2), 1)


def softmax_loss(h: Array, contexts: Array, target: Array) -> Array:
    """Compute ``-ln p(t | h)`` with ``p = softmax(C h)``: hidden vectors ``[..., D]``, targets ``[...]``."""
    log_p = jax.nn.log_softmax(h @ contexts.T)
    return -jnp.take_along_axis(log_p, target[..., None], axis=-1)[..., 0]


def negative_sampling_loss(h: Array, positive: Array, negatives: Array) -> Array:
    """Compute ``-ln sigmoid(h . c) - sum_k ln sigmoid(-h . n_k)``.

    Args:
        h: hidden vectors, ``[..., D]``.
        positive: ``c``, the vectors of the right words, ``[..., D]``.
        negatives: ``n_k``, vectors of words drawn from the noise, ``[..., K, D]``.

    Returns:
        ``[...]``.

    >>> round(float(negative_sampling_loss(jnp.zeros(2), jnp.ones(2), jnp.ones((3, 2)))), 4)
    2.7726
    """
    right, wrong = _scores(h, positive, negatives)
    return -jax.nn.log_sigmoid(right) - jnp.sum(jax.nn.log_sigmoid(-wrong), axis=-1)


def margin_loss(h: Array, positive: Array, negatives: Array, margin: float = 1.0) -> Array:
    """Compute the contrastive loss ``sum_k max(0, margin + h . n_k - h . c)``.

    Arguments and result as for `negative_sampling_loss`.

    Source: Collobert and Weston, "A unified architecture for natural language processing" (2008).

    >>> float(margin_loss(jnp.ones(1), jnp.array([2.0]), jnp.array([[0.5], [1.5]])))
    0.5
    """
    right, wrong = _scores(h, positive, negatives)
    return jnp.sum(jnp.maximum(0, margin + wrong - right[..., None]), axis=-1)


def _scores(h: Array, positive: Array, negatives: Array) -> tuple[Array, Array]:
    return jnp.sum(h * positive, axis=-1), jnp.einsum("...d,...kd->...k", h, negatives)
