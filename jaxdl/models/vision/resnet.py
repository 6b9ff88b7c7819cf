"""Residual networks (He, Zhang, Ren and Sun, "Deep residual learning for image recognition", 2016).

A block is to compute ``H(x)``. It is given ``x`` for nothing by a shortcut, and learns the rest ``F(x) = H(x) - x``:

    y = relu(F(x) + x)

With pre-activation (He et al., "Identity mappings in deep residual networks", 2016) norm and activation stand before
every convolution, and nothing after the sum, ``y = F(x) + x``; a last norm and activation follow all blocks. The form
is that of timm's ``ResNetV2`` with batch norm. Where the shape changes, the projection sees what ``F`` sees. The paper
has the first norm and activation right after the stem's convolution, before the paths part; here they are the first
block's, behind the max pooling, and its shortcut is ``x`` itself where the shape stays.

The plain network is the same without shortcuts.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxdl.models.layers import ConvNorm, check_image_size
from jaxdl.models.registry import register
from jaxdl.models.scanning import scan_blocks
from jaxdl.nn.convolution.convolution import Conv
from jaxdl.nn.convolution.pooling import global_average_pool, max_pool
from jaxdl.nn.initializers import he_normal, ones, zeros
from jaxdl.nn.normalization import BatchNorm
from jaxdl.typing import Array, ArrayLike


class Block(nn.Module):
    """A residual block; what kind of block it is, its ``layers`` say.

    Args:
        width: channels inside the block.
        stride: how far the block moves: height and width are divided by it.
        shortcut: what is done to ``x`` where ``F(x)`` has another shape, "projection" or "padding"; None leaves the
            sum out, ``y = F(x)``.
        preactivation: norm and activation before the convolutions in place of after them.
        zero_init: let ``F`` begin as 0, by the last scale, or the last kernel where there is no norm behind it.
        dtype: of the computation.
    """

    width: int
    stride: int = 1
    shortcut: Literal["projection", "padding"] | None = "projection"
    preactivation: bool = False
    zero_init: bool = False
    dtype: Any = None

    def layers(self) -> Sequence[tuple[int, int, int]]:
        """Return channels, size of the kernel and stride of each convolution of ``F``."""
        raise NotImplementedError

    @nn.compact
    def __call__(self, x: Array, train: bool = False) -> Array:
        """Map ``[B, H, W, C]`` to ``[B, H / stride, W / stride, K]``."""
        layers, before = self.layers(), int(self.preactivation)
        seen = jax.nn.relu(BatchNorm(name="norm1")(x, train)) if before else x
        F = seen
        for i, (channels, size, stride) in enumerate(layers, 1):
            last = i == len(layers)
            kernel_init, scale_init = he_normal(), ones
            if last and self.zero_init:
                kernel_init, scale_init = (zeros, ones) if before else (kernel_init, zeros)
            conv = partial(Conv, use_bias=False, kernel_init=kernel_init, dtype=self.dtype, name=f"conv{i}")
            F = conv(channels, (size, size), stride, size // 2)(F)
            if not (last and before):
                F = BatchNorm(scale_init=scale_init, name=f"norm{i + before}")(F, train)
            if not last:
                F = jax.nn.relu(F)
        y = F if self.shortcut is None else F + self.fit(x, seen, F.shape, train)
        return y if before else jax.nn.relu(y)

    def fit(self, x: Array, seen: Array, shape: tuple[int, ...], train: bool) -> Array:
        """Return ``x`` itself if it has the shape, else padded, or projected from what ``F`` sees."""
        if x.shape == shape:
            return x
        if self.shortcut == "padding":
            return subsample_and_pad(x, self.stride, shape[-1])
        if self.preactivation:
            conv = partial(Conv, use_bias=False, kernel_init=he_normal(), dtype=self.dtype, name="shortcut")
            return conv(shape[-1], (1, 1), self.stride)(seen)
        conv = partial(ConvNorm, activation=None, dtype=self.dtype, name="shortcut")
        return conv(shape[-1], (1, 1), self.stride)(x, train)


class BasicBlock(Block):
    """3x3, ``width`` - 3x3, ``width``."""

    def layers(self) -> Sequence[tuple[int, int, int]]:
        """Return channels, size of the kernel and stride of each convolution of ``F``."""
        return [(self.width, 3, self.stride), (self.width, 3, 1)]


class Bottleneck(Block):
    """1x1, ``width`` - 3x3, ``width`` - 1x1, ``4 width``; the stride is the second's, the paper has it at the first."""

    def layers(self) -> Sequence[tuple[int, int, int]]:
        """Return channels, size of the kernel and stride of each convolution of ``F``."""
        return [(self.width, 1, 1), (self.width, 3, self.stride), (4 * self.width, 1, 1)]


BLOCKS = {"basic": BasicBlock, "bottleneck": Bottleneck}
SMALLEST = 4
"""The least height and width of an image, in pixels."""


class ResNet(nn.Module):
    """A stem, stages of residual blocks, the mean of every channel, and a linear output.

    Every stage but the first halves height and width in its first block.

    ==========  ===================================  =================================
    stem        layers                               shortcuts where the shape changes
    ==========  ===================================  =================================
    "imagenet"  7x7 / 2, ``widths[0]``; max 3x3 / 2  projection (option B)
    "cifar"     3x3, ``widths[0]``                   padding (option A)
    ==========  ===================================  =================================

    The features are ``stem`` and ``stem_pool``, ``stage1_block1`` and so on, ``stage1`` and so on, which is the last
    block, with pre-activation ``norm``, and ``pool``, the vector of means.

    Args:
        num_classes: how many logits.
        depths: blocks in each stage.
        widths: ``width`` of the blocks in each stage.
        block: "basic", two 3x3, or "bottleneck", 1x1, 3x3 and 1x1 with four times the channels.
        stem: see the table.
        shortcut: "projection", a 1x1 convolution, or "padding", subsampling and channels of zeros; None: see the table.
        residual: False gives the plain network, ``y = F(x)``.
        preactivation: norm and activation before the convolutions, and a last norm after all blocks; see above.
        zero_init: every ``F`` begins as 0, every block as its shortcut (Goyal et al., 2017).
        scan_blocks: run the blocks of a stage after its first, which are alike, as one that is compiled once; their
            variables are stacked, see `jaxdl.models.scanning`. On a CPU it halves the compilation of 152 layers, and
            gains nothing for 50.
        dtype: of the computation.

    >>> variables = jax.eval_shape(ResNet().init, jax.random.key(0), jnp.zeros((1, 224, 224, 3)))
    >>> sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
    11689512
    """

    num_classes: int = 1000
    depths: Sequence[int] = (2, 2, 2, 2)
    widths: Sequence[int] = (64, 128, 256, 512)
    block: Literal["basic", "bottleneck"] = "basic"
    stem: Literal["imagenet", "cifar"] = "imagenet"
    shortcut: Literal["projection", "padding"] | None = None
    residual: bool = True
    preactivation: bool = False
    zero_init: bool = False
    scan_blocks: bool = False
    dtype: Any = None

    @nn.compact
    def __call__(
        self, x: ArrayLike, train: bool = False, return_intermediates: bool = False
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Return the logits ``[B, num_classes]`` of images ``[B, H, W, C]``.

        Raises:
            ValueError: these are no images of 4 pixels or more, or the fields contradict each other.
        """
        x = jnp.asarray(x)
        check_image_size("ResNet", x, SMALLEST)
        self._check()
        out: dict[str, Array] = {}
        x = self._stem(x, train, out)
        for stage, (depth, width) in enumerate(zip(self.depths, self.widths, strict=True), 1):
            block = self._make_block(width, name=f"stage{stage}_block1", stride=1 if stage == 1 else 2)
            x = out[f"stage{stage}_block1"] = block(x, train)
            rest = range(2, depth + 1)
            if self.scan_blocks and rest:
                block = self._make_block(width, name=f"stage{stage}_blocks")
                x, outputs = scan_blocks(block, len(rest), x, train, outputs=return_intermediates)
                out |= {f"stage{stage}_block{i}": y for i, y in zip(rest, outputs, strict=False)}
            else:
                for i in rest:
                    x = out[f"stage{stage}_block{i}"] = self._make_block(width, name=f"stage{stage}_block{i}")(x, train)
            out[f"stage{stage}"] = x
        if self.preactivation:
            x = out["norm"] = jax.nn.relu(BatchNorm(name="norm")(x, train))
        x = out["pool"] = global_average_pool(x)
        logits = nn.Dense(self.num_classes, dtype=self.dtype, name="output")(x)
        return (logits, out) if return_intermediates else logits

    def _stem(self, x: Array, train: bool, out: dict[str, Array]) -> Array:
        """Convolve; norm and activation are the first block's with pre-activation."""
        size, stride = {"imagenet": (7, 2), "cifar": (3, 1)}[self.stem]
        window = {"kernel_size": (size, size), "stride": stride, "padding": size // 2}
        if self.preactivation:
            conv = partial(Conv, use_bias=False, kernel_init=he_normal(), dtype=self.dtype, name="stem")
            x = out["stem"] = conv(self.widths[0], **window)(x)
        else:
            x = out["stem"] = ConvNorm(self.widths[0], **window, dtype=self.dtype, name="stem")(x, train)
        if self.stem == "imagenet":
            x = out["stem_pool"] = max_pool(x, 3, stride=2, padding=1)
        return x

    def _make_block(self, width: int, **fields: Any) -> Block:
        shortcut = (self.shortcut or ("padding" if self.stem == "cifar" else "projection")) if self.residual else None
        shared = {"preactivation": self.preactivation, "zero_init": self.zero_init, "dtype": self.dtype}
        return BLOCKS[self.block](width, shortcut=shortcut, **shared, **fields)

    def _check(self) -> None:
        choices = {"block": (*BLOCKS,), "stem": ("imagenet", "cifar"), "shortcut": ("projection", "padding", None)}
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} is one of {allowed}; came {getattr(self, name)!r}")
        if len(self.depths) != len(self.widths) or not self.depths or min(*self.depths, *self.widths) < 1:
            raise ValueError(
                f"depths and widths have a positive number for each stage; came {self.depths} and {self.widths}"
            )
        if self.zero_init and not self.residual:
            raise ValueError("zero_init makes every F(x) = 0, which is all that a network with residual=False has")


def subsample_and_pad(x: Array, stride: int, channels: int) -> Array:
    """Take every ``stride``-th pixel, and append channels of zeros: the paper's option A, without parameters.

    >>> subsample_and_pad(jnp.ones((1, 4, 4, 3)), 2, 6).shape
    (1, 2, 2, 6)
    """
    x = x[:, ::stride, ::stride]
    if channels < x.shape[-1]:
        raise ValueError(f"padding cannot make {channels} channels of {x.shape[-1]}: take shortcut='projection'")
    return jnp.pad(x, ((0, 0), (0, 0), (0, 0), (0, channels - x.shape[-1])))


register("resnet18", ResNet, input_shape=(224, 224, 3), description="ResNet of 18 layers, basic blocks")
register(
    "resnet34", ResNet, input_shape=(224, 224, 3), description="ResNet of 34 layers, basic blocks", depths=(3, 4, 6, 3)
)
register(
    "resnet50",
    ResNet,
    input_shape=(224, 224, 3),
    description="ResNet of 50 layers, bottlenecks",
    depths=(3, 4, 6, 3),
    block="bottleneck",
)
register(
    "resnet101",
    ResNet,
    input_shape=(224, 224, 3),
    description="ResNet of 101 layers, bottlenecks",
    depths=(3, 4, 23, 3),
    block="bottleneck",
)
register(
    "resnet152",
    ResNet,
    input_shape=(224, 224, 3),
    description="ResNet of 152 layers, bottlenecks",
    depths=(3, 8, 36, 3),
    block="bottleneck",
)


def cifar_resnet(layers: int) -> ResNet:
    """Return the paper's network for CIFAR-10 of ``6 n + 2`` layers: ``n`` basic blocks in each of three stages."""
    return ResNet(num_classes=10, depths=((layers - 2) // 6,) * 3, widths=(16, 32, 64), stem="cifar")


register(
    "resnet20",
    ResNet,
    input_shape=(32, 32, 3),
    description="ResNet of 20 layers for CIFAR-10",
    num_classes=10,
    depths=(3, 3, 3),
    widths=(16, 32, 64),
    stem="cifar",
)
register(
    "resnet32",
    ResNet,
    input_shape=(32, 32, 3),
    description="ResNet of 32 layers for CIFAR-10",
    num_classes=10,
    depths=(5, 5, 5),
    widths=(16, 32, 64),
    stem="cifar",
)
register(
    "resnet44",
    ResNet,
    input_shape=(32, 32, 3),
    description="ResNet of 44 layers for CIFAR-10",
    num_classes=10,
    depths=(7, 7, 7),
    widths=(16, 32, 64),
    stem="cifar",
)
register(
    "resnet56",
    ResNet,
    input_shape=(32, 32, 3),
    description="ResNet of 56 layers for CIFAR-10",
    num_classes=10,
    depths=(9, 9, 9),
    widths=(16, 32, 64),
    stem="cifar",
)
register(
    "resnet110",
    ResNet,
    input_shape=(32, 32, 3),
    description="ResNet of 110 layers for CIFAR-10",
    num_classes=10,
    depths=(18, 18, 18),
    widths=(16, 32, 64),
    stem="cifar",
)
