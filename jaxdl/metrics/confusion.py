"""Confusion matrices and the ratios of their counts."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxdl.arrays import widen, widen_integers
from jaxdl.checks import check_one_of, check_positive_integer
from jaxdl.metrics._shared import broadcast_mask, check_pair, to_real
from jaxdl.typing import Array, ArrayLike

AVERAGES = (None, "macro", "micro", "weighted")
"""The averages of a ratio over the classes."""


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
        ValueError: the shapes differ, the mask does not match, or ``num_classes`` is no positive integer.
        TypeError: predictions or labels are not class indices.

    >>> confusion_matrix(jnp.array([0, 1, 1]), jnp.array([0, 0, 1]), 2).tolist()
    [[1, 1], [0, 1]]
    """
    check_positive_integer("num_classes", num_classes)
    predictions, labels = check_pair("predictions", predictions, labels)
    for name, indices in (("predictions", predictions), ("labels", labels)):
        if not jnp.issubdtype(indices.dtype, jnp.integer):
            raise TypeError(f"expected {name} to be integer class indices, got {indices.dtype}; threshold scores first")
    weights = None
    if mask is not None:
        floating = jnp.issubdtype(jnp.asarray(mask).dtype, jnp.floating)
        fitted = broadcast_mask(mask, labels.shape)
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
    c = counts(to_real(matrix))
    return _ratio(c.true_positive, c.true_positive + c.false_positive, c, average)


def recall(matrix: ArrayLike, average: str | None = None) -> Array:
    """Return ``TP / (TP + FN)``, the fraction of the positives that are predicted. Arguments as in ``precision``."""
    c = counts(to_real(matrix))
    return _ratio(c.true_positive, c.true_positive + c.false_negative, c, average)


def sensitivity(matrix: ArrayLike, average: str | None = None) -> Array:
    """Return ``TP / (TP + FN)``, the name of ``recall`` in medicine. Arguments as in ``precision``."""
    return recall(matrix, average)


def specificity(matrix: ArrayLike, average: str | None = None) -> Array:
    """Return ``TN / (TN + FP)``, the fraction of the negatives predicted as such. Arguments as in ``precision``."""
    c = counts(to_real(matrix))
    return _ratio(c.true_negative, c.true_negative + c.false_positive, c, average)


def f1(matrix: ArrayLike, average: str | None = None) -> Array:
    """Return ``2 TP / (2 TP + FP + FN)``, the harmonic mean of precision and recall. Arguments as in ``precision``."""
    c = counts(to_real(matrix))
    return _ratio(2 * c.true_positive, 2 * c.true_positive + c.false_positive + c.false_negative, c, average)


def iou(matrix: ArrayLike, average: str | None = None) -> Array:
    """Return ``TP / (TP + FP + FN)``, the intersection over the union, or Jaccard index. Arguments as in ``precision``.

    The mean of segmentation, which does without the absent classes, is ``mean_iou``.
    """
    c = counts(to_real(matrix))
    return _ratio(c.true_positive, c.true_positive + c.false_positive + c.false_negative, c, average)


def dice(matrix: ArrayLike, average: str | None = None) -> Array:
    """Return ``2 TP / (2 TP + FP + FN)``, the name of ``f1`` in segmentation. Arguments as in ``precision``.

    The mean of segmentation, which does without the absent classes, is ``mean_dice``.
    """
    return f1(matrix, average)


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
    total = jnp.sum(support, axis=-1)
    return jnp.sum(ratios * support, axis=-1) / jnp.where(total == 0, 1, total)
