"""Convolution in one, two and three dimensions, channels last, and the module ``Conv``.

As everywhere in deep learning the kernel is not flipped: it is a correlation. The convolution of mathematics is
``convolve(x, jnp.flip(kernel, axis=range(D)))`` for ``D`` spatial dimensions.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen
from flax.linen.dtypes import promote_dtype

from jaxdl.arrays import expand_leading
from jaxdl.checks import check_one_of, is_integer
from jaxdl.nn import initializers
from jaxdl.nn.convolution._forms import FORMS, Form
from jaxdl.nn.convolution._sizes import SPATIAL, Padding, spatial_form
from jaxdl.nn.convolution.geometry import Window, make_window
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
    """Compute ``y[.., i, j, o] = sum_(u, v, c) kernel[u, v, c, o] x[.., S i + d u, S j + d v, c]`` with zero padding.

    Args:
        x: ``[..., W, C]``, ``[..., H, W, C]`` or ``[..., D, H, W, C]``.
        kernel: ``[W, C / groups, K]``, ``[H, W, C / groups, K]`` or ``[D, H, W, C / groups, K]``; its rank gives the
            number of spatial dimensions.
        stride: ``S``, one for all dimensions or one per dimension.
        padding: ``"valid"`` none; ``"same"`` as many outputs as ``ceil(inputs / S)``; ``"full"`` wherever kernel and x
            overlap; a number for all sides; or a number or a pair per dimension.
        dilation: ``d``, one for all dimensions or one per dimension.
        groups: number of groups of channels; outputs of a group depend on inputs of that group alone.
        form: algorithm; the result is the same. ``"auto"`` selects by platform, shapes and cost.

    Returns:
        ``[..., W2, K]`` and so on, with ``W2`` from ``output_size`` with ``exact=False``.

    Raises:
        ValueError: ranks or channels do not match, the output is empty, or the form does not support the options.

    >>> edges = jnp.array([-1.0, 1.0]).reshape(2, 1, 1)
    >>> convolve(jnp.array([0.0, 0.0, 1.0, 1.0]).reshape(4, 1), edges).ravel().tolist()
    [0.0, 1.0, 0.0]
    """
    check_one_of("form", form, FORMS)
    x, kernel = jnp.asarray(x), jnp.asarray(kernel)
    rank = kernel.ndim - 2
    _check_shapes(x, kernel, rank, groups)
    window = make_window(x.shape[-rank - 1 : -1], kernel.shape[:rank], stride, padding, dilation)
    dtype = jnp.result_type(x, kernel)
    dtype = dtype if jnp.issubdtype(dtype, jnp.inexact) else jnp.result_type(float)
    x, kernel = x.astype(dtype), kernel.astype(dtype)
    leading = x.shape[: -rank - 1]
    y = _apply(form, x.reshape(math.prod(leading), *x.shape[-rank - 1 :]), kernel, window, groups)
    return y.reshape(*leading, *y.shape[1:])


class ConvLayer(linen.Module):
    """The base class of ``Conv`` and ``ConvTranspose``: their fields, and the parameters ``kernel`` and ``bias``."""

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

    @linen.compact
    def __call__(self, x: ArrayLike) -> Array:
        """Map ``[..., H, W, C]`` (as many spatial dimensions as ``kernel_size`` has) to ``[..., H2, W2, K]``.

        Raises:
            ValueError: the size of the kernel is one number, the groups do not divide the channels, or as the function.
        """
        x = jnp.asarray(x)
        if is_integer(self.kernel_size):
            raise ValueError(f"expected kernel_size with one number per dimension, got {self.kernel_size}; pass (n, n)")
        if self.groups < 1 or self.features % self.groups or x.shape[-1] % self.groups:
            raise ValueError(
                f"expected groups that divide the {x.shape[-1]} channels and the {self.features} features, "
                f"got {self.groups}"
            )
        kernel = self.param("kernel", self.init_kernel, x.shape[-1])
        bias = self.param("bias", self.bias_init, (self.features,), self.param_dtype) if self.use_bias else None
        x, kernel, bias = promote_dtype(x, kernel, bias, dtype=self.dtype)
        options = {"stride": self.stride, "padding": self.padding, "dilation": self.dilation, "groups": self.groups}
        y = self.compute(jnp.asarray(x), jnp.asarray(kernel), form=self.form, **options)
        return y if bias is None else y + expand_leading(bias, y.ndim)

    def init_kernel(self, key: Key, channels: int) -> Array:
        """Draw the kernel for inputs with this number of channels."""
        raise NotImplementedError

    def compute(self, x: Array, kernel: Array, **options: Any) -> Array:
        """Apply the layer's function."""
        raise NotImplementedError


class Conv(ConvLayer):
    """``convolve`` with the parameters ``kernel`` ``[H, W, C / groups, K]`` and ``bias``.

    >>> conv = Conv(features=6, kernel_size=(5, 5))
    >>> import jax
    >>> y, variables = jax.eval_shape(conv.init_with_output, jax.random.key(0), jnp.zeros((1, 32, 32, 1)))
    >>> y.shape, variables["params"]["kernel"].shape
    ((1, 28, 28, 6), (5, 5, 1, 6))
    """

    def init_kernel(self, key: Key, channels: int) -> Array:
        """Draw the kernel for inputs with this number of channels."""
        return self.kernel_init(key, (*self.kernel_size, channels // self.groups, self.features), self.param_dtype)

    def compute(self, x: Array, kernel: Array, **options: Any) -> Array:
        """Compute the convolution."""
        return convolve(x, kernel, **options)


@partial(jax.jit, static_argnums=(0, 3, 4))
def _apply(form: str, x: Array, kernel: Array, window: Window, groups: int) -> Array:
    """Apply a form: one program where arrays are concrete, and traced once for all equal layers of a network."""
    return FORMS[form](x, kernel, window, groups)


def _check_shapes(x: Array, kernel: Array, rank: int, groups: int) -> None:
    if rank not in SPATIAL:
        raise ValueError(f"expected a kernel [W, C, K], [H, W, C, K] or [D, H, W, C, K], got {kernel.shape}")
    if x.ndim < rank + 1:
        raise ValueError(f"expected x {spatial_form(rank)} for a kernel {kernel.shape}, got {x.shape}")
    channels, (part, features) = x.shape[-1], kernel.shape[-2:]
    if groups < 1 or features % groups:
        raise ValueError(f"expected groups that divide the kernel's {features} features, got {groups}")
    if channels != part * groups:
        message = (
            f"expected x with {part * groups} channels for a kernel {kernel.shape} with groups={groups}, "
            f"got {channels} in x {x.shape}"
        )
        if x.shape[-rank - 1] == part * groups:
            message += f"; for channels first pass jnp.moveaxis(x, {-rank - 1}, -1), which is {spatial_form(rank)}"
        raise ValueError(message)
