"""Transposed convolution, channels last: the function, its sizes and the module ``ConvTranspose``.

A transposed convolution is the gradient of a convolution with respect to its input: the transpose of the same matrix,
so that shapes go back. It is not its inverse, and does not give the input back.
"""

from collections.abc import Sequence
from numbers import Integral
from typing import Any, Literal

import jax
import jax.numpy as jnp

from jaxdl.nn.convolution.convolution import ConvLayer, convolve
from jaxdl.nn.convolution.geometry import SPATIAL, Padding, Window, make_window
from jaxdl.typing import Array, ArrayLike, Key

Form = Literal["auto", "lax", "phases"]

VAST = 2**62  # a size that any window fits into


def transposed_output_size(
    size: int,
    kernel_size: int,
    stride: int = 1,
    padding: Padding = 0,
    dilation: int = 1,
    output_padding: int = 0,
) -> int:
    """Return ``W2 = S (W1 - 1) + F - P + R``: the size that a convolution would take to ``W1``.

    ``W1`` is the size, ``F = dilation (kernel_size - 1) + 1``, ``S`` the stride, ``P`` the padding of both sides that
    the convolution would have, here cut off, and ``R`` the output padding. A convolution takes ``S`` sizes to the same
    ``W1``; ``R`` from 0 to ``S - 1`` chooses among them.

    Args:
        size: length of the input, in numbers.
        kernel_size: length of the kernel, in numbers.
        stride: how far apart the inputs lie in the output.
        padding: ``"valid"`` none; ``"same"`` so that ``W2 = S W1``; ``"full"``; a number for each side, or a pair.
        dilation: distance between neighbouring numbers of the kernel.
        output_padding: ``R``; 0 with ``"same"``.

    Raises:
        ValueError: a number is not positive, ``R`` is not below ``S``, or nothing is left.

    >>> transposed_output_size(4, 3, stride=2), transposed_output_size(4, 3, stride=2, padding=1, output_padding=1)
    (9, 8)
    """
    pair = padding if isinstance(padding, str | Integral) else [tuple(padding)]
    return _output_sizes((size,), (kernel_size,), stride, pair, dilation, output_padding)[0]


def transposed_convolve(
    x: ArrayLike,
    kernel: ArrayLike,
    *,
    stride: int | Sequence[int] = 1,
    padding: Padding = "valid",
    output_padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    form: Form = "auto",
) -> Array:
    """Return ``y[.., p, q, k] = sum_(S i + d u = p, S j + d v = q, c) kernel[u, v, k, c] x[.., i, j, c]``.

    Every input lays a copy of the kernel, times itself, on the output, ``S`` numbers from its neighbour's; where copies
    overlap they add up. It is the gradient of ``sum(x * convolve(z, kernel))`` with respect to ``z``, for the same
    kernel and options, and so the transpose of that convolution, not its inverse.

    Args:
        x: ``[..., W, C]``, ``[..., H, W, C]`` or ``[..., D, H, W, C]``.
        kernel: ``[W, K / groups, C]``, ``[H, W, K / groups, C]`` or ``[D, H, W, K / groups, C]``; its rank decides.
        stride: ``S``, one for all dimensions or one for each.
        padding: what is cut off: see `transposed_output_size`; one for all dimensions or one for each.
        output_padding: how many numbers the output has more at its ends, below ``S``.
        dilation: ``d``, one for all dimensions or one for each.
        groups: how many parts the channels fall into.
        form: how it is computed; the result is the same. ``"auto"`` chooses by platform and options.

    Returns:
        ``[..., W2, K]`` and so on, `transposed_output_size` giving ``W2``.

    Raises:
        ValueError: ranks or channels do not fit, or a size is impossible.

    Source: Zeiler, Krishnan, Taylor and Fergus, "Deconvolutional networks" (2010); Dumoulin and Visin, "A guide to
    convolution arithmetic for deep learning" (2016).

    >>> x, kernel = jnp.array([[1.0], [10.0]]), jnp.array([1.0, 2.0, 3.0]).reshape(3, 1, 1)
    >>> transposed_convolve(x, kernel, stride=2).ravel().tolist()
    [1.0, 2.0, 13.0, 20.0, 30.0]
    """
    x, kernel = jnp.asarray(x), jnp.asarray(kernel)
    rank = kernel.ndim - 2
    _check_shapes(x, kernel, rank, groups)
    if form != "auto" and form not in FORMS:
        raise ValueError(f"form must be 'auto' or one of {sorted(FORMS)}; came {form!r}")
    size, kernel_size = x.shape[-rank - 1 : -1], kernel.shape[:rank]
    output = _output_sizes(size, kernel_size, stride, padding, dilation, output_padding)
    window = make_window(output, kernel_size, stride, padding, dilation)
    dtype = jnp.result_type(x, kernel)
    dtype = dtype if jnp.issubdtype(dtype, jnp.inexact) else jnp.result_type(float)
    x, kernel = x.astype(dtype), kernel.astype(dtype)
    if form == "auto":
        fast = jax.default_backend() == "cpu" and groups == 1 and set(window.dilation) == {1}
        form = "phases" if fast else "lax"
    y = FORMS[form](x.reshape(-1, *x.shape[-rank - 1 :]), kernel, window, groups, output)
    return y.reshape(*x.shape[: -rank - 1], *y.shape[1:])


class ConvTranspose(ConvLayer):
    """``transposed_convolve`` with a ``kernel`` ``[H, W, K / groups, C]`` and a ``bias`` of its own.

    ``kernel_init`` counts ``H W C`` inputs of an output; those that fall onto one are about ``H W C / S^2``.

    >>> double = ConvTranspose(features=3, kernel_size=(4, 4), stride=2, padding=1)
    >>> y, variables = jax.eval_shape(double.init_with_output, jax.random.key(0), jnp.zeros((1, 8, 8, 6)))
    >>> y.shape, variables["params"]["kernel"].shape
    ((1, 16, 16, 3), (4, 4, 3, 6))
    """

    output_padding: int | Sequence[int] = 0

    def init_kernel(self, key: Key, channels: int) -> Array:
        """Draw with the inputs in the last dimension but one, where initializers expect them."""
        shape = (*self.kernel_size, channels, self.features // self.groups)
        return jnp.swapaxes(self.kernel_init(key, shape, self.param_dtype), -1, -2)

    def compute(self, x: Array, kernel: Array, **options: Any) -> Array:
        """Apply the transpose of a convolution."""
        return transposed_convolve(x, kernel, output_padding=self.output_padding, **options)


def _output_sizes(
    sizes: Sequence[int],
    kernel_size: Sequence[int],
    stride: int | Sequence[int],
    padding: Padding,
    dilation: int | Sequence[int],
    output_padding: int | Sequence[int],
) -> tuple[int, ...]:
    """Return the sizes that a convolution takes to ``sizes``."""
    rank = len(kernel_size)
    extra = (output_padding,) * rank if isinstance(output_padding, Integral) else tuple(output_padding)
    window = make_window((VAST,) * rank, kernel_size, stride, 0 if padding == "same" else padding, dilation)
    if len(extra) != rank or any(not 0 <= r < s for r, s in zip(extra, window.stride, strict=True)):
        raise ValueError(
            f"output_padding needs a number from 0 to stride - 1 for each of {rank} dimensions, since a stride takes "
            f"so many sizes to the same one; came {output_padding} with stride {window.stride}"
        )
    if padding == "same":
        if any(extra):
            raise ValueError(f"padding 'same' gives stride times the input; output_padding must be 0, came {extra}")
        return tuple(s * n for s, n in zip(window.stride, sizes, strict=True))
    output = []
    for axis, (n, f, s, d, (low, high), r) in enumerate(
        zip(sizes, kernel_size, window.stride, window.dilation, window.padding, extra, strict=True)
    ):
        output.append(s * (n - 1) + d * (f - 1) + 1 - low - high + r)
        if n < 1 or output[-1] < 1:
            raise ValueError(
                f"{n} numbers of dimension {SPATIAL[rank][axis]} leave none: {s} ({n} - 1) + {d * (f - 1) + 1} - "
                f"{low} - {high} + {r} = {output[-1]}: give larger inputs or less padding, which here cuts off"
            )
    return tuple(output)


def _check_shapes(x: Array, kernel: Array, rank: int, groups: int) -> None:
    if rank not in SPATIAL:
        raise ValueError(f"a kernel has shape [W, K, C], [H, W, K, C] or [D, H, W, K, C]; came {kernel.shape}")
    expected = f"[..., {', '.join(SPATIAL[rank])}, C]"
    if x.ndim < rank + 1:
        raise ValueError(f"a kernel {kernel.shape} needs x {expected}; came {x.shape}")
    channels, needed = x.shape[-1], kernel.shape[-1]
    if groups < 1 or needed % groups:
        raise ValueError(f"groups must divide the kernel's {needed} input channels; came groups={groups}")
    if channels != needed:
        message = (
            f"x {x.shape} has {channels} channels, its last dimension; a kernel {kernel.shape} needs {needed}, "
            "its last dimension, which comes after that of the features"
        )
        if x.shape[-rank - 1] == needed:
            message += f". The channels seem to come first: give jnp.moveaxis(x, {-rank - 1}, -1), which is {expected}"
        elif channels == kernel.shape[-2]:
            message += ". The kernel seems to be that of a convolution: give jnp.swapaxes(kernel, -1, -2)"
        raise ValueError(message)


def _lax(x: Array, kernel: Array, window: Window, groups: int, output: tuple[int, ...]) -> Array:
    """Apply the transpose of the convolution that takes ``[B, *output, K]`` to the shape of ``x``."""
    options = {"stride": window.stride, "padding": window.padding, "dilation": window.dilation, "groups": groups}
    z = jax.ShapeDtypeStruct((x.shape[0], *output, kernel.shape[-2] * groups), x.dtype)
    (y,) = jax.linear_transpose(lambda z: convolve(z, kernel, form="lax", **options), z)(x)
    return y


def _phases(x: Array, kernel: Array, window: Window, groups: int, output: tuple[int, ...]) -> Array:
    """Convolve ``x`` with a small kernel for each of the phases ``p mod S``, and lay the results between each other.

    The phase ``r`` sees ``kernel[r], kernel[r + S], ...``, so all of them together are one convolution with
    ``ceil(F / S)`` places and ``S K`` features along each dimension.
    """
    if groups != 1 or set(window.dilation) != {1}:
        raise ValueError(f"form 'phases' needs groups=1 and dilation=1; came {groups} and {window.dilation}")
    rank, stride = len(window.size), window.stride
    places = [-(-f // s) for f, s in zip(window.size, stride, strict=True)]
    rest = [(0, q * s - f) for q, s, f in zip(places, stride, window.size, strict=True)]
    sides = [side for pair in zip(places, stride, strict=True) for side in pair]
    kernel = jnp.pad(kernel, (*rest, (0, 0), (0, 0))).reshape(*sides, *kernel.shape[-2:])
    order = (*range(0, 2 * rank, 2), 2 * rank + 1, *range(1, 2 * rank, 2), 2 * rank)
    small = jnp.flip(kernel.transpose(order), range(rank)).reshape(*places, x.shape[-1], -1)
    y = convolve(x, small, padding="full")
    sizes = y.shape[1:-1]
    y = y.reshape(-1, *sizes, *stride, kernel.shape[-2])
    y = y.transpose(0, *(i for axis in range(1, rank + 1) for i in (axis, axis + rank)), 2 * rank + 1)
    y = y.reshape(-1, *(n * s for n, s in zip(sizes, stride, strict=True)), kernel.shape[-2])
    past = [low + n for (low, _), n in zip(window.padding, output, strict=True)]
    beyond = [(0, max(p - n, 0)) for p, n in zip(past, y.shape[1:-1], strict=True)]
    cut = [slice(low, p) for (low, _), p in zip(window.padding, past, strict=True)]
    return jnp.pad(y, ((0, 0), *beyond, (0, 0)))[(slice(None), *cut)]


FORMS = {"lax": _lax, "phases": _phases}
