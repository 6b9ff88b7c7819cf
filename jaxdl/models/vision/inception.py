"""Inception v2, with batch norm (Ioffe and Szegedy, 2015), and v3, with factorized kernels (Szegedy et al., 2016).

`InceptionA` to `InceptionE` are the modules of v3 as in torchvision, one for each figure of the paper. In all,
the ``i``-th convolution of a branch is the submodule ``BRANCH_i``.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen

from jaxdl.checks import renamed_fields
from jaxdl.models.layers import ConvNorm, check_image_size, collect, output_layer, scale_channels
from jaxdl.models.registry import register
from jaxdl.models.vision.googlenet import standardized_to_half
from jaxdl.nn.convolution.pooling import average_pool, global_average_pool, max_pool
from jaxdl.nn.convolution.separable import SeparableConv
from jaxdl.nn.noise import Dropout
from jaxdl.nn.normalization import BatchNorm
from jaxdl.typing import Array, ArrayLike

EPSILON = 1e-3
"""Of every batch norm."""


class InceptionV2Widths(NamedTuple):
    """Channels of a module of Inception v2, a row of the paper's figure 5, and the pooling of its last branch."""

    one: int
    reduce: int
    three: int
    double_reduce: int
    double: int
    pool: Callable[..., Array]
    projection: int


V2_MODULES = {
    "inception3a": InceptionV2Widths(64, 64, 64, 64, 96, average_pool, 32),
    "inception3b": InceptionV2Widths(64, 64, 96, 64, 96, average_pool, 64),
    "inception3c": InceptionV2Widths(0, 128, 160, 64, 96, max_pool, 0),
    "inception4a": InceptionV2Widths(224, 64, 96, 96, 128, average_pool, 128),
    "inception4b": InceptionV2Widths(192, 96, 128, 96, 128, average_pool, 128),
    "inception4c": InceptionV2Widths(160, 128, 160, 128, 160, average_pool, 96),
    "inception4d": InceptionV2Widths(96, 128, 192, 160, 192, average_pool, 96),
    "inception4e": InceptionV2Widths(0, 128, 192, 192, 256, max_pool, 0),
    "inception5a": InceptionV2Widths(352, 192, 320, 160, 224, average_pool, 128),
    "inception5b": InceptionV2Widths(352, 192, 320, 192, 224, max_pool, 128),
}
"""Modules without 1x1 convolution and projection halve height and width."""


class _Module(linen.Module):
    """Fields of all inception modules: ``width`` scales all numbers of channels."""

    width: float = 1.0
    dtype: Any = None

    def _conv(
        self, channels: int, kernel_size: int | tuple[int, int], name: str, *, stride: int = 1, padding: Any = "same"
    ) -> Callable[[Array, bool], Array]:
        size = (kernel_size, kernel_size) if isinstance(kernel_size, int) else kernel_size
        channels = scale_channels(channels, self.width)
        return ConvNorm(channels, size, stride, padding, epsilon=EPSILON, dtype=self.dtype, name=name)

    def _halving_conv(self, channels: int, name: str) -> Callable[[Array, bool], Array]:
        return self._conv(channels, 3, name, stride=2, padding="valid")

    def _pool_branch(self, x: Array, channels: int, train: bool) -> Array:
        """Apply 3x3 average pooling, which counts the padding, and a 1x1 convolution."""
        return self._conv(channels, 1, "pool_1")(average_pool(x, 3, stride=1, padding=1), train)


def _join(*branches: Array) -> Array:
    return jnp.concatenate(branches, axis=-1)


class InceptionV2Module(_Module):
    """1x1, 3x3, double 3x3 and pooling branches (figure 5 of Ioffe and Szegedy), with the channels of ``widths``.

    Without 1x1 convolution and projection, the module halves height and width, and its last branch is pooling alone.
    """

    widths: InceptionV2Widths = V2_MODULES["inception3a"]

    @linen.compact
    def __call__(self, x: Array, train: bool = False) -> Array:
        """Map ``[B, H, W, C]`` to ``[B, H, W, K]``, or ``[B, H / 2, W / 2, K]``."""
        n = self.widths
        stride = 1 if n.projection else 2
        y = self._conv(n.reduce, 1, "branch3x3_1")(x, train)
        branch3x3 = self._conv(n.three, 3, "branch3x3_2", stride=stride)(y, train)
        y = self._conv(n.double_reduce, 1, "branch3x3_double_1")(x, train)
        y = self._conv(n.double, 3, "branch3x3_double_2")(y, train)
        double = self._conv(n.double, 3, "branch3x3_double_3", stride=stride)(y, train)
        if not n.projection:
            return _join(branch3x3, double, n.pool(x, 3, stride=2, padding="same"))
        branch1x1 = self._conv(n.one, 1, "branch1x1_1")(x, train)
        options = {"count_include_pad": False} if n.pool is average_pool else {}
        pooled = n.pool(x, 3, stride=1, padding=1, **options)
        return _join(branch1x1, branch3x3, double, self._conv(n.projection, 1, "pool_1")(pooled, train))


class InceptionA(_Module):
    """1x1, 5x5, double 3x3 and pooling branches: figure 5."""

    pool_channels: int = 32

    @linen.compact
    def __call__(self, x: Array, train: bool = False) -> Array:
        """Map ``[B, H, W, C]`` to ``[B, H, W, 224 + pool_channels]``, times ``width``."""
        branch1x1 = self._conv(64, 1, "branch1x1_1")(x, train)
        y = self._conv(48, 1, "branch5x5_1")(x, train)
        branch5x5 = self._conv(64, 5, "branch5x5_2")(y, train)
        y = self._conv(64, 1, "branch3x3_double_1")(x, train)
        y = self._conv(96, 3, "branch3x3_double_2")(y, train)
        double = self._conv(96, 3, "branch3x3_double_3")(y, train)
        return _join(branch1x1, branch5x5, double, self._pool_branch(x, self.pool_channels, train))


class InceptionB(_Module):
    """3x3 and double 3x3 branches and max pooling, all of stride 2: the grid reduction of figure 10."""

    @linen.compact
    def __call__(self, x: Array, train: bool = False) -> Array:
        """Map ``[B, H, W, C]`` to ``[B, H / 2, W / 2, 480 width + C]``."""
        branch3x3 = self._halving_conv(384, "branch3x3_1")(x, train)
        y = self._conv(64, 1, "branch3x3_double_1")(x, train)
        y = self._conv(96, 3, "branch3x3_double_2")(y, train)
        double = self._halving_conv(96, "branch3x3_double_3")(y, train)
        return _join(branch3x3, double, max_pool(x, 3, stride=2))


class InceptionC(_Module):
    """1x1, 7x7, double 7x7 and pooling branches, with 7x7 factorized into 1x7 and 7x1: figure 6."""

    inner_channels: int = 128

    @linen.compact
    def __call__(self, x: Array, train: bool = False) -> Array:
        """Map ``[B, H, W, C]`` to ``[B, H, W, 768 width]``."""
        inner = self.inner_channels
        branch1x1 = self._conv(192, 1, "branch1x1_1")(x, train)
        y = self._conv(inner, 1, "branch7x7_1")(x, train)
        y = self._conv(inner, (1, 7), "branch7x7_2")(y, train)
        branch7x7 = self._conv(192, (7, 1), "branch7x7_3")(y, train)
        y = self._conv(inner, 1, "branch7x7_double_1")(x, train)
        y = self._conv(inner, (7, 1), "branch7x7_double_2")(y, train)
        y = self._conv(inner, (1, 7), "branch7x7_double_3")(y, train)
        y = self._conv(inner, (7, 1), "branch7x7_double_4")(y, train)
        double = self._conv(192, (1, 7), "branch7x7_double_5")(y, train)
        return _join(branch1x1, branch7x7, double, self._pool_branch(x, 192, train))


class InceptionD(_Module):
    """3x3 and 7x7 with 3x3 branches and max pooling, all of stride 2: the second grid reduction."""

    @linen.compact
    def __call__(self, x: Array, train: bool = False) -> Array:
        """Map ``[B, H, W, C]`` to ``[B, H / 2, W / 2, 512 width + C]``."""
        y = self._conv(192, 1, "branch3x3_1")(x, train)
        branch3x3 = self._halving_conv(320, "branch3x3_2")(y, train)
        y = self._conv(192, 1, "branch7x7_1")(x, train)
        y = self._conv(192, (1, 7), "branch7x7_2")(y, train)
        y = self._conv(192, (7, 1), "branch7x7_3")(y, train)
        branch7x7 = self._halving_conv(192, "branch7x7_4")(y, train)
        return _join(branch3x3, branch7x7, max_pool(x, 3, stride=2))


class InceptionE(_Module):
    """1x1, 3x3, double 3x3 and pooling branches; the last 3x3 kernels are 1x3 beside 3x1: figure 7."""

    @linen.compact
    def __call__(self, x: Array, train: bool = False) -> Array:
        """Map ``[B, H, W, C]`` to ``[B, H, W, 2048 width]``."""
        branch1x1 = self._conv(320, 1, "branch1x1_1")(x, train)
        y = self._conv(384, 1, "branch3x3_1")(x, train)
        wide = self._conv(384, (1, 3), "branch3x3_2a")(y, train)
        tall = self._conv(384, (3, 1), "branch3x3_2b")(y, train)
        y = self._conv(448, 1, "branch3x3_double_1")(x, train)
        y = self._conv(384, 3, "branch3x3_double_2")(y, train)
        double_wide = self._conv(384, (1, 3), "branch3x3_double_3a")(y, train)
        double_tall = self._conv(384, (3, 1), "branch3x3_double_3b")(y, train)
        pooled = self._pool_branch(x, 192, train)
        return _join(branch1x1, wide, tall, double_wide, double_tall, pooled)


V3_MODULES: dict[str, Callable[..., _Module]] = {
    "mixed5b": partial(InceptionA, pool_channels=32),
    "mixed5c": partial(InceptionA, pool_channels=64),
    "mixed5d": partial(InceptionA, pool_channels=64),
    "mixed6a": InceptionB,
    "mixed6b": partial(InceptionC, inner_channels=128),
    "mixed6c": partial(InceptionC, inner_channels=160),
    "mixed6d": partial(InceptionC, inner_channels=160),
    "mixed6e": partial(InceptionC, inner_channels=192),
    "mixed7a": InceptionD,
    "mixed7b": InceptionE,
    "mixed7c": InceptionE,
}


@renamed_fields(dropout="dropout_rate")
class InceptionV2(linen.Module):
    """GoogLeNet with batch norm after every convolution, and two 3x3 convolutions instead of one of 5x5.

    conv1 7x7 / 2, 64, separable, with eight maps of each channel - pool1 3x3 / 2 - conv2 1x1, 64 - conv3 3x3, 192 -
    pool2 3x3 / 2 - inception3a, 3b, 3c / 2, 4a to 4d, 4e / 2, 5a, 5b - mean (``pool``) - output: 11,188,288
    parameters. Intermediates have these names. As in the paper there is no dropout. The paper does not state the
    padding: it is "same" here, so that images of any size are possible, and the average pooling does not count it.
    There are no auxiliary heads.

    Attributes:
        num_classes: number of logits; 0 for no output layer, for a backbone.
        width: factor of all numbers of channels.
        dropout_rate: share of the means dropped in training.
        modules: names of the modules, by default all ten.
        dtype: of the computation.

    >>> build = InceptionV2(num_classes=10).init_with_output
    >>> logits, _ = jax.eval_shape(build, jax.random.key(0), jnp.zeros((2, 32, 32, 3)))
    >>> logits.shape
    (2, 10)
    """

    num_classes: int = 1000
    width: float = 1.0
    dropout_rate: float = 0.0
    modules: Sequence[str] = tuple(V2_MODULES)
    dtype: Any = None

    @linen.compact
    def __call__(
        self, x: ArrayLike, train: bool = False, return_intermediates: bool = False
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Compute the logits ``[B, num_classes]`` of images ``[B, H, W, 3]``, 224 x 224 in the paper.

        Raises:
            ValueError: ``x`` does not hold images.
        """
        x = jnp.asarray(x)
        check_image_size("InceptionV2", x, 8)
        conv = partial(ConvNorm, padding="same", epsilon=EPSILON, dtype=self.dtype)
        pool = partial(max_pool, window=3, stride=2, padding="same")
        stem, wide = scale_channels(64, self.width), scale_channels(192, self.width)
        out: dict[str, Array] = {}
        x = SeparableConv(stem, (7, 7), 2, "same", multiplier=8, dtype=self.dtype, name="conv1")(x)
        x = collect(out, "conv1", jax.nn.relu(BatchNorm(epsilon=EPSILON, name="norm1")(x, train)))
        x = collect(out, "pool1", pool(x))
        x = collect(out, "conv2", conv(stem, (1, 1), name="conv2")(x, train))
        x = collect(out, "conv3", conv(wide, (3, 3), name="conv3")(x, train))
        x = collect(out, "pool2", pool(x))
        for name in self.modules:
            module = InceptionV2Module(self.width, self.dtype, V2_MODULES[name], name=name)
            x = collect(out, name, module(x, train))
        x = collect(out, "pool", global_average_pool(x))
        x = Dropout(self.dropout_rate)(x, train=train)
        logits = output_layer(x, self.num_classes, dtype=self.dtype)
        return (logits, out) if return_intermediates else logits


@renamed_fields(dropout="dropout_rate")
class InceptionV3(linen.Module):
    """Inception with factorized kernels: 5x5 as two of 3x3, 7x7 as 1x7 and 7x1, 3x3 as 1x3 beside 3x1.

    conv1 3x3 / 2, 32 - conv2 3x3, 32 - conv3 3x3, 64 - pool1 3x3 / 2 - conv4 1x1, 80 - conv5 3x3, 192 - pool2 3x3 / 2 -
    mixed5b to 5d (35 x 35) - mixed6a to 6e (17 x 17) - mixed7a to 7c (8 x 8) - mean (``pool``) - dropout - output:
    23,834,568 parameters, 27,161,264 with the auxiliary head. Intermediates have these names, those of the published
    weights; with ``train=True`` there are the logits ``auxiliary`` of the head after mixed6e, which needs images
    of 299 x 299. Layers of stride 2 have no padding; the average pooling counts its padding.

    Attributes:
        num_classes: number of logits; 0 for no output layer, for a backbone.
        width: factor of all numbers of channels.
        modules: names of the modules, by default all eleven; the head belongs to mixed6e.
        auxiliary_weight: weight of the head's loss, 0.4 in the authors' release; 0 for no head.
        dropout_rate: share of the means dropped in training.
        transform_input: see ``GoogLeNet``.
        dtype: of the computation.

    >>> InceptionV3().auxiliary
    {'auxiliary': 0.4}
    >>> build = InceptionV3(num_classes=10, modules=("mixed5b", "mixed6a")).init_with_output
    >>> logits, _ = jax.eval_shape(build, jax.random.key(0), jnp.zeros((2, 80, 80, 3)))
    >>> logits.shape
    (2, 10)
    """

    num_classes: int = 1000
    width: float = 1.0
    modules: Sequence[str] = tuple(V3_MODULES)
    auxiliary_weight: float = 0.4
    dropout_rate: float = 0.5
    transform_input: bool = False
    dtype: Any = None

    @property
    def auxiliary(self) -> dict[str, float]:
        """The weight of the auxiliary head in the training loss."""
        has_head = self.auxiliary_weight and self.num_classes and "mixed6e" in self.modules
        return {"auxiliary": self.auxiliary_weight} if has_head else {}

    @linen.compact
    def __call__(
        self, x: ArrayLike, train: bool = False, return_intermediates: bool = False
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Compute the logits ``[B, num_classes]`` of images ``[B, H, W, 3]``, 299 x 299 in the paper.

        Raises:
            ValueError: the images are too small.
        """
        x = jnp.asarray(x)
        has_head = train and bool(self.auxiliary)
        if has_head:
            check_image_size("InceptionV3 with its auxiliary head (auxiliary_weight=0 removes it)", x, 299)
        check_image_size("InceptionV3", x, 75)
        x = standardized_to_half(x) if self.transform_input else x
        conv = partial(ConvNorm, epsilon=EPSILON, dtype=self.dtype)
        out: dict[str, Array] = {}
        x = collect(out, "conv1", conv(scale_channels(32, self.width), (3, 3), 2, name="conv1")(x, train))
        x = collect(out, "conv2", conv(scale_channels(32, self.width), (3, 3), name="conv2")(x, train))
        x = collect(out, "conv3", conv(scale_channels(64, self.width), (3, 3), padding=1, name="conv3")(x, train))
        x = collect(out, "pool1", max_pool(x, 3, stride=2))
        x = collect(out, "conv4", conv(scale_channels(80, self.width), (1, 1), name="conv4")(x, train))
        x = collect(out, "conv5", conv(scale_channels(192, self.width), (3, 3), name="conv5")(x, train))
        x = collect(out, "pool2", max_pool(x, 3, stride=2))
        for name in self.modules:
            x = collect(out, name, V3_MODULES[name](width=self.width, dtype=self.dtype, name=name)(x, train))
            if name == "mixed6e" and has_head:
                collect(out, "auxiliary", self._auxiliary_head(x))
        x = collect(out, "pool", global_average_pool(x))
        x = Dropout(self.dropout_rate)(x, train=train)
        logits = output_layer(x, self.num_classes, dtype=self.dtype)
        return (logits, out) if return_intermediates else logits

    def _auxiliary_head(self, x: Array) -> Array:
        """Compute the logits of the auxiliary head, used in training only."""
        conv = partial(ConvNorm, epsilon=EPSILON, dtype=self.dtype)
        x = average_pool(x, 5, stride=3)
        x = conv(scale_channels(128, self.width), (1, 1), name="auxiliary_conv1")(x, True)
        x = conv(scale_channels(768, self.width), (5, 5), name="auxiliary_conv2")(x, True)
        return linen.Dense(self.num_classes, dtype=self.dtype, name="auxiliary_output")(global_average_pool(x))


register("inception_v2", InceptionV2, input_shape=(224, 224, 3), description="Inception with batch norm (BN-Inception)")
register("inception_v3", InceptionV3, input_shape=(299, 299, 3), description="Inception with factorized kernels")
