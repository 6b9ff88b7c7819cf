"""Linear-chain conditional random fields (Lafferty et al., 2001): a distribution over the labels of a whole sequence.

With scores ``e`` of every label at every step, ``A`` of successive labels, ``f`` of the first and ``l`` of the last,

    s(y)   = f[y_1] + sum_t e_t[y_t] + sum_t A[y_(t-1), y_t] + l[y_T]
    p(y|x) = exp(s(y)) / Z       Z = sum of exp(s(y)) over all K^T sequences, in T K^2 operations

Scores of -inf forbid a label or a transition. Steps from a sequence's length on are padding and do not count, whatever
their scores; a sequence of length 0 has one labelling, the empty one.

Dimensions: ``B`` batch, ``T`` steps, ``K`` labels.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxdl.arrays import widen_floating, widen_integers
from jaxdl.checks import check_indices
from jaxdl.nn.recurrent.inputs import valid_steps
from jaxdl.typing import Array, ArrayLike


class Chain(NamedTuple):
    """The scores of a linear-chain conditional random field.

    Attributes:
        emissions: ``e``, ``[B, T, K]``.
        transitions: ``A``, ``[K, K]``, from the label in the row to that in the column.
        first: ``f``, ``[K]``.
        last: ``l``, ``[K]``.
    """

    emissions: Array
    transitions: Array
    first: Array
    last: Array


def crf_score(chain: Chain, labels: ArrayLike, lengths: ArrayLike | None = None) -> Array:
    """Compute the score ``s(y)`` of labels ``[B, T]``, ``[B]``.

    Args:
        chain: the scores.
        labels: ``[B, T]``; those in the padding may be anything. The score of a traced label outside of ``0 .. K - 1``
            is nan.
        lengths: ``[B]``; None for ``T``.

    Raises:
        ValueError: shapes do not match, or a label is known to be outside of ``0 .. K - 1``.
        TypeError: the labels are not integers.

    >>> chain = Chain(jnp.array([[[1.0, 2.0], [3.0, 5.0]]]), jnp.array([[0.0, 10.0], [0.0, 0.0]]), *jnp.zeros((2, 2)))
    >>> crf_score(chain, jnp.array([[0, 1]])).tolist()
    [16.0]
    """
    chain, valid = _prepare(chain, lengths)
    labels = jnp.asarray(labels)
    if labels.shape != valid.shape:
        raise ValueError(f"expected labels [B, T] = {valid.shape}, got {labels.shape}")
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise TypeError(f"expected integer labels, got {labels.dtype}")
    labels = jnp.where(valid, widen_integers(labels), 0)
    size = chain.emissions.shape[-1]
    check_indices("labels", labels, size)
    labels = jnp.where((labels >= 0) & (labels < size), labels, size)  # NaN, where they are traced
    emitted = jnp.take_along_axis(chain.emissions, labels[..., None], axis=-1)[..., 0]  # [B, T]
    moved = chain.transitions[labels[:, :-1], labels[:, 1:]]  # [B, T - 1]
    end = jnp.maximum(jnp.sum(valid, axis=1) - 1, 0)
    ends = chain.first[labels[:, 0]] + chain.last[jnp.take_along_axis(labels, end[:, None], axis=1)[:, 0]]
    total = jnp.sum(jnp.where(valid, emitted, 0), axis=1) + jnp.sum(jnp.where(valid[:, 1:], moved, 0), axis=1)
    return jnp.where(valid[:, 0], total + ends, 0)


def crf_log_partition(chain: Chain, lengths: ArrayLike | None = None) -> Array:
    """Compute ``log Z``, ``[B]``, by the forward algorithm.

    Raises:
        ValueError: shapes do not match.

    >>> crf_log_partition(Chain(jnp.zeros((1, 3, 2)), jnp.zeros((2, 2)), *jnp.zeros((2, 2)))).tolist()  # log 2^3
    [2.079...]
    """
    chain, valid = _prepare(chain, lengths)

    def step(alpha: Array, inputs: tuple[Array, Array]) -> tuple[Array, None]:
        emission, is_valid = inputs
        following = jax.nn.logsumexp(alpha[:, :, None] + chain.transitions[None], axis=1) + emission
        return jnp.where(is_valid[:, None], following, alpha), None

    alpha = chain.first[None] + chain.emissions[:, 0]  # [B, K]: log sum of exp(s) of all prefixes with last label k
    alpha, _ = jax.lax.scan(step, alpha, (jnp.swapaxes(chain.emissions, 0, 1)[1:], valid.T[1:]))
    return jnp.where(valid[:, 0], jax.nn.logsumexp(alpha + chain.last[None], axis=-1), 0)


def crf_log_likelihood(chain: Chain, labels: ArrayLike, lengths: ArrayLike | None = None) -> Array:
    """Compute ``log p(y|x) = s(y) - log Z`` of labels ``[B, T]``, ``[B]``; the arguments are those of `crf_score`."""
    chain, _ = _prepare(chain, lengths)
    # p does not change where a number is added to all scores of a step; small ones leave the difference its digits.
    largest = jax.lax.stop_gradient(jnp.max(chain.emissions, axis=-1, keepdims=True))
    chain = chain._replace(emissions=chain.emissions - jnp.where(jnp.isfinite(largest), largest, 0))
    return crf_score(chain, labels, lengths) - crf_log_partition(chain, lengths)


def crf_marginals(chain: Chain, lengths: ArrayLike | None = None) -> Array:
    """Compute the probabilities ``p(y_t = k|x)``, ``[B, T, K]``, as the gradient of ``log Z``; 0 in the padding.

    >>> chain = Chain(jnp.zeros((1, 2, 2)), jnp.array([[0.0, -jnp.inf], [0.0, 0.0]]), *jnp.zeros((2, 2)))
    >>> crf_marginals(chain)[0, :, 0].tolist()
    [0.333..., 0.666...]
    """
    return jax.grad(lambda e: jnp.sum(crf_log_partition(chain._replace(emissions=e), lengths)))(
        widen_floating(chain.emissions)
    )


def viterbi(chain: Chain, lengths: ArrayLike | None = None) -> tuple[Array, Array]:
    """Find the most probable labels, by the algorithm of Viterbi (1967).

    Returns:
        The labels ``[B, T]``, 0 in the padding, and their score ``[B]``.

    Raises:
        ValueError: shapes do not match.

    >>> labels, score = viterbi(Chain(jnp.array([[[1.0, 0.0], [0.0, 3.0]]]), jnp.zeros((2, 2)), *jnp.zeros((2, 2))))
    >>> labels.tolist(), score.tolist()
    ([[0, 1]], [4.0])
    """
    chain, valid = _prepare(chain, lengths)
    same = jnp.arange(chain.emissions.shape[-1])[None]

    def forward(best: Array, inputs: tuple[Array, Array]) -> tuple[Array, Array]:
        emission, is_valid = inputs
        scores = best[:, :, None] + chain.transitions[None]  # [B, K, K]
        following = jnp.max(scores, axis=1) + emission
        previous = jnp.where(is_valid[:, None], jnp.argmax(scores, axis=1), same)
        return jnp.where(is_valid[:, None], following, best), previous

    def backward(label: Array, inputs: tuple[Array, Array]) -> tuple[Array, Array]:
        previous, is_valid = inputs
        before = jnp.take_along_axis(previous, label[:, None], axis=1)[:, 0]
        return before, jnp.where(is_valid, label, 0)

    best = chain.first[None] + chain.emissions[:, 0]  # [B, K]: the best score of all prefixes with last label k
    best, previous = jax.lax.scan(forward, best, (jnp.swapaxes(chain.emissions, 0, 1)[1:], valid.T[1:]))
    best = best + chain.last[None]
    label, labels = jax.lax.scan(backward, jnp.argmax(best, axis=-1), (previous, valid.T[1:]), reverse=True)
    labels = jnp.concatenate([jnp.where(valid[:, 0], label, 0)[:, None], labels.T], axis=1)
    return labels.astype(jnp.int32), jnp.where(valid[:, 0], jnp.max(best, axis=-1), 0)


def _prepare(chain: Chain, lengths: ArrayLike | None) -> tuple[Chain, Array]:
    """Return the scores, those of the padding cleared, and the mask of valid steps ``[B, T]``."""
    emissions, *rest = (widen_floating(scores) for scores in chain)
    labels = emissions.shape[-1:]
    if emissions.ndim != 3 or not emissions.shape[1] or [x.shape for x in rest] != [2 * labels, labels, labels]:
        raise ValueError(
            "expected emissions [B, T, K] with T >= 1, transitions [K, K], first [K] and last [K], got "
            f"{', '.join(str(jnp.shape(scores)) for scores in chain)}"
        )
    shape = emissions.shape[:2]
    if lengths is not None and jnp.shape(lengths) != shape[:1]:
        raise ValueError(f"expected lengths {shape[:1]}, one for each sequence, got {jnp.shape(lengths)}")
    valid = jnp.ones(shape, bool) if lengths is None else valid_steps(lengths, shape[1])
    return Chain(jnp.where(valid[..., None], emissions, 0), *rest), valid
