"""Depthwise separable convolution: a convolution of each channel, then a mixing of channels at every position."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax.numpy as jnp
from flax import linen

from jaxdl.checks import check_positive_integer
from jaxdl.nn.convolution._sizes import Padding
from jaxdl.nn.convolution.convolution import Conv
from jaxdl.nn.initializers import he_normal
from jaxdl.typing import Array, ArrayLike


class SeparableConv(linen.Module):
    """``y[.., o] = sum_(c, m) pointwise[c m, o] sum_(u, v) depthwise[u, v, c m] x[.., i + u, j + v, c]``.

    ``m`` counts the ``multiplier`` outputs of the depthwise convolution per channel; there is no activation between the
    two (Chollet, 2017). For ``C`` channels in, ``K`` out and kernels of ``F`` elements there are
    ``F C m + C m K`` weights, where a full convolution has ``F C K``. The submodules are ``depthwise`` and
    ``pointwise``; the bias, if any, is the second's. Stride, padding and dilation are the first's.

    >>> import jax
    >>> layer = SeparableConv(8, (3, 3), padding=1)
    >>> y, variables = jax.eval_shape(layer.init_with_output, jax.random.key(0), jnp.zeros((1, 6, 6, 4)))
    >>> y.shape, {name: part["kernel"].shape for name, part in variables["params"].items()}
    ((1, 6, 6, 8), {'depthwise': (3, 3, 1, 4), 'pointwise': (1, 1, 4, 8)})
    """

    features: int
    kernel_size: Sequence[int]
    stride: int | Sequence[int] = 1
    padding: Padding = "valid"
    dilation: int | Sequence[int] = 1
    multiplier: int = 1
    use_bias: bool = False
    kernel_init: Callable[..., Array] = he_normal()
    dtype: Any = None

    @linen.compact
    def __call__(self, x: ArrayLike) -> Array:
        """Convolve ``[..., H, W, C]`` (as many spatial dimensions as ``kernel_size`` has) to ``[..., H2, W2, K]``.

        Raises:
            ValueError: the multiplier is not positive, or as ``Conv``.
        """
        x = jnp.asarray(x)
        check_positive_integer("multiplier", self.multiplier)
        channels = x.shape[-1]
        conv = partial(Conv, kernel_init=self.kernel_init, dtype=self.dtype)
        window = {"stride": self.stride, "padding": self.padding, "dilation": self.dilation, "groups": channels}
        depthwise = conv(channels * self.multiplier, self.kernel_size, use_bias=False, **window, name="depthwise")
        pointwise = conv(self.features, (1,) * len(self.kernel_size), use_bias=self.use_bias, name="pointwise")
        return pointwise(depthwise(x))
