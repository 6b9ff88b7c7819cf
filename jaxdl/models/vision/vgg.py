"""VGG: nothing but 3 x 3 convolutions, more and more of them (Simonyan and Zisserman, 2015)."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxdl.models.layers import check_image_size, dense_layers
from jaxdl.models.registry import register
from jaxdl.nn.convolution.adaptive_pooling import adaptive_average_pool
from jaxdl.nn.convolution.convolution import Conv
from jaxdl.nn.convolution.pooling import max_pool
from jaxdl.nn.initializers import he_normal
from jaxdl.nn.normalization import BatchNorm
from jaxdl.typing import Array, ArrayLike

DEPTHS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
"""Convolutions in each stage: the paper's configurations A, B, D and E."""


class VGG(nn.Module):
    """Stages of 3 x 3 convolutions, each rectified, with pooling by 2 after each stage; then three dense layers.

    Stage ``s`` has ``depths[s]`` convolutions ``conv{s}_{i}`` of ``widths[s]`` maps and ``pool{s}``; the last maps are
    averaged to 7 x 7, as they are of images of 224, so that any size from 32 will do; ``dense1``, ``dense2`` with
    dropout of what they give, ``output``. The features have these names, each what the next layer sees.

    Attributes:
        depths: convolutions in each stage.
        widths: maps in each stage.
        batch_norm: put ``norm{s}_{i}`` between each convolution and its rectification.
        pointwise: the third convolution of a stage is 1 x 1: configuration C.

    >>> x = jnp.zeros((1, 224, 224, 3))
    >>> logits, variables = jax.eval_shape(VGG().init_with_output, jax.random.key(0), x)
    >>> logits.shape, sum(leaf.size for leaf in jax.tree.leaves(variables))
    ((1, 1000), 138357544)
    """

    num_classes: int | None = 1000
    depths: Sequence[int] = DEPTHS[16]
    widths: Sequence[int] = (64, 128, 256, 512, 512)
    hidden_sizes: Sequence[int] = (4096, 4096)
    batch_norm: bool = False
    pointwise: bool = False
    dropout_rate: float = 0.5
    drop_outputs: bool = True
    dtype: Any = None

    @nn.compact
    def __call__(
        self, x: ArrayLike, train: bool = False, return_intermediates: bool = False
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Return the logits ``[B, num_classes]`` of images ``[B, H, W, C]``; training needs the rng ``"dropout"``.

        With ``num_classes=None`` there are no dense layers, and what is returned is the last maps, ``[B, 7, 7, K]``.

        Raises:
            ValueError: the images are too small, or channels come first.
        """
        x = jnp.asarray(x, self.dtype)
        check_image_size("VGG", x, 2 ** len(self.depths))
        out, conv = {}, partial(Conv, kernel_init=he_normal(), dtype=self.dtype)
        for stage, (depth, width) in enumerate(zip(self.depths, self.widths, strict=True), 1):
            for number in range(1, depth + 1):
                name = f"conv{stage}_{number}"
                size = 1 if self.pointwise and number == 3 else 3
                x = conv(width, (size, size), padding=size // 2, name=name)(x)
                if self.batch_norm:
                    x = BatchNorm(name=f"norm{stage}_{number}")(x, train)
                x = out[name] = jax.nn.relu(x)
            x = out[f"pool{stage}"] = max_pool(x, 2)
        x = adaptive_average_pool(x, 7)
        if self.num_classes is None:
            return (x, out) if return_intermediates else x
        x = dense_layers(self, x.reshape(x.shape[0], -1), out, train)
        logits = nn.Dense(self.num_classes, dtype=self.dtype, name="output")(x)
        return (logits, out) if return_intermediates else logits


register("vgg11", VGG, input_shape=(224, 224, 3), description="VGG of 11 layers, configuration A", depths=DEPTHS[11])
register("vgg13", VGG, input_shape=(224, 224, 3), description="VGG of 13 layers, configuration B", depths=DEPTHS[13])
register("vgg16", VGG, input_shape=(224, 224, 3), description="VGG of 16 layers, configuration D")
register(
    "vgg16_c",
    VGG,
    input_shape=(224, 224, 3),
    description="VGG of 16 layers, three of them 1 x 1, configuration C",
    pointwise=True,
)
register("vgg19", VGG, input_shape=(224, 224, 3), description="VGG of 19 layers, configuration E", depths=DEPTHS[19])
register(
    "vgg11_bn",
    VGG,
    input_shape=(224, 224, 3),
    description="VGG of 11 layers with batch normalisation",
    depths=DEPTHS[11],
    batch_norm=True,
)
register(
    "vgg13_bn",
    VGG,
    input_shape=(224, 224, 3),
    description="VGG of 13 layers with batch normalisation",
    depths=DEPTHS[13],
    batch_norm=True,
)
register(
    "vgg16_bn", VGG, input_shape=(224, 224, 3), description="VGG of 16 layers with batch normalisation", batch_norm=True
)
register(
    "vgg19_bn",
    VGG,
    input_shape=(224, 224, 3),
    description="VGG of 19 layers with batch normalisation",
    depths=DEPTHS[19],
    batch_norm=True,
)
