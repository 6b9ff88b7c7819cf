"""Xception: separable convolutions with residual connections (Chollet, 2017)."""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxdl.models.layers import ConvNorm, check_image_size
from jaxdl.models.registry import register
from jaxdl.nn.convolution.pooling import global_average_pool, max_pool
from jaxdl.nn.convolution.separable import SeparableConv
from jaxdl.nn.noise import Dropout
from jaxdl.nn.normalization import BatchNorm
from jaxdl.typing import Array, ArrayLike


class Xception(nn.Module):
    """Thirty-six convolutions, all but two separable, in blocks with a residual connection each.

    conv1 3x3 / 2, 32 - conv2 3x3, 64 - entry1 to entry3 (128, 256, 728), each halving the sides - middle1 to middle8
    (three of 728) - exit1 (728, 1024), halving - conv3 1536 - conv4 2048 - mean (``pool``) - dropout - output:
    22,855,952 parameters. The features have these names.

    Args:
        num_classes: how many logits.
        width: what all numbers of channels are multiplied by.
        middle_blocks: how many blocks the middle flow has.
        dropout_rate: share of the means that is dropped in training.
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

    @nn.compact
    def __call__(
        self, x: ArrayLike, train: bool = False, return_intermediates: bool = False
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Return the logits ``[B, num_classes]`` of images ``[B, H, W, 3]``, 299 x 299 in the paper.

        Raises:
            ValueError: the images are too small.
        """
        x = jnp.asarray(x)
        check_image_size("Xception", x, 7)
        out = {}
        x = out["conv1"] = ConvNorm(self._wide(32), (3, 3), 2, dtype=self.dtype, name="conv1")(x, train)
        x = out["conv2"] = ConvNorm(self._wide(64), (3, 3), dtype=self.dtype, name="conv2")(x, train)
        blocks = {f"entry{i}": (n, n) for i, n in enumerate((128, 256, 728), 1)}
        blocks |= {f"middle{i}": (728, 728, 728) for i in range(1, self.middle_blocks + 1)}
        blocks |= {"exit1": (728, 1024)}
        for name, widths in blocks.items():
            stride = 1 if name.startswith("middle") else 2
            block = XceptionBlock([self._wide(n) for n in widths], stride, name != "entry1", self.dtype, name=name)
            x = out[name] = block(x, train)
        for i, channels in ((3, 1536), (4, 2048)):
            x = SeparableConv(self._wide(channels), (3, 3), padding=1, dtype=self.dtype, name=f"conv{i}")(x)
            x = out[f"conv{i}"] = jax.nn.relu(BatchNorm(name=f"norm{i}")(x, train))
        x = out["pool"] = global_average_pool(x)
        x = Dropout(self.dropout_rate)(x, train=train)
        logits = nn.Dense(self.num_classes, dtype=self.dtype, name="output")(x)
        return (logits, out) if return_intermediates else logits

    def _wide(self, channels: int) -> int:
        return max(1, round(self.width * channels))


class XceptionBlock(nn.Module):
    """``y = shortcut(x) + pool(f(x))``, where ``f`` repeats relu, separable convolution, batch norm.

    With a stride, ``pool`` is 3x3 of this stride and the shortcut a 1x1 convolution with batch norm; else both leave
    their input as it is. ``widths`` are the channels after each convolution; the first relu may be left out.
    """

    widths: Sequence[int]
    stride: int = 1
    activate_first: bool = True
    dtype: Any = None

    @nn.compact
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


register("xception", Xception, input_shape=(299, 299, 3), description="Xception")
