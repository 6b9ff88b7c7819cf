"""Inception-ResNet v2, inception modules with residual connections (Szegedy et al., 2017).

The tables are those of the authors' release, which has twice the blocks of the paper's figures. In all modules the
``i``-th convolution of a branch is the submodule ``BRANCH_i``.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen

from jaxdl.models.layers import ConvNorm, check_image_size, collect, output_layer, scale_channels
from jaxdl.models.registry import register
from jaxdl.nn.convolution.convolution import Conv
from jaxdl.nn.convolution.pooling import average_pool, global_average_pool, max_pool
from jaxdl.nn.noise import Dropout
from jaxdl.typing import Array, ArrayLike

EPSILON = 1e-3
"""Of every batch norm."""


class BranchConv(NamedTuple):
    """A convolution of a branch: without padding where the stride is 2, else with "same" padding."""

    channels: int
    kernel_size: tuple[int, int]
    stride: int = 1


_one, _three, _halving = partial(BranchConv, kernel_size=(1, 1)), partial(BranchConv, kernel_size=(3, 3)), 2

MIXED_5B: dict[str, Sequence[BranchConv]] = {
    "branch1x1": (_one(96),),
    "branch5x5": (_one(48), BranchConv(64, (5, 5))),
    "branch3x3_double": (_one(64), _three(96), _three(96)),
    "pool": (_one(64),),
}
REDUCTIONS: dict[str, Mapping[str, Sequence[BranchConv]]] = {
    "mixed6a": {
        "branch3x3": (_three(384, stride=_halving),),
        "branch3x3_double": (_one(256), _three(256), _three(384, stride=_halving)),
    },
    "mixed7a": {
        "branch3x3a": (_one(256), _three(384, stride=_halving)),
        "branch3x3b": (_one(256), _three(288, stride=_halving)),
        "branch3x3_double": (_one(256), _three(288), _three(320, stride=_halving)),
    },
}
BLOCKS: dict[str, Mapping[str, Sequence[BranchConv]]] = {
    "block35": {
        "branch1x1": (_one(32),),
        "branch3x3": (_one(32), _three(32)),
        "branch3x3_double": (_one(32), _three(48), _three(64)),
    },
    "block17": {
        "branch1x1": (_one(192),),
        "branch7x7": (_one(128), BranchConv(160, (1, 7)), BranchConv(192, (7, 1))),
    },
    "block8": {
        "branch1x1": (_one(192),),
        "branch3x3": (_one(192), BranchConv(224, (1, 3)), BranchConv(256, (3, 1))),
    },
}
"""Branches of the residual blocks, named after the height and width of their maps for images of 299 x 299."""
SCALES = {"block35": 0.17, "block17": 0.1, "block8": 0.2}


class _Branches(linen.Module):
    """Parallel chains of convolutions; ``width`` scales all numbers of channels."""

    width: float = 1.0
    dtype: Any = None

    def _branch(self, x: Array, name: str, convs: Sequence[BranchConv], train: bool) -> Array:
        for i, conv in enumerate(convs, 1):
            channels = scale_channels(conv.channels, self.width)
            make = partial(ConvNorm, channels, conv.kernel_size, conv.stride, epsilon=EPSILON, dtype=self.dtype)
            x = make(padding="same" if conv.stride == 1 else "valid", name=f"{name}_{i}")(x, train)
        return x


class InceptionResNetMixed(_Branches):
    """1x1, 5x5, double 3x3 and pooling branches before the residual blocks."""

    @linen.compact
    def __call__(self, x: Array, train: bool = False) -> Array:
        """Map ``[B, H, W, C]`` to ``[B, H, W, 320 width]``; the average does not count the padding."""
        pooled = average_pool(x, 3, stride=1, padding=1, count_include_pad=False)
        sources = {name: pooled if name == "pool" else x for name in MIXED_5B}
        branches = [self._branch(sources[name], name, convs, train) for name, convs in MIXED_5B.items()]
        return jnp.concatenate(branches, axis=-1)


class InceptionResNetReduction(_Branches):
    """Branches of convolutions and max pooling, all of stride 2: a grid reduction, by a row of ``REDUCTIONS``."""

    kind: str = "mixed6a"

    @linen.compact
    def __call__(self, x: Array, train: bool = False) -> Array:
        """Map ``[B, H, W, C]`` to ``[B, H / 2, W / 2, K width + C]``."""
        branches = [self._branch(x, name, convs, train) for name, convs in REDUCTIONS[self.kind].items()]
        return jnp.concatenate([*branches, max_pool(x, 3, stride=2)], axis=-1)


class InceptionResNetBlock(_Branches):
    """``y = relu(x + scale f(x))``, where ``f`` joins the branches of ``BLOCKS[kind]`` by a 1x1 convolution with bias.

    A scale below 1 keeps wide residual networks from dying early in training. ``activate=False`` omits the ReLU.
    """

    kind: str = "block35"
    scale: float = 1.0
    activate: bool = True

    @linen.compact
    def __call__(self, x: Array, train: bool = False) -> Array:
        """Map ``[B, H, W, C]`` to ``[B, H, W, C]``."""
        branches = [self._branch(x, name, convs, train) for name, convs in BLOCKS[self.kind].items()]
        joined = Conv(x.shape[-1], (1, 1), dtype=self.dtype, name="join")(jnp.concatenate(branches, axis=-1))
        y = x + self.scale * joined
        return jax.nn.relu(y) if self.activate else y


class InceptionResNetV2(linen.Module):
    """Inception with residual blocks: factorized kernels whose output is scaled and added to the input.

    conv1 3x3 / 2, 32 - conv2 3x3, 32 - conv3 3x3, 64 - pool1 3x3 / 2 - conv4 1x1, 80 - conv5 3x3, 192 - pool2 3x3 / 2 -
    mixed5b - block35_1 to 10 - mixed6a / 2 - block17_1 to 20 - mixed7a / 2 - block8_1 to 10 - conv6 1x1, 1536 - mean
    (``pool``) - dropout - output: 55,843,464 parameters. Intermediates have these names. The last block is linear and
    not scaled. Layers of stride 2 have no padding.

    Attributes:
        num_classes: number of logits; 0 for no output layer, for a backbone.
        width: factor of all numbers of channels.
        depths: numbers of blocks at the three sizes.
        dropout_rate: share of the means dropped in training.
        dtype: of the computation.

    Source: Szegedy, Ioffe, Vanhoucke and Alemi, "Inception-v4, Inception-ResNet and the impact of residual connections
    on learning" (2017).

    >>> build = InceptionResNetV2(num_classes=10, width=1 / 16, depths=(1, 1, 1)).init_with_output
    >>> logits, _ = jax.eval_shape(build, jax.random.key(0), jnp.zeros((2, 80, 80, 3)))
    >>> logits.shape
    (2, 10)
    """

    num_classes: int = 1000
    width: float = 1.0
    depths: Sequence[int] = (10, 20, 10)
    dropout_rate: float = 0.2
    dtype: Any = None

    @linen.compact
    def __call__(
        self, x: ArrayLike, train: bool = False, return_intermediates: bool = False
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Compute the logits ``[B, num_classes]`` of images ``[B, H, W, 3]``, 299 x 299 in the paper.

        Raises:
            ValueError: the images are too small, or ``depths`` are not three positive numbers.
        """
        x = jnp.asarray(x)
        check_image_size("InceptionResNetV2", x, 75)
        if len(self.depths) != 3 or min(self.depths) < 1:
            raise ValueError(f"expected depths of three positive numbers, got {self.depths}")
        out: dict[str, Array] = {}

        def conv(x: Array, name: str, channels: int, size: int, stride: int = 1, padding: int = 0) -> Array:
            channels = scale_channels(channels, self.width)
            layer = ConvNorm(channels, (size, size), stride, padding, epsilon=EPSILON, dtype=self.dtype, name=name)
            return collect(out, name, layer(x, train))

        x = conv(conv(x, "conv1", 32, 3, stride=2), "conv2", 32, 3)
        x = collect(out, "pool1", max_pool(conv(x, "conv3", 64, 3, padding=1), 3, stride=2))
        x = collect(out, "pool2", max_pool(conv(conv(x, "conv4", 80, 1), "conv5", 192, 3), 3, stride=2))
        for name, module in self._modules().items():
            x = collect(out, name, module(x, train))
        x = collect(out, "pool", global_average_pool(conv(x, "conv6", 1536, 1)))
        x = Dropout(self.dropout_rate)(x, train=train)
        logits = output_layer(x, self.num_classes, dtype=self.dtype)
        return (logits, out) if return_intermediates else logits

    def _modules(self) -> dict[str, _Branches]:
        """Make the modules between the stem and conv6, in their order."""
        fields: dict[str, Any] = {"width": self.width, "dtype": self.dtype}
        made: dict[str, _Branches] = {}
        for before, kind, depth in zip(("mixed5b", *REDUCTIONS), BLOCKS, self.depths, strict=True):
            if before in REDUCTIONS:
                made[before] = InceptionResNetReduction(**fields, kind=before, name=before)
            else:
                made[before] = InceptionResNetMixed(**fields, name=before)
            for i in range(1, depth + 1):
                last = kind == "block8" and i == depth
                name, scale = f"{kind}_{i}", 1.0 if last else SCALES[kind]
                made[name] = InceptionResNetBlock(**fields, kind=kind, scale=scale, activate=not last, name=name)
        return made


register(
    "inception_resnet_v2",
    InceptionResNetV2,
    input_shape=(299, 299, 3),
    description="Inception-ResNet v2, inception modules with scaled residual connections",
)
