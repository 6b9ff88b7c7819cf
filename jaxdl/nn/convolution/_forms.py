"""Algorithms of convolution, with equal results, and the choice between them.

Each is ``(x [B, ..., C], kernel, window, groups) -> y``. The platform is that for which a program is lowered, not that
of the process that traces it: a program for a TPU may be compiled on a CPU.
"""

import math
from collections.abc import Callable
from functools import partial
from itertools import product
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxdl.nn.convolution._sizes import SPATIAL
from jaxdl.nn.convolution.geometry import Window
from jaxdl.typing import Array

Form = Literal["auto", "lax", "product", "band", "patches", "mixed"]


def choose_cpu_form(kernel_shape: tuple[int, ...], window: Window, groups: int) -> Form:
    """Select the form for a CPU.

    There, XLA's own gradient of the kernel is tens of times slower within a ``scan`` than outside of it, and products
    of few columns leave its vector units idle; everywhere else XLA's own convolution is the fastest.
    """
    if groups == 1 and set(window.size) == {1} and not any(map(sum, window.padding)):
        return "product"
    few_channels = groups == 1 and kernel_shape[-2] < CHANNELS
    return "band" if few_channels and _few_slices(kernel_shape, window) else "mixed"


@partial(jax.custom_jvp, nondiff_argnums=(2, 3))
def _automatic(x: Array, kernel: Array, window: Window, groups: int) -> Array:
    """Convolve with the form for the platform."""
    return _on_cpu(cpu_forms(kernel.shape, window, groups)[0], x, kernel, window, groups)


@_automatic.defjvp
def _automatic_derivative(
    window: Window, groups: int, primals: tuple[Array, Array], tangents: tuple[Array, Array]
) -> tuple[Array, Array]:
    """Compute ``dy = convolve(dx, kernel) + convolve(x, dkernel)``, each with the form for the platform."""
    (x, kernel), (dx, dkernel) = primals, tangents
    _, by_input, by_kernel = cpu_forms(kernel.shape, window, groups)
    y = _automatic(x, kernel, window, groups)
    return y, _on_cpu(by_input, dx, kernel, window, groups) + _on_cpu(by_kernel, x, dkernel, window, groups)


def cpu_forms(kernel_shape: tuple[int, ...], window: Window, groups: int) -> tuple[Callable[..., Array], ...]:
    """Return the forms for a CPU of the outputs, of their tangents along ``x`` and of those along the kernel."""
    match choose_cpu_form(kernel_shape, window, groups):
        case "product":
            return _product, _product, _product
        case "band":
            return _band, _band, _band
        case _:
            return _lax, partial(_with_patches, _lax_input_output_swapped), _kernel_derivative


def _on_cpu(form: Callable[..., Array], x: Array, kernel: Array, window: Window, groups: int) -> Array:
    """Convolve with ``form`` where the program is lowered for a CPU, elsewhere with XLA's convolution."""
    if form is _lax:
        return _lax(x, kernel, window, groups)
    forms = (partial(f, window=window, groups=groups) for f in (form, _lax))
    return lax.platform_dependent(x, kernel, **dict(zip(("cpu", "default"), forms, strict=True)))


def _lax(x: Array, kernel: Array, window: Window, groups: int) -> Array:
    """Use XLA's convolution."""
    spatial = SPATIAL[len(window.size)]
    return lax.conv_general_dilated(
        x,
        kernel,
        window.stride,
        window.padding,
        rhs_dilation=window.dilation,
        dimension_numbers=(f"N{spatial}C", f"{spatial}IO", f"N{spatial}C"),
        feature_group_count=groups,
    )


def _lax_input_output_swapped(x: Array, kernel: Array, window: Window, groups: int) -> Array:
    """Use XLA's convolution with a kernel ``[..., K, C]``, so that its transpose has one of ``[..., C, K]``.

    On the CPU, XLA has a fast convolution for this order alone, and reorders others only outside of loops.
    """
    if groups != 1:
        return _lax(x, kernel, window, groups)
    spatial = SPATIAL[len(window.size)]
    return lax.conv_general_dilated(
        x,
        jnp.swapaxes(kernel, -1, -2),
        window.stride,
        window.padding,
        rhs_dilation=window.dilation,
        dimension_numbers=(f"N{spatial}C", f"{spatial}OI", f"N{spatial}C"),
    )


def _product(x: Array, kernel: Array, window: Window, groups: int) -> Array:
    """Multiply the channels by a kernel of size 1: ``[B H W, C] [C, K]``."""
    if groups != 1 or set(window.size) != {1} or any(map(sum, window.padding)):
        raise ValueError(
            "expected a kernel of size 1, no padding and groups=1 with form 'product', "
            f"got the kernel {kernel.shape}, {window.padding} and {groups}"
        )
    x = x[(slice(None), *(slice(None, None, stride) for stride in window.stride))]
    return x @ kernel.reshape(kernel.shape[-2:])


def _band(x: Array, kernel: Array, window: Window, groups: int) -> Array:
    """Compute a block of neighbouring outputs at once: patches of the block by a banded matrix of shifted kernels.

    For blocks of ``b`` outputs along the last spatial dimension, with a receptive field of ``w``, the product is
    ``[B H2 W2 / b, F w C] [F w C, b K]``. It multiplies zeros too, but has enough columns where ``K`` is small, and its
    patches overlap less than those of single outputs.
    """
    if groups != 1:
        raise ValueError(f"expected groups=1 with form 'band', got {groups}")
    features, outputs, stride = kernel.shape[-1], window.output[-1], window.stride[-1]
    block = _block(window, features)
    first = stride * np.arange(block)[:, None] + window.dilation[-1] * np.arange(window.size[-1])
    width = int(first.max()) + 1
    taps = (np.arange(width)[:, None, None] == first).astype(kernel.dtype)
    matrix = jnp.einsum("pjco,wvj->pwcvo", kernel.reshape(-1, *kernel.shape[-3:]), taps)
    inner = Window(window.size[:-1], window.stride[:-1], window.padding[:-1], window.dilation[:-1], window.output[:-1])
    x = jnp.pad(x, ((0, 0), *((0, 0),) * len(inner.size), window.padding[-1], (0, 0)))
    starts = range(0, outputs * stride, block * stride)
    blocks = jnp.stack([_patches(x[..., start : start + width, :], inner) for start in starts], axis=-4)
    length = blocks.shape[-3] * blocks.shape[-2] * blocks.shape[-1]
    y = blocks.reshape(-1, length) @ matrix.reshape(length, -1)
    return y.reshape(x.shape[0], *window.output, features)


def _block(window: Window, features: int) -> int:
    """Return the smallest divisor of the outputs per row that gives the product ``COLUMNS`` columns, or all outputs."""
    outputs = window.output[-1]
    return next(b for b in range(1, outputs + 1) if outputs % b == 0 and (b * features >= COLUMNS or b == outputs))


def _few_slices(kernel_shape: tuple[int, ...], window: Window) -> bool:
    features = kernel_shape[-1]
    slices = window.output[-1] // _block(window, features) * int(np.prod(window.size[:-1]))
    return features < COLUMNS and slices <= SLICES


def _patches(x: Array, window: Window) -> Array:
    """Stack the inputs of every output: ``[B, H, W, ...]`` to ``[B, H2, W2, F F, ...]``."""
    rank = len(window.size)
    x = jnp.pad(x, ((0, 0), *window.padding, *((0, 0),) * (x.ndim - rank - 1)))
    slices = []
    for tap in product(*map(range, window.size)):
        first = [d * t for d, t in zip(window.dilation, tap, strict=True)]
        past = [f + s * (n - 1) + 1 for f, s, n in zip(first, window.stride, window.output, strict=True)]
        slices.append(x[(slice(None), *map(slice, first, past, window.stride))])
    return jnp.stack(slices, axis=rank + 1)


def _patches_product(x: Array, kernel: Array, window: Window, groups: int) -> Array:
    """Multiply patches by the kernel: ``[B H2 W2, F F C] [F F C, K]``, group by group."""
    patches = _patches(x, window)
    patches = patches.reshape(math.prod(patches.shape[:-2]), patches.shape[-2], groups, kernel.shape[-2])
    parts = kernel.reshape(patches.shape[1], kernel.shape[-2], groups, -1)
    return jnp.einsum("npgc,pcgo->ngo", patches, parts).reshape(x.shape[0], *window.output, kernel.shape[-1])


@partial(jax.custom_jvp, nondiff_argnums=(0, 3, 4))
def _with_patches(forward: Callable[..., Array], x: Array, kernel: Array, window: Window, groups: int) -> Array:
    """Convolve with ``forward``, with a product of patches as the derivative with respect to the kernel.

    ``dy = convolve(dx, kernel) + patches(x) dkernel``. Reverse mode is its transpose: the gradient of the kernel is
    ``patches(x)^T`` times that of the output. XLA's own gradient of the kernel is used only where reverse mode goes
    through a gradient with respect to ``x``, a transposed convolution.
    """
    return forward(x, kernel, window, groups)


@_with_patches.defjvp
def _with_patches_derivative(
    forward: Callable[..., Array],
    window: Window,
    groups: int,
    primals: tuple[Array, Array],
    tangents: tuple[Array, Array],
) -> tuple[Array, Array]:
    (x, kernel), (dx, dkernel) = primals, tangents
    y = _with_patches(forward, x, kernel, window, groups)
    along_input = _with_patches(_lax_input_output_swapped, dx, kernel, window, groups)
    return y, along_input + _kernel_derivative(x, dkernel, window, groups)


def _kernel_derivative(x: Array, dkernel: Array, window: Window, groups: int) -> Array:
    """Multiply patches by the kernel's tangent.

    Rematerialized: reverse mode saves x, not the patches, which are larger by the number of kernel elements.
    """
    multiply = _band if groups == 1 and _few_slices(dkernel.shape, window) else _patches_product
    return jax.checkpoint(partial(multiply, window=window, groups=groups), prevent_cse=False)(x, dkernel)


CHANNELS = 8  # smallest number of input channels for which XLA's convolution is faster than the form "band"
SLICES = 64  # largest number of slices of the form "band", each an operation to compile
COLUMNS = 64  # smallest number of columns of an efficient product; it gives the block of the form "band"

FORMS = {
    "auto": _automatic,
    "lax": _lax,
    "product": _product,
    "band": _band,
    "patches": partial(_with_patches, _patches_product),
    "mixed": partial(_with_patches, _lax),
}
