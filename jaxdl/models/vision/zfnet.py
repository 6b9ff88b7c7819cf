"""ZFNet, the network that was made by looking into AlexNet (Zeiler and Fergus, 2014)."""

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

LEAST = 53
"""The smallest height and width of which the last pooling has something left."""


class ZFNet(nn.Module):
    """AlexNet with smaller first filters, which step less: no dead ones, no aliasing in the second layer.

    ======  ==================  =====================  =======================================
    layer   convolution         maps of 224 x 224      after it
    ======  ==================  =====================  =======================================
    conv1   7x7 by 2, 96        110 x 110              pool1 3x3 by 2 to 55 x 55, norm1
    conv2   5x5 by 2, 256       26 x 26                pool2 3x3 by 2 to 13 x 13, norm2
    conv3   3x3, 384 (512)      13 x 13
    conv4   3x3, 384 (1024)     13 x 13
    conv5   3x3, 256 (512)      13 x 13                pool5 3x3 by 2 to 6 x 6, mean to 6 x 6
    ======  ==================  =====================  =======================================

    Then ``dense1`` and ``dense2`` of 4096 with dropout of what they give, and ``output``; 62,357,608 parameters, or
    107,627,624 with the numbers in brackets. The paper does not say how it pads: pad 1 for the first convolution and
    two poolings gives the sizes of its figure 3. It normalises contrasts after pooling, here by `local_response_norm`.
    The features have the names of the layers, each what the next one sees.

    >>> x = jnp.zeros((1, 224, 224, 3))
    >>> logits, variables = jax.eval_shape(ZFNet().init_with_output, jax.random.key(0), x)
    >>> logits.shape, sum(leaf.size for leaf in jax.tree.leaves(variables))
    ((1, 1000), 62357608)
    """

    num_classes: int | None = 1000
    widths: Sequence[int] = (96, 256, 384, 384, 256)
    hidden_sizes: Sequence[int] = (4096, 4096)
    response_norm: bool = True
    dropout_rate: float = 0.5
    drop_outputs: bool = True
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
        check_image_size("ZFNet", x, LEAST)
        out = {}
        layers = zip(self.widths, (7, 5, 3, 3, 3), (2, 2, 1, 1, 1), (1, 0, 1, 1, 1), strict=True)
        for number, (width, size, stride, pad) in enumerate(layers, 1):
            conv = Conv(width, (size, size), stride, pad, dtype=self.dtype, name=f"conv{number}")
            x = out[f"conv{number}"] = jax.nn.relu(conv(x))
            if number in {1, 2, 5}:
                x = out[f"pool{number}"] = max_pool(x, 3, stride=2, padding=0 if number == 5 else 1)
            if number <= 2 and self.response_norm:
                x = out[f"norm{number}"] = local_response_norm(x)
        x = adaptive_average_pool(x, 6)
        if self.num_classes is None:
            return (x, out) if return_intermediates else x
        x = dense_layers(self, x.reshape(x.shape[0], -1), out, train)
        logits = nn.Dense(self.num_classes, dtype=self.dtype, name="output")(x)
        return (logits, out) if return_intermediates else logits


register("zfnet", ZFNet, input_shape=(224, 224, 3), description="ZFNet as in the paper's figure 3")
register(
    "zfnet_large",
    ZFNet,
    input_shape=(224, 224, 3),
    description="ZFNet with 512, 1024 and 512 maps in the last three convolutions, the paper's best single network",
    widths=(96, 256, 512, 1024, 512),
)
