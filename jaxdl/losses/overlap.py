"""Losses of the overlap of two regions, for segmentation with classes of very different sizes.

Of an image's pixels ``x`` with the weights ``w`` of the mask, for the class ``k`` with the probabilities
``p = softmax(logits)`` and the labels ``y``, 0 and 1 or probabilities themselves::

    I_k = sum_x w p_k y_k         P_k = sum_x w p_k         Y_k = sum_x w y_k

All losses are one minus an overlap from 0 to 1, one for each image; only labels of 0 and 1 can be met with a loss of 0.
An image counts in the mean with the mean of its mask: an image without ignored pixels with 1, one of ignored pixels
alone not at all.

Two classes of which one is drawn by a single logit ``z`` have the logits ``[0, z]``.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxdl.checks import check_in_range
from jaxdl.losses._shared import prepare_classes, reduce
from jaxdl.typing import Array, ArrayLike


def dice(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    smooth: float = 1.0,
    mask: ArrayLike | None = None,
    reduction: str = "mean",
) -> Array:
    """Return ``1 - 1/K sum_k (2 I_k + s) / (P_k + Y_k + s)`` (Milletari et al., 2016, with sums in place of squares).

    A class that is absent from the labels has the overlap ``s / (P_k + s)``, which is 1 where it is absent from the
    prediction too, for ``s = 0`` as well; without ``s`` nothing else holds its probability down.

    Args:
        logits: ``[B, ..., K]``, a vector for every pixel.
        labels: class indices ``[B, ...]``, or probabilities ``[B, ..., K]``. An unmasked class index outside of
            ``0 .. K - 1`` is an error, and gives nan where it is traced.
        smooth: ``s``, in pixels, at least 0.
        mask: weights ``[B, ...]`` over the leading dimensions, 0 for ignored pixels.
        reduction: over the images, ``"mean"``, ``"sum"`` or ``"none"``.

    Raises:
        ValueError: the shapes do not match, there are no pixels, a label is no class, or the reduction is unknown.

    >>> logits = jnp.array([[[9.0, -9.0], [9.0, -9.0], [-9.0, 9.0]]])
    >>> print(f"{dice(logits, jnp.array([[0, 0, 1]])):.4f}, {dice(logits, jnp.array([[0, 1, 1]])):.4f}")
    0.0000, 0.2500
    """
    sums, weights = _sum_over_pixels(logits, labels, mask)
    check_in_range("smooth", smooth)
    overlaps = _divide(2 * sums.both + smooth, sums.predicted + sums.labelled + smooth)
    return reduce(1 - jnp.mean(overlaps, axis=-1), weights, reduction)


def generalized_dice(
    logits: ArrayLike, labels: ArrayLike, *, mask: ArrayLike | None = None, reduction: str = "mean"
) -> Array:
    """Return ``1 - 2 sum_k v_k I_k / sum_k v_k (P_k + Y_k)`` with ``v_k = 1 / Y_k^2`` (Sudre et al., 2017).

    Small classes count as much as large ones. A class that is absent from the labels, whose weight the equation does
    not define, has the largest weight of the other classes. Arguments and errors as in `dice`.

    >>> logits = jnp.array([[[9.0, -9.0], [9.0, -9.0], [-9.0, 9.0]]])
    >>> print(f"{generalized_dice(logits, jnp.array([[0, 1, 1]])):.4f}")
    0.3333
    """
    sums, weights = _sum_over_pixels(logits, labels, mask)
    present = sums.labelled > 0
    v = jnp.where(present, 1 / jnp.where(present, sums.labelled, 1) ** 2, 0)
    v = jnp.where(present, v, jnp.max(v, axis=-1, keepdims=True))
    both, total = (jnp.sum(v * each, axis=-1) for each in (sums.both, sums.predicted + sums.labelled))
    return reduce(1 - _divide(2 * both, total), weights, reduction)


def jaccard(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    smooth: float = 1.0,
    mask: ArrayLike | None = None,
    reduction: str = "mean",
) -> Array:
    """Return ``1 - 1/K sum_k (I_k + s) / (P_k + Y_k - I_k + s)``, one minus the intersection over the union.

    Absent classes, arguments and errors as in `dice` (Rahman and Wang, 2016).

    >>> logits = jnp.array([[[9.0, -9.0], [9.0, -9.0], [-9.0, 9.0]]])
    >>> print(f"{jaccard(logits, jnp.array([[0, 1, 1]]), smooth=0.0):.4f}")
    0.5000
    """
    sums, weights = _sum_over_pixels(logits, labels, mask)
    check_in_range("smooth", smooth)
    overlaps = _divide(sums.both + smooth, sums.predicted + sums.labelled - sums.both + smooth)
    return reduce(1 - jnp.mean(overlaps, axis=-1), weights, reduction)


class _Sums(NamedTuple):
    """``I``, ``P`` and ``Y`` of every image and class, ``[B, K]`` each."""

    both: Array
    predicted: Array
    labelled: Array


def _sum_over_pixels(logits: ArrayLike, labels: ArrayLike, mask: ArrayLike | None) -> tuple[_Sums, Array | None]:
    """Compute the sums over the pixels of every image, and the weights of the images ``[B]``."""
    z, y, weights = prepare_classes("logits", logits, labels, mask)
    if z.ndim < 3 or 0 in z.shape[1:]:
        raise ValueError(f"expected logits [B, ..., K] of images with pixels, got shape {z.shape}")
    p = jax.nn.softmax(z, axis=-1)
    if jnp.issubdtype(y.dtype, jnp.integer):
        known = ((y >= 0) & (y < z.shape[-1]))[..., None]
        one_hot = jax.lax.broadcasted_iota(y.dtype, z.shape, z.ndim - 1) == y[..., None]
        y = jnp.where(known, one_hot.astype(p.dtype), jnp.nan)
    pixels = tuple(range(1, z.ndim - 1))
    w = jnp.ones((), p.dtype) if weights is None else weights[..., None].astype(p.dtype)
    sums = _Sums(*(jnp.sum(w * each, axis=pixels) for each in (p * y, p, y)))
    if weights is None:
        return sums, None
    return sums, jnp.mean(jnp.broadcast_to(weights, z.shape[:-1]), axis=pixels)


def _divide(overlap: Array, total: Array) -> Array:
    """Divide, with 0 / 0 = 1 for what neither the labels nor the prediction contain."""
    return jnp.where(total == 0, 1, overlap / jnp.where(total == 0, 1, total))
