"""Curves over all thresholds of a score."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxdl.arrays import to_floating, widen
from jaxdl.checks import check_in_range
from jaxdl.metrics._shared import broadcast_mask, check_pair
from jaxdl.typing import Array, ArrayLike


class RocCurve(NamedTuple):
    """A receiver operating characteristic: ``false_positive_rate`` on x, ``true_positive_rate`` on y."""

    false_positive_rate: Array
    true_positive_rate: Array
    thresholds: Array


def roc_curve(scores: ArrayLike, labels: ArrayLike, *, mask: ArrayLike | None = None) -> RocCurve:
    """Compute the rates of every threshold ``t``, with ``score >= t`` predicted positive, from infinity downwards.

    ``FPR = FP / (FP + TN)`` and ``TPR = TP / (TP + FN)``. The shape does not depend on the values: equal scores repeat
    their common point, and masked ones the last point. The area under the curve is ``auc``.

    Args:
        scores: ``[N]``, larger for likelier positives.
        labels: 1 positive, 0 negative, ``[N]``.
        mask: weights ``[N]``.

    Returns:
        Three arrays ``[N + 1]``; rates are nan if a class is absent, and all are nan if an unmasked score is.

    Raises:
        ValueError: the shapes differ or are not ``[N]``.

    >>> curve = jax.jit(roc_curve)(jnp.array([0.1, 0.4, 0.35, 0.8]), jnp.array([0, 0, 1, 1]))
    >>> curve.false_positive_rate.tolist(), curve.true_positive_rate.tolist()
    ([0.0, 0.0, 0.5, 0.5, 1.0], [0.0, 0.5, 0.5, 1.0, 1.0])
    """
    scores, positive, negative = _split_weights(scores, labels, mask)
    if mask is not None:
        lowest = jnp.min(jnp.where(positive + negative > 0, scores, jnp.inf))
        scores = jnp.where(positive + negative > 0, scores, lowest)
    order = jnp.argsort(scores, descending=True)
    scores = scores[order]
    _, last = _ties(scores)

    def rate(weights: Array) -> Array:
        return jnp.insert(jnp.cumsum(weights[order])[last], 0, 0) / jnp.sum(weights)

    curve = RocCurve(rate(negative), rate(positive), jnp.insert(scores, 0, jnp.inf))
    return jax.tree.map(lambda values: jnp.where(jnp.any(jnp.isnan(scores)), jnp.nan, values), curve)


def auc(scores: ArrayLike, labels: ArrayLike, *, mask: ArrayLike | None = None) -> Array:
    """Return the area under the ROC curve, the probability that a positive example scores above a negative one.

    It is the statistic of Mann and Whitney (1947), ``P(s+ > s-) + P(s+ = s-) / 2``, computed by ranks.

    Arguments and errors as in ``roc_curve``; nan if a class is absent or an unmasked score is nan.

    >>> float(jax.jit(auc)(jnp.array([0.1, 0.4, 0.35, 0.8]), jnp.array([0, 0, 1, 1])))
    0.75
    """
    scores, positive, negative = _split_weights(scores, labels, mask)
    order = jnp.argsort(scores)
    first, last = _ties(scores[order])
    positive, negative = positive[order], negative[order]
    not_above = jnp.cumsum(negative)
    below = not_above - negative
    area = jnp.sum(positive * (below[first] + not_above[last]) / 2) / (jnp.sum(positive) * jnp.sum(negative))
    return jnp.where(jnp.any(jnp.isnan(scores)), jnp.nan, area)


def choose_threshold(curve: RocCurve, *, sensitivity: float | None = None, specificity: float | None = None) -> Array:
    """Choose the threshold ``t`` of a classifier ``score >= t``.

    Without a target it maximizes ``J = sensitivity + specificity - 1`` (Youden, 1950). With a target for the
    sensitivity it is the highest threshold that reaches it, for the specificity the lowest. It is nan where the rates
    that it depends on are.

    Args:
        curve: from ``roc_curve``.
        sensitivity: the smallest sensitivity, from 0 to 1.
        specificity: the smallest specificity, from 0 to 1.

    Raises:
        ValueError: two targets are given.

    >>> curve = jax.jit(roc_curve)(jnp.array([0.1, 0.4, 0.35, 0.8]), jnp.array([0, 0, 1, 1]))
    >>> [round(float(choose_threshold(curve, **by)), 2) for by in ({}, {"sensitivity": 0.9}, {"specificity": 0.5})]
    [0.8, 0.35, 0.35]
    """
    if sensitivity is not None and specificity is not None:
        raise ValueError(
            f"expected one target, got sensitivity {sensitivity} and specificity {specificity}; leave one of them out"
        )
    rounding = 4 * jnp.finfo(curve.true_positive_rate.dtype).eps
    if sensitivity is not None:
        rates = curve.true_positive_rate
        index = jnp.argmax(rates >= sensitivity - rounding)
    elif specificity is not None:
        rates = curve.false_positive_rate
        index = jnp.max(jnp.where(1 - rates >= specificity - rounding, jnp.arange(rates.size), 0))
    else:
        rates = curve.true_positive_rate - curve.false_positive_rate
        index = jnp.argmax(rates)
    return jnp.where(jnp.any(jnp.isnan(rates)), jnp.nan, curve.thresholds[index])


def expected_costs(
    curve: RocCurve, *, false_negative: ArrayLike, false_positive: ArrayLike, prevalence: ArrayLike
) -> Array:
    """Compute the expected cost of an example at every threshold.

    ``cost = q c_fn (1 - TPR) + (1 - q) c_fp FPR`` with the prevalence ``q``.

    Args:
        curve: from ``roc_curve``.
        false_negative: ``c_fn``, the cost of a positive example that is predicted negative, at least 0.
        false_positive: ``c_fp``, that of a negative example that is predicted positive, at least 0.
        prevalence: ``q``, the share of positive examples where the classifier is used, from 0 to 1.

    Returns:
        ``[N + 1]``.

    Raises:
        ValueError: a cost is negative, or the prevalence is outside of [0, 1].

    >>> curve = roc_curve(jnp.array([0.1, 0.4, 0.35, 0.8]), jnp.array([0, 0, 1, 1]))
    >>> expected_costs(curve, false_negative=10.0, false_positive=1.0, prevalence=0.5).tolist()
    [5.0, 2.5, 2.75, 0.25, 0.5]
    """
    for name, value in (("false_negative", false_negative), ("false_positive", false_positive)):
        check_in_range(name, value)
    check_in_range("prevalence", prevalence, 0.0, 1.0)
    q, c_fn, c_fp = jnp.asarray(prevalence), jnp.asarray(false_negative), jnp.asarray(false_positive)
    return q * c_fn * (1 - curve.true_positive_rate) + (1 - q) * c_fp * curve.false_positive_rate


def cheapest_threshold(
    curve: RocCurve, *, false_negative: ArrayLike, false_positive: ArrayLike, prevalence: ArrayLike
) -> Array:
    """Choose the threshold ``t`` of a classifier ``score >= t`` that has the least of `expected_costs`.

    Where scores are true probabilities it is near ``c_fp / (c_fp + c_fn)``: a missed disease that costs four times as
    much as a needless examination is worth a threshold of 0.2. It is nan where the rates are.

    Arguments and errors as in `expected_costs`.

    >>> curve = roc_curve(jnp.array([0.1, 0.4, 0.35, 0.8]), jnp.array([0, 0, 1, 1]))
    >>> round(float(cheapest_threshold(curve, false_negative=10.0, false_positive=1.0, prevalence=0.5)), 2)
    0.35
    """
    costs = expected_costs(curve, false_negative=false_negative, false_positive=false_positive, prevalence=prevalence)
    return jnp.where(jnp.any(jnp.isnan(costs)), jnp.nan, curve.thresholds[jnp.argmin(costs)])


def _split_weights(scores: ArrayLike, labels: ArrayLike, mask: ArrayLike | None) -> tuple[Array, Array, Array]:
    """Check scores and labels ``[N]``; return the scores and the weights of the positives and of the negatives."""
    scores, labels = check_pair("scores", to_floating(scores), labels)
    if scores.ndim != 1 or scores.size == 0:
        raise ValueError(f"expected scores and labels [N] with N >= 1, got shape {scores.shape}")
    scores = jnp.where(jnp.isnan(labels), jnp.nan, widen(scores))  # a label of nan leaves no order either
    weights = jnp.ones_like(scores) if mask is None else broadcast_mask(mask, scores.shape).astype(scores.dtype)
    is_positive = labels > 0
    return (
        jnp.where(weights != 0, scores, 0),
        jnp.where(is_positive, weights, 0),
        jnp.where(is_positive, 0, weights),
    )


def _ties(ranked: Array) -> tuple[Array, Array]:
    """Return, for every index of a sorted array, the first and the last index of an equal element."""
    indices = jnp.arange(ranked.size)
    changes = ranked[1:] != ranked[:-1]
    first = jax.lax.cummax(jnp.where(jnp.insert(changes, 0, True), indices, 0))
    last = jax.lax.cummin(jnp.where(jnp.append(changes, True), indices, ranked.size), reverse=True)
    return first, last
