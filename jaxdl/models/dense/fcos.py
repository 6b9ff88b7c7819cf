"""FCOS, a detector without anchors on a feature pyramid (Tian et al., 2019 and 2020)."""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen

from jaxdl.models.dense.fpn import FeaturePyramid
from jaxdl.models.layers import check_image_size, collect
from jaxdl.models.registry import register
from jaxdl.models.vision.resnet import ResNet
from jaxdl.nn.anchor_free import STRIDES, level_sizes
from jaxdl.nn.convolution.convolution import Conv
from jaxdl.nn.detections import DensePredictions
from jaxdl.nn.initializers import constant, normal
from jaxdl.nn.normalization import GroupNorm
from jaxdl.typing import Array, ArrayLike

PRIOR = 0.01
"""The initial probability of every class: at first nearly all points are background."""


class Tower(linen.Module):
    """Convolutions ``conv1 .. convL`` of 3 x 3, each with group norm and ReLU.

    >>> x = jnp.zeros((1, 4, 4, 32))
    >>> sorted(jax.eval_shape(Tower(2).init, jax.random.key(0), [x])["params"])
    ['conv1', 'conv2', 'norm1', 'norm2']
    """

    depth: int = 4
    groups: int = 32
    dtype: Any = None

    @linen.compact
    def __call__(self, levels: Sequence[Array]) -> list[Array]:
        """Map ``[B, H, W, C]`` to the same shape on every level, with the same parameters."""
        for number in range(1, self.depth + 1):
            features = levels[0].shape[-1]
            conv = _conv(features, self.dtype, f"conv{number}")
            norm = GroupNorm(groups=self.groups, name=f"norm{number}")
            levels = [jax.nn.relu(norm(conv(x))) for x in levels]
        return list(levels)


class FCOSHead(linen.Module):
    """Predict classes, distances and centerness at every pixel of every level, with parameters shared by the levels.

    Two towers of convolutions, one before the logits of the classes, one before the distances, which are rectified, and
    the centerness.

    >>> x = jnp.zeros((1, 4, 6, 32))
    >>> y, _ = jax.eval_shape(FCOSHead(num_classes=3).init_with_output, jax.random.key(0), [x])
    >>> y.logits[0].shape, y.distances[0].shape, y.centerness[0].shape
    ((1, 4, 6, 3), (1, 4, 6, 4), (1, 4, 6))
    """

    num_classes: int
    depth: int = 4
    groups: int = 32
    dtype: Any = None

    @linen.compact
    def __call__(self, levels: Sequence[Array]) -> DensePredictions:
        """Map ``[B, H, W, C]`` for each level to the predictions there."""
        classified, located = (
            Tower(self.depth, self.groups, self.dtype, name=name)(levels) for name in ("classification", "regression")
        )
        prior = -math.log((1 - PRIOR) / PRIOR)
        logits = _conv(self.num_classes, self.dtype, "logits", bias=prior)
        distances, centerness = _conv(4, self.dtype, "distances"), _conv(1, self.dtype, "centerness")
        return DensePredictions(
            tuple(logits(x) for x in classified),
            tuple(jax.nn.relu(distances(x)) for x in located),
            tuple(centerness(x)[..., 0] for x in located),
        )


class FCOS(linen.Module):
    """A backbone, a `FeaturePyramid` on three of its intermediates, and an `FCOSHead` on five levels.

    At each point of the levels it predicts for every class whether the point belongs to an object of it, the distances
    to the four edges of the object's box, and the point's centerness, by which it weights its own score.
    `jaxdl.nn.select_detections` makes detections of the predictions, `jaxdl.tasks.detection` learns them.
    Intermediates are those of the backbone, and ``p3``, ``p4`` and so on.

    Attributes:
        num_classes: number of logits at every point.
        backbone: a model whose intermediates ``maps`` have strides 8, 16 and 32.
        maps: names of these intermediates.
        features: channels of the pyramid and of the head.
        depth: convolutions in each tower of the head.
        groups: of the group norms of the head.
        extra_levels: levels of the pyramid beyond those of the backbone.
        freeze_norm: normalize by the running moments in training too, as with the small batches that large images
            allow; `jaxdl.optim` freezes scales and biases as well as any parameters.
        dtype: of the computation after the backbone, which has a dtype of its own.

    >>> model = FCOS(num_classes=3, backbone=ResNet(None, widths=(4, 8, 16, 32)), features=32)
    >>> predictions, _ = jax.eval_shape(model.init_with_output, jax.random.key(0), jnp.zeros((1, 64, 96, 3)))
    >>> [logits.shape for logits in predictions.logits[:3]]
    [(1, 8, 12, 3), (1, 4, 6, 3), (1, 2, 3, 3)]
    """

    num_classes: int = 91
    backbone: linen.Module = ResNet(None, depths=(3, 4, 6, 3), block="bottleneck")
    maps: Sequence[str] = ("stage2", "stage3", "stage4")
    features: int = 256
    depth: int = 4
    groups: int = 32
    extra_levels: int = 2
    freeze_norm: bool = False
    dtype: Any = None

    @property
    def strides(self) -> tuple[int, ...]:
        """Pixels of the image per pixel of each level."""
        return tuple(STRIDES[0] << level for level in range(len(self.maps) + self.extra_levels))

    @linen.compact
    def __call__(
        self, x: ArrayLike, train: bool = False, return_intermediates: bool = False
    ) -> DensePredictions | tuple[DensePredictions, dict[str, Array]]:
        """Predict classes, boxes and centerness for images ``[B, H, W, 3]``.

        The pretrained weights expect images standardized by the mean and the deviation of ImageNet.

        Raises:
            ValueError: the images have another rank, or the maps of the backbone have other strides.
        """
        x = jnp.asarray(x)
        check_image_size("FCOS", x, STRIDES[0])
        _, out = self.backbone(x, train and not self.freeze_norm, return_intermediates=True)  # type: ignore
        maps = [out[name] for name in self.maps]
        sizes = [feature.shape[1:3] for feature in maps]
        expected = level_sizes(x.shape[1:3], self.strides[: len(maps)])
        if sizes != expected:
            raise ValueError(f"expected maps {', '.join(self.maps)} of {expected} for images {x.shape}, got {sizes}")
        levels = FeaturePyramid(self.features, self.extra_levels, self.dtype, name="pyramid")(maps)
        levels = [collect(out, f"p{number}", level) for number, level in enumerate(levels, 3)]
        head = FCOSHead(self.num_classes, self.depth, self.groups, self.dtype, name="head")
        predictions = head(levels)
        return (predictions, out) if return_intermediates else predictions


def _conv(features: int, dtype: Any, name: str, bias: float = 0.0) -> Conv:
    init_kernel, init_bias = normal(0.01), constant(bias)
    return Conv(features, (3, 3), padding=1, kernel_init=init_kernel, bias_init=init_bias, dtype=dtype, name=name)


register(
    "fcos_resnet50_fpn",
    FCOS,
    input_shape=(800, 800, 3),
    description="FCOS, a detector without anchors, with ResNet-50 and a feature pyramid",
)
