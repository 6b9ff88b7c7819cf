"""The ways to compute a convolution, which give the same numbers, and the choice between them.

Each is ``(x [B, ..., C], kernel, window, groups) -> y``.
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

from jaxdl.nn.convolution.geometry import SPATIAL, Window
from jaxdl.typing import Array

Form = Literal["auto", "lax", "product", "band", "patches", "mixed"]


def choose(shape: tuple[int, ...], kernel_shape: tuple[int, ...], window: Window, groups: int) -> Form:
    """Choose the form: the only place where the platform decides how a convolution is computed.

    On the CPU, XLA's own gradient of the kernel is tens of times slower within a ``scan`` than outside of it, and
    products of few columns leave its vector units idle; everywhere else XLA's own convolution is the fastest.
    """
    if jax.default_backend() != "cpu":
        return "lax"
    if groups == 1 and set(window.size) == {1} and not any(map(sum, window.padding)):
        return "product"
    features = kernel_shape[-1]
    row = max(shape[-2] * shape[-1], window.output[-1] * features)
    slices = window.output[-1] // _block(window, features) * int(np.prod(window.size[:-1]))
    few = slices <= SLICES and (features < COLUMNS or row <= ROW)
    return "band" if groups == 1 and few else "mixed"


def _lax(x: Array, kernel: Array, window: Window, groups: int) -> Array:
    """Leave it to XLA."""
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


def _product(x: Array, kernel: Array, window: Window, groups: int) -> Array:
    """Multiply the channels by a kernel of size 1: ``[B H W, C] [C, K]``."""
    if groups != 1 or set(window.size) != {1} or any(map(sum, window.padding)):
        raise ValueError(f"form 'product' needs a kernel of size 1, no padding and groups=1; came {kernel.shape}")
    x = x[(slice(None), *(slice(None, None, stride) for stride in window.stride))]
    return x @ kernel.reshape(kernel.shape[-2:])


def _band(x: Array, kernel: Array, window: Window, groups: int) -> Array:
    """Compute a block of neighbouring outputs at once: patches of the block by a banded matrix of shifted kernels.

    For blocks of ``b`` outputs along the last spatial dimension, which see a width of ``w``, the product is
    ``[B H2 W2 / b, F w C] [F w C, b K]``. It multiplies zeros too, but has columns enough where ``K`` is small, and its
    patches overlap less than those of single outputs.
    """
    if groups != 1:
        raise ValueError(f"form 'band' needs groups=1; came groups={groups}")
    features, outputs, stride = kernel.shape[-1], window.output[-1], window.stride[-1]
    block = _block(window, features)
    first = stride * np.arange(block)[:, None] + window.dilation[-1] * np.arange(window.size[-1])
    width = int(first.max()) + 1
    taps = (np.arange(width)[:, None, None] == first).astype(kernel.dtype)
    matrix = jnp.einsum("pjco,wvj->pwcvo", kernel.reshape(-1, *kernel.shape[-3:]), taps)
    inner = Window(*(field[:-1] for field in window))
    x = jnp.pad(x, ((0, 0), *((0, 0),) * len(inner.size), window.padding[-1], (0, 0)))
    starts = range(0, outputs * stride, block * stride)
    blocks = jnp.stack([_patches(x[..., start : start + width, :], inner) for start in starts], axis=-4)
    length = blocks.shape[-3] * blocks.shape[-2] * blocks.shape[-1]
    y = blocks.reshape(-1, length) @ matrix.reshape(length, -1)
    return y.reshape(x.shape[0], *window.output, features)


def _block(window: Window, features: int) -> int:
    """Return the smallest divisor of the outputs in a row that gives a product ``COLUMNS`` columns, or all of them."""
    outputs = window.output[-1]
    return next(b for b in range(1, outputs + 1) if outputs % b == 0 and (b * features >= COLUMNS or b == outputs))


def _patches(x: Array, window: Window) -> Array:
    """Stack what every place of the window's dimensions sees: ``[B, H, W, ...]`` to ``[B, H2, W2, F F, ...]``."""
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
    """Convolve with ``forward``, but let the derivative by the kernel be a product of patches.

    ``dy = convolve(dx, kernel) + patches(x) dkernel``. Reverse mode is its transpose, so that the gradient of the
    kernel is ``patches(x)^T`` times that of the output: in first derivatives, and where reverse mode goes through
    forward mode, XLA's own is never computed. It is where reverse mode goes through a gradient by ``x``, which is a
    transposed convolution, and XLA differentiates that.
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
    # Reverse mode keeps x and makes the patches anew, which are as many times as large as the kernel has places.
    product = jax.checkpoint(partial(_patches_product, window=window, groups=groups), prevent_cse=False)
    y = _with_patches(forward, x, kernel, window, groups)
    return y, _with_patches(_lax, dx, kernel, window, groups) + product(x, dkernel)


ROW = 256  # numbers in a row, channels together, up to which the form "band" is chosen whatever the features
SLICES = 64  # slices of the input that "band" may take; each is an operation to compile
COLUMNS = 64  # columns that a product should have; a block of "band" has as many outputs as that takes

FORMS = {
    "lax": _lax,
    "product": _product,
    "band": _band,
    "patches": partial(_with_patches, _patches_product),
    "mixed": partial(_with_patches, _lax),
}
