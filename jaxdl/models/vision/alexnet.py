"""AlexNet, in two groups as published and in one group as common today (Krizhevsky et al., 2012, 2014)."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen

from jaxdl.checks import renamed_fields
from jaxdl.models.layers import check_image_size, classifier_head, collect
from jaxdl.models.registry import register
from jaxdl.nn.convolution.adaptive_pooling import adaptive_average_pool
from jaxdl.nn.convolution.convolution import Conv
from jaxdl.nn.convolution.pooling import max_pool
from jaxdl.nn.normalization import local_response_norm
from jaxdl.typing import Array, ArrayLike

MIN_PADDED_SIZE = 67
"""The smallest height and width, padding included, for which the last pooling has an output."""


@renamed_fields(hidden="hidden_sizes", dropout="dropout_rate")
class AlexNet(linen.Module):
    """Five convolutions and three dense layers with ReLU, and 3 x 3 max pooling of stride 2 after three of them.

    ======  ======================  ===================  ===================================
    layer   one group               two groups           followed by
    ======  ======================  ===================  ===================================
    conv1   11x11 / 4, 64, pad 2    11x11 / 4, 96        (response norm), pool1
    conv2   5x5, 192                5x5, 256, grouped    (response norm), pool2
    conv3   3x3, 384                3x3, 384
    conv4   3x3, 256                3x3, 384, grouped
    conv5   3x3, 256                3x3, 256, grouped    pool5, average pooling to 6 x 6
    dense1  4096                    4096                 dropout
    dense2  4096                    4096                 dropout
    output  1000                    1000
    ======  ======================  ===================  ===================================

    With two groups, images are ``[227, 227, 3]`` and there are 60,965,224 parameters. With one group, images are
    ``[224, 224, 3]``, there are 61,100,840 parameters, and dropout is applied to the inputs of the two dense layers
    instead of their outputs. The average pooling, which changes nothing at these sizes, allows any size from 63 (67
    with two groups). Intermediates are named after the layers, each as the next layer receives it, and ``norm1``,
    ``norm2``, ``pool1``, ``pool2`` and ``pool5``.

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

    @linen.compact
    def __call__(
        self, x: ArrayLike, train: bool = False, return_intermediates: bool = False
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Compute the logits ``[B, num_classes]`` of images ``[B, H, W, C]``; training needs the rng ``"dropout"``.

        With ``num_classes=None`` there are no dense layers, and the result is the last feature maps ``[B, 6, 6, K]``.

        Raises:
            ValueError: the images are too small, or have their channels first.
        """
        x = jnp.asarray(x, self.dtype)
        check_image_size("AlexNet", x, MIN_PADDED_SIZE - 2 * self.pad)
        out: dict[str, Array] = {}
        kernel_sizes, strides, pads = (11, 5, 3, 3, 3), (4, 1, 1, 1, 1), (self.pad, 2, 1, 1, 1)
        groups = (1, self.groups, 1, self.groups, self.groups)
        layers = zip(self.widths, kernel_sizes, strides, pads, groups, strict=True)
        for number, (width, size, stride, pad, group) in enumerate(layers, 1):
            conv = Conv(width, (size, size), stride, pad, groups=group, dtype=self.dtype, name=f"conv{number}")
            x = collect(out, f"conv{number}", jax.nn.relu(conv(x)))
            if number <= 2 and self.response_norm:
                x = collect(out, f"norm{number}", local_response_norm(x))
            if number in {1, 2, 5}:
                x = collect(out, f"pool{number}", max_pool(x, 3, stride=2))
        y = adaptive_average_pool(x, 6)
        if self.num_classes is not None:
            y = classifier_head(
                y,
                out,
                train,
                hidden_sizes=self.hidden_sizes,
                num_classes=self.num_classes,
                dropout_rate=self.dropout_rate,
                drop_outputs=self.drop_outputs,
                dtype=self.dtype,
            )
        return (y, out) if return_intermediates else y


register(
    "alexnet",
    AlexNet,
    input_shape=(224, 224, 3),
    description="AlexNet in one group, as in torchvision (Krizhevsky, 2014)",
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
