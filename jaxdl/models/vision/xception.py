"""Xception, separable convolutions with residual connections (Chollet, 2017)."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen

from jaxdl.checks import renamed_fields
from jaxdl.models.layers import ConvNorm, check_image_size, collect, output_layer, scale_channels
from jaxdl.models.registry import register
from jaxdl.nn.convolution.pooling import global_average_pool, max_pool
from jaxdl.nn.convolution.separable import SeparableConv
from jaxdl.nn.noise import Dropout
from jaxdl.nn.normalization import BatchNorm
from jaxdl.typing import Array, ArrayLike


@renamed_fields(dropout="dropout_rate")
class Xception(linen.Module):
    """Thirty-six convolutions, all but two separable, in blocks with residual connections.

    conv1 3x3 / 2, 32 - conv2 3x3, 64 - entry1 to entry3 (128, 256, 728), each of stride 2 - middle1 to middle8
    (three of 728) - exit1 (728, 1024), of stride 2 - conv3 1536 - conv4 2048 - mean (``pool``) - dropout - output:
    22,855,952 parameters. Intermediates have these names.

    Attributes:
        num_classes: number of logits; 0 for no output layer, for a backbone.
        width: factor of all numbers of channels.
        middle_blocks: number of blocks of the middle flow.
        dropout_rate: share of the means dropped in training.
        dtype: of the computation.

    >>> build = Xception(num_classes=10, middle_blocks=1).init_with_output
    >>> logits, _ = jax.eval_shape(build, jax.random.key(0), jnp.zeros((2, 32, 32, 3)))
    >>> logits.shape
    (2, 10)
    """

    num_classes: int = 1000
    width: float = 1.0
    middle_blocks: int = 8
    dropout_rate: float = 0.5
    dtype: Any = None

    @linen.compact
    def __call__(
        self, x: ArrayLike, train: bool = False, return_intermediates: bool = False
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Compute the logits ``[B, num_classes]`` of images ``[B, H, W, 3]``, 299 x 299 in the paper.

        Raises:
            ValueError: the images are too small.
        """
        x = jnp.asarray(x)
        check_image_size("Xception", x, 7)
        scale = partial(scale_channels, width=self.width)
        out: dict[str, Array] = {}
        x = collect(out, "conv1", ConvNorm(scale(32), (3, 3), 2, dtype=self.dtype, name="conv1")(x, train))
        x = collect(out, "conv2", ConvNorm(scale(64), (3, 3), dtype=self.dtype, name="conv2")(x, train))
        blocks = {f"entry{i}": (n, n) for i, n in enumerate((128, 256, 728), 1)}
        blocks |= {f"middle{i}": (728, 728, 728) for i in range(1, self.middle_blocks + 1)}
        blocks |= {"exit1": (728, 1024)}
        for name, widths in blocks.items():
            stride = 1 if name.startswith("middle") else 2
            block = XceptionBlock([scale(n) for n in widths], stride, name != "entry1", self.dtype, name=name)
            x = collect(out, name, block(x, train))
        for i, channels in ((3, 1536), (4, 2048)):
            x = SeparableConv(scale(channels), (3, 3), padding=1, dtype=self.dtype, name=f"conv{i}")(x)
            x = collect(out, f"conv{i}", jax.nn.relu(BatchNorm(name=f"norm{i}")(x, train)))
        x = collect(out, "pool", global_average_pool(x))
        x = Dropout(self.dropout_rate)(x, train=train)
        logits = output_layer(x, self.num_classes, dtype=self.dtype)
        return (logits, out) if return_intermediates else logits


class XceptionBlock(linen.Module):
    """``y = shortcut(x) + pool(f(x))``, where ``f`` repeats relu, separable convolution, batch norm.

    With ``stride > 1``, ``pool`` is 3x3 max pooling and ``shortcut`` a 1x1 convolution with batch norm, both of this
    stride; else both are the identity. ``widths`` are the channels after each convolution; ``activate_first=False``
    omits the first ReLU.
    """

    widths: Sequence[int]
    stride: int = 1
    activate_first: bool = True
    dtype: Any = None

    @linen.compact
    def __call__(self, x: Array, train: bool = False) -> Array:
        """Map ``[B, H, W, C]`` to ``[B, H / stride, W / stride, widths[-1]]``."""
        y = x
        for i, channels in enumerate(self.widths, 1):
            y = jax.nn.relu(y) if i > 1 or self.activate_first else y
            y = SeparableConv(channels, (3, 3), padding=1, dtype=self.dtype, name=f"conv{i}")(y)
            y = BatchNorm(name=f"norm{i}")(y, train)
        if self.stride == 1:
            return x + y
        shortcut = ConvNorm(self.widths[-1], (1, 1), self.stride, activation=None, dtype=self.dtype, name="shortcut")
        return shortcut(x, train) + max_pool(y, 3, stride=self.stride, padding=1)


register(
    "xception",
    Xception,
    input_shape=(299, 299, 3),
    description="Xception, separable convolutions with residual connections",
)
