"""DeepLab version 3, pyramids of dilated convolutions (Chen, Papandreou, Schroff and Adam, 2017), as in torchvision."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax.numpy as jnp
from flax import linen

from jaxdl.models.dense.fcn import ResNetSegmenter
from jaxdl.models.layers import ConvNorm
from jaxdl.models.registry import register
from jaxdl.nn.convolution.convolution import Conv
from jaxdl.nn.noise import Dropout
from jaxdl.typing import Array


class AtrousPyramid(linen.Module):
    """Atrous spatial pyramid pooling: what lies around a position, at several distances and in the whole image.

    ``branch1`` is a 1x1 convolution, ``branch2`` and so on are 3x3 with dilation, ``pool`` is a 1x1 convolution of the
    mean of the image; ``project`` joins them by a 1x1 convolution. Each has batch norm and ReLU.

    Attributes:
        features: channels of every branch and of the result.
        rates: dilations.
        dropout_rate: share of the result dropped.
        dtype: of the computation.

    >>> import jax
    >>> layer = AtrousPyramid(4)
    >>> y, variables = jax.eval_shape(layer.init_with_output, jax.random.key(0), jnp.zeros((1, 5, 5, 8)))
    >>> y.shape, sorted(variables["params"])
    ((1, 5, 5, 4), ['branch1', 'branch2', 'branch3', 'branch4', 'pool', 'project'])
    """

    features: int
    rates: Sequence[int] = (12, 24, 36)
    dropout_rate: float = 0.5
    dtype: Any = None

    @linen.compact
    def __call__(self, x: Array, train: bool = False) -> Array:
        """Map ``[B, H, W, C]`` to ``[B, H, W, features]``."""
        conv = partial(ConvNorm, self.features, dtype=self.dtype)
        branches = [conv((1, 1), name="branch1")(x, train)]
        for number, rate in enumerate(self.rates, 2):
            branches.append(conv((3, 3), padding=rate, dilation=rate, name=f"branch{number}")(x, train))
        mean = conv((1, 1), name="pool")(jnp.mean(x, axis=(1, 2), keepdims=True), train)
        branches.append(jnp.broadcast_to(mean, branches[0].shape))
        x = conv((1, 1), name="project")(jnp.concatenate(branches, axis=-1), train)
        return Dropout(self.dropout_rate)(x, train=train)


class DeepLabHead(linen.Module):
    """A logit for each class at each position: ``pyramid``, 3x3 convolution ``hidden``, 1x1 convolution ``output``.

    Fields as in `AtrousPyramid`.
    """

    num_classes: int
    features: int = 256
    rates: Sequence[int] = (12, 24, 36)
    dropout_rate: float = 0.5
    dtype: Any = None

    @linen.compact
    def __call__(self, x: Array, train: bool = False) -> Array:
        """Map ``[B, H, W, C]`` to ``[B, H, W, num_classes]``."""
        x = AtrousPyramid(self.features, self.rates, self.dropout_rate, self.dtype, name="pyramid")(x, train)
        x = ConvNorm(self.features, (3, 3), padding=1, dtype=self.dtype, name="hidden")(x, train)
        return Conv(self.num_classes, (1, 1), dtype=self.dtype, name="output")(x)


class DeepLabV3(ResNetSegmenter):
    """The backbone and `DeepLabHead`; the other fields and the intermediates are those of `ResNetSegmenter`.

    Attributes:
        dropout_rate: share of the pyramid's result dropped.
        head_features: channels of the head.
        rates: dilations of the pyramid, for a backbone that has an eighth of the image's height and width.

    >>> import jax
    >>> build = lambda key, x: DeepLabV3().init({"params": key, "dropout": key}, x, train=True)
    >>> variables = jax.eval_shape(build, jax.random.key(0), jnp.zeros((1, 32, 32, 3)))
    >>> sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
    42004074
    """

    dropout_rate: float = 0.5
    head_features: int = 256
    rates: Sequence[int] = (12, 24, 36)

    @linen.nowrap
    def make_head(self, name: str) -> linen.Module:
        """Make the head."""
        return DeepLabHead(self.num_classes, self.head_features, self.rates, self.dropout_rate, self.dtype, name=name)


register(
    "deeplabv3_resnet50",
    DeepLabV3,
    input_shape=(520, 520, 3),
    description="DeepLab version 3 on ResNet-50, dilated, for 21 classes",
)
