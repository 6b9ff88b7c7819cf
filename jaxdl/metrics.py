"""Metrics: what is measured, not minimised; pure functions with masks, that run under ``jit``.

Precision, recall and their kin are ratios of counts in a confusion matrix, so a matrix is summed over batches and a
ratio taken once at the end. A ROC curve and its area need all scores at once.
"""

from typing import NamedTuple, Self

import jax
import jax.numpy as jnp

from jaxdl.arrays import fit_mask, widen, widen_integers
from jaxdl.typing import Array, ArrayLike


class Mean(NamedTuple):
    """A mean that grows: a weighted total and the sum of the weights.

    >>> mean(jnp.array([1.0, 2.0])).merge(mean(jnp.array([6.0]))).value.item()
    3.0
    """

    total: Array
    count: Array

    def merge(self, other: "Mean") -> Self:
        """Add what another mean has seen."""
        return self._replace(total=self.total + other.total, count=self.count + other.count)

    @property
    def value(self) -> Array:
        """The mean; nan where nothing was counted."""
        return self.total / self.count


def mean(values: ArrayLike, mask: ArrayLike | None = None) -> Mean:
    """Start a mean over every number of ``values``.

    Args:
        values: ``[...]``.
        mask: weights over the leading dimensions, 1 counts and 0 does not.

    Raises:
        ValueError: the mask does not fit the leading dimensions of the values.
    """
    values = widen(values)
    if mask is None:
        return Mean(jnp.sum(values), jnp.asarray(values.size, values.dtype))
    weights = _weights(mask, values.shape).astype(values.dtype)
    return Mean(jnp.sum(jnp.where(weights != 0, values, 0) * weights), jnp.sum(weights))


def correct(logits: ArrayLike, labels: ArrayLike) -> Array:
    """Say for every example, 1.0 or 0.0, whether the largest logit is the label's; of equal ones the first counts.

    Args:
        logits: ``[..., K]``.
        labels: class numbers ``[...]``.

    Raises:
        ValueError: the shapes do not belong together.

    >>> correct(jnp.array([[1.0, 3.0], [2.0, 0.0]]), jnp.array([1, 1])).tolist()
    [1.0, 0.0]
    """
    logits, labels = _logits_and_labels(logits, labels)
    return (jnp.argmax(logits, axis=-1) == labels).astype(jnp.float32)


def top_k_correct(logits: ArrayLike, labels: ArrayLike, k: int) -> Array:
    """Say for every example, 1.0 or 0.0, whether the label's logit is among the ``k`` largest.

    Of equal logits the first classes count as the larger; logits that are not numbers are larger than all others, so
    a network that has diverged is not right by accident.

    Args:
        logits: ``[..., K]``.
        labels: class numbers ``[...]``.
        k: how many guesses are allowed, from 1 to ``K``.

    Raises:
        ValueError: the shapes do not belong together, or there are fewer than ``k`` classes.

    >>> top_k_correct(jnp.array([[1.0, 3.0, 2.0]] * 3), jnp.array([0, 1, 2]), k=2).tolist()
    [0.0, 1.0, 1.0]
    """
    logits, labels = _logits_and_labels(logits, labels)
    if not 1 <= k <= logits.shape[-1]:
        raise ValueError(f"k must lie between 1 and the number of classes, {logits.shape[-1]}; got {k}")
    classes = jax.lax.broadcasted_iota(labels.dtype, logits.shape, logits.ndim - 1)
    labels = labels[..., None]
    own = jnp.sum(jnp.where(classes == labels, logits, 0), axis=-1, keepdims=True)
    ahead = jnp.where(classes < labels, ~(logits < own), ~(logits <= own)) & (classes != labels)
    exists = (labels >= 0) & (labels < logits.shape[-1])
    return (exists[..., 0] & (jnp.sum(ahead, axis=-1) < k)).astype(jnp.float32)


def accuracy(logits: ArrayLike, labels: ArrayLike, *, mask: ArrayLike | None = None) -> Array:
    """Return the share of examples whose largest logit is the label's; see ``correct``."""
    return mean(correct(logits, labels), mask).value


def top_k_accuracy(logits: ArrayLike, labels: ArrayLike, k: int, *, mask: ArrayLike | None = None) -> Array:
    """Return the share of examples whose label is among the ``k`` largest logits; see ``top_k_correct``."""
    return mean(top_k_correct(logits, labels, k), mask).value


def confusion_matrix(
    predictions: ArrayLike, labels: ArrayLike, num_classes: int, *, mask: ArrayLike | None = None
) -> Array:
    """Count ``C[i, j]``, the examples of class ``i`` that were taken for class ``j``: rows true, columns predicted.

    Args:
        predictions: class numbers ``[...]``.
        labels: class numbers ``[...]``. A pair with a number outside ``0 .. K - 1`` is not counted.
        num_classes: ``K``.
        mask: weights ``[...]``, 1 counts and 0 does not; without fractions the counts are integers.

    Returns:
        The matrix ``[K, K]``.

    Raises:
        ValueError: the shapes differ or the mask does not fit.

    >>> confusion_matrix(jnp.array([0, 1, 1]), jnp.array([0, 0, 1]), 2).tolist()
    [[1, 1], [0, 1]]
    """
    predictions, labels = _pair("predictions", predictions, labels)
    exists = (predictions >= 0) & (predictions < num_classes) & (labels >= 0) & (labels < num_classes)
    weights = exists.astype(jnp.int32)
    if mask is not None:
        floating = jnp.issubdtype(jnp.asarray(mask).dtype, jnp.floating)
        fitted = _weights(mask, labels.shape)
        weights = weights * (fitted if floating else fitted.astype(jnp.int32))
    matrix = jnp.zeros((num_classes, num_classes), weights.dtype)
    return matrix.at[labels.reshape(-1), predictions.reshape(-1)].add(weights.reshape(-1), mode="drop")


class Counts(NamedTuple):
    """One class against all others: what was said of how many examples, ``[..., K]`` each."""

    true_positive: Array
    false_positive: Array
    false_negative: Array
    true_negative: Array


def counts(matrix: ArrayLike) -> Counts:
    """Read the four counts of every class from a confusion matrix ``[..., K, K]``.

    Raises:
        ValueError: the matrix is not square.

    >>> [int(count[1]) for count in counts(jnp.array([[5, 1], [2, 4]]))]
    [4, 1, 2, 5]
    """
    matrix = jnp.asarray(matrix)
    if matrix.ndim < 2 or matrix.shape[-1] != matrix.shape[-2]:
        raise ValueError(f"a confusion matrix has the shape [..., K, K]; got {matrix.shape}")
    true_positive = jnp.diagonal(matrix, axis1=-2, axis2=-1)
    false_positive = jnp.sum(matrix, axis=-2) - true_positive
    false_negative = jnp.sum(matrix, axis=-1) - true_positive
    total = jnp.sum(matrix, axis=(-2, -1))[..., None]
    true_negative = total - true_positive - false_positive - false_negative
    return Counts(true_positive, false_positive, false_negative, true_negative)


def precision(matrix: ArrayLike, average: str | None = None) -> Array:
    """Return ``TP / (TP + FP)``: of what was called positive, the share that is.

    Args:
        matrix: a confusion matrix ``[..., K, K]``, rows true.
        average: None gives one value a class, ``[..., K]``; ``"macro"`` their mean, ``"weighted"`` their mean weighted
            by the examples of each class, ``"micro"`` the ratio of the summed counts. 0 / 0 counts as 0.

    Raises:
        ValueError: the matrix is not square, or the average is unknown.

    >>> precision(jnp.array([[5, 1], [0, 4]])).round(3).tolist()
    [1.0, 0.800...]
    """
    c = counts(matrix)
    return _ratio(c.true_positive, c.true_positive + c.false_positive, c, average)


def recall(matrix: ArrayLike, average: str | None = None) -> Array:
    """Return ``TP / (TP + FN)``: of what is positive, the share that was found. Arguments as in ``precision``."""
    c = counts(matrix)
    return _ratio(c.true_positive, c.true_positive + c.false_negative, c, average)


def sensitivity(matrix: ArrayLike, average: str | None = None) -> Array:
    """Return ``TP / (TP + FN)``: of the ill, the share that was diagnosed; another name of ``recall``."""
    return recall(matrix, average)


def specificity(matrix: ArrayLike, average: str | None = None) -> Array:
    """Return ``TN / (TN + FP)``: of the healthy, the share that was cleared. Arguments as in ``precision``."""
    c = counts(matrix)
    return _ratio(c.true_negative, c.true_negative + c.false_positive, c, average)


def f1(matrix: ArrayLike, average: str | None = None) -> Array:
    """Return ``2 TP / (2 TP + FP + FN)``, the harmonic mean of precision and recall. Arguments as in ``precision``."""
    c = counts(matrix)
    return _ratio(2 * c.true_positive, 2 * c.true_positive + c.false_positive + c.false_negative, c, average)


class RocCurve(NamedTuple):
    """A receiver operating characteristic: ``false_positive_rate`` goes on x, ``true_positive_rate`` on y."""

    false_positive_rate: Array
    true_positive_rate: Array
    thresholds: Array


def roc_curve(scores: ArrayLike, labels: ArrayLike, *, mask: ArrayLike | None = None) -> RocCurve:
    """Rate every threshold ``t``, by which ``score >= t`` is called positive, from infinity downwards.

    ``FPR = FP / (FP + TN)`` and ``TPR = TP / (TP + FN)``. The shape does not depend on the values: scores that are
    equal repeat their common point, and masked ones repeat the last. The area under the curve is ``auc``.

    Args:
        scores: ``[N]``, larger for what is likelier positive.
        labels: 1 positive, 0 negative, ``[N]``.
        mask: weights ``[N]``.

    Returns:
        Three arrays ``[N + 1]``; rates are nan where a class is absent.

    Raises:
        ValueError: the shapes differ or are not ``[N]``.

    >>> curve = jax.jit(roc_curve)(jnp.array([0.1, 0.4, 0.35, 0.8]), jnp.array([0, 0, 1, 1]))
    >>> curve.false_positive_rate.tolist(), curve.true_positive_rate.tolist()
    ([0.0, 0.0, 0.5, 0.5, 1.0], [0.0, 0.5, 0.5, 1.0, 1.0])
    """
    scores, positive, negative = _weigh(scores, labels, mask)
    if mask is not None:
        lowest = jnp.min(jnp.where(positive + negative > 0, scores, jnp.inf))
        scores = jnp.where(positive + negative > 0, scores, lowest)
    order = jnp.argsort(scores, descending=True)
    scores = scores[order]
    _, last = _ties(scores)

    def rate(weights: Array) -> Array:
        return jnp.insert(jnp.cumsum(weights[order])[last], 0, 0) / jnp.sum(weights)

    return RocCurve(rate(negative), rate(positive), jnp.insert(scores, 0, jnp.inf))


def auc(scores: ArrayLike, labels: ArrayLike, *, mask: ArrayLike | None = None) -> Array:
    """Return the area under the ROC curve, the chance that a positive example scores above a negative one.

    It is the statistic of Mann and Whitney (1947), ``P(s+ > s-) + P(s+ = s-) / 2``, found by ranks.

    Arguments and errors as in ``roc_curve``; nan where a class is absent.

    >>> float(jax.jit(auc)(jnp.array([0.1, 0.4, 0.35, 0.8]), jnp.array([0, 0, 1, 1])))
    0.75
    """
    scores, positive, negative = _weigh(scores, labels, mask)
    order = jnp.argsort(scores)
    first, last = _ties(scores[order])
    positive, negative = positive[order], negative[order]
    not_above = jnp.cumsum(negative)
    below = not_above - negative
    return jnp.sum(positive * (below[first] + not_above[last]) / 2) / (jnp.sum(positive) * jnp.sum(negative))


def choose_threshold(curve: RocCurve, *, sensitivity: float | None = None, specificity: float | None = None) -> Array:
    """Choose the threshold ``t`` above or at which a score is called positive.

    Without a target it is the one with the largest ``J = sensitivity + specificity - 1`` (Youden, 1950); with a
    target for the sensitivity the highest threshold, for the specificity the lowest threshold that reaches it.

    Args:
        curve: from ``roc_curve``.
        sensitivity: the least share of the positive that must be found, from 0 to 1.
        specificity: the least share of the negative that must be cleared, from 0 to 1.

    Raises:
        ValueError: two targets are given.

    >>> curve = jax.jit(roc_curve)(jnp.array([0.1, 0.4, 0.35, 0.8]), jnp.array([0, 0, 1, 1]))
    >>> [round(float(choose_threshold(curve, **by)), 2) for by in ({}, {"sensitivity": 0.9}, {"specificity": 0.5})]
    [0.8, 0.35, 0.35]
    """
    if sensitivity is not None and specificity is not None:
        raise ValueError("choose_threshold takes a target for the sensitivity or for the specificity, not for both")
    rounding = 4 * jnp.finfo(curve.true_positive_rate.dtype).eps
    if sensitivity is not None:
        index = jnp.argmax(curve.true_positive_rate >= sensitivity - rounding)
    elif specificity is not None:
        reached = 1 - curve.false_positive_rate >= specificity - rounding
        index = jnp.max(jnp.where(reached, jnp.arange(reached.size), 0))
    else:
        index = jnp.argmax(curve.true_positive_rate - curve.false_positive_rate)
    return curve.thresholds[index]


def _weights(mask: ArrayLike, shape: tuple[int, ...]) -> Array:
    """Spread a mask over leading dimensions to the whole of ``shape``."""
    return jnp.broadcast_to(fit_mask(mask, shape), shape)


def _logits_and_labels(logits: ArrayLike, labels: ArrayLike) -> tuple[Array, Array]:
    logits, labels = jnp.asarray(logits), widen_integers(labels)
    if logits.ndim == 0 or labels.shape != logits.shape[:-1]:
        expected = f"labels of shape {logits.shape[:-1]}"
        raise ValueError(f"logits of shape {logits.shape} need {expected}; got labels of shape {labels.shape}")
    return logits, labels


def _pair(name: str, values: ArrayLike, labels: ArrayLike) -> tuple[Array, Array]:
    values, labels = widen_integers(values), widen_integers(labels)
    if values.shape != labels.shape:
        raise ValueError(f"{name} and labels must have one shape; they have {values.shape} and {labels.shape}")
    return values, labels


def _ratio(part: Array, whole: Array, c: Counts, average: str | None) -> Array:
    """Divide counts class by class, 0 / 0 = 0, and average over the classes."""
    part, whole = widen(part), widen(whole)
    if average == "micro":
        part, whole = jnp.sum(part, axis=-1), jnp.sum(whole, axis=-1)
    ratios = part / jnp.where(whole == 0, 1, whole)
    if average in (None, "micro"):
        return ratios
    if average == "macro":
        return jnp.mean(ratios, axis=-1)
    if average == "weighted":
        support = widen(c.true_positive + c.false_negative)
        return jnp.sum(ratios * support, axis=-1) / jnp.sum(support, axis=-1)
    raise ValueError(f"average must be None, 'macro', 'micro' or 'weighted'; got {average!r}")


def _weigh(scores: ArrayLike, labels: ArrayLike, mask: ArrayLike | None) -> tuple[Array, Array, Array]:
    """Check scores and labels ``[N]``; return the scores and the weights of the positive and of the negative."""
    scores, labels = _pair("scores", scores, labels)
    if scores.ndim != 1 or scores.size == 0:
        raise ValueError(f"scores and labels must have the shape [N], N at least 1; got {scores.shape}")
    scores = widen(scores)
    weights = jnp.ones_like(scores) if mask is None else _weights(mask, scores.shape).astype(scores.dtype)
    is_positive = labels > 0
    return (
        jnp.where(weights != 0, scores, 0),
        jnp.where(is_positive, weights, 0),
        jnp.where(is_positive, 0, weights),
    )


def _ties(ranked: Array) -> tuple[Array, Array]:
    """Find for every place of a sorted array the first and the last place of an equal number."""
    places = jnp.arange(ranked.size)
    changes = ranked[1:] != ranked[:-1]
    first = jax.lax.cummax(jnp.where(jnp.insert(changes, 0, True), places, 0))
    last = jax.lax.cummin(jnp.where(jnp.append(changes, True), places, ranked.size), reverse=True)
    return first, last
