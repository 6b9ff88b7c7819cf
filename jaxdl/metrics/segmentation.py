"""Metrics of segmentation: means over the classes of a confusion matrix, and distances of distributions of masks."""

from typing import NamedTuple, Self

import jax
import jax.numpy as jnp

from jaxdl.arrays import fit_mask, widen, widen_integers
from jaxdl.metrics._shared import to_real
from jaxdl.metrics.confusion import confusion_matrix, counts, dice, iou
from jaxdl.typing import Array, ArrayLike


def mean_iou(matrix: ArrayLike) -> Array:
    """Return the mean intersection over union of the classes that the labels or the predictions contain.

    Args:
        matrix: a confusion matrix ``[..., K, K]``, rows true: of all pixels of a data set, summed over its batches.

    Returns:
        ``[...]``; nan without pixels.

    Raises:
        ValueError: the matrix is not square.

    >>> print(mean_iou(jnp.array([[5, 1, 0], [2, 4, 0], [0, 0, 0]])))  # of 5/8 and 4/7
    0.598...
    """
    return _mean_over_present(iou(matrix), matrix)


def mean_dice(matrix: ArrayLike) -> Array:
    """Return the mean of ``dice`` over the classes that the labels or predictions contain; see ``mean_iou``.

    >>> print(mean_dice(jnp.array([[5, 1, 0], [2, 4, 0], [0, 0, 0]])))  # of 10/13 and 8/11
    0.748...
    """
    return _mean_over_present(dice(matrix), matrix)


def pixel_accuracy(matrix: ArrayLike) -> Array:
    """Return the share of the examples of a confusion matrix on its diagonal; arguments as in ``mean_iou``.

    >>> pixel_accuracy(jnp.array([[5, 1], [2, 4]])).item()
    0.75
    """
    matrix = to_real(matrix)
    return jnp.sum(counts(matrix).true_positive, axis=-1) / jnp.sum(matrix, axis=(-2, -1))


class MeanIoU(NamedTuple):
    """The running ``mean_iou`` of an evaluation, as a task's ``measure`` returns it.

    Attributes:
        matrix: the confusion matrix ``[K, K]`` of the pixels so far, in floating point.

    >>> first = running_mean_iou(jnp.array([0, 1]), jnp.array([0, 0]), 2)
    >>> print(first.merge(running_mean_iou(jnp.array([1, 0]), jnp.array([1, 0]), 2)).value)
    0.583...
    """

    matrix: Array

    def merge(self, other: "MeanIoU") -> Self:
        """Add the pixels of another."""
        return self._replace(matrix=self.matrix + other.matrix)

    @property
    def value(self) -> Array:
        """The mean intersection over union."""
        return mean_iou(self.matrix)


def running_mean_iou(
    predictions: ArrayLike, labels: ArrayLike, num_classes: int, *, mask: ArrayLike | None = None
) -> MeanIoU:
    """Start a mean intersection over union that accumulates over batches.

    Arguments and errors as in ``confusion_matrix``, but a prediction that is no class, -1 from a logit of NaN for
    ``predict``, is wrong and not ignored.

    >>> running_mean_iou(jnp.array([0, -1]), jnp.array([0, 0]), 2).value.item()
    0.25
    """
    predictions, labels = widen_integers(predictions), widen_integers(labels)
    is_class = (predictions >= 0) & (predictions < num_classes)
    predictions = jnp.where(is_class, predictions, (labels + 1) % num_classes)
    return MeanIoU(widen(confusion_matrix(predictions, labels, num_classes, mask=mask)))


def generalized_energy_distance(
    samples: ArrayLike,
    references: ArrayLike,
    num_classes: int = 2,
    *,
    probabilities: ArrayLike | None = None,
    mask: ArrayLike | None = None,
) -> Array:
    """Return the squared distance of two distributions of masks (Kohl et al., 2018, eq. 5)::

        D^2 = 2 E d(S, Y) - E d(S, S') - E d(Y, Y')                      d(a, b) = 1 - IoU(a, b)

    The expectations are means over all pairs, an element with itself included. The intersection over union is the mean
    over the classes but 0, the background, that one of the two masks contains; two masks without any have ``d = 0``.

    Args:
        samples: ``S``, class indices ``[N, ...]``, for two classes also Booleans.
        references: ``Y``, ``[M, ...]``.
        num_classes: with the background.
        probabilities: of the references, ``[M]``; None for equal ones.
        mask: 0 for pixels that are ignored, over the leading dimensions after the first.

    Raises:
        ValueError: the masks differ in shape, or there are none.

    >>> samples, references = jnp.array([[1, 1, 0], [0, 0, 0]]), jnp.array([[1, 0, 0]])
    >>> generalized_energy_distance(samples, references).item()  # 2 (1/2 + 1) / 2 - (0 + 1 + 1 + 0) / 4 - 0
    1.0
    """
    s, y = widen_integers(samples), widen_integers(references)
    if s.ndim < 1 or y.ndim < 1 or s.shape[1:] != y.shape[1:] or 0 in (len(s), len(y)):
        raise ValueError(f"expected masks [N, ...] and [M, ...] of one shape, got {s.shape} and {y.shape}")
    if mask is not None:
        kept = fit_mask(mask, s.shape[1:]) != 0
        s, y = jnp.where(kept, s, 0), jnp.where(kept, y, 0)
    weights = jnp.full(len(y), 1 / len(y)) if probabilities is None else jnp.asarray(probabilities)
    equal = jnp.full(len(s), 1 / len(s), weights.dtype)
    s, y = (jax.nn.one_hot(each.reshape(len(each), -1), num_classes, dtype=weights.dtype)[..., 1:] for each in (s, y))
    return (
        2 * equal @ _iou_distances(s, y) @ weights
        - equal @ _iou_distances(s, s) @ equal
        - weights @ _iou_distances(y, y) @ weights
    )


def _iou_distances(a: Array, b: Array) -> Array:
    """Return ``1 - IoU`` of every pair of ``[N, P, K]`` and ``[M, P, K]``, ``[N, M]``."""
    both = jnp.einsum("npk,mpk->nmk", a, b)
    union = jnp.sum(a, axis=1)[:, None] + jnp.sum(b, axis=1)[None] - both
    present = union > 0
    ratios = jnp.sum(jnp.where(present, both / jnp.where(present, union, 1), 0), axis=-1)
    classes = jnp.sum(present, axis=-1)
    return jnp.where(classes > 0, 1 - ratios / jnp.maximum(classes, 1), 0)


def _mean_over_present(ratios: Array, matrix: ArrayLike) -> Array:
    """Average over the classes that the labels or the predictions contain."""
    c = counts(to_real(matrix))
    present = c.true_positive + c.false_positive + c.false_negative > 0
    return jnp.sum(jnp.where(present, ratios, 0), axis=-1) / jnp.sum(present, axis=-1)
