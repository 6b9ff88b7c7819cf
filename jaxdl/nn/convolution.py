"""Convolution in one, two and three dimensions, channels last; the arithmetic of its sizes; the module ``Conv``.

What deep learning calls a convolution does not flip the kernel: it is the correlation. That of mathematics is
``convolve(x, jnp.flip(kernel, axis=range(D)))`` for ``D`` spatial dimensions.
"""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import product
from typing import Any, Literal, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxdl.nn import initializers
from jaxdl.typing import Array, ArrayLike

Pair = tuple[int, int]
Padding = Literal["valid", "same", "full"] | int | Sequence[int | Pair]
Form = Literal["auto", "lax", "product", "band", "patches", "mixed"]

SPATIAL = {1: "W", 2: "HW", 3: "DHW"}


class Window(NamedTuple):
    """How a kernel moves: one number, or one pair, for every spatial dimension."""

    size: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[Pair, ...]
    dilation: tuple[int, ...]
    output: tuple[int, ...]


def output_size(
    size: int,
    kernel_size: int,
    stride: int = 1,
    padding: Padding = 0,
    dilation: int = 1,
    *,
    exact: bool = True,
) -> int:
    """Return ``W2 = (W1 - F + P) / S + 1``, how many places a kernel has.

    ``W1`` is the size, ``F = dilation (kernel_size - 1) + 1``, ``S`` the stride, ``P`` the padding of both sides.

    Args:
        size: length of the input, in numbers.
        kernel_size: length of the kernel, in numbers.
        stride: how far the kernel moves.
        padding: ``"valid"``, ``"same"``, ``"full"``, a number for each side, or a pair of numbers.
        dilation: distance between neighbouring numbers of the kernel.
        exact: refuse a size that the stride does not divide; otherwise the rest at the end is not looked at.

    Raises:
        ValueError: the kernel does not fit, or ``exact`` and the stride does not divide ``W1 - F + P``.

    >>> output_size(227, 11, stride=4)
    55
    >>> output_size(224, 11, stride=4, padding=2, exact=False)
    55
    >>> output_size(224, 11, stride=4, padding=2)
    Traceback (most recent call last):
    ...
    ValueError: stride 4 does not divide 224 - 11 + 4 = 217: change the size or the padding, or take exact=False ...
    """
    pair = padding if isinstance(padding, str | int) else [tuple(padding)]
    window = make_window((size,), (kernel_size,), stride, pair, dilation)
    extent, total = dilation * (kernel_size - 1) + 1, sum(window.padding[0])
    if exact and (size - extent + total) % stride:
        raise ValueError(
            f"stride {stride} does not divide {size} - {extent} + {total} = {size - extent + total}: "
            "change the size or the padding, or take exact=False for the floor"
        )
    return window.output[0]


def receptive_field(layers: Sequence[Sequence[int]]) -> int:
    """Return ``r = 1 + sum_l d_l (F_l - 1) prod_(i < l) S_i``: how many inputs one output of the last layer sees.

    Args:
        layers: ``(F,)``, ``(F, S)`` or ``(F, S, d)`` for each layer: kernel size, stride (1), dilation (1).

    Raises:
        ValueError: a layer has no numbers or more than three, or one that is not positive.

    >>> receptive_field([(3,), (3,)]), receptive_field([(2, 1, 2**i) for i in range(10)])
    (5, 1024)
    """
    field, jump = 1, 1
    for layer in layers:
        if not 1 <= len(layer) <= 3 or min(layer) < 1:
            raise ValueError(f"a layer is (kernel size, stride, dilation), all positive; came {tuple(layer)}")
        kernel_size, stride, dilation = (*layer, 1, 1)[:3]
        field += dilation * (kernel_size - 1) * jump
        jump *= stride
    return field


def convolve(
    x: ArrayLike,
    kernel: ArrayLike,
    *,
    stride: int | Sequence[int] = 1,
    padding: Padding = "valid",
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    form: Form = "auto",
) -> Array:
    """Return ``y[.., i, j, o] = sum_(u, v, c) kernel[u, v, c, o] x[.., S i + d u, S j + d v, c]``, x padded with zeros.

    Args:
        x: ``[..., W, C]``, ``[..., H, W, C]`` or ``[..., D, H, W, C]``.
        kernel: ``[W, C / groups, K]``, ``[H, W, C / groups, K]`` or ``[D, H, W, C / groups, K]``; its rank decides.
        stride: ``S``, one for all dimensions or one for each.
        padding: ``"valid"`` none; ``"same"`` as many outputs as ``ceil(inputs / S)``; ``"full"`` wherever kernel and x
            touch; a number for all sides; or for each dimension a number or a pair.
        dilation: ``d``, one for all dimensions or one for each.
        groups: how many parts the channels fall into; outputs of a part see inputs of that part alone.
        form: how it is computed; the result is the same. ``"auto"`` chooses by platform, shapes and cost. Where it
            chooses ``"mixed"``, as on the CPU for large maps, derivatives are in reverse mode only; ``"lax"`` has
            ``jax.jvp`` as well.

    Returns:
        ``[..., W2, K]`` and so on, ``output_size`` with ``exact=False`` giving ``W2``.

    Raises:
        ValueError: ranks or channels do not fit, the output has no numbers, or a form cannot compute this.

    >>> edges = jnp.array([-1.0, 1.0]).reshape(2, 1, 1)
    >>> convolve(jnp.array([0.0, 0.0, 1.0, 1.0]).reshape(4, 1), edges).ravel().tolist()
    [0.0, 1.0, 0.0]
    """
    x, kernel = jnp.asarray(x), jnp.asarray(kernel)
    rank = kernel.ndim - 2
    _check_shapes(x, kernel, rank, groups)
    window = make_window(x.shape[-rank - 1 : -1], kernel.shape[:rank], stride, padding, dilation)
    dtype = jnp.result_type(x, kernel)
    dtype = dtype if jnp.issubdtype(dtype, jnp.inexact) else jnp.result_type(float)
    x, kernel = x.astype(dtype), kernel.astype(dtype)
    if form == "auto":
        form = _choose(x.shape[-rank - 1 :], kernel.shape, window, groups)
    elif form not in FORMS:
        raise ValueError(f"form must be 'auto' or one of {sorted(FORMS)}; came {form!r}")
    leading = x.shape[: -rank - 1]
    y = FORMS[form](x.reshape(-1, *x.shape[-rank - 1 :]), kernel, window, groups)
    return y.reshape(*leading, *y.shape[1:])


class Conv(nn.Module):
    """``convolve`` with a ``kernel`` and a ``bias`` of its own.

    >>> conv = Conv(features=6, kernel_size=(5, 5))
    >>> y, variables = conv.init_with_output(jax.random.key(0), jnp.zeros((1, 32, 32, 1)))
    >>> y.shape, variables["params"]["kernel"].shape
    ((1, 28, 28, 6), (5, 5, 1, 6))
    """

    features: int
    kernel_size: Sequence[int]
    stride: int | Sequence[int] = 1
    padding: Padding = "valid"
    dilation: int | Sequence[int] = 1
    groups: int = 1
    use_bias: bool = True
    form: Form = "auto"
    kernel_init: Callable[..., Array] = initializers.lecun_normal()
    bias_init: Callable[..., Array] = initializers.zeros
    dtype: Any = None
    param_dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: ArrayLike) -> Array:
        """Convolve ``[..., H, W, C]`` (as many spatial dimensions as ``kernel_size`` has) to ``[..., H2, W2, K]``."""
        x = jnp.asarray(x)
        if isinstance(self.kernel_size, int):
            raise ValueError(f"kernel_size has one number for each dimension; came {self.kernel_size}, say (n, n)")
        if self.groups < 1 or self.features % self.groups or x.shape[-1] % self.groups:
            raise ValueError(
                f"groups must divide the {x.shape[-1]} channels that came and the {self.features} features; "
                f"came groups={self.groups}"
            )
        shape = (*self.kernel_size, x.shape[-1] // self.groups, self.features)
        kernel = self.param("kernel", self.kernel_init, shape, self.param_dtype)
        bias = self.param("bias", self.bias_init, (self.features,), self.param_dtype) if self.use_bias else None
        x, kernel, bias = nn.dtypes.promote_dtype(x, kernel, bias, dtype=self.dtype)
        window = {"stride": self.stride, "padding": self.padding, "dilation": self.dilation, "groups": self.groups}
        y = convolve(x, kernel, **window, form=self.form)
        return y if bias is None else y + bias.reshape((1,) * (y.ndim - 1) + bias.shape)


def make_window(
    sizes: Sequence[int],
    kernel_size: Sequence[int],
    stride: int | Sequence[int],
    padding: Padding,
    dilation: int | Sequence[int],
) -> Window:
    """Write stride, padding and dilation out for every dimension, and count the outputs.

    Raises:
        ValueError: a number is missing, not positive, or no window fits.

    >>> make_window((28, 28), (5, 5), 1, "same", 1).padding
    ((2, 2), (2, 2))
    """
    rank = len(kernel_size)
    stride, dilation = _each(stride, rank, "stride"), _each(dilation, rank, "dilation")
    extents = [d * (f - 1) + 1 for d, f in zip(dilation, kernel_size, strict=True)]
    padding = _pairs(sizes, extents, stride, padding)
    output = []
    for axis, (size, extent, s, (low, high)) in enumerate(zip(sizes, extents, stride, padding, strict=True)):
        if extent > size + low + high:
            raise ValueError(
                f"the window covers {extent} numbers of dimension {SPATIAL[rank][axis]}, which has {size} and "
                f"{low} + {high} of padding: give larger inputs, more padding or a smaller window"
            )
        output.append((size + low + high - extent) // s + 1)
    return Window(tuple(kernel_size), stride, padding, dilation, tuple(output))


def _pairs(sizes: Sequence[int], extents: Sequence[int], stride: Sequence[int], padding: Padding) -> tuple[Pair, ...]:
    """Write the padding as a pair for every dimension."""
    if padding == "valid":
        return tuple((0, 0) for _ in sizes)
    if padding == "full":
        return tuple((extent - 1, extent - 1) for extent in extents)
    if padding == "same":
        total = [max((-(-n // s) - 1) * s + f - n, 0) for n, s, f in zip(sizes, stride, extents, strict=True)]
        return tuple((t // 2, t - t // 2) for t in total)
    if isinstance(padding, str):
        raise ValueError(f"padding is 'valid', 'same', 'full', a number or a pair a dimension; came {padding!r}")
    each = (padding,) * len(sizes) if isinstance(padding, int) else tuple(padding)
    pairs = tuple((p, p) if isinstance(p, int) else tuple(p) for p in each)
    if len(pairs) != len(sizes) or any(len(pair) != 2 or min(pair) < 0 for pair in pairs):
        raise ValueError(
            f"padding needs a number or a pair (before, after), none negative, for each of {len(sizes)} dimensions; "
            f"came {padding}"
        )
    return pairs


def _each(number: int | Sequence[int], rank: int, name: str) -> tuple[int, ...]:
    numbers = (number,) * rank if isinstance(number, int) else tuple(number)
    if len(numbers) != rank or min(numbers) < 1:
        raise ValueError(f"{name} needs one positive number, or one for each of {rank} dimensions; came {number}")
    return numbers


def _check_shapes(x: Array, kernel: Array, rank: int, groups: int) -> None:
    if rank not in SPATIAL:
        raise ValueError(f"a kernel has shape [W, C, K], [H, W, C, K] or [D, H, W, C, K]; came {kernel.shape}")
    expected = f"[..., {', '.join(SPATIAL[rank])}, C]"
    if x.ndim < rank + 1:
        raise ValueError(f"a kernel {kernel.shape} needs x {expected}; came {x.shape}")
    channels, (part, features) = x.shape[-1], kernel.shape[-2:]
    if groups < 1 or features % groups:
        raise ValueError(f"groups must divide the kernel's {features} features; came groups={groups}")
    if channels != part * groups:
        message = (
            f"x {x.shape} has {channels} channels, its last dimension; "
            f"a kernel {kernel.shape} with groups={groups} needs {part * groups}"
        )
        if x.shape[-rank - 1] == part * groups:
            message += f". The channels seem to come first: give jnp.moveaxis(x, {-rank - 1}, -1), which is {expected}"
        raise ValueError(message)


def _choose(shape: tuple[int, ...], kernel_shape: tuple[int, ...], window: Window, groups: int) -> Form:
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
    patches = patches.reshape(-1, patches.shape[-2], groups, kernel.shape[-2])
    kernel = kernel.reshape(patches.shape[1], kernel.shape[-2], groups, -1)
    return jnp.einsum("npgc,pcgo->ngo", patches, kernel).reshape(x.shape[0], *window.output, -1)


@partial(jax.custom_vjp, nondiff_argnums=(0, 3, 4))
def _with_patches(forward: Callable[..., Array], x: Array, kernel: Array, window: Window, groups: int) -> Array:
    """Convolve with ``forward``, and take the gradient of the kernel as patches^T times the gradient of the output.

    A custom reverse pass forbids forward mode (``jax.jvp``, ``jax.jacfwd``); reverse mode nests to any order.
    """
    return forward(x, kernel, window, groups)


def _with_patches_forward(
    forward: Callable[..., Array], x: Array, kernel: Array, window: Window, groups: int
) -> tuple[Array, tuple[Array, Array]]:
    return forward(x, kernel, window, groups), (x, kernel)


def _with_patches_backward(
    forward: Callable[..., Array], window: Window, groups: int, saved: tuple[Array, Array], gradient: Array
) -> tuple[Array, Array]:
    x, kernel = saved
    patches = _patches(x, window)
    patches = patches.reshape(-1, patches.shape[-2], groups, kernel.shape[-2])
    kernel_gradient = jnp.einsum("npgc,ngo->pcgo", patches, gradient.reshape(patches.shape[0], groups, -1))
    (x_gradient,) = jax.linear_transpose(lambda x: _lax(x, kernel, window, groups), x)(gradient)
    return x_gradient, kernel_gradient.reshape(kernel.shape)


_with_patches.defvjp(_with_patches_forward, _with_patches_backward)

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
