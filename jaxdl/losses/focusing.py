"""Focal losses, cross-entropies in which examples that are already right count less (Lin et al., 2017)."""

import jax
import jax.numpy as jnp

from jaxdl.arrays import widen_floating
from jaxdl.checks import check_in_range
from jaxdl.losses._shared import pick, prepare, prepare_classes, reduce, weighted
from jaxdl.typing import Array, ArrayLike


def focal(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    gamma: float = 2.0,
    mask: ArrayLike | None = None,
    reduction: str = "mean",
) -> Array:
    """Return ``-sum_k y_k (1 - p_k)^gamma ln p_k`` with ``p = softmax(logits)``.

    ``gamma = 0`` is the cross-entropy. Class weights, the paper's ``alpha``, are a mask: ``mask=alpha[labels]``, with
    ``reduction="sum"`` where the weights shall not divide.

    Args:
        logits: ``[..., K]``.
        labels: class indices ``[...]`` or probabilities ``[..., K]``, as in `cross_entropy`.
        gamma: exponent, at least 0.
        mask: weights ``[...]`` over the leading dimensions.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Raises:
        ValueError: the shapes do not match, a label is no class, or the exponent or the reduction is invalid.

    >>> losses = focal(jnp.array([[0.0, 0.0], [3.0, 0.0]]), jnp.array([0, 0]), reduction="none")
    >>> print(*(f"{loss:.4f}" for loss in losses))  # the cross-entropies are 0.6931 and 0.0486
    0.1733 0.0001
    """
    z, y, weights = prepare_classes("logits", logits, labels, mask)
    check_in_range("gamma", gamma)
    log_p = z - jax.nn.logsumexp(z, axis=-1, keepdims=True)
    if jnp.issubdtype(y.dtype, jnp.integer):
        log_p = pick(log_p, y)
        return reduce(-_power(-jnp.expm1(log_p), gamma) * log_p, weights, reduction)
    log_p = jnp.where((y == 0) & jnp.isinf(log_p), 0, log_p)
    return reduce(-jnp.sum(y * _power(-jnp.expm1(log_p), gamma) * log_p, axis=-1), weights, reduction)


def sigmoid_focal(
    logits: ArrayLike,
    targets: ArrayLike,
    *,
    alpha: float | None = 0.25,
    gamma: float = 2.0,
    mask: ArrayLike | None = None,
    reduction: str = "mean",
) -> Array:
    """Return the focal loss of independent binary labels, with ``p = sigmoid(logits)``::

        L = -a_t (1 - p_t)^gamma (y ln p + (1 - y) ln(1 - p))
        p_t = y p + (1 - y) (1 - p)         a_t = y alpha + (1 - y) (1 - alpha)

    Detectors divide its sum over all places by the number of objects: ``reduction="sum"``.

    Args:
        logits: ``[...]``.
        targets: ``y``, probabilities of the same shape.
        alpha: weight of positive labels, from 0 to 1, with ``1 - alpha`` for negative ones; None for no weights.
        gamma: exponent, at least 0.
        mask: weights over the leading dimensions.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Raises:
        ValueError: the shapes differ, the mask does not match, or a number or the reduction is invalid.

    >>> losses = sigmoid_focal(jnp.array([0.0, -3.0]), jnp.array([1.0, 0.0]), reduction="none")
    >>> print(*(f"{loss:.4f}" for loss in losses))
    0.0433 0.0001
    """
    z, y, weights = prepare(widen_floating(logits), widen_floating(targets), mask)
    check_in_range("gamma", gamma)
    likelihood = weighted(y, jax.nn.log_sigmoid(z)) + weighted(1 - y, jax.nn.log_sigmoid(-z))
    wrong = y * jax.nn.sigmoid(-z) + (1 - y) * jax.nn.sigmoid(z)
    losses = -_power(wrong, gamma) * likelihood
    if alpha is not None:
        check_in_range("alpha", alpha, 0, 1)
        losses = losses * (alpha * y + (1 - alpha) * (1 - y))
    return reduce(losses, weights, reduction)


def _power(share: Array, exponent: float) -> Array:
    """Return ``share^exponent``; its gradient at 0, infinite for exponents below 1, is 0."""
    return jnp.where(share > 0, jnp.where(share > 0, share, 1) ** exponent, 0.0**exponent)
