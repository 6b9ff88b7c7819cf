"""VGG, deep networks of 3 x 3 convolutions (Simonyan and Zisserman, 2015)."""

from collections.abc import Sequence
from functools import partial
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
from jaxdl.nn.initializers import he_normal
from jaxdl.nn.normalization import BatchNorm
from jaxdl.typing import Array, ArrayLike

CONFIGURATIONS = {11: "A", 13: "B", 16: "D", 19: "E"}
"""The letter of the paper's configuration, by the number of layers."""

DEPTHS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
"""Convolutions in each stage, by the number of layers."""


@renamed_fields(hidden="hidden_sizes", dropout="dropout_rate")
class VGG(linen.Module):
    """Stages of 3 x 3 convolutions with ReLU, each followed by 2 x 2 max pooling; then three dense layers.

    Stage ``s`` has ``depths[s]`` convolutions ``conv{s}_{i}`` of ``widths[s]`` channels and ``pool{s}``. The last
    feature maps are averaged to 7 x 7, which changes nothing for images of 224 and allows any size from 32; then
    ``dense1`` and ``dense2`` with dropout of their outputs, and ``output``. Intermediates have these names, each as the
    next layer receives it.

    Attributes:
        num_classes: number of logits; 0 for no output layer, None for no dense layers either.
        depths: convolutions in each stage.
        widths: channels in each stage.
        hidden_sizes: units of the dense layers.
        batch_norm: apply a batch norm ``norm{s}_{i}`` between each convolution and its ReLU.
        pointwise: make the third convolution of a stage 1 x 1, as in configuration C.
        dropout_rate: share of the units of the dense layers dropped.
        drop_outputs: drop the outputs of the dense layers, else their inputs.
        dtype: of the computation.

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

    @linen.compact
    def __call__(
        self, x: ArrayLike, train: bool = False, return_intermediates: bool = False
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Compute the logits ``[B, num_classes]`` of images ``[B, H, W, C]``; training needs the rng ``"dropout"``.

        With ``num_classes=None`` there are no dense layers, and the result is the last feature maps ``[B, 7, 7, K]``.

        Raises:
            ValueError: the images are too small, or have their channels first.
        """
        x = jnp.asarray(x, self.dtype)
        check_image_size("VGG", x, 2 ** len(self.depths))
        out: dict[str, Array] = {}
        conv = partial(Conv, kernel_init=he_normal(), dtype=self.dtype)
        for stage, (depth, width) in enumerate(zip(self.depths, self.widths, strict=True), 1):
            for number in range(1, depth + 1):
                name = f"conv{stage}_{number}"
                size = 1 if self.pointwise and number == 3 else 3
                x = conv(width, (size, size), padding=size // 2, name=name)(x)
                if self.batch_norm:
                    x = BatchNorm(name=f"norm{stage}_{number}")(x, train)
                x = collect(out, name, jax.nn.relu(x))
            x = collect(out, f"pool{stage}", max_pool(x, 2))
        y = adaptive_average_pool(x, 7)
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


for _layers, _depths in DEPTHS.items():
    _letter = CONFIGURATIONS[_layers]
    register(
        f"vgg{_layers}",
        VGG,
        input_shape=(224, 224, 3),
        description=f"VGG of {_layers} layers, configuration {_letter}",
        depths=_depths,
    )
    register(
        f"vgg{_layers}_bn",
        VGG,
        input_shape=(224, 224, 3),
        description=f"VGG of {_layers} layers with batch norm, configuration {_letter}",
        depths=_depths,
        batch_norm=True,
    )
register(
    "vgg16_c",
    VGG,
    input_shape=(224, 224, 3),
    description="VGG of 16 layers, three of them 1 x 1, configuration C",
    pointwise=True,
)
