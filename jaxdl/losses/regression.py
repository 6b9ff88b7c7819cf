"""Losses of real or complex predictions."""

import jax.numpy as jnp

from jaxdl.arrays import square_modulus
from jaxdl.checks import check_in_range
from jaxdl.losses._shared import prepare, reduce
from jaxdl.typing import Array, ArrayLike


def mean_squared_error(
    predictions: ArrayLike, targets: ArrayLike, *, mask: ArrayLike | None = None, reduction: str = "mean"
) -> Array:
    """Return ``(y_hat - y)^2``, averaged over all elements; the gradient is ``2 (y_hat - y) / count``.

    Args:
        predictions: ``y_hat``, ``[...]``.
        targets: ``y``, of the same shape.
        mask: weights over the leading dimensions.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Raises:
        ValueError: the shapes differ, the mask does not match, or the reduction is unknown.

    >>> float(mean_squared_error(jnp.array([1.0, 2.0]), jnp.array([1.0, 4.0])))
    2.0
    """
    y_hat, y, weights = prepare(predictions, targets, mask)
    return reduce(square_modulus(y_hat - y), weights, reduction)


def sum_squared_error(
    predictions: ArrayLike, targets: ArrayLike, *, mask: ArrayLike | None = None, reduction: str = "sum"
) -> Array:
    """Return ``sum_j (y_hat_j - y_j)^2`` over the outputs ``j`` of an example, summed over the examples.

    ``reduction="mean"`` averages over the examples, not over the outputs: ``1/N sum_i sum_j``.

    Args:
        predictions: ``y_hat``, ``[..., K]``.
        targets: ``y``, of the same shape.
        mask: weights ``[...]`` over the leading dimensions.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Raises:
        ValueError: the shapes differ, the mask does not match, or the reduction is unknown.

    >>> float(sum_squared_error(jnp.array([[1.0, 2.0]]), jnp.array([[0.0, 4.0]])))
    5.0
    """
    y_hat, y, weights = prepare(predictions, targets, mask, outputs=1)
    return reduce(jnp.sum(square_modulus(y_hat - y), axis=-1), weights, reduction)


def mean_absolute_error(
    predictions: ArrayLike, targets: ArrayLike, *, mask: ArrayLike | None = None, reduction: str = "mean"
) -> Array:
    """Return ``|y_hat - y|``, averaged over all elements; arguments and errors as in ``mean_squared_error``."""
    y_hat, y, weights = prepare(predictions, targets, mask)
    return reduce(jnp.abs(y_hat - y), weights, reduction)


def huber(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    delta: float = 1.0,
    mask: ArrayLike | None = None,
    reduction: str = "mean",
) -> Array:
    """Return ``e^2 / 2`` for small errors and ``delta (|e| - delta / 2)`` for large ones (Huber, 1964).

    Args:
        predictions: ``y_hat``, ``[...]``; ``e = y_hat - y``.
        targets: ``y``, of the same shape.
        delta: the largest error in the quadratic part, above 0.
        mask: weights over the leading dimensions.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Raises:
        ValueError: the shapes differ, the mask does not match, ``delta`` is not positive, or the reduction is unknown.

    >>> huber(jnp.array([0.5, -3.0]), jnp.zeros(2), reduction="none").tolist()
    [0.125, 2.5]
    """
    y_hat, y, weights = prepare(predictions, targets, mask)
    check_in_range("delta", delta, includes_low=False)
    size = jnp.abs(y_hat - y)
    bent = jnp.minimum(size, delta)
    return reduce(bent * (size - bent / 2), weights, reduction)
