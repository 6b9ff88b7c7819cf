"""Moments over chosen dimensions, in at least float32, and normalization by given moments."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxdl.arrays import expand_leading, fit_mask, to_floating, widen, widen_floating
from jaxdl.typing import Array, ArrayLike


class Moments(NamedTuple):
    """The mean, the biased variance (sum of squared deviations over ``count``), and the number of elements."""

    mean: Array
    variance: Array
    count: Array


def moments(
    x: ArrayLike,
    axes: tuple[int, ...],
    *,
    mask: ArrayLike | None = None,
    fast_variance: bool = False,
    axis_name: str | None = None,
) -> Moments:
    """Compute ``mean = sum x / n`` and ``variance = sum (x - mean)^2 / n``, with the reduced dimensions kept as 1.

    With the deviations ``d = x - s`` from a shift ``s``, ``mean = s + sum d / n`` and
    ``variance = sum d^2 / n - (sum d / n)^2`` (Chan, Golub and LeVeque, 1983). The shift is the mean of a first pass,
    so nothing cancels: for ``N`` elements that is ``6 N`` operations in two passes over ``x``, where a shift of 0 needs
    ``3 N`` in one. The shift is a constant to the gradient, which costs the same for both.

    Args:
        x: ``[...]``.
        axes: the dimensions to reduce.
        mask: weights over the leading dimensions of ``x``; ``n`` is their sum; both moments of zero weights
            are 0.
        fast_variance: take 0 as the shift, ``variance = sum x^2 / n - mean^2``. It reads ``x`` once, but in float32
            loses precision where the mean is some hundred times the standard deviation.
        axis_name: a named axis (of ``vmap`` or ``shard_map``) to reduce as well.

    Raises:
        ValueError: the mask does not broadcast to the leading dimensions.

    >>> moments(jnp.array([[1.0, 5.0], [3.0, 5.0]]), (0,)).variance.tolist()
    [[1.0, 0.0]]
    """
    x = widen_floating(x)
    weights = None if mask is None else fit_mask(mask, x.shape).astype(x.dtype)
    if weights is not None:
        x = jnp.where(weights != 0, x, 0)

    def total(values: Array) -> Array:
        values = values if weights is None else values * weights
        summed = jnp.sum(values, axis=axes, keepdims=True)
        return summed if axis_name is None else jax.lax.psum(summed, axis_name)

    ones = [size if axis in axes else 1 for axis, size in enumerate(x.shape)]
    if weights is None and axis_name is None:
        n = jnp.full((1,) * x.ndim, math.prod(ones), x.dtype)
    else:
        n = total(jnp.ones(ones, x.dtype))
    divisor = jnp.where(n == 0, 1, n)
    shift = jnp.zeros((), x.dtype) if fast_variance else jax.lax.stop_gradient(total(x) / divisor)
    deviations = x - shift
    first = total(deviations) / divisor
    variance = jnp.maximum(total(jnp.square(deviations)) / divisor - jnp.square(first), 0)
    return Moments(shift + first, variance, n)


def normalize(
    x: ArrayLike,
    mean: Array,
    variance: Array,
    scale: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    *,
    epsilon: float = 1e-5,
) -> Array:
    """Compute ``scale (x - mean) / sqrt(variance + epsilon) + bias``, in the dtype of ``x``, floating for integers.

    Args:
        x: ``[..., C]``.
        mean: of the rank of ``x``, or of its last dimensions, ``[C]``.
        variance: as the mean.
        scale: ``gamma``, of the last dimensions of ``x``; None is 1.
        bias: ``beta``, likewise; None is 0.
        epsilon: added to the variance, against division by 0 for a constant input.

    >>> normalize(jnp.array([[3.0]]), jnp.array([1.0]), jnp.array([4.0]), jnp.array([10.0]), epsilon=0.0).tolist()
    [[10.0]]
    """
    x = to_floating(x)
    wide = widen(x)
    factor = jax.lax.rsqrt(expand_leading(variance, x.ndim) + epsilon)
    if scale is not None:
        factor = factor * expand_leading(scale, x.ndim)
    y = (wide - expand_leading(mean, x.ndim)) * factor
    return (y if bias is None else y + expand_leading(bias, x.ndim)).astype(x.dtype)


def update_running(
    mean: Array, variance: Array, batch: Moments, *, momentum: float = 0.9, unbiased: bool = True
) -> tuple[Array, Array]:
    """Update the running mean and variance, ``running <- momentum running + (1 - momentum) batch``.

    Args:
        mean: the running mean, ``[C]``.
        variance: the running variance, ``[C]``.
        batch: the moments of the batch; without any elements nothing changes.
        momentum: weight of the old value; PyTorch's ``momentum`` is one minus this.
        unbiased: use ``n / (n - 1)`` times the variance of the batch, as the paper and PyTorch do; flax uses the
            biased one. The variance of a single element stays 0.

    >>> batch = Moments(jnp.array([2.0]), jnp.array([1.0]), jnp.array([2.0]))
    >>> [float(a[0]) for a in update_running(jnp.zeros(1), jnp.zeros(1), batch, momentum=0.5)]
    [1.0, 1.0]
    """
    n = batch.count
    variance_batch = batch.variance * (n / jnp.maximum(n - 1, 1)) if unbiased else batch.variance
    weight = jnp.where(n > 0, momentum, 1.0)
    return (
        (weight * mean + (1 - weight) * batch.mean).astype(mean.dtype),
        (weight * variance + (1 - weight) * variance_batch).astype(variance.dtype),
    )
