"""Metrics of all examples that accumulate over batches: a confusion matrix, its F1, and the area under a ROC curve."""

from typing import NamedTuple, Self

import jax.numpy as jnp

from jaxdl.arrays import widen, widen_floating
from jaxdl.checks import check_positive_integer
from jaxdl.metrics._shared import broadcast_mask, check_pair
from jaxdl.metrics.confusion import confusion_matrix, f1
from jaxdl.typing import Array, ArrayLike

ROUNDING = 1e-4
"""By which a probability may leave [0, 1]."""


class Confusion(NamedTuple):
    """A running confusion matrix ``[K, K]``, rows true; `running_confusion` starts one.

    >>> first = running_confusion(jnp.array([0, 1]), jnp.array([0, 0]), 2)
    >>> first.merge(running_confusion(jnp.array([1]), jnp.array([1]), 2)).value.tolist()
    [[1.0, 1.0], [0.0, 1.0]]
    """

    matrix: Array

    def merge(self, other: "Confusion") -> Self:
        """Add the examples of another."""
        return self._replace(matrix=self.matrix + other.matrix)

    @property
    def value(self) -> Array:
        """The matrix."""
        return self.matrix


class MacroF1(Confusion):
    """The mean F1 of the classes, of a running confusion matrix; `running_f1` starts one."""

    @property
    def value(self) -> Array:
        """The mean F1."""
        return f1(self.matrix, "macro")


def running_confusion(
    predictions: ArrayLike, labels: ArrayLike, num_classes: int, *, mask: ArrayLike | None = None
) -> Confusion:
    """Start a confusion matrix that accumulates; arguments and errors as in `confusion_matrix`."""
    return Confusion(widen(confusion_matrix(predictions, labels, num_classes, mask=mask)))


def running_f1(
    predictions: ArrayLike, labels: ArrayLike, num_classes: int, *, mask: ArrayLike | None = None
) -> MacroF1:
    """Start a mean F1 that accumulates; arguments and errors as in `confusion_matrix`.

    >>> running_f1(jnp.array([0, 1, 1]), jnp.array([0, 1, 0]), 2).value.round(3).item()
    0.667...
    """
    return MacroF1(widen(confusion_matrix(predictions, labels, num_classes, mask=mask)))


class RunningAUC(NamedTuple):
    """A running area under the ROC curve: histograms of the scores of positives and negatives, ``[bins]`` each.

    Scores in one bin count as equal, so the area differs from `auc` by at most half the share of the pairs of a
    positive and a negative in one bin.
    """

    positive: Array
    negative: Array

    def merge(self, other: "RunningAUC") -> Self:
        """Add the examples of another."""
        return self._replace(positive=self.positive + other.positive, negative=self.negative + other.negative)

    @property
    def value(self) -> Array:
        """The area; nan if a class is absent."""
        below = jnp.cumsum(self.negative) - self.negative
        pairs = jnp.sum(self.positive) * jnp.sum(self.negative)
        return jnp.sum(self.positive * (below + self.negative / 2)) / pairs


def running_auc(
    probabilities: ArrayLike, labels: ArrayLike, *, mask: ArrayLike | None = None, bins: int = 1024
) -> RunningAUC:
    """Start an area under the ROC curve that accumulates over batches, from probabilities of the positive class.

    Args:
        probabilities: ``[...]`` in [0, 1]; a NaN, or a number outside, such as a logit, makes the area NaN.
        labels: 1 positive, 0 negative, ``[...]``.
        mask: weights over the leading dimensions.
        bins: number of equal bins.

    Raises:
        ValueError: the shapes differ, the mask does not match, or ``bins`` is below one.

    >>> first = running_auc(jnp.array([0.1, 0.4]), jnp.array([0, 0]))
    >>> first.merge(running_auc(jnp.array([0.35, 0.8]), jnp.array([1, 1]))).value.item()
    0.75
    """
    check_positive_integer("bins", bins)
    p, labels = check_pair("probabilities", widen_floating(probabilities), labels)
    weights = jnp.ones_like(p) if mask is None else broadcast_mask(mask, p.shape).astype(p.dtype)
    is_probability = (p >= -ROUNDING) & (p <= 1 + ROUNDING)
    weights = jnp.where((weights != 0) & ~is_probability, jnp.nan, weights).reshape(-1)
    index = jnp.clip(jnp.nan_to_num(p) * bins, 0, bins - 1).astype(jnp.int32).reshape(-1)
    is_positive = (labels > 0).reshape(-1)
    zeros = jnp.zeros(bins, p.dtype)
    return RunningAUC(
        zeros.at[index].add(jnp.where(is_positive, weights, 0)), zeros.at[index].add(jnp.where(is_positive, 0, weights))
    )
