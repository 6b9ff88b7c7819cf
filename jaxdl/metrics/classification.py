"""Right and wrong predictions of classes."""

import jax
import jax.numpy as jnp

from jaxdl.arrays import widen_integers
from jaxdl.metrics.running import mean
from jaxdl.typing import Array, ArrayLike


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
