"""Word vectors: the losses of `jaxdl.embeddings.word2vec`, their hierarchical softmax and GloVe.

All are sums of functions of scores ``s = h . c``, of which ``d h = sum d s c`` and ``d c = d s h``. What remains is the
derivative by the score::

    softmax              L = -s_t + ln sum_j e^(s_j)             d s_j = p_j - 1[j = t]
    negative sampling    L = -ln sigmoid(s) - sum_k ln sigmoid(-s_k)     d s = sigmoid(s) - 1,  d s_k = sigmoid(s_k)
    margin               L = sum_k max(0, m + s_k - s)           d s_k = 1[m + s_k - s > 0],  d s = -sum_k d s_k
    hierarchical         L = -sum_l ln sigmoid((1 - 2 d_l) s_l)  d s_l = sigmoid(s_l) - (1 - d_l)
    GloVe                L = f (s + b_w + b_c - ln x)^2 / 2      d s = d b_w = d b_c = f (s + b_w + b_c - ln x)

For CBOW, ``h`` is a mean of ``J`` vectors, and each of them has the gradient ``d h / J``. Skip-gram sums over contexts.
Functions are of one example; `jax.vmap` makes batches of them.
"""

import jax.numpy as jnp

from jaxdl.backprop.losses import softmax
from jaxdl.typing import Array


def softmax_loss(h: Array, contexts: Array, target: Array) -> tuple[Array, Array, Array]:
    """Compute ``-ln p(t | h)``, ``d h`` ``[D]`` and ``d C`` ``[V, D]``.

    Args:
        h: hidden vector, ``[D]``.
        contexts: ``C``, ``[V, D]``.
        target: word id.

    >>> loss, d_h, d_c = softmax_loss(jnp.ones(1), jnp.zeros((2, 1)), jnp.array(0))
    >>> round(float(loss), 4), d_h.tolist(), d_c.tolist()
    (0.6931, [0.0], [[-0.5], [0.5]])
    """
    p = softmax(contexts @ h)
    d_s = p.at[target].add(-1)
    return -jnp.log(p[target]), d_s @ contexts, d_s[:, None] * h[None, :]


def skip_gram_loss(word: Array, contexts: Array, targets: Array) -> tuple[Array, Array, Array]:
    """Compute ``-sum_j ln p(c_j | w)``, ``d w`` ``[D]`` and ``d C`` ``[V, D]`` for the contexts ``c_j`` of a word.

    Args:
        word: ``w``, ``[D]``.
        contexts: ``C``, ``[V, D]``.
        targets: word ids ``[J]``.
    """
    p = softmax(contexts @ word)
    d_s = (len(targets) * p).at[targets].add(-1)
    return -jnp.sum(jnp.log(p[targets])), d_s @ contexts, d_s[:, None] * word[None, :]


def cbow_loss(around: Array, contexts: Array, target: Array) -> tuple[Array, Array, Array]:
    """Compute ``-ln p(t | mean of the words around)`` and the gradients of these, ``[J, D]``, and of ``C``.

    Args:
        around: vectors of the words around the target, ``[J, D]``.
        contexts: ``C``, ``[V, D]``.
        target: word id.
    """
    loss, d_h, d_contexts = softmax_loss(jnp.mean(around, axis=0), contexts, target)
    return loss, jnp.broadcast_to(d_h / len(around), around.shape), d_contexts


def negative_sampling_loss(h: Array, positive: Array, negatives: Array) -> tuple[Array, Array, Array, Array]:
    """Compute the loss of negative sampling and its gradients ``d h`` ``[D]``, ``d c`` ``[D]`` and ``d n`` ``[K, D]``.

    >>> loss, d_h, d_c, d_n = negative_sampling_loss(jnp.zeros(1), jnp.ones(1), jnp.full((1, 1), 3.0))
    >>> round(float(loss), 4), d_h.tolist()
    (1.3863, [1.0])
    """
    right, wrong = h @ positive, negatives @ h
    loss = jnp.logaddexp(0, -right) + jnp.sum(jnp.logaddexp(0, wrong))
    d_right, d_wrong = -1 / (1 + jnp.exp(right)), 1 / (1 + jnp.exp(-wrong))
    return loss, d_right * positive + d_wrong @ negatives, d_right * h, d_wrong[:, None] * h[None, :]


def margin_loss(h: Array, positive: Array, negatives: Array, margin: float = 1.0) -> tuple[Array, Array, Array, Array]:
    """Compute the contrastive loss and its gradients ``d h`` ``[D]``, ``d c`` ``[D]`` and ``d n`` ``[K, D]``.

    >>> loss, d_h, d_c, d_n = margin_loss(jnp.ones(1), jnp.array([2.0]), jnp.array([[0.5], [1.5]]))
    >>> float(loss), d_h.tolist(), d_n.tolist()
    (0.5, [-0.5], [[0.0], [1.0]])
    """
    slack = margin + negatives @ h - h @ positive
    d_wrong = (slack > 0).astype(h.dtype)
    d_right = -jnp.sum(d_wrong)
    loss = jnp.sum(jnp.maximum(0, slack))
    return loss, d_right * positive + d_wrong @ negatives, d_right * h, d_wrong[:, None] * h[None, :]


def hierarchical_softmax_loss(h: Array, node_vectors: Array, codes: Array) -> tuple[Array, Array, Array]:
    """Compute ``-ln p(w | h)`` along the way to a word, ``d h`` ``[D]`` and ``d v`` ``[L, D]``.

    Args:
        h: hidden vector, ``[D]``.
        node_vectors: ``v_(n_l)``, ``[L, D]``.
        codes: ``d_l``, ``[L]``.
    """
    s = node_vectors @ h
    loss = jnp.sum(jnp.logaddexp(0, -(1 - 2 * codes) * s))
    d_s = 1 / (1 + jnp.exp(-s)) - (1 - codes)
    return loss, d_s @ node_vectors, d_s[:, None] * h[None, :]


def glove_loss(
    word: Array, context: Array, word_bias: Array, context_bias: Array, log_count: Array, weight: Array
) -> tuple[Array, Array, Array, Array]:
    """Compute GloVe's loss of one pair, ``d w`` ``[D]``, ``d c`` ``[D]``, and the common gradient of both biases."""
    error = word @ context + word_bias + context_bias - log_count
    d_s = weight * error
    return weight * error**2 / 2, d_s * context, d_s * word, d_s
