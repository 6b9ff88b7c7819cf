"""What the families of vision models share: a convolution that is normalised."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import flax.linen as nn
import jax

from jaxdl.nn.convolution import Conv, Padding
from jaxdl.nn.initializers import he_normal
from jaxdl.nn.normalization import BatchNorm
from jaxdl.typing import Array


class ConvNorm(nn.Module):
    """``y = activation(batch_norm(convolve(x)))``, the convolution without a bias, which the norm would take away.

    >>> layer = ConvNorm(8, (3, 3), padding=1)
    >>> y, variables = jax.eval_shape(layer.init_with_output, jax.random.key(0), jax.numpy.zeros((1, 6, 6, 3)))
    >>> y.shape, sorted(variables["params"])
    ((1, 6, 6, 8), ['conv', 'norm'])
    """

    features: int
    kernel_size: Sequence[int]
    stride: int | Sequence[int] = 1
    padding: Padding = "valid"
    groups: int = 1
    activation: Callable[[Array], Array] | None = jax.nn.relu
    epsilon: float = 1e-5
    scale_init: Any = nn.initializers.ones
    kernel_init: Callable[..., Array] = he_normal()
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, train: bool = False) -> Array:
        """Map ``[B, H, W, C]`` to ``[B, H2, W2, K]``."""
        conv = partial(Conv, use_bias=False, kernel_init=self.kernel_init, dtype=self.dtype, name="conv")
        x = conv(self.features, self.kernel_size, self.stride, self.padding, groups=self.groups)(x)
        x = BatchNorm(epsilon=self.epsilon, scale_init=self.scale_init, name="norm")(x, train)
        return x if self.activation is None else self.activation(x)
