"""Checks, masks and reductions that all losses share."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.arrays import fit_mask, widen, widen_floating, widen_integers
from jaxdl.checks import check_indices, check_one_of
from jaxdl.typing import Array, ArrayLike

REDUCTIONS = ("mean", "sum", "none")
INT32 = np.iinfo(np.int32)


def zero_masked(x: Array, weights: Array | None) -> Array:
    """Set masked elements to zero, so that no NaN of the padding reaches a gradient."""
    if weights is None:
        return x
    weights = weights.reshape(weights.shape + (1,) * (x.ndim - weights.ndim))
    return jnp.where(weights != 0, x, jnp.zeros((), x.dtype))


def prepare(
    predictions: ArrayLike, targets: ArrayLike, mask: ArrayLike | None, outputs: int = 0
) -> tuple[Array, Array, Array | None]:
    """Check and widen two arrays of one shape; their last ``outputs`` dimensions belong to one loss."""
    y_hat, y = widen(predictions), widen(targets)
    if y_hat.shape != y.shape:
        raise ValueError(f"expected predictions and targets of one shape, got {y_hat.shape} and {y.shape}")
    if y.ndim < outputs:
        raise ValueError(f"expected predictions and targets with a dimension of outputs, got shape {y.shape}")
    weights = None if mask is None else fit_mask(mask, y.shape[: y.ndim - outputs])
    return zero_masked(y_hat, weights), zero_masked(y, weights), weights


def prepare_classes(
    name: str, scores: ArrayLike, labels: ArrayLike, mask: ArrayLike | None
) -> tuple[Array, Array, Array | None]:
    """Check and widen scores ``[..., K]`` with class indices ``[...]`` or probabilities ``[..., K]``."""
    z = widen_floating(scores)
    y, weights = prepare_labels(name, z.shape, labels, mask)
    return zero_masked(z, weights), y, weights


def prepare_labels(
    name: str, shape: tuple[int, ...], labels: ArrayLike, mask: ArrayLike | None
) -> tuple[Array, Array | None]:
    """Check class indices ``[...]`` or probabilities ``[..., K]`` for scores of a shape, and the mask; widen both."""
    if isinstance(labels, np.ndarray) and np.issubdtype(labels.dtype, np.integer):
        labels = labels.clip(INT32.min, INT32.max)  # JAX would drop the higher bits
    y = jnp.asarray(labels)
    y = widen_integers(y) if y.shape == shape[:-1] else y
    integers = jnp.issubdtype(y.dtype, jnp.integer)
    if not shape or y.shape != (shape[:-1] if integers else shape):
        expected = f"integer labels of shape {shape[:-1]} or float probabilities of shape {shape}"
        raise ValueError(f"expected {expected} for {name} of shape {shape}, got {y.dtype} of shape {y.shape}")
    weights = None if mask is None else fit_mask(mask, shape[:-1])
    y = zero_masked(y if integers else widen_floating(y), weights)
    if integers:
        check_indices("labels", y, shape[-1])
    return y, weights


def pick(log_p: Array, y: Array) -> Array:
    """Return ``sum_k y_k log_p_k``, by comparison and not by a gather, so that the gradient needs no scatter."""
    if not jnp.issubdtype(y.dtype, jnp.integer):
        return jnp.sum(weighted(y, log_p), axis=-1)
    classes = jax.lax.broadcasted_iota(y.dtype, log_p.shape, log_p.ndim - 1)
    picked = jnp.sum(jnp.where(classes == y[..., None], log_p, 0), axis=-1)
    return jnp.where((y >= 0) & (y < log_p.shape[-1]), picked, jnp.nan)


def weighted(y: Array, log_p: Array) -> Array:
    """Return ``y log_p``, with ``0 ln 0 = 0``; the gradient of ``y`` is ``log_p`` also where ``y`` is 0."""
    return y * jnp.where((y == 0) & jnp.isinf(log_p), 0, log_p)


def reduce(losses: Array, weights: Array | None, reduction: str) -> Array:
    """Weight and reduce losses."""
    check_one_of("reduction", reduction, REDUCTIONS)
    if weights is not None:
        weights = weights.astype(losses.dtype)
        losses = losses * weights
    if reduction == "none":
        return losses
    total = jnp.sum(losses)
    if reduction == "sum":
        return total
    count = losses.size if weights is None else jnp.sum(jnp.broadcast_to(weights, losses.shape))
    return total / jnp.where(count == 0, 1, count)
