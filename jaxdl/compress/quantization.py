"""Integers of few bits for real numbers: ``x ~ s (q - z)`` with a scale ``s`` and a zero point ``z``.

Source: Jacob et al., "Quantization and training of neural networks for efficient integer-arithmetic-only inference"
(2018).
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxdl.arrays import expand_leading, widen_floating
from jaxdl.checks import is_integer, known_value
from jaxdl.nn.convolution.geometry import Padding, make_window
from jaxdl.typing import Array, ArrayLike


class Quantized(NamedTuple):
    """An array of integers that stands for ``scale (values - zero_point)``.

    Attributes:
        values: int8, of any shape.
        scale: a number, or an array that broadcasts against the values.
        zero_point: an integer, the value that stands for 0.
    """

    values: Array
    scale: ArrayLike
    zero_point: ArrayLike = 0


def symmetric_scale(x: ArrayLike, *, bits: int = 8, axis: int | Sequence[int] | None = None) -> Array:
    """Return ``s = max |x| / (2^(bits - 1) - 1)``, for a zero point of 0; where all are 0 it is 1.

    Args:
        x: real numbers.
        bits: of the integers, 2 to 8.
        axis: the dimensions that keep a scale of their own, ``-1`` for that of the output channels of a kernel; None
            for one scale. The result has the rank of ``x``, or none.

    Raises:
        ValueError: ``bits`` is not from 2 to 8, or a number is known not to be finite.

    >>> symmetric_scale(jnp.array([[127.0, 1.0], [-3.0, 254.0]]), axis=-1).tolist()
    [[1.0, 2.0]]
    """
    x, (_, highest) = jnp.abs(widen_floating(x)), _limits(bits)
    if axis is None:
        largest = jnp.max(x, initial=0)
    else:
        kept = {each % x.ndim for each in ((axis,) if is_integer(axis) else axis)}
        largest = jnp.max(x, axis=tuple(set(range(x.ndim)) - kept), keepdims=True, initial=0)
    _check_finite("x", largest)
    return jnp.where(largest == 0, 1, largest / highest)


def affine_scale(low: ArrayLike, high: ArrayLike, *, bits: int = 8) -> tuple[Array, Array]:
    """Return the scale and the zero point of integers for numbers from ``low`` to ``high``, and for 0 exactly.

    ``s = (high - low) / (2^bits - 1)`` and ``z = -2^(bits - 1) - round(low / s)``, of the range extended to 0.

    Raises:
        ValueError: ``bits`` is not from 2 to 8, or a number is known not to be finite.

    >>> [each.item() for each in affine_scale(0.0, 255.0)]
    [1.0, -128]
    """
    lowest, highest = _limits(bits)
    low, high = jnp.minimum(widen_floating(low), 0), jnp.maximum(widen_floating(high), 0)
    _check_finite("low", low)
    _check_finite("high", high)
    scale = jnp.where(high == low, 1, (high - low) / (highest - lowest))
    return scale, jnp.clip(lowest - jnp.round(low / scale), lowest, highest).astype(jnp.int32)


def quantize(x: ArrayLike, scale: ArrayLike, zero_point: ArrayLike = 0, *, bits: int = 8) -> Quantized:
    """Return the nearest integers ``q = clip(round(x / s) + z)``, as int8 between ``+-2^(bits - 1)``; NaN becomes 0.

    Raises:
        ValueError: ``bits`` is not from 2 to 8.

    >>> quantize(jnp.array([0.9, -0.4, 99.0]), 0.5).values.tolist()
    [2, -1, 127]
    """
    nearest = _round(widen_floating(x), scale, zero_point)
    values = jnp.where(jnp.isnan(nearest), zero_point, jnp.clip(nearest, *_limits(bits)))
    return Quantized(values.astype(jnp.int8), jnp.asarray(scale), jnp.asarray(zero_point, jnp.int32))


def dequantize(quantized: Quantized) -> Array:
    """Return ``x = s (q - z)``.

    >>> dequantize(Quantized(jnp.array([2, -1], jnp.int8), 0.5)).tolist()
    [1.0, -0.5]
    """
    values, scale, zero_point = quantized
    return jnp.asarray(scale) * (values.astype(jnp.int32) - zero_point)


def fake_quantize(x: ArrayLike, scale: ArrayLike, zero_point: ArrayLike = 0, *, bits: int = 8) -> Array:
    """Return the numbers that `quantize` represents, with the gradient 1 within their range and 0 outside of it.

    Training with it adapts a network to few bits. NaN stays NaN.

    Raises:
        ValueError: ``bits`` is not from 2 to 8.

    Source: Bengio, Léonard and Courville, "Estimating or propagating gradients through stochastic neurons" (2013).

    >>> import jax
    >>> jax.vmap(jax.value_and_grad(lambda x: fake_quantize(x, 0.5)))(jnp.array([0.9, 99.0]))
    (Array([ 1. , 63.5], dtype=float32), Array([1., 0.], dtype=float32))
    """
    x, (lowest, highest) = widen_floating(x), _limits(bits)
    nearest = lax.stop_gradient(_round(x, scale, zero_point))
    represented = (jnp.clip(nearest, lowest, highest) - zero_point) * scale
    inside = jnp.where((nearest >= lowest) & (nearest <= highest), x, 0)
    return lax.stop_gradient(represented) + (inside - lax.stop_gradient(inside))


def quantized_linear(x: Quantized, kernel: Quantized, bias: ArrayLike | None = None) -> Array:
    """Compute ``y = s_x s_w (q_x q_w - z_x sum_i q_w) + b`` by a product of int8 that int32 accumulates.

    Args:
        x: ``[..., N]``, with one scale and zero point.
        kernel: ``[N, M]``, with a scale for all or for every output, and a zero point of 0.
        bias: ``b``, ``[M]`` real numbers.

    Raises:
        ValueError: the shapes do not match, or the kernel has another zero point.

    >>> x, w = quantize(jnp.array([1.0, 2.0]), 0.5, 3), quantize(jnp.array([[1.0], [10.0]]), 1.0)
    >>> quantized_linear(x, w).tolist()
    [21.0]
    """
    _check_operands(x, kernel, rank=0)
    dimensions = (((x.values.ndim - 1,), (0,)), ((), ()))
    sums = lax.dot_general(x.values, kernel.values, dimensions, preferred_element_type=jnp.int32)
    return _rescale(sums, x, kernel, bias)


def quantized_convolve(
    x: Quantized,
    kernel: Quantized,
    bias: ArrayLike | None = None,
    *,
    stride: int | Sequence[int] = 1,
    padding: Padding = "valid",
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Array:
    """Compute `jaxdl.nn.convolve` of integers as `quantized_linear`; the padding has the value of the zero point.

    Args:
        x: ``[B, H, W, C]``, with one scale and zero point; other numbers of spatial dimensions as in ``convolve``.
        kernel: ``[H, W, C / groups, K]``, with a scale for all or for every output channel, and a zero point of 0.
        bias: ``b``, ``[K]`` real numbers.
        stride: as of ``convolve``.
        padding: as of ``convolve``.
        dilation: as of ``convolve``.
        groups: as of ``convolve``.

    Raises:
        ValueError: the shapes do not match, the kernel has another zero point, or as ``convolve``.

    >>> x = quantize(jnp.ones((1, 2, 2, 1)), 0.5, 3)
    >>> quantized_convolve(x, quantize(jnp.ones((2, 2, 1, 1)), 1.0)).ravel().tolist()
    [4.0]
    """
    rank = kernel.values.ndim - 2
    _check_operands(x, kernel, rank, groups)
    window = make_window(x.values.shape[1:-1], kernel.values.shape[:rank], stride, padding, dilation)
    sides = [(low, high, 0) for low, high in ((0, 0), *window.padding, (0, 0))]
    padded = lax.pad(x.values, jnp.asarray(x.zero_point, jnp.int8), sides)
    spatial = "DHW"[3 - rank :]
    sums = lax.conv_general_dilated(
        padded,
        kernel.values,
        window.stride,
        [(0, 0)] * rank,
        rhs_dilation=window.dilation,
        dimension_numbers=(f"N{spatial}C", f"{spatial}IO", f"N{spatial}C"),
        feature_group_count=groups,
        preferred_element_type=jnp.int32,
    )
    return _rescale(sums, x, kernel, bias)


def _rescale(sums: Array, x: Quantized, kernel: Quantized, bias: ArrayLike | None) -> Array:
    """Convert the sums of products to real numbers."""
    of_kernel = jnp.sum(kernel.values, axis=tuple(range(kernel.values.ndim - 1)), dtype=jnp.int32)
    sums = sums - expand_leading(jnp.asarray(x.zero_point, jnp.int32) * of_kernel, sums.ndim)
    scale = jnp.asarray(kernel.scale)
    y = sums * (x.scale * (expand_leading(scale.reshape(-1), sums.ndim) if scale.size > 1 else scale.reshape(())))
    return y if bias is None else y + expand_leading(jnp.asarray(bias), y.ndim)


def _round(x: Array, scale: ArrayLike, zero_point: ArrayLike) -> Array:
    return jnp.round(x / scale) + zero_point


def _check_finite(name: str, x: Array) -> None:
    """Check that numbers to be quantized are finite; traced ones pass unchecked, and make the scale NaN or infinite."""
    known = known_value(x)
    if known is not None and not np.isfinite(known).all():
        raise ValueError(f"expected {name} to be finite, got {known[~np.isfinite(known)].ravel()[0]}")


def _limits(bits: Any) -> tuple[int, int]:
    """Return the least and the largest of the integers."""
    if not is_integer(bits) or not 2 <= bits <= 8:
        raise ValueError(f"expected 2 to 8 bits, got {bits!r}")
    return -(2 ** (int(bits) - 1)), 2 ** (int(bits) - 1) - 1


def _check_operands(x: Quantized, kernel: Quantized, rank: int, groups: int = 1) -> None:
    """Check the shapes of a product with this number of spatial dimensions, and the zero point of the kernel."""
    values, weights = x.values, kernel.values
    if (
        weights.ndim != rank + 2
        or (values.ndim < 1 if rank == 0 else values.ndim != rank + 2)
        or values.shape[-1] != weights.shape[-2] * groups
        or weights.shape[-1] % groups
    ):
        raise ValueError(
            f"expected x and a kernel with as many input channels, got {values.shape} and {weights.shape} with "
            f"groups={groups}"
        )
    known = known_value(kernel.zero_point)
    if known is not None and np.any(known):
        raise ValueError(f"expected a kernel with zero_point 0, got {kernel.zero_point}; use symmetric_scale")
