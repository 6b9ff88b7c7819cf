"""Metrics: pure functions with masks, which run under ``jit``.

Precision, recall and the like are ratios of counts in a confusion matrix: sum the matrices of the batches, and compute
the ratio once at the end. A ROC curve and its area need all scores at once.

A NaN is never a right prediction: a logit of NaN counts as wrong, and the ROC curve and area of a score of NaN are NaN.
"""

from functools import partial
from typing import NamedTuple, Self

import jax
import jax.numpy as jnp

from jaxdl.arrays import fit_mask, to_floating, widen, widen_integers
from jaxdl.checks import check_one_of
from jaxdl.typing import Array, ArrayLike

AVERAGES = (None, "macro", "micro", "weighted")
"""The averages of a ratio over the classes."""


class Mean(NamedTuple):
    """A running mean: a weighted total and the sum of the weights.

    >>> mean(jnp.array([1.0, 2.0])).merge(mean(jnp.array([6.0]))).value.item()
    3.0
    """

    total: Array
    count: Array

    def merge(self, other: "Mean") -> Self:
        """Add the elements of another mean."""
        return self._replace(total=self.total + other.total, count=self.count + other.count)

    @property
    def value(self) -> Array:
        """The mean; nan without elements."""
        return self.total / self.count


def mean(values: ArrayLike, mask: ArrayLike | None = None) -> Mean:
    """Start a mean over all elements of ``values``.

    Args:
        values: ``[...]``.
        mask: weights over the leading dimensions, 0 to ignore an element.

    Raises:
        ValueError: the mask does not match the leading dimensions of the values.
    """
    values = widen(values)
    if mask is None:
        return Mean(jnp.sum(values), jnp.asarray(values.size, values.dtype))
    weights = _weights(mask, values.shape).astype(values.dtype)
    return Mean(jnp.sum(jnp.where(weights != 0, values, 0) * weights), jnp.sum(weights))


def predict(logits: ArrayLike) -> Array:
    """Return the class of the largest logit, int32 ``[...]``: of equal ones the first, and -1 where a logit is NaN.

    Args:
        logits: ``[..., K]``.

    Raises:
        ValueError: there are no classes.

    >>> predict(jnp.array([[1.0, 3.0], [2.0, 2.0], [2.0, jnp.nan]])).tolist()
    [1, 0, -1]
    """
    logits = _check_logits(logits)
    return jnp.where(jnp.any(jnp.isnan(logits), axis=-1), -1, jnp.argmax(logits, axis=-1)).astype(jnp.int32)


def correct(logits: ArrayLike, labels: ArrayLike) -> Array:
    """Return 1.0 for every example whose largest logit is the label's, else 0.0; of equal logits the first wins.

    An example with a logit of NaN is wrong.

    Args:
        logits: ``[..., K]``.
        labels: class indices ``[...]``.

    Raises:
        ValueError: the shapes do not match.

    >>> correct(jnp.array([[1.0, 3.0], [2.0, 0.0]]), jnp.array([1, 1])).tolist()
    [1.0, 0.0]
    """
    logits, labels = _logits_and_labels(logits, labels)
    return (predict(logits) == jnp.where(labels < 0, -2, labels)).astype(jnp.float32)


def top_k_correct(logits: ArrayLike, labels: ArrayLike, k: int) -> Array:
    """Return 1.0 for every example whose label has one of the ``k`` largest logits, else 0.0.

    Of equal logits the first classes count as the larger. NaN counts as larger than all other logits, and a label whose
    own logit is NaN is wrong for every ``k``: a diverged network is never right by accident.

    Args:
        logits: ``[..., K]``.
        labels: class indices ``[...]``.
        k: number of guesses, from 1 to ``K``.

    Raises:
        ValueError: the shapes do not match, or there are fewer than ``k`` classes.

    >>> top_k_correct(jnp.array([[1.0, 3.0, 2.0]] * 3), jnp.array([0, 1, 2]), k=2).tolist()
    [0.0, 1.0, 1.0]
    """
    logits, labels = _logits_and_labels(logits, labels)
    if not 1 <= k <= logits.shape[-1]:
        raise ValueError(f"expected k in 1 .. {logits.shape[-1]}, the number of classes, got {k}")
    classes = jax.lax.broadcasted_iota(labels.dtype, logits.shape, logits.ndim - 1)
    labels = labels[..., None]
    own = jnp.sum(jnp.where(classes == labels, logits, 0), axis=-1, keepdims=True)
    ahead = jnp.where(classes < labels, ~(logits < own), ~(logits <= own)) & (classes != labels)
    exists = (labels >= 0) & (labels < logits.shape[-1]) & ~jnp.isnan(own)
    return (exists[..., 0] & (jnp.sum(ahead, axis=-1) < k)).astype(jnp.float32)


def accuracy(logits: ArrayLike, labels: ArrayLike, *, mask: ArrayLike | None = None) -> Array:
    """Return the fraction of examples whose largest logit is the label's; see ``correct``."""
    return mean(correct(logits, labels), mask).value


def top_k_accuracy(logits: ArrayLike, labels: ArrayLike, k: int, *, mask: ArrayLike | None = None) -> Array:
    """Return the fraction of examples whose label has one of the ``k`` largest logits; see ``top_k_correct``."""
    return mean(top_k_correct(logits, labels, k), mask).value


def confusion_matrix(
    predictions: ArrayLike, labels: ArrayLike, num_classes: int, *, mask: ArrayLike | None = None
) -> Array:
    """Count ``C[i, j]``, the examples of class ``i`` predicted as class ``j``: rows true, columns predicted.

    Args:
        predictions: class indices ``[...]``, integers or Booleans; of logits, see ``predict``.
        labels: class indices ``[...]``. A pair with an index outside of ``0 .. K - 1`` is ignored.
        num_classes: ``K``.
        mask: weights ``[...]``, 0 to ignore a pair; the counts of an integer or Boolean mask are integers.

    Returns:
        The matrix ``[K, K]``.

    Raises:
        ValueError: the shapes differ or the mask does not match.
        TypeError: predictions or labels are not class indices.

    >>> confusion_matrix(jnp.array([0, 1, 1]), jnp.array([0, 0, 1]), 2).tolist()
    [[1, 1], [0, 1]]
    """
    predictions, labels = _pair("predictions", predictions, labels)
    for name, indices in (("predictions", predictions), ("labels", labels)):
        if not jnp.issubdtype(indices.dtype, jnp.integer):
            raise TypeError(f"expected {name} to be integer class indices, got {indices.dtype}; threshold scores first")
    weights = None
    if mask is not None:
        floating = jnp.issubdtype(jnp.asarray(mask).dtype, jnp.floating)
        fitted = _weights(mask, labels.shape)
        weights = fitted if floating else fitted.astype(jnp.int32)
    return _count_pairs(predictions, labels, weights, num_classes)


@partial(jax.jit, static_argnums=3)
def _count_pairs(predictions: Array, labels: Array, weights: Array | None, num_classes: int) -> Array:
    """Add the weights of the pairs of class indices, 1 by default: one program where arrays are concrete."""
    exists = (predictions >= 0) & (predictions < num_classes) & (labels >= 0) & (labels < num_classes)
    counted = exists.astype(jnp.int32)
    if weights is not None:
        counted = counted * weights
    matrix = jnp.zeros((num_classes, num_classes), counted.dtype)
    return matrix.at[labels.reshape(-1), predictions.reshape(-1)].add(counted.reshape(-1), mode="drop")


class Counts(NamedTuple):
    """The four counts of every class against all others, ``[..., K]`` each."""

    true_positive: Array
    false_positive: Array
    false_negative: Array
    true_negative: Array


def counts(matrix: ArrayLike) -> Counts:
    """Return the four counts of every class in a confusion matrix ``[..., K, K]``.

    Raises:
        ValueError: the matrix is not square.

    >>> [int(count[1]) for count in counts(jnp.array([[5, 1], [2, 4]]))]
    [4, 1, 2, 5]
    """
    matrix = widen_integers(matrix)
    if matrix.ndim < 2 or matrix.shape[-1] != matrix.shape[-2]:
        raise ValueError(f"expected a confusion matrix [..., K, K], got shape {matrix.shape}")
    true_positive = jnp.diagonal(matrix, axis1=-2, axis2=-1)
    false_positive = jnp.sum(matrix, axis=-2) - true_positive
    false_negative = jnp.sum(matrix, axis=-1) - true_positive
    total = jnp.sum(matrix, axis=(-2, -1))[..., None]
    true_negative = total - true_positive - false_positive - false_negative
    return Counts(true_positive, false_positive, false_negative, true_negative)


def precision(matrix: ArrayLike, average: str | None = None) -> Array:
    """Return ``TP / (TP + FP)``, the fraction of the predicted positives that are positive.

    Args:
        matrix: a confusion matrix ``[..., K, K]``, rows true.
        average: None for one value a class, ``[..., K]``; ``"macro"`` for their mean, ``"weighted"`` for their mean
            weighted by the examples of each class, ``"micro"`` for the ratio of the summed counts. 0 / 0 is 0.

    Raises:
        ValueError: the matrix is not square, or the average is unknown.

    >>> precision(jnp.array([[5, 1], [0, 4]])).round(3).tolist()
    [1.0, 0.800...]
    """
    c = counts(matrix)
    return _ratio(c.true_positive, c.true_positive + c.false_positive, c, average)


def recall(matrix: ArrayLike, average: str | None = None) -> Array:
    """Return ``TP / (TP + FN)``, the fraction of the positives that are predicted. Arguments as in ``precision``."""
    c = counts(matrix)
    return _ratio(c.true_positive, c.true_positive + c.false_negative, c, average)


def sensitivity(matrix: ArrayLike, average: str | None = None) -> Array:
    """Return ``TP / (TP + FN)``, the name of ``recall`` in medicine. Arguments as in ``precision``."""
    return recall(matrix, average)


def specificity(matrix: ArrayLike, average: str | None = None) -> Array:
    """Return ``TN / (TN + FP)``, the fraction of the negatives predicted as such. Arguments as in ``precision``."""
    c = counts(matrix)
    return _ratio(c.true_negative, c.true_negative + c.false_positive, c, average)


def f1(matrix: ArrayLike, average: str | None = None) -> Array:
    """Return ``2 TP / (2 TP + FP + FN)``, the harmonic mean of precision and recall. Arguments as in ``precision``."""
    c = counts(matrix)
    return _ratio(2 * c.true_positive, 2 * c.true_positive + c.false_positive + c.false_negative, c, average)


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


def _weights(mask: ArrayLike, shape: tuple[int, ...]) -> Array:
    """Broadcast a mask over leading dimensions to ``shape``."""
    return jnp.broadcast_to(fit_mask(mask, shape), shape)


def _check_logits(logits: ArrayLike) -> Array:
    logits = jnp.asarray(logits)
    if logits.ndim == 0 or logits.shape[-1] == 0:
        raise ValueError(f"expected logits [..., K] of at least one class, got shape {logits.shape}")
    return logits


def _logits_and_labels(logits: ArrayLike, labels: ArrayLike) -> tuple[Array, Array]:
    logits, labels = _check_logits(logits), widen_integers(labels)
    if labels.shape != logits.shape[:-1]:
        expected = f"labels of shape {logits.shape[:-1]} for logits of shape {logits.shape}"
        raise ValueError(f"expected {expected}, got labels of shape {labels.shape}")
    return logits, labels


def _pair(name: str, values: ArrayLike, labels: ArrayLike) -> tuple[Array, Array]:
    values, labels = widen_integers(values), widen_integers(labels)
    if values.shape != labels.shape:
        raise ValueError(f"expected {name} and labels of one shape, got {values.shape} and {labels.shape}")
    return values, labels


def _ratio(numerator: Array, denominator: Array, c: Counts, average: str | None) -> Array:
    """Divide the counts of each class, 0 / 0 = 0, and average over the classes."""
    check_one_of("average", average, AVERAGES)
    numerator, denominator = widen(numerator), widen(denominator)
    if average == "micro":
        numerator, denominator = jnp.sum(numerator, axis=-1), jnp.sum(denominator, axis=-1)
    ratios = numerator / jnp.where(denominator == 0, 1, denominator)
    if average in (None, "micro"):
        return ratios
    if average == "macro":
        return jnp.mean(ratios, axis=-1)
    support = widen(c.true_positive + c.false_negative)
    return jnp.sum(ratios * support, axis=-1) / jnp.sum(support, axis=-1)


def _split_weights(scores: ArrayLike, labels: ArrayLike, mask: ArrayLike | None) -> tuple[Array, Array, Array]:
    """Check scores and labels ``[N]``; return the scores and the weights of the positives and of the negatives."""
    scores, labels = _pair("scores", to_floating(scores), labels)
    if scores.ndim != 1 or scores.size == 0:
        raise ValueError(f"expected scores and labels [N] with N >= 1, got shape {scores.shape}")
    scores = jnp.where(jnp.isnan(labels), jnp.nan, widen(scores))  # a label of nan leaves no order either
    weights = jnp.ones_like(scores) if mask is None else _weights(mask, scores.shape).astype(scores.dtype)
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
