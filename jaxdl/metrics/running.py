"""Means that accumulate over batches."""

from typing import NamedTuple, Self

import jax.numpy as jnp

from jaxdl.arrays import widen
from jaxdl.metrics._shared import broadcast_mask
from jaxdl.typing import Array, ArrayLike


class Mean(NamedTuple):
    """A running mean: a weighted total and the sum of the weights.

    >>> mean(jnp.array([1.0, 2.0])).merge(mean(jnp.array([6.0]))).value.item()
    3.0
    """

    total: Array
    count: Array

    def merge(self, other: "Mean") -> Self:
        """Add the elements of another mean."""
        return self._replace(total=self.total + other.total, count=self.count + other.count)

    @property
    def value(self) -> Array:
        """The mean; nan without elements."""
        return self.total / self.count


def mean(values: ArrayLike, mask: ArrayLike | None = None) -> Mean:
    """Start a mean over all elements of ``values``.

    Args:
        values: ``[...]``.
        mask: weights over the leading dimensions, 0 to ignore an element.

    Raises:
        ValueError: the mask does not match the leading dimensions of the values.
    """
    values = widen(values)
    if mask is None:
        return Mean(jnp.sum(values), jnp.asarray(values.size, values.dtype))
    weights = broadcast_mask(mask, values.shape).astype(values.dtype)
    return Mean(jnp.sum(jnp.where(weights != 0, values, 0) * weights), jnp.sum(weights))
