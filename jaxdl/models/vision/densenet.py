"""Densely connected networks (Huang, Liu, van der Maaten and Weinberger, 2017).

Each layer of a dense block receives the outputs of all layers before it, and adds ``k`` channels, the growth rate::

    x_l = H([x_0, x_1, .., x_(l-1)])

``H`` is norm, ReLU, 3x3 convolution; in a bottleneck (DenseNet-B) norm, ReLU, 1x1 convolution to ``4 k`` come first.
Between two blocks a transition halves height and width, and multiplies the channels by ``theta`` (DenseNet-C).
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import linen

from jaxdl.checks import check_in_range, check_one_of, renamed_fields
from jaxdl.models.layers import ConvNorm, check_image_size, collect, output_layer
from jaxdl.models.registry import register
from jaxdl.nn.convolution.convolution import Conv
from jaxdl.nn.convolution.pooling import average_pool, global_average_pool, max_pool
from jaxdl.nn.initializers import he_normal
from jaxdl.nn.noise import Dropout
from jaxdl.nn.normalization import BatchNorm
from jaxdl.typing import Array, ArrayLike


@renamed_fields(dropout="dropout_rate")
class DenseLayer(linen.Module):
    """``H``: ``growth_rate`` new channels; ``bottleneck`` times as many between its convolutions, or 0 for one."""

    growth_rate: int
    bottleneck: int = 4
    dropout_rate: float = 0.0
    dtype: Any = None

    @linen.compact
    def __call__(self, x: Array, train: bool = False) -> Array:
        """Map ``[B, H, W, C]`` to ``[B, H, W, k]``."""
        conv = partial(Conv, use_bias=False, kernel_init=he_normal(), dtype=self.dtype)
        x = jax.nn.relu(BatchNorm(name="norm1")(x, train))
        if self.bottleneck:
            x = conv(self.bottleneck * self.growth_rate, (1, 1), name="conv1")(x)
            x = jax.nn.relu(BatchNorm(name="norm2")(x, train))
        x = conv(self.growth_rate, (3, 3), padding=1, name="conv2" if self.bottleneck else "conv1")(x)
        return Dropout(self.dropout_rate)(x, train=train)


class Transition(linen.Module):
    """Norm, ReLU, 1x1 convolution to ``features`` channels, 2x2 average pooling."""

    features: int
    dtype: Any = None

    @linen.compact
    def __call__(self, x: Array, train: bool = False) -> Array:
        """Map ``[B, H, W, C]`` to ``[B, H / 2, W / 2, features]``."""
        conv = partial(Conv, use_bias=False, kernel_init=he_normal(), dtype=self.dtype, name="conv")
        return average_pool(conv(self.features, (1, 1))(jax.nn.relu(BatchNorm(name="norm")(x, train))), 2)


@renamed_fields(dropout="dropout_rate")
class DenseNet(linen.Module):
    """A stem, dense blocks with transitions between them, global average pooling, and a linear output.

    The stem "imagenet" is a 7x7 convolution of stride 2 with norm and ReLU and 3x3 max pooling of stride 2; the stem
    "cifar" is a 3x3 convolution alone. Intermediates are ``stem`` and ``stem_pool``; ``block1_layer1`` and so on, the
    new channels alone; ``block1`` and so on, all channels; ``transition1`` and so on; ``norm``; and ``pool``, the
    vector of means.

    Attributes:
        num_classes: number of logits; 0 for no output layer, for a backbone.
        growth_rate: ``k``, channels that each layer adds.
        depths: layers in each block.
        stem_features: channels of the stem; None: ``2 k``.
        bottleneck: channels between the two convolutions of a layer, as a multiple of ``k``; 0 for one convolution.
        compression: ``theta``, output channels of a transition as a share of its inputs, rounded down.
        stem: "imagenet" or "cifar".
        dropout_rate: share of the new channels of each layer dropped.
        dtype: of the computation.

    >>> model = DenseNet(growth_rate=2, depths=(3, 1), stem="cifar")
    >>> variables = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 8, 8, 3)))
    >>> variables["params"]["transition1"]["conv"]["kernel"].shape
    (1, 1, 10, 5)
    """

    num_classes: int = 1000
    growth_rate: int = 32
    depths: Sequence[int] = (6, 12, 24, 16)
    stem_features: int | None = None
    bottleneck: int = 4
    compression: float = 0.5
    stem: Literal["imagenet", "cifar"] = "imagenet"
    dropout_rate: float = 0.0
    dtype: Any = None

    @linen.compact
    def __call__(
        self, x: ArrayLike, train: bool = False, return_intermediates: bool = False
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Compute the logits ``[B, num_classes]`` of images ``[B, H, W, C]``.

        Raises:
            ValueError: the images are too small, or a field is invalid.
        """
        self._check_fields()
        x = jnp.asarray(x)
        check_image_size("DenseNet", x, self._min_size())
        dense_layer = partial(DenseLayer, self.growth_rate, self.bottleneck, self.dropout_rate, self.dtype)
        out: dict[str, Array] = {}
        x = self._stem(x, train, out)
        for block, depth in enumerate(self.depths, 1):
            for i in range(1, depth + 1):
                y = collect(out, f"block{block}_layer{i}", dense_layer(name=f"block{block}_layer{i}")(x, train))
                x = jnp.concatenate([x, y], axis=-1)
            x = collect(out, f"block{block}", x)
            if block < len(self.depths):
                features = int(self.compression * x.shape[-1])
                x = collect(
                    out, f"transition{block}", Transition(features, self.dtype, name=f"transition{block}")(x, train)
                )
        x = collect(out, "norm", jax.nn.relu(BatchNorm(name="norm")(x, train)))
        x = collect(out, "pool", global_average_pool(x))
        logits = output_layer(x, self.num_classes, dtype=self.dtype)
        return (logits, out) if return_intermediates else logits

    def _stem(self, x: Array, train: bool, out: dict[str, Array]) -> Array:
        features = 2 * self.growth_rate if self.stem_features is None else self.stem_features
        if self.stem == "cifar":
            conv = partial(Conv, use_bias=False, kernel_init=he_normal(), dtype=self.dtype, name="stem")
            x = collect(out, "stem", conv(features, (3, 3), padding=1)(x))
            return x
        x = collect(out, "stem", ConvNorm(features, (7, 7), 2, 3, dtype=self.dtype, name="stem")(x, train))
        x = collect(out, "stem_pool", max_pool(x, 3, stride=2, padding=1))
        return x

    def _min_size(self) -> int:
        """Return the smallest height and width for which every pooling has an output."""
        halved = 2 ** (len(self.depths) - 1)
        return halved if self.stem == "cifar" else max(4 * halved - 3, 1)

    def _check_fields(self) -> None:
        check_one_of("stem", self.stem, ("imagenet", "cifar"))
        check_in_range("compression", self.compression, 0.0, 1.0, includes_low=False)
        if not self.depths or min(self.growth_rate, *self.depths) < 1:
            raise ValueError(
                f"expected growth_rate and depths of at least 1, got {self.growth_rate} and {self.depths}; give a "
                "depth for each block"
            )


for _layers, _growth_rate, _depths in (
    (121, 32, (6, 12, 24, 16)),
    (161, 48, (6, 12, 36, 24)),
    (169, 32, (6, 12, 32, 32)),
    (201, 32, (6, 12, 48, 32)),
):
    register(
        f"densenet{_layers}",
        DenseNet,
        input_shape=(224, 224, 3),
        description=f"DenseNet-BC of {_layers} layers, k = {_growth_rate}",
        growth_rate=_growth_rate,
        depths=_depths,
    )
register(
    "densenet_bc_100_12",
    DenseNet,
    input_shape=(32, 32, 3),
    description="DenseNet-BC of 100 layers for CIFAR-10, k = 12",
    num_classes=10,
    growth_rate=12,
    depths=(16, 16, 16),
    stem="cifar",
)
