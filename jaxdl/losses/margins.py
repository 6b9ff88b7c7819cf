"""Losses that are zero from a margin on."""

import jax
import jax.numpy as jnp

from jaxdl.arrays import widen_floating
from jaxdl.losses._shared import pick, prepare, prepare_classes, reduce
from jaxdl.typing import Array, ArrayLike


def hinge(
    scores: ArrayLike,
    targets: ArrayLike,
    *,
    margin: float = 1.0,
    mask: ArrayLike | None = None,
    reduction: str = "mean",
) -> Array:
    """Return ``max(0, margin - y s)`` for targets ``y`` of -1 and +1 (Cortes and Vapnik, 1995).

    Args:
        scores: ``s``, ``[...]``.
        targets: ``y``, -1 or +1, of the same shape.
        margin: the least ``y s`` with a loss of zero.
        mask: weights over the leading dimensions.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Raises:
        ValueError: the shapes differ, the mask does not match, or the reduction is unknown.

    >>> hinge(jnp.array([2.0, 0.5]), jnp.array([1.0, -1.0]), reduction="none").tolist()
    [0.0, 1.5]
    """
    s, y, weights = prepare(widen_floating(scores), widen_floating(targets), mask)
    return reduce(jax.nn.relu(margin - y * s), weights, reduction)


def multi_class_hinge(
    scores: ArrayLike,
    labels: ArrayLike,
    *,
    margin: float = 1.0,
    mask: ArrayLike | None = None,
    reduction: str = "mean",
) -> Array:
    """Return ``1/K sum_(k != y) max(0, margin + s_k - s_y)`` (Weston and Watkins, 1999).

    Args:
        scores: ``s``, ``[..., K]``.
        labels: class indices ``y``, ``[...]``, integers.
        margin: the least lead of the label's score over all others with a loss of zero.
        mask: weights ``[...]`` over the leading dimensions.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Raises:
        ValueError: the labels are not integers, the shapes do not match, or the reduction is unknown.

    >>> float(multi_class_hinge(jnp.array([[2.0, 0.0, 1.5]]), jnp.array([0])))
    0.1666...
    """
    s, y, weights = prepare_classes("scores", scores, labels, mask)
    if not jnp.issubdtype(y.dtype, jnp.integer):
        raise ValueError(f"expected integer labels of shape {s.shape[:-1]}, got {y.dtype} of shape {y.shape}")
    others = jax.lax.broadcasted_iota(y.dtype, s.shape, s.ndim - 1) != y[..., None]
    costs = jax.nn.relu(margin + s - pick(s, y)[..., None])
    return reduce(jnp.sum(jnp.where(others, costs, 0), axis=-1) / s.shape[-1], weights, reduction)


def margin_ranking(
    preferred: ArrayLike,
    other: ArrayLike,
    *,
    margin: float = 1.0,
    mask: ArrayLike | None = None,
    reduction: str = "mean",
) -> Array:
    """Return ``max(0, margin + s_r - s)``, zero if the preferred score ``s`` exceeds the other ``s_r`` by the margin.

    It trains word vectors to score a true window above a corrupted one (Collobert and Weston, 2008). Arguments and
    errors as in ``hinge``, with two arrays of scores of one shape.

    >>> float(margin_ranking(jnp.array(0.5), jnp.array(0.25)))
    0.75
    """
    s, s_r, weights = prepare(widen_floating(preferred), widen_floating(other), mask)
    return reduce(jax.nn.relu(margin + s_r - s), weights, reduction)
