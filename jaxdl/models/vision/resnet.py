"""Residual networks, with post-activation and with pre-activation.

Post-activation (He, Zhang, Ren and Sun, "Deep residual learning for image recognition", 2016). A block with the desired
mapping ``H(x)`` has a shortcut for ``x``, and learns the residual ``F(x) = H(x) - x``::

    y = relu(F(x) + x)

Pre-activation (He et al., "Identity mappings in deep residual networks", 2016). Norm and ReLU precede each convolution,
nothing follows the sum, and a last norm and ReLU follow all blocks::

    y = F(x) + x

The form is that of timm's ``ResNetV2`` with batch norm: where the shape changes, the projection has the normalized
input of ``F``. In the paper the first norm and ReLU follow the convolution of the stem; here they belong to the first
block, after the max pooling, and its shortcut is ``x`` itself where the shape stays.

With ``residual=False`` both are plain networks, ``y = F(x)``.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import linen

from jaxdl.checks import check_one_of, renamed_fields
from jaxdl.models.layers import ConvNorm, check_image_size, collect, output_layer
from jaxdl.models.registry import register
from jaxdl.models.scanning import Remat, rematerialize, scan_blocks
from jaxdl.nn.convolution.convolution import Conv
from jaxdl.nn.convolution.pooling import global_average_pool, max_pool
from jaxdl.nn.initializers import he_normal, ones, zeros
from jaxdl.nn.normalization import BatchNorm
from jaxdl.typing import Array, ArrayLike

Shortcut = Literal["projection", "padding", "padding_both_sides"]
STEMS = {"imagenet": (7, 2), "cifar": (3, 1)}
"""Kernel size and stride of the convolution of each stem."""
MIN_SIZE = 4
"""The smallest height and width of an image."""

_conv = partial(Conv, use_bias=False, kernel_init=he_normal())


class _Block(linen.Module):
    """Fields of all blocks.

    Attributes:
        width: channels inside the block.
        stride: factor by which the block reduces height and width.
        dilation: of the 3x3 convolutions.
        shortcut: where ``F(x)`` has another shape than ``x``, a 1x1 convolution ("projection"), or subsampling and
            channels of zeros, after the others ("padding") or half of them before ("padding_both_sides"); None for no
            shortcut, ``y = F(x)``.
        zero_init: initialize the last scale, or with pre-activation the last kernel, with 0, so that ``F(x) = 0``.
        dtype: of the computation.
    """

    width: int
    stride: int = 1
    dilation: int = 1
    shortcut: Shortcut | None = "projection"
    zero_init: bool = False
    dtype: Any = None


class _PostActivationBlock(_Block):
    def _add_shortcut(self, y: Array, x: Array, train: bool) -> Array:
        """Add to ``y = F(x)`` the input ``x``, projected or padded where the shapes differ."""
        if self.shortcut is None:
            return y
        if x.shape == y.shape:
            return y + x
        if self.shortcut in PADDINGS:
            return y + PADDINGS[self.shortcut](x, self.stride, y.shape[-1])
        project = ConvNorm(y.shape[-1], (1, 1), self.stride, activation=None, dtype=self.dtype, name="shortcut")
        return y + project(x, train)


class _PreActivationBlock(_Block):
    def _add_shortcut(self, y: Array, x: Array, normalized: Array) -> Array:
        """Add to ``y = F(x)`` the input ``x``, or where the shapes differ ``x`` padded, or ``normalized`` projected."""
        if self.shortcut is None:
            return y
        if x.shape == y.shape:
            return y + x
        if self.shortcut in PADDINGS:
            return y + PADDINGS[self.shortcut](x, self.stride, y.shape[-1])
        return y + _conv(y.shape[-1], (1, 1), self.stride, dtype=self.dtype, name="shortcut")(normalized)


class BasicBlock(_PostActivationBlock):
    """``y = relu(norm2(conv2(relu(norm1(conv1(x))))) + x)``: 3x3, ``width``; 3x3, ``width``."""

    @linen.compact
    def __call__(self, x: Array, train: bool = False) -> Array:
        """Map ``[B, H, W, C]`` to ``[B, H / stride, W / stride, width]``."""
        conv, last_scale = partial(_conv, dtype=self.dtype), zeros if self.zero_init else ones
        y = conv(self.width, (3, 3), self.stride, self.dilation, self.dilation, name="conv1")(x)
        y = jax.nn.relu(BatchNorm(name="norm1")(y, train))
        y = conv(self.width, (3, 3), 1, self.dilation, self.dilation, name="conv2")(y)
        y = BatchNorm(scale_init=last_scale, name="norm2")(y, train)
        return jax.nn.relu(self._add_shortcut(y, x, train))


class Bottleneck(_PostActivationBlock):
    """1x1, ``width``; 3x3, ``width``; 1x1, ``4 width``, each with norm, and ReLU after the sum.

    The second convolution has the stride, in the paper the first.
    """

    @linen.compact
    def __call__(self, x: Array, train: bool = False) -> Array:
        """Map ``[B, H, W, C]`` to ``[B, H / stride, W / stride, 4 width]``."""
        conv, last_scale = partial(_conv, dtype=self.dtype), zeros if self.zero_init else ones
        y = conv(self.width, (1, 1), name="conv1")(x)
        y = jax.nn.relu(BatchNorm(name="norm1")(y, train))
        y = conv(self.width, (3, 3), self.stride, self.dilation, self.dilation, name="conv2")(y)
        y = jax.nn.relu(BatchNorm(name="norm2")(y, train))
        y = conv(4 * self.width, (1, 1), name="conv3")(y)
        y = BatchNorm(scale_init=last_scale, name="norm3")(y, train)
        return jax.nn.relu(self._add_shortcut(y, x, train))


class PreActivationBasicBlock(_PreActivationBlock):
    """``y = conv2(relu(norm2(conv1(relu(norm1(x)))))) + x``: 3x3, ``width``; 3x3, ``width``."""

    @linen.compact
    def __call__(self, x: Array, train: bool = False) -> Array:
        """Map ``[B, H, W, C]`` to ``[B, H / stride, W / stride, width]``."""
        conv, last_kernel = partial(_conv, dtype=self.dtype), zeros if self.zero_init else he_normal()
        normalized = jax.nn.relu(BatchNorm(name="norm1")(x, train))
        y = conv(self.width, (3, 3), self.stride, self.dilation, self.dilation, name="conv1")(normalized)
        y = jax.nn.relu(BatchNorm(name="norm2")(y, train))
        y = conv(self.width, (3, 3), 1, self.dilation, self.dilation, kernel_init=last_kernel, name="conv2")(y)
        return self._add_shortcut(y, x, normalized)


class PreActivationBottleneck(_PreActivationBlock):
    """1x1, ``width``; 3x3, ``width``; 1x1, ``4 width``, each after norm and ReLU; the second has the stride."""

    @linen.compact
    def __call__(self, x: Array, train: bool = False) -> Array:
        """Map ``[B, H, W, C]`` to ``[B, H / stride, W / stride, 4 width]``."""
        conv, last_kernel = partial(_conv, dtype=self.dtype), zeros if self.zero_init else he_normal()
        normalized = jax.nn.relu(BatchNorm(name="norm1")(x, train))
        y = conv(self.width, (1, 1), name="conv1")(normalized)
        y = jax.nn.relu(BatchNorm(name="norm2")(y, train))
        y = conv(self.width, (3, 3), self.stride, self.dilation, self.dilation, name="conv2")(y)
        y = jax.nn.relu(BatchNorm(name="norm3")(y, train))
        y = conv(4 * self.width, (1, 1), kernel_init=last_kernel, name="conv3")(y)
        return self._add_shortcut(y, x, normalized)


class _ResidualNetwork(linen.Module):
    """Fields and stages that `ResNet` and `PreActivationResNet` share."""

    num_classes: int | None = 1000
    depths: Sequence[int] = (2, 2, 2, 2)
    widths: Sequence[int] = (64, 128, 256, 512)
    block: Literal["basic", "bottleneck"] = "basic"
    stem: Literal["imagenet", "cifar"] = "imagenet"
    shortcut: Shortcut | None = None
    residual: bool = True
    zero_init: bool = False
    scan_blocks: bool = False
    remat: Remat = "none"
    dilated_stages: int = 0
    dtype: Any = None

    def _stages(
        self, block: Callable[..., _Block], x: Array, train: bool, out: dict[str, Array], keep_blocks: bool
    ) -> Array:
        """Apply the stages of blocks; the first block of every stage but the first halves height and width.

        In a dilated stage it does not. All blocks after it double the dilation, so that they see as far.
        """
        default = "padding" if self.stem == "cifar" else "projection"
        shortcut = (self.shortcut or default) if self.residual else None
        block = partial(block, shortcut=shortcut, zero_init=self.zero_init, dtype=self.dtype)
        dilation = 1
        apply = rematerialize(lambda block, x: block(x, train), self.remat)
        for stage, (depth, width) in enumerate(zip(self.depths, self.widths, strict=True), 1):
            dilated = stage > len(self.depths) - self.dilated_stages
            stride = 1 if stage == 1 or dilated else 2
            first = block(width, stride=stride, dilation=dilation, name=f"stage{stage}_block1")
            dilation *= 2 if dilated else 1
            x = collect(out, f"stage{stage}_block1", apply(first, x))
            rest = range(2, depth + 1)
            if self.scan_blocks and rest:
                scanned = block(width, dilation=dilation, name=f"stage{stage}_blocks")
                x, outputs = scan_blocks(scanned, len(rest), x, train, outputs=keep_blocks, remat=self.remat)
                out |= {f"stage{stage}_block{i}": y for i, y in zip(rest, outputs, strict=False)}
            else:
                for i in rest:
                    after = block(width, dilation=dilation, name=f"stage{stage}_block{i}")
                    x = collect(out, f"stage{stage}_block{i}", apply(after, x))
            x = collect(out, f"stage{stage}", x)
        return x

    def _check_fields(self) -> None:
        check_one_of("block", self.block, ("basic", "bottleneck"))
        check_one_of("stem", self.stem, STEMS)
        check_one_of("shortcut", self.shortcut, ("projection", *PADDINGS, None))
        if len(self.depths) != len(self.widths) or not self.depths or min(*self.depths, *self.widths) < 1:
            raise ValueError(
                f"expected depths and widths with a positive integer for each stage, got {self.depths} and "
                f"{self.widths}; give both the same length"
            )
        if not 0 <= self.dilated_stages < len(self.depths):
            raise ValueError(
                f"expected dilated_stages in 0 .. {len(self.depths) - 1}, since the first stage halves nothing, got "
                f"{self.dilated_stages}"
            )
        if self.zero_init and not self.residual:
            raise ValueError(
                "expected zero_init=False for a plain network, got zero_init=True and residual=False, with which every "
                "block returns 0; give residual=True"
            )


@renamed_fields(preactivation="PreActivationResNet, a class of its own")
class ResNet(_ResidualNetwork):
    """A stem, stages of residual blocks, global average pooling, and a linear output.

    ==========  ===================================  =================================
    stem        layers                               shortcuts where the shape changes
    ==========  ===================================  =================================
    "imagenet"  7x7 / 2, ``widths[0]``; max 3x3 / 2  projection (option B)
    "cifar"     3x3, ``widths[0]``                   padding (option A)
    ==========  ===================================  =================================

    Every stage but the first halves height and width in its first block. Intermediates are ``stem`` and ``stem_pool``,
    ``stage1_block1`` and so on, ``stage1`` and so on (the last block of each), and ``pool``, the vector of means.

    Attributes:
        num_classes: number of logits; 0 or None for no output layer, for a backbone, whose result is the vector of
            means.
        depths: blocks in each stage.
        widths: ``width`` of the blocks in each stage.
        block: "basic" for `BasicBlock`, or "bottleneck" for `Bottleneck`.
        stem: see the table.
        shortcut: "projection", a 1x1 convolution; "padding", subsampling and channels of zeros after the others, the
            paper's option A; or "padding_both_sides", half of the zeros before the others, as in widespread
            implementations in PyTorch, whose weights need it; None: see the table.
        residual: False for the plain network, ``y = F(x)``.
        zero_init: initialize every block as its shortcut, ``F(x) = 0`` (Goyal et al., 2017).
        scan_blocks: run the blocks of a stage after its first, which are alike, as one that is compiled once; their
            variables are stacked, see `jaxdl.models.scanning`. On a CPU it halves the compilation of 152 layers, and
            gains nothing for 50.
        remat: what the backward pass of a block finds in memory, see `jaxdl.models.scanning.rematerialize`.
        dilated_stages: number of last stages that keep height and width, and dilate their 3x3 convolutions instead.
        dtype: of the computation.

    >>> variables = jax.eval_shape(ResNet().init, jax.random.key(0), jnp.zeros((1, 224, 224, 3)))
    >>> sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
    11689512
    """

    @linen.compact
    def __call__(
        self, x: ArrayLike, train: bool = False, return_intermediates: bool = False
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Compute the logits ``[B, num_classes]`` of images ``[B, H, W, C]``.

        Raises:
            ValueError: the images are smaller than 4 x 4, or a field is invalid.
        """
        x = jnp.asarray(x)
        check_image_size("ResNet", x, MIN_SIZE)
        self._check_fields()
        block = {"basic": BasicBlock, "bottleneck": Bottleneck}[self.block]
        out: dict[str, Array] = {}
        size, stride = STEMS[self.stem]
        stem = ConvNorm(self.widths[0], (size, size), stride, size // 2, dtype=self.dtype, name="stem")
        x = collect(out, "stem", stem(x, train))
        if self.stem == "imagenet":
            x = collect(out, "stem_pool", max_pool(x, 3, stride=2, padding=1))
        x = self._stages(block, x, train, out, return_intermediates)
        y = collect(out, "pool", global_average_pool(x))
        y = output_layer(y, self.num_classes or 0, dtype=self.dtype)
        return (y, out) if return_intermediates else y


class PreActivationResNet(_ResidualNetwork):
    """A residual network whose norms and ReLUs precede the convolutions.

    Fields as in `ResNet`, with `PreActivationBasicBlock` and `PreActivationBottleneck`. The stem is only a convolution,
    and ``norm`` with ReLU follows all blocks; it is an intermediate too.

    >>> variables = jax.eval_shape(PreActivationResNet().init, jax.random.key(0), jnp.zeros((1, 224, 224, 3)))
    >>> sorted(variables["params"])[:2]
    ['norm', 'output']
    """

    @linen.compact
    def __call__(
        self, x: ArrayLike, train: bool = False, return_intermediates: bool = False
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Compute the logits ``[B, num_classes]`` of images ``[B, H, W, C]``.

        Raises:
            ValueError: the images are smaller than 4 x 4, or a field is invalid.
        """
        x = jnp.asarray(x)
        check_image_size("PreActivationResNet", x, MIN_SIZE)
        self._check_fields()
        block = {"basic": PreActivationBasicBlock, "bottleneck": PreActivationBottleneck}[self.block]
        out: dict[str, Array] = {}
        size, stride = STEMS[self.stem]
        x = collect(
            out, "stem", _conv(self.widths[0], (size, size), stride, size // 2, dtype=self.dtype, name="stem")(x)
        )
        if self.stem == "imagenet":
            x = collect(out, "stem_pool", max_pool(x, 3, stride=2, padding=1))
        x = self._stages(block, x, train, out, return_intermediates)
        x = collect(out, "norm", jax.nn.relu(BatchNorm(name="norm")(x, train)))
        y = collect(out, "pool", global_average_pool(x))
        y = output_layer(y, self.num_classes or 0, dtype=self.dtype)
        return (y, out) if return_intermediates else y


def subsample_and_pad(x: Array, stride: int, channels: int) -> Array:
    """Take every ``stride``-th pixel and append channels of zeros: the paper's option A, without parameters.

    Raises:
        ValueError: ``x`` has more channels.

    >>> subsample_and_pad(jnp.ones((1, 4, 4, 3)), 2, 6).shape
    (1, 2, 2, 6)
    """
    return _pad_channels(x, stride, channels, before=0.0)


def _subsample_and_pad_both_sides(x: Array, stride: int, channels: int) -> Array:
    """Take every ``stride``-th pixel, and put half of the channels of zeros before the others, half after them."""
    return _pad_channels(x, stride, channels, before=0.5)


def _pad_channels(x: Array, stride: int, channels: int, before: float) -> Array:
    x = x[:, ::stride, ::stride]
    missing = channels - x.shape[-1]
    if missing < 0:
        raise ValueError(f"expected at least {x.shape[-1]} channels, got {channels}; give shortcut='projection'")
    first = int(before * missing)
    return jnp.pad(x, ((0, 0), (0, 0), (0, 0), (first, missing - first)))


PADDINGS = {"padding": subsample_and_pad, "padding_both_sides": _subsample_and_pad_both_sides}
"""Shortcuts without parameters."""


_IMAGENET_NETWORKS: dict[int, tuple[tuple[int, ...], Literal["basic", "bottleneck"]]] = {
    18: ((2, 2, 2, 2), "basic"),
    34: ((3, 4, 6, 3), "basic"),
    50: ((3, 4, 6, 3), "bottleneck"),
    101: ((3, 4, 23, 3), "bottleneck"),
    152: ((3, 8, 36, 3), "bottleneck"),
}
for _layers, (_depths, _block) in _IMAGENET_NETWORKS.items():
    register(
        f"resnet{_layers}",
        ResNet,
        input_shape=(224, 224, 3),
        description=f"ResNet of {_layers} layers, {'basic blocks' if _block == 'basic' else 'bottlenecks'}",
        depths=_depths,
        block=_block,
    )
for _layers in (20, 32, 44, 56, 110):  # 6 n + 2, with n basic blocks in each of three stages
    register(
        f"resnet{_layers}",
        ResNet,
        input_shape=(32, 32, 3),
        description=f"ResNet of {_layers} layers for CIFAR-10",
        num_classes=10,
        depths=((_layers - 2) // 6,) * 3,
        widths=(16, 32, 64),
        stem="cifar",
    )
