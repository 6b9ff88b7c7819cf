"""Fully convolutional network on a dilated residual network (Long, Shelhamer and Darrell, 2015), as in torchvision."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from flax import linen

from jaxdl.models.layers import ConvNorm, check_image_size, collect
from jaxdl.models.registry import register
from jaxdl.models.vision.resnet import ResNet
from jaxdl.nn.convolution.convolution import Conv
from jaxdl.nn.convolution.upsampling import upsample_bilinear
from jaxdl.nn.noise import Dropout
from jaxdl.typing import Array, ArrayLike


class FCNHead(linen.Module):
    """A logit for each class at each position: 3x3 convolution ``hidden``, dropout, 1x1 convolution ``output``.

    >>> import jax
    >>> head = FCNHead(21)
    >>> y, variables = jax.eval_shape(head.init_with_output, jax.random.key(0), jnp.zeros((1, 5, 5, 8)))
    >>> y.shape, variables["params"]["output"]["kernel"].shape
    ((1, 5, 5, 21), (1, 1, 2, 21))
    """

    num_classes: int
    dropout_rate: float = 0.1
    dtype: Any = None

    @linen.compact
    def __call__(self, x: Array, train: bool = False) -> Array:
        """Map ``[B, H, W, C]``, with ``C / 4`` channels between, to ``[B, H, W, num_classes]``."""
        x = ConvNorm(x.shape[-1] // 4, (3, 3), padding=1, dtype=self.dtype, name="hidden")(x, train)
        x = Dropout(self.dropout_rate)(x, train=train)
        return Conv(self.num_classes, (1, 1), dtype=self.dtype, name="output")(x)


class ResNetSegmenter(linen.Module):
    """The base class of `FCN` and `DeepLabV3`: a backbone, a head on its last stage, and bilinear upsampling.

    The last two stages of the backbone keep height and width and dilate their convolutions instead, so that the head
    sees maps of an eighth of the image. With ``train=True`` the logits of an auxiliary `FCNHead` on the stage before
    the last are the intermediate ``auxiliary``. The others are those of `ResNet` and ``head``, before upsampling.

    Attributes:
        num_classes: number of logits at every pixel.
        depths: blocks in each stage of the backbone, bottlenecks.
        widths: of these blocks.
        auxiliary_weight: weight of the auxiliary head's loss; 0 for no head.
        dropout_rate: share dropped before the output layer of the head, or within it.
        auxiliary_dropout_rate: the same in the auxiliary head.
        dtype: of the computation.
    """

    num_classes: int = 21
    depths: Sequence[int] = (3, 4, 6, 3)
    widths: Sequence[int] = (64, 128, 256, 512)
    auxiliary_weight: float = 0.5
    dropout_rate: float = 0.1
    auxiliary_dropout_rate: float = 0.1
    dtype: Any = None

    @property
    def auxiliary(self) -> dict[str, float]:
        """The weight of the auxiliary head in the training loss."""
        return {"auxiliary": self.auxiliary_weight} if self.auxiliary_weight else {}

    @linen.nowrap
    def make_backbone(self, **options: Any) -> ResNet:
        """Make the residual network without its output layer."""
        fields = {"depths": self.depths, "widths": self.widths, "dtype": self.dtype, **options}
        return ResNet(num_classes=None, block="bottleneck", dilated_stages=2, **fields)

    @linen.compact
    def __call__(
        self, x: ArrayLike, train: bool = False, return_intermediates: bool = False
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Compute the logits ``[B, H, W, num_classes]`` of images ``[B, H, W, C]``.

        Raises:
            ValueError: the images are smaller than 8 x 8, or a field is invalid.
        """
        x = jnp.asarray(x)
        check_image_size(type(self).__name__, x, 8)
        size, last = x.shape[1:3], len(self.depths)
        _, out = self.make_backbone(name="backbone")(x, train, return_intermediates=True)
        del out["pool"]
        if train and self.auxiliary:
            head = FCNHead(self.num_classes, self.auxiliary_dropout_rate, self.dtype, name="auxiliary")
            collect(out, "auxiliary", upsample_bilinear(head(out[f"stage{last - 1}"], train), size=size))
        logits = collect(out, "head", self.make_head(name="head")(out[f"stage{last}"], train))
        logits = upsample_bilinear(logits, size=size)
        return (logits, out) if return_intermediates else logits

    @linen.nowrap
    def make_head(self, name: str) -> linen.Module:
        """Make the head, called with the last stage and ``train``."""
        raise NotImplementedError


class FCN(ResNetSegmenter):
    """The backbone and `FCNHead`; fields and intermediates as in `ResNetSegmenter`.

    >>> import jax
    >>> build = lambda key, x: FCN().init({"params": key, "dropout": key}, x, train=True)
    >>> variables = jax.eval_shape(build, jax.random.key(0), jnp.zeros((1, 32, 32, 3)))
    >>> sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
    35322218
    """

    @linen.nowrap
    def make_head(self, name: str) -> linen.Module:
        """Make the head."""
        return FCNHead(self.num_classes, self.dropout_rate, self.dtype, name=name)


register(
    "fcn_resnet50",
    FCN,
    input_shape=(520, 520, 3),
    description="Fully convolutional network on ResNet-50, dilated, for 21 classes",
)
