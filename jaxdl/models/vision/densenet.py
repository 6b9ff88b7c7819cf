"""Densely connected networks (Huang, Liu, van der Maaten and Weinberger, 2017).

Each layer of a dense block sees all maps that were made before it, and adds ``k`` of its own, the growth rate:

    x_l = H([x_0, x_1, .., x_(l-1)])

``H`` is norm, relu, 3x3 convolution; as a bottleneck (DenseNet-B) norm, relu, 1x1 convolution to ``4 k`` maps come
first. Between two blocks a transition halves height and width, and keeps a share ``theta`` of the maps (DenseNet-C).
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxdl.models.layers import ConvNorm, check_image_size
from jaxdl.models.registry import register
from jaxdl.nn.convolution.convolution import Conv
from jaxdl.nn.convolution.pooling import average_pool, global_average_pool, max_pool
from jaxdl.nn.initializers import he_normal
from jaxdl.nn.noise import Dropout
from jaxdl.nn.normalization import BatchNorm
from jaxdl.typing import Array, ArrayLike


class DenseLayer(nn.Module):
    """``H``: ``growth_rate`` new maps of all maps so far, by way of ``bottleneck`` times as many if that is not 0."""

    growth_rate: int
    bottleneck: int = 4
    dropout_rate: float = 0.0
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, train: bool = False) -> Array:
        """Map ``[B, H, W, C]`` to ``[B, H, W, k]``."""
        conv = partial(Conv, use_bias=False, kernel_init=he_normal(), dtype=self.dtype)
        x = jax.nn.relu(BatchNorm(name="norm1")(x, train))
        if self.bottleneck:
            x = conv(self.bottleneck * self.growth_rate, (1, 1), name="conv1")(x)
            x = jax.nn.relu(BatchNorm(name="norm2")(x, train))
        x = conv(self.growth_rate, (3, 3), padding=1, name="conv2" if self.bottleneck else "conv1")(x)
        return Dropout(self.dropout_rate)(x, train=train)


class Transition(nn.Module):
    """Norm, relu, 1x1 convolution to ``features`` maps, mean of 2x2."""

    features: int
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, train: bool = False) -> Array:
        """Map ``[B, H, W, C]`` to ``[B, H / 2, W / 2, features]``."""
        conv = partial(Conv, use_bias=False, kernel_init=he_normal(), dtype=self.dtype, name="conv")
        return average_pool(conv(self.features, (1, 1))(jax.nn.relu(BatchNorm(name="norm")(x, train))), 2)


class DenseNet(nn.Module):
    """A stem, dense blocks with transitions between them, the mean of every channel, and a linear output.

    The stem "imagenet" is a 7x7 convolution of stride 2 with norm and relu and a 3x3 max pool of stride 2; the stem
    "cifar" is a 3x3 convolution alone. The features are ``stem`` and ``stem_pool``; ``block1_layer1`` and so on, the
    new maps alone; ``block1`` and so on, all maps together; ``transition1`` and so on; ``norm``; and ``pool``, the
    vector of means.

    Args:
        num_classes: how many logits.
        growth_rate: ``k``, maps that each layer adds.
        depths: layers in each block.
        stem_features: maps of the stem; None: ``2 k``.
        bottleneck: maps between the two convolutions of a layer, times ``k``; 0 leaves the first of them out.
        compression: ``theta``, the share of the maps that leave a transition, rounded down.
        stem: "imagenet" or "cifar".
        dropout_rate: share of what each layer adds that is dropped.
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

    @nn.compact
    def __call__(
        self, x: ArrayLike, train: bool = False, return_intermediates: bool = False
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Return the logits ``[B, num_classes]`` of images ``[B, H, W, C]``.

        Raises:
            ValueError: these are no images, they are too small, or a field is out of its range.
        """
        self._check()
        x = jnp.asarray(x)
        check_image_size("DenseNet", x, self._smallest())
        settings = {name: getattr(self, name) for name in ("growth_rate", "bottleneck", "dropout_rate", "dtype")}
        out: dict[str, Array] = {}
        x = self._stem(x, train, out)
        for block, depth in enumerate(self.depths, 1):
            for i in range(1, depth + 1):
                layer = DenseLayer(**settings, name=f"block{block}_layer{i}")
                y = out[f"block{block}_layer{i}"] = layer(x, train)
                x = jnp.concatenate([x, y], axis=-1)
            out[f"block{block}"] = x
            if block < len(self.depths):
                features = int(self.compression * x.shape[-1])
                x = out[f"transition{block}"] = Transition(features, self.dtype, name=f"transition{block}")(x, train)
        x = out["norm"] = jax.nn.relu(BatchNorm(name="norm")(x, train))
        x = out["pool"] = global_average_pool(x)
        logits = nn.Dense(self.num_classes, dtype=self.dtype, name="output")(x)
        return (logits, out) if return_intermediates else logits

    def _stem(self, x: Array, train: bool, out: dict[str, Array]) -> Array:
        features = 2 * self.growth_rate if self.stem_features is None else self.stem_features
        if self.stem == "cifar":
            conv = partial(Conv, use_bias=False, kernel_init=he_normal(), dtype=self.dtype, name="stem")
            x = out["stem"] = conv(features, (3, 3), padding=1)(x)
            return x
        x = out["stem"] = ConvNorm(features, (7, 7), 2, 3, dtype=self.dtype, name="stem")(x, train)
        x = out["stem_pool"] = max_pool(x, 3, stride=2, padding=1)
        return x

    def _smallest(self) -> int:
        """Return the size of image of which every transition has something left to halve."""
        halved = 2 ** (len(self.depths) - 1)
        return halved if self.stem == "cifar" else max(4 * halved - 3, 1)

    def _check(self) -> None:
        if self.stem not in {"imagenet", "cifar"}:
            raise ValueError(f"stem is 'imagenet' or 'cifar'; came {self.stem!r}")
        if not self.depths or min(self.growth_rate, *self.depths) < 1:
            raise ValueError(
                f"growth_rate and the depths of the blocks are positive; came {self.growth_rate} and {self.depths}"
            )
        if not 0 < self.compression <= 1:
            raise ValueError(f"compression is in (0, 1]; came {self.compression}")


register("densenet121", DenseNet, input_shape=(224, 224, 3), description="DenseNet-BC of 121 layers, k = 32")
register(
    "densenet161",
    DenseNet,
    input_shape=(224, 224, 3),
    description="DenseNet-BC of 161 layers, k = 48",
    growth_rate=48,
    depths=(6, 12, 36, 24),
)
register(
    "densenet169",
    DenseNet,
    input_shape=(224, 224, 3),
    description="DenseNet-BC of 169 layers, k = 32",
    depths=(6, 12, 32, 32),
)
register(
    "densenet201",
    DenseNet,
    input_shape=(224, 224, 3),
    description="DenseNet-BC of 201 layers, k = 32",
    depths=(6, 12, 48, 32),
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
