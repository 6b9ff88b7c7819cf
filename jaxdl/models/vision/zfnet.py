"""ZFNet, AlexNet redesigned after a visualization of its features (Zeiler and Fergus, 2014)."""

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

MIN_SIZE = 53
"""The smallest height and width for which the last pooling has an output."""


@renamed_fields(hidden="hidden_sizes", dropout="dropout_rate")
class ZFNet(linen.Module):
    """AlexNet with smaller first filters and strides, against dead filters and aliasing in the second layer.

    ======  ==================  ======================  ==================================================
    layer   convolution         output for 224 x 224    followed by
    ======  ==================  ======================  ==================================================
    conv1   7x7 / 2, 96         110 x 110               pool1 3x3 / 2 to 55 x 55, norm1
    conv2   5x5 / 2, 256        26 x 26                 pool2 3x3 / 2 to 13 x 13, norm2
    conv3   3x3, 384 (512)      13 x 13
    conv4   3x3, 384 (1024)     13 x 13
    conv5   3x3, 256 (512)      13 x 13                 pool5 3x3 / 2 to 6 x 6, average pooling to 6 x 6
    ======  ==================  ======================  ==================================================

    Then ``dense1`` and ``dense2`` of 4096 units with dropout of their outputs, and ``output``; 62,357,608 parameters,
    or 107,627,624 with the numbers in brackets. The paper does not state the padding: pad 1 for the first convolution
    and two poolings gives the sizes of its figure 3. Its contrast normalization is `local_response_norm` here.
    Intermediates are named after the layers, each as the next layer receives it.

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
        check_image_size("ZFNet", x, MIN_SIZE)
        out: dict[str, Array] = {}
        layers = zip(self.widths, (7, 5, 3, 3, 3), (2, 2, 1, 1, 1), (1, 0, 1, 1, 1), strict=True)
        for number, (width, size, stride, pad) in enumerate(layers, 1):
            conv = Conv(width, (size, size), stride, pad, dtype=self.dtype, name=f"conv{number}")
            x = collect(out, f"conv{number}", jax.nn.relu(conv(x)))
            if number in {1, 2, 5}:
                x = collect(out, f"pool{number}", max_pool(x, 3, stride=2, padding=0 if number == 5 else 1))
            if number <= 2 and self.response_norm:
                x = collect(out, f"norm{number}", local_response_norm(x))
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


register("zfnet", ZFNet, input_shape=(224, 224, 3), description="ZFNet as in figure 3 of the paper")
register(
    "zfnet_large",
    ZFNet,
    input_shape=(224, 224, 3),
    description="ZFNet with 512, 1024 and 512 channels in the last three convolutions, the best single network",
    widths=(96, 256, 512, 1024, 512),
)
