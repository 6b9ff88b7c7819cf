"""Metrics: what is measured, not minimised; pure functions with masks, that run under ``jit`` where shapes allow."""

from typing import NamedTuple

import jax.numpy as jnp

from jaxdl.typing import Array, ArrayLike


class Mean(NamedTuple):
    """A mean that grows: a weighted total and the sum of the weights.

    >>> mean(jnp.array([1.0, 2.0])).merge(mean(jnp.array([6.0]))).value.item()
    3.0
    """

    total: Array
    count: Array

    def merge(self, other: "Mean") -> "Mean":
        """Add what another mean has seen."""
        return Mean(self.total + other.total, self.count + other.count)

    @property
    def value(self) -> Array:
        """The mean; nan where nothing was counted."""
        return self.total / self.count


def mean(values: ArrayLike, mask: ArrayLike | None = None) -> Mean:
    """Start a mean over every number of ``values``.

    Args:
        values: ``[...]``.
        mask: weights over the leading dimensions, 1 counts and 0 does not.

    Raises:
        ValueError: the mask does not fit the leading dimensions of the values.
    """
    values = _wide(values)
    if mask is None:
        return Mean(jnp.sum(values), jnp.asarray(values.size, values.dtype))
    weights = _fit(mask, values.shape)
    return Mean(jnp.sum(jnp.where(weights != 0, values, 0) * weights), jnp.sum(weights))


def correct(logits: ArrayLike, labels: ArrayLike) -> Array:
    """Say for every example, 1.0 or 0.0, whether the largest logit is the label's; of equal ones the first counts.

    Args:
        logits: ``[..., K]``.
        labels: class numbers ``[...]``.

    Raises:
        ValueError: the shapes do not belong together.

    >>> correct(jnp.array([[1.0, 3.0], [2.0, 0.0]]), jnp.array([1, 1])).tolist()
    [1.0, 0.0]
    """
    logits, labels = _logits_and_labels(logits, labels)
    return (jnp.argmax(logits, axis=-1) == labels).astype(jnp.float32)


def _wide(x: ArrayLike) -> Array:
    """Widen to at least float32."""
    x = jnp.asarray(x)
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def _fit(mask: ArrayLike, shape: tuple[int, ...]) -> Array:
    """Spread a mask over leading dimensions to the whole of ``shape``."""
    mask = _wide(mask)
    if mask.ndim > len(shape) or any(m not in (1, n) for m, n in zip(mask.shape, shape, strict=False)):
        raise ValueError(f"mask of shape {mask.shape} does not fit the leading dimensions of values {shape}")
    return jnp.broadcast_to(mask.reshape(mask.shape + (1,) * (len(shape) - mask.ndim)), shape)


def _logits_and_labels(logits: ArrayLike, labels: ArrayLike) -> tuple[Array, Array]:
    logits, labels = jnp.asarray(logits), jnp.asarray(labels)
    if logits.ndim == 0 or labels.shape != logits.shape[:-1]:
        expected = f"labels of shape {logits.shape[:-1]}"
        raise ValueError(f"logits of shape {logits.shape} need {expected}; got labels of shape {labels.shape}")
    return logits, labels
