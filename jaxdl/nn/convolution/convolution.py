"""Convolution in one, two and three dimensions, channels last, and the module ``Conv``.

What deep learning calls a convolution does not flip the kernel: it is the correlation. That of mathematics is
``convolve(x, jnp.flip(kernel, axis=range(D)))`` for ``D`` spatial dimensions.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from jaxdl.nn import initializers
from jaxdl.nn.convolution.forms import FORMS, Form, choose
from jaxdl.nn.convolution.geometry import SPATIAL, Padding, make_window
from jaxdl.typing import Array, ArrayLike, Key


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
        form: how it is computed; the result is the same. ``"auto"`` chooses by platform, shapes and cost.

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
        form = choose(x.shape[-rank - 1 :], kernel.shape, window, groups)
    elif form not in FORMS:
        raise ValueError(f"form must be 'auto' or one of {sorted(FORMS)}; came {form!r}")
    leading = x.shape[: -rank - 1]
    y = FORMS[form](x.reshape(math.prod(leading), *x.shape[-rank - 1 :]), kernel, window, groups)
    return y.reshape(*leading, *y.shape[1:])


class ConvLayer(nn.Module):
    """What ``Conv`` and ``ConvTranspose`` have in common: their fields, a ``kernel`` and a ``bias`` of their own."""

    features: int
    kernel_size: Sequence[int]
    stride: int | Sequence[int] = 1
    padding: Padding = "valid"
    dilation: int | Sequence[int] = 1
    groups: int = 1
    use_bias: bool = True
    form: str = "auto"
    kernel_init: Callable[..., Array] = initializers.lecun_normal()
    bias_init: Callable[..., Array] = initializers.zeros
    dtype: Any = None
    param_dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: ArrayLike) -> Array:
        """Map ``[..., H, W, C]`` (as many spatial dimensions as ``kernel_size`` has) to ``[..., H2, W2, K]``.

        Raises:
            ValueError: the size of the kernel is one number, the groups do not divide the channels, or what the
                function refuses.
        """
        x = jnp.asarray(x)
        if isinstance(self.kernel_size, int):
            raise ValueError(f"kernel_size has one number for each dimension; came {self.kernel_size}, say (n, n)")
        if self.groups < 1 or self.features % self.groups or x.shape[-1] % self.groups:
            raise ValueError(
                f"groups must divide the {x.shape[-1]} channels that came and the {self.features} features; "
                f"came groups={self.groups}"
            )
        kernel = self.param("kernel", self.init_kernel, x.shape[-1])
        bias = self.param("bias", self.bias_init, (self.features,), self.param_dtype) if self.use_bias else None
        x, kernel, bias = nn.dtypes.promote_dtype(x, kernel, bias, dtype=self.dtype)
        options = {"stride": self.stride, "padding": self.padding, "dilation": self.dilation, "groups": self.groups}
        y = self.compute(x, kernel, form=self.form, **options)
        return y if bias is None else y + bias.reshape((1,) * (y.ndim - 1) + bias.shape)

    def init_kernel(self, key: Key, channels: int) -> Array:
        """Draw the kernel for inputs of so many channels."""
        raise NotImplementedError

    def compute(self, x: Array, kernel: Array, **options: Any) -> Array:
        """Apply the function whose layer this is."""
        raise NotImplementedError


class Conv(ConvLayer):
    """``convolve`` with a ``kernel`` ``[H, W, C / groups, K]`` and a ``bias`` of its own.

    >>> conv = Conv(features=6, kernel_size=(5, 5))
    >>> import jax
    >>> y, variables = jax.eval_shape(conv.init_with_output, jax.random.key(0), jnp.zeros((1, 32, 32, 1)))
    >>> y.shape, variables["params"]["kernel"].shape
    ((1, 28, 28, 6), (5, 5, 1, 6))
    """

    def init_kernel(self, key: Key, channels: int) -> Array:
        """Draw the kernel for inputs of so many channels."""
        return self.kernel_init(key, (*self.kernel_size, channels // self.groups, self.features), self.param_dtype)

    def compute(self, x: Array, kernel: Array, **options: Any) -> Array:
        """Convolve."""
        return convolve(x, kernel, **options)


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
