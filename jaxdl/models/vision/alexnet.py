"""AlexNet, in two groups as it was published and in one as it is used today (Krizhevsky et al., 2012, 2014)."""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxdl.models.layers import check_image_size, dense_layers
from jaxdl.models.registry import register
from jaxdl.nn.convolution.adaptive_pooling import adaptive_average_pool
from jaxdl.nn.convolution.convolution import Conv
from jaxdl.nn.convolution.pooling import max_pool
from jaxdl.nn.normalization import local_response_norm
from jaxdl.typing import Array, ArrayLike

LEAST = 67
"""The smallest height and width, padding included, of which the last pooling has something left."""


class AlexNet(nn.Module):
    """Five convolutions and three dense layers, rectified; overlapping pooling of 3 x 3 by 2 after three of them.

    ======  ======================  ===================  ==========================
    layer   one group               two groups           after it
    ======  ======================  ===================  ==========================
    conv1   11x11 by 4, 64, pad 2   11x11 by 4, 96       (response norm), pool1
    conv2   5x5, 192                5x5, 256, grouped    (response norm), pool2
    conv3   3x3, 384                3x3, 384
    conv4   3x3, 256                3x3, 384, grouped
    conv5   3x3, 256                3x3, 256, grouped    pool5, mean to 6 x 6
    dense1  4096                    4096                 dropout
    dense2  4096                    4096                 dropout
    output  1000                    1000
    ======  ======================  ===================  ==========================

    In two groups, images are ``[227, 227, 3]`` and the parameters 60,965,224; in one, which drops the inputs of the two
    dense layers in place of their outputs, 224 and 61,100,840. Any size from 63 (67 in two groups) will do, since the
    last pooled maps are averaged to 6 x 6, which of 224 and 227 they are already. The features have the names of the
    layers, each what the next one sees, and ``norm1``, ``norm2`` and ``pool1``, ``pool2``, ``pool5``.

    >>> x = jnp.zeros((1, 224, 224, 3))
    >>> logits, variables = jax.eval_shape(AlexNet().init_with_output, jax.random.key(0), x)
    >>> logits.shape, sum(leaf.size for leaf in jax.tree.leaves(variables))
    ((1, 1000), 61100840)
    """

    num_classes: int | None = 1000
    widths: Sequence[int] = (64, 192, 384, 256, 256)
    hidden_sizes: Sequence[int] = (4096, 4096)
    groups: int = 1
    pad: int = 2
    response_norm: bool = False
    dropout_rate: float = 0.5
    drop_outputs: bool = False
    dtype: Any = None

    @nn.compact
    def __call__(
        self, x: ArrayLike, train: bool = False, return_intermediates: bool = False
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Return the logits ``[B, num_classes]`` of images ``[B, H, W, C]``; training needs the rng ``"dropout"``.

        With ``num_classes=None`` there are no dense layers, and what is returned is the last maps, ``[B, 6, 6, K]``.

        Raises:
            ValueError: the images are too small, or channels come first.
        """
        x = jnp.asarray(x, self.dtype)
        check_image_size("AlexNet", x, LEAST - 2 * self.pad)
        out = {}
        sizes, strides, pads = (11, 5, 3, 3, 3), (4, 1, 1, 1, 1), (self.pad, 2, 1, 1, 1)
        groups = (1, self.groups, 1, self.groups, self.groups)
        for number in range(1, 6):
            width, size, stride, pad, group = (a[number - 1] for a in (self.widths, sizes, strides, pads, groups))
            conv = Conv(width, (size, size), stride, pad, groups=group, dtype=self.dtype, name=f"conv{number}")
            x = out[f"conv{number}"] = jax.nn.relu(conv(x))
            if number <= 2 and self.response_norm:
                x = out[f"norm{number}"] = local_response_norm(x)
            if number in {1, 2, 5}:
                x = out[f"pool{number}"] = max_pool(x, 3, stride=2)
        x = adaptive_average_pool(x, 6)
        if self.num_classes is None:
            return (x, out) if return_intermediates else x
        x = x.reshape(x.shape[0], -1)
        x = dense_layers(self, x, out, train)
        logits = nn.Dense(self.num_classes, dtype=self.dtype, name="output")(x)
        return (logits, out) if return_intermediates else logits


register(
    "alexnet",
    AlexNet,
    input_shape=(224, 224, 3),
    description="AlexNet in one group, as torchvision has it (Krizhevsky, 2014)",
)
register(
    "alexnet_grouped",
    AlexNet,
    input_shape=(227, 227, 3),
    description="AlexNet in two groups with response norm, as published (Krizhevsky, Sutskever and Hinton, 2012)",
    widths=(96, 256, 384, 384, 256),
    groups=2,
    pad=0,
    response_norm=True,
    drop_outputs=True,
)
