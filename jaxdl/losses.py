"""Losses: pure functions of predictions and targets, with masks and three reductions.

Every loss takes the predictions first, the targets second, and

- ``mask``: ``[...]`` over the leading dimensions, 1 counts and 0 does not; fractions are weights. What is masked away
  changes neither the loss nor a gradient, even where it is not a number.
- ``reduction``: ``"mean"`` divides the weighted sum by the sum of the mask (a mask of zeros gives 0), ``"sum"`` does
  not divide, ``"none"`` returns the weighted losses themselves.

Predictions narrower than float32 are widened first, so a loss has at least single precision.
"""

import jax
import jax.numpy as jnp

from jaxdl.typing import Array, ArrayLike

REDUCTIONS = ("mean", "sum", "none")


def mean_squared_error(
    predictions: ArrayLike, targets: ArrayLike, *, mask: ArrayLike | None = None, reduction: str = "mean"
) -> Array:
    """Return ``(y_hat - y)^2``, averaged over every number; the gradient is ``2 (y_hat - y) / count``.

    Args:
        predictions: ``y_hat``, ``[...]``.
        targets: ``y``, of the same shape.
        mask: weights over the leading dimensions.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Raises:
        ValueError: the shapes differ, the mask does not fit, or the reduction is unknown.

    >>> float(mean_squared_error(jnp.array([1.0, 2.0]), jnp.array([1.0, 4.0])))
    2.0
    """
    y_hat, y, weights = _prepare(predictions, targets, mask)
    return _reduce(jnp.square(y_hat - y), weights, reduction)


def cross_entropy(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    mask: ArrayLike | None = None,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> Array:
    """Return the softmax cross-entropy ``-sum_k y_k ln p_k`` with ``p = softmax(logits)``.

    It is computed as ``sum_k y_k (logsumexp(logits) - logits_k)``, which is finite for every finite logit. Label
    smoothing replaces ``y`` by ``(1 - e) y + e / K`` (Szegedy et al., 2016). A weight for every class is a mask:
    ``mask=class_weights[labels]``.

    Args:
        logits: ``[..., K]``.
        labels: class numbers ``[...]`` (integers), or probabilities ``[..., K]`` (floats). A class number outside
            ``0 .. K - 1`` that is not masked gives nan.
        mask: weights ``[...]`` over the leading dimensions.
        label_smoothing: ``e``, from 0 to 1.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Raises:
        ValueError: the shapes do not belong together, or the smoothing or the reduction is unknown.

    >>> float(cross_entropy(jnp.array([[0.0, 0.0]]), jnp.array([1])))
    0.693147...
    """
    z, y, weights = _prepare_classes("logits", logits, labels, mask)
    _check_smoothing(label_smoothing)
    log_p = z - jax.nn.logsumexp(z, axis=-1, keepdims=True)
    loss = -_pick(log_p, y)
    if not (isinstance(label_smoothing, int | float) and label_smoothing == 0):
        loss = (1 - label_smoothing) * loss - label_smoothing * jnp.mean(log_p, axis=-1)
    return _reduce(loss, weights, reduction)


def _wide(x: ArrayLike) -> Array:
    """Widen to at least float32."""
    x = jnp.asarray(x)
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def _fit(mask: ArrayLike | None, shape: tuple[int, ...]) -> Array | None:
    """Give a mask over leading dimensions as many dimensions as ``shape`` has."""
    if mask is None:
        return None
    mask = _wide(mask)
    if mask.ndim > len(shape) or any(m not in (1, n) for m, n in zip(mask.shape, shape, strict=False)):
        raise ValueError(f"mask of shape {mask.shape} does not fit the leading dimensions of losses {shape}")
    return mask.reshape(mask.shape + (1,) * (len(shape) - mask.ndim))


def _keep(x: Array, weights: Array | None) -> Array:
    """Put zeros where nothing counts, so that no nan of the padding reaches a gradient."""
    if weights is None:
        return x
    weights = weights.reshape(weights.shape + (1,) * (x.ndim - weights.ndim))
    return jnp.where(weights != 0, x, jnp.zeros((), x.dtype))


def _prepare(predictions: ArrayLike, targets: ArrayLike, mask: ArrayLike | None) -> tuple[Array, Array, Array | None]:
    """Widen and check two arrays of one shape."""
    y_hat, y = _wide(predictions), _wide(targets)
    if y_hat.shape != y.shape:
        raise ValueError(f"predictions and targets must have one shape; they have {y_hat.shape} and {y.shape}")
    weights = _fit(mask, y.shape)
    return _keep(y_hat, weights), _keep(y, weights), weights


def _prepare_classes(
    name: str, scores: ArrayLike, labels: ArrayLike, mask: ArrayLike | None
) -> tuple[Array, Array, Array | None]:
    """Widen and check scores ``[..., K]`` with class numbers ``[...]`` or probabilities ``[..., K]``."""
    z, y = _wide(scores), jnp.asarray(labels)
    integers = jnp.issubdtype(y.dtype, jnp.integer)
    if z.ndim == 0 or y.shape != (z.shape[:-1] if integers else z.shape):
        expected = f"integer labels of shape {z.shape[:-1]}, or float probabilities of shape {z.shape}"
        raise ValueError(f"{name} of shape {z.shape} need {expected}; got {y.dtype} of shape {y.shape}")
    weights = _fit(mask, z.shape[:-1])
    return _keep(z, weights), _keep(y if integers else _wide(y), weights), weights


def _check_smoothing(label_smoothing: float) -> None:
    if isinstance(label_smoothing, int | float) and not 0 <= label_smoothing <= 1:
        raise ValueError(f"label_smoothing must lie between 0 and 1; got {label_smoothing}")


def _pick(log_p: Array, y: Array) -> Array:
    """Return ``sum_k y_k log_p_k``; a comparison, not a gather, so that the gradient needs no scatter."""
    if not jnp.issubdtype(y.dtype, jnp.integer):
        return jnp.sum(jnp.where(y != 0, y * jnp.where(y != 0, log_p, 0), 0), axis=-1)
    classes = jax.lax.broadcasted_iota(y.dtype, log_p.shape, log_p.ndim - 1)
    picked = jnp.sum(jnp.where(classes == y[..., None], log_p, 0), axis=-1)
    return jnp.where((y >= 0) & (y < log_p.shape[-1]), picked, jnp.nan)


def _reduce(losses: Array, weights: Array | None, reduction: str) -> Array:
    """Weigh and reduce losses."""
    if reduction not in REDUCTIONS:
        raise ValueError(f"reduction must be one of {', '.join(REDUCTIONS)}; got {reduction!r}")
    if weights is not None:
        losses = losses * weights
    if reduction == "none":
        return losses
    total = jnp.sum(losses)
    if reduction == "sum":
        return total
    count = losses.size if weights is None else jnp.sum(jnp.broadcast_to(weights, losses.shape))
    return total / jnp.where(count == 0, 1, count)
