"""Losses of logits and probabilities."""

import jax
import jax.numpy as jnp

from jaxdl.arrays import widen_floating
from jaxdl.checks import check_in_range, is_zero
from jaxdl.losses._shared import pick, prepare, prepare_classes, reduce, weighted
from jaxdl.typing import Array, ArrayLike


def binary_cross_entropy(
    logits: ArrayLike,
    targets: ArrayLike,
    *,
    mask: ArrayLike | None = None,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> Array:
    """Return ``-y ln p - (1 - y) ln(1 - p)`` with ``p = sigmoid(logits)``, averaged over all elements.

    The logarithms are computed as ``-ln(1 + e^-z)`` and ``-ln(1 + e^z)``, which neither overflow nor cancel; ``0 ln 0``
    is 0, so an infinite logit has a loss of 0 where it is right and of infinity where it is wrong. The outputs are
    independent binary labels; for one class of K, see ``cross_entropy``. Label smoothing replaces ``y`` by
    ``(1 - e) y + e / 2``.

    Args:
        logits: ``z``, ``[...]``.
        targets: ``y``, probabilities of the same shape.
        mask: weights over the leading dimensions.
        label_smoothing: ``e``, from 0 to 1.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Raises:
        ValueError: the shapes differ, the mask does not match, or the smoothing or the reduction is invalid.

    >>> binary_cross_entropy(jnp.array([0.0, 1e4]), jnp.array([1.0, 0.0]), reduction="none").round(4).tolist()
    [0.693..., 10000.0]
    """
    z, y, weights = prepare(widen_floating(logits), widen_floating(targets), mask)
    _check_smoothing(label_smoothing)
    y = (1 - label_smoothing) * y + label_smoothing / 2
    likelihood = weighted(y, jax.nn.log_sigmoid(z)) + weighted(1 - y, jax.nn.log_sigmoid(-z))
    return reduce(-likelihood, weights, reduction)


def cross_entropy(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    mask: ArrayLike | None = None,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> Array:
    """Return the softmax cross-entropy ``-sum_k y_k ln p_k`` with ``p = softmax(logits)``.

    It is computed as ``sum_k y_k (logsumexp(logits) - logits_k)``, which is finite for every finite logit. A logit of
    minus infinity is a class of probability 0. One of plus infinity, of a network that has diverged, gives nan for its
    own class and infinity for the others; torch gives nan for all. Label smoothing replaces ``y`` by
    ``(1 - e) y + e / K`` (Szegedy et al., 2016). Class weights are a mask: ``mask=class_weights[labels]``.

    Args:
        logits: ``[..., K]``.
        labels: class indices ``[...]`` (integers, or Booleans for two classes), or probabilities ``[..., K]`` (floats).
            An unmasked class index outside of ``0 .. K - 1`` is an error, and gives nan where it is traced.
        mask: weights ``[...]`` over the leading dimensions.
        label_smoothing: ``e``, from 0 to 1.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Raises:
        ValueError: the shapes do not match, a label is no class, or the smoothing or the reduction is invalid.

    >>> float(cross_entropy(jnp.array([[0.0, 0.0]]), jnp.array([1])))
    0.693147...
    """
    z, y, weights = prepare_classes("logits", logits, labels, mask)
    _check_smoothing(label_smoothing)
    log_p = z - jax.nn.logsumexp(z, axis=-1, keepdims=True)
    loss = -pick(log_p, y)
    if not is_zero(label_smoothing):
        share = jnp.asarray(label_smoothing, loss.dtype)
        loss = (1 - share) * loss - weighted(share, jnp.mean(log_p, axis=-1))
    return reduce(loss, weights, reduction)


def negative_log_likelihood(
    log_probabilities: ArrayLike, labels: ArrayLike, *, mask: ArrayLike | None = None, reduction: str = "mean"
) -> Array:
    """Return ``-sum_k y_k ln p_k`` of log-probabilities ``ln p``: minus the log-likelihood of the labels.

    Arguments and errors as in ``cross_entropy``, with log-probabilities ``[..., K]`` in place of logits.

    >>> float(negative_log_likelihood(jnp.log(jnp.array([[0.4, 0.6]])), jnp.array([1])))
    0.5108...
    """
    log_p, y, weights = prepare_classes("log_probabilities", log_probabilities, labels, mask)
    return reduce(-pick(log_p, y), weights, reduction)


def categorical_cross_entropy(
    probabilities: ArrayLike, labels: ArrayLike, *, mask: ArrayLike | None = None, reduction: str = "mean"
) -> Array:
    """Return ``-sum_k y_k ln p_k`` of probabilities ``p``; of logits, ``cross_entropy`` is more accurate.

    A label of probability 0 gives infinity. Arguments and errors as in ``cross_entropy``, with probabilities
    ``[..., K]`` in place of logits.

    >>> float(categorical_cross_entropy(jnp.array([[0.4, 0.6]]), jnp.array([1])))
    0.5108...
    """
    p, y, weights = prepare_classes("probabilities", probabilities, labels, mask)
    if jnp.issubdtype(y.dtype, jnp.integer):
        likelihood = pick(p, y) if weights is None else jnp.where(weights != 0, pick(p, y), 1)
        return reduce(-jnp.log(likelihood), weights, reduction)
    return reduce(-jnp.sum(y * jnp.log(jnp.where(y != 0, p, 1)), axis=-1), weights, reduction)


def _check_smoothing(label_smoothing: float) -> None:
    check_in_range("label_smoothing", label_smoothing, 0, 1)
