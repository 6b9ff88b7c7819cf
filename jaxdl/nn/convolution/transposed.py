"""Transposed convolution, channels last: the function, its sizes and the module ``ConvTranspose``.

A transposed convolution is the gradient of a convolution with respect to its input, the transpose of the same
matrix. It restores the shape of the input, but is not the inverse.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp

from jaxdl.checks import check_one_of
from jaxdl.nn.convolution._forms import cpu_forms
from jaxdl.nn.convolution._sizes import SPATIAL, Padding, one_pair, spatial_form, to_tuple
from jaxdl.nn.convolution.convolution import ConvLayer, convolve
from jaxdl.nn.convolution.geometry import Window, make_window
from jaxdl.typing import Array, ArrayLike, Key

Form = Literal["auto", "lax", "phases"]

_UNBOUNDED = 2**62  # a size that any window fits into


def transposed_output_size(
    size: int,
    kernel_size: int,
    stride: int = 1,
    padding: Padding = 0,
    dilation: int = 1,
    output_padding: int = 0,
) -> int:
    """Compute the output size ``W2 = S (W1 - 1) + F - P + R``, the size that a convolution maps to ``W1``.

    ``W1`` is the size, ``F = dilation (kernel_size - 1) + 1``, ``S`` the stride, ``P`` the padding of both sides that
    the convolution would have, here cut off, and ``R`` the output padding. A convolution maps ``S`` sizes to the same
    ``W1``; ``R`` from 0 to ``S - 1`` selects one of them.

    Args:
        size: length of the input.
        kernel_size: length of the kernel.
        stride: distance of neighbouring inputs in the output.
        padding: ``"valid"`` none; ``"same"`` so that ``W2 = S W1``; ``"full"``; a number for each side, or a pair.
        dilation: distance between neighbouring elements of the kernel.
        output_padding: ``R``; 0 with ``"same"``.

    Raises:
        ValueError: a number is not positive, ``R`` is not below ``S``, or the output is empty.

    >>> transposed_output_size(4, 3, stride=2), transposed_output_size(4, 3, stride=2, padding=1, output_padding=1)
    (9, 8)
    """
    return _output_sizes((size,), (kernel_size,), stride, one_pair(padding), dilation, output_padding)[0]


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
    """Compute ``y[.., p, q, k] = sum_(S i + d u = p, S j + d v = q, c) kernel[u, v, k, c] x[.., i, j, c]``.

    Every input adds a copy of the kernel, times itself, to the output, ``S`` elements from its neighbour's. It is the
    gradient of ``sum(x * convolve(z, kernel))`` with respect to ``z``, for the same
    kernel and options, and so the transpose of that convolution, not its inverse.

    Args:
        x: ``[..., W, C]``, ``[..., H, W, C]`` or ``[..., D, H, W, C]``.
        kernel: ``[W, K / groups, C]``, ``[H, W, K / groups, C]`` or ``[D, H, W, K / groups, C]``; its rank gives the
            number of spatial dimensions.
        stride: ``S``, one for all dimensions or one per dimension.
        padding: what is cut off: see `transposed_output_size`; one for all dimensions or one per dimension.
        output_padding: additional elements at the ends of the output, less than ``S``.
        dilation: ``d``, one for all dimensions or one per dimension.
        groups: number of groups of channels.
        form: algorithm; the result is the same. ``"auto"`` selects by platform and options.

    Returns:
        ``[..., W2, K]`` and so on, with ``W2`` from `transposed_output_size`.

    Raises:
        ValueError: ranks or channels do not match, or a size is impossible.

    Source: Zeiler, Krishnan, Taylor and Fergus, "Deconvolutional networks" (2010); Dumoulin and Visin, "A guide to
    convolution arithmetic for deep learning" (2016).

    >>> x, kernel = jnp.array([[1.0], [10.0]]), jnp.array([1.0, 2.0, 3.0]).reshape(3, 1, 1)
    >>> transposed_convolve(x, kernel, stride=2).ravel().tolist()
    [1.0, 2.0, 13.0, 20.0, 30.0]
    """
    x, kernel = jnp.asarray(x), jnp.asarray(kernel)
    rank = kernel.ndim - 2
    _check_shapes(x, kernel, rank, groups)
    check_one_of("form", form, FORMS)
    size, kernel_size = x.shape[-rank - 1 : -1], kernel.shape[:rank]
    output = _output_sizes(size, kernel_size, stride, padding, dilation, output_padding)
    window = make_window(output, kernel_size, stride, padding, dilation)
    dtype = jnp.result_type(x, kernel)
    dtype = dtype if jnp.issubdtype(dtype, jnp.inexact) else jnp.result_type(float)
    x, kernel = x.astype(dtype), kernel.astype(dtype)
    y = _apply(form, x.reshape(-1, *x.shape[-rank - 1 :]), kernel, window, groups, output)
    return y.reshape(*x.shape[: -rank - 1], *y.shape[1:])


class ConvTranspose(ConvLayer):
    """``transposed_convolve`` with the parameters ``kernel`` ``[H, W, K / groups, C]`` and ``bias``.

    The fan-in of ``kernel_init`` is ``H W C``; about ``H W C / S^2`` inputs contribute to each output.

    >>> double = ConvTranspose(features=3, kernel_size=(4, 4), stride=2, padding=1)
    >>> y, variables = jax.eval_shape(double.init_with_output, jax.random.key(0), jnp.zeros((1, 8, 8, 6)))
    >>> y.shape, variables["params"]["kernel"].shape
    ((1, 16, 16, 3), (4, 4, 3, 6))
    """

    output_padding: int | Sequence[int] = 0

    def init_kernel(self, key: Key, channels: int) -> Array:
        """Draw with the inputs in the last dimension but one, as initializers expect."""
        shape = (*self.kernel_size, channels, self.features // self.groups)
        return jnp.swapaxes(self.kernel_init(key, shape, self.param_dtype), -1, -2)

    def compute(self, x: Array, kernel: Array, **options: Any) -> Array:
        """Compute the transposed convolution."""
        return transposed_convolve(x, kernel, output_padding=self.output_padding, **options)


def _output_sizes(
    sizes: Sequence[int],
    kernel_size: Sequence[int],
    stride: int | Sequence[int],
    padding: Padding,
    dilation: int | Sequence[int],
    output_padding: int | Sequence[int],
) -> tuple[int, ...]:
    """Return the sizes that a convolution maps to ``sizes``."""
    rank = len(kernel_size)
    extra = to_tuple(output_padding, rank)
    window = make_window((_UNBOUNDED,) * rank, kernel_size, stride, 0 if padding == "same" else padding, dilation)
    if len(extra) != rank or any(not 0 <= r < s for r, s in zip(extra, window.stride, strict=True)):
        raise ValueError(
            f"expected output_padding in [0, stride) for each of {rank} dimensions, "
            f"got {output_padding} with stride {window.stride}"
        )
    if padding == "same":
        if any(extra):
            raise ValueError(f"expected output_padding 0 with padding 'same', got {extra}")
        return tuple(s * n for s, n in zip(window.stride, sizes, strict=True))
    output = []
    for axis, (n, f, s, d, (low, high), r) in enumerate(
        zip(sizes, kernel_size, window.stride, window.dilation, window.padding, extra, strict=True)
    ):
        output.append(s * (n - 1) + d * (f - 1) + 1 - low - high + r)
        if n < 1 or output[-1] < 1:
            raise ValueError(
                f"expected an output of at least 1 in dimension {SPATIAL[rank][axis]}, got {s} ({n} - 1) + "
                f"{d * (f - 1) + 1} - {low} - {high} + {r} = {output[-1]}; use larger inputs or less padding"
            )
    return tuple(output)


def _check_shapes(x: Array, kernel: Array, rank: int, groups: int) -> None:
    if rank not in SPATIAL:
        raise ValueError(f"expected a kernel [W, K, C], [H, W, K, C] or [D, H, W, K, C], got {kernel.shape}")
    if x.ndim < rank + 1:
        raise ValueError(f"expected x {spatial_form(rank)} for a kernel {kernel.shape}, got {x.shape}")
    channels, needed = x.shape[-1], kernel.shape[-1]
    if groups < 1 or needed % groups:
        raise ValueError(f"expected groups that divide the kernel's {needed} input channels, got {groups}")
    if channels != needed:
        message = (
            f"expected x with {needed} channels for a kernel {kernel.shape}, [..., K, C], got {channels} in x {x.shape}"
        )
        if x.shape[-rank - 1] == needed:
            message += f"; for channels first pass jnp.moveaxis(x, {-rank - 1}, -1), which is {spatial_form(rank)}"
        elif channels == kernel.shape[-2]:
            message += "; for the kernel of a convolution pass jnp.swapaxes(kernel, -1, -2)"
        raise ValueError(message)


def _lax(x: Array, kernel: Array, window: Window, groups: int, output: tuple[int, ...]) -> Array:
    """Compute the transpose of the convolution that maps ``[B, *output, K]`` to the shape of ``x``."""
    options = {"stride": window.stride, "padding": window.padding, "dilation": window.dilation, "groups": groups}
    z = jax.ShapeDtypeStruct((x.shape[0], *output, kernel.shape[-2] * groups), x.dtype)
    (y,) = jax.linear_transpose(lambda z: convolve(z, kernel, form="lax", **options), z)(x)
    return y


def _phases(x: Array, kernel: Array, window: Window, groups: int, output: tuple[int, ...], tangent: int = 0) -> Array:
    """Convolve ``x`` with a small kernel for each of the phases ``p mod S``, and interleave the results.

    The phase ``r`` has the kernel ``kernel[r], kernel[r + S], ...``, so all phases together are one convolution with
    ``ceil(F / S)`` elements and ``S K`` features along each dimension. ``tangent`` selects its form: 0 for the outputs,
    1 where ``x`` is a tangent, 2 where the kernel is.
    """
    if groups != 1 or set(window.dilation) != {1}:
        raise ValueError(f"expected groups=1 and dilation=1 with form 'phases', got {groups} and {window.dilation}")
    rank, stride = len(window.size), window.stride
    places = [-(-f // s) for f, s in zip(window.size, stride, strict=True)]
    rest = [(0, q * s - f) for q, s, f in zip(places, stride, window.size, strict=True)]
    sides = [side for pair in zip(places, stride, strict=True) for side in pair]
    kernel = jnp.pad(kernel, (*rest, (0, 0), (0, 0))).reshape(*sides, *kernel.shape[-2:])
    order = (*range(0, 2 * rank, 2), 2 * rank + 1, *range(1, 2 * rank, 2), 2 * rank)
    small = jnp.flip(kernel.transpose(order), range(rank)).reshape(*places, x.shape[-1], -1)
    inner = make_window(x.shape[1:-1], places, 1, "full", 1)
    y = cpu_forms(small.shape, inner, 1)[tangent](x, small, inner, 1)
    sizes = y.shape[1:-1]
    y = y.reshape(-1, *sizes, *stride, kernel.shape[-2])
    y = y.transpose(0, *(i for axis in range(1, rank + 1) for i in (axis, axis + rank)), 2 * rank + 1)
    y = y.reshape(-1, *(n * s for n, s in zip(sizes, stride, strict=True)), kernel.shape[-2])
    past = [low + n for (low, _), n in zip(window.padding, output, strict=True)]
    beyond = [(0, max(p - n, 0)) for p, n in zip(past, y.shape[1:-1], strict=True)]
    cut = [slice(low, p) for (low, _), p in zip(window.padding, past, strict=True)]
    return jnp.pad(y, ((0, 0), *beyond, (0, 0)))[(slice(None), *cut)]


def _automatic(
    x: Array, kernel: Array, window: Window, groups: int, output: tuple[int, ...], tangent: int = 0
) -> Array:
    """Use phases where the program is lowered for a CPU and they support the options, else XLA's convolution."""
    options = {"window": window, "groups": groups, "output": output}
    if groups != 1 or set(window.dilation) != {1}:
        return _lax(x, kernel, **options)
    phases = partial(_phases, **options, tangent=tangent)
    return jax.lax.platform_dependent(x, kernel, cpu=phases, default=partial(_lax, **options))


@partial(jax.custom_jvp, nondiff_argnums=(0, 3, 4, 5))
def _with_factors(
    form: Callable[..., Array], x: Array, kernel: Array, window: Window, groups: int, output: tuple[int, ...]
) -> Array:
    """Apply a form; reverse mode saves the factors ``x`` and ``kernel``, not what the form makes of them."""
    return form(x, kernel, window, groups, output)


@_with_factors.defjvp
def _with_factors_derivative(
    form: Callable[..., Array],
    window: Window,
    groups: int,
    output: tuple[int, ...],
    primals: tuple[Array, Array],
    tangents: tuple[Array, Array],
) -> tuple[Array, Array]:
    """Compute the two terms of the product rule."""
    (x, kernel), (dx, dkernel) = primals, tangents
    along_x = form(dx, kernel, window, groups, output, 1)
    return _with_factors(form, x, kernel, window, groups, output), along_x + form(x, dkernel, window, groups, output, 2)


@partial(jax.jit, static_argnums=(0, 3, 4, 5))
def _apply(form: str, x: Array, kernel: Array, window: Window, groups: int, output: tuple[int, ...]) -> Array:
    """Apply a form: one program where arrays are concrete, and traced once for all equal layers of a network."""
    return FORMS[form](x, kernel, window, groups, output)


FORMS = {"auto": partial(_with_factors, _automatic), "lax": _lax, "phases": partial(_with_factors, _phases)}
