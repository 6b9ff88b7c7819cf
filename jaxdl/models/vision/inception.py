"""Inception v2, with batch norm (Ioffe and Szegedy, 2015), and v3, with factorised kernels (Szegedy et al., 2016).

A module is branches side by side, and a branch is a chain of links: convolutions ``(channels, kernel size)`` or
``(channels, kernel size, stride)``, pools by name, and where a chain forks the two ends that see the same.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxdl.models.layers import ConvNorm, check_image_size
from jaxdl.models.registry import register
from jaxdl.models.vision.googlenet import standardized_to_half
from jaxdl.nn.convolution.geometry import Padding
from jaxdl.nn.convolution.pooling import average_pool, global_average_pool, max_pool
from jaxdl.nn.convolution.separable import SeparableConv
from jaxdl.nn.noise import Dropout
from jaxdl.nn.normalization import BatchNorm
from jaxdl.typing import Array, ArrayLike

Branches = Mapping[str, tuple[Any, ...]]

EPSILON = 1e-3


def inception_v2_module(
    one: int, reduce: int, three: int, reduce2: int, double: int, pool: str, project: int
) -> Branches:
    """Write a row of the paper's figure 5 out; without 1x1 and projection it halves the sides, and pools to pass on."""
    stride = 1 if project else 2
    branches: dict[str, tuple[Any, ...]] = {"branch1x1": ((one, 1),)} if one else {}
    branches["branch3x3"] = ((reduce, 1), (three, 3, stride))
    branches["branch3x3_double"] = ((reduce2, 1), (double, 3), (double, 3, stride))
    branches["pool"] = (pool, (project, 1)) if project else (f"{pool}/2",)
    return branches


V2 = {
    "inception3a": inception_v2_module(64, 64, 64, 64, 96, "average", 32),
    "inception3b": inception_v2_module(64, 64, 96, 64, 96, "average", 64),
    "inception3c": inception_v2_module(0, 128, 160, 64, 96, "max", 0),
    "inception4a": inception_v2_module(224, 64, 96, 96, 128, "average", 128),
    "inception4b": inception_v2_module(192, 96, 128, 96, 128, "average", 128),
    "inception4c": inception_v2_module(160, 128, 160, 128, 160, "average", 96),
    "inception4d": inception_v2_module(96, 128, 192, 160, 192, "average", 96),
    "inception4e": inception_v2_module(0, 128, 192, 192, 256, "max", 0),
    "inception5a": inception_v2_module(352, 192, 320, 160, 224, "average", 128),
    "inception5b": inception_v2_module(352, 192, 320, 192, 224, "max", 128),
}


def inception_a(project: int) -> Branches:
    """5x5 beside two of 3x3, which see as much: figure 5."""
    return {
        "branch1x1": ((64, 1),),
        "branch5x5": ((48, 1), (64, 5)),
        "branch3x3_double": ((64, 1), (96, 3), (96, 3)),
        "pool": ("average", (project, 1)),
    }


def inception_c(inner: int) -> Branches:
    """7x7 as 1x7 and 7x1: figure 6."""
    return {
        "branch1x1": ((192, 1),),
        "branch7x7": ((inner, 1), (inner, (1, 7)), (192, (7, 1))),
        "branch7x7_double": ((inner, 1), (inner, (7, 1)), (inner, (1, 7)), (inner, (7, 1)), (192, (1, 7))),
        "pool": ("average", (192, 1)),
    }


FORK = ((384, (1, 3)), (384, (3, 1)))
INCEPTION_E: Branches = {
    "branch1x1": ((320, 1),),
    "branch3x3": ((384, 1), FORK),
    "branch3x3_double": ((448, 1), (384, 3), FORK),
    "pool": ("average", (192, 1)),
}
"""The ends of the chains fork into 1x3 and 3x1: figure 7."""

V3: dict[str, Branches] = {
    "mixed5b": inception_a(32),
    "mixed5c": inception_a(64),
    "mixed5d": inception_a(64),
    "mixed6a": {
        "branch3x3": ((384, 3, 2),),
        "branch3x3_double": ((64, 1), (96, 3), (96, 3, 2)),
        "pool": ("max/2",),
    },
    "mixed6b": inception_c(128),
    "mixed6c": inception_c(160),
    "mixed6d": inception_c(160),
    "mixed6e": inception_c(192),
    "mixed7a": {
        "branch3x3": ((192, 1), (320, 3, 2)),
        "branch7x7": ((192, 1), (192, (1, 7)), (192, (7, 1)), (192, 3, 2)),
        "pool": ("max/2",),
    },
    "mixed7b": INCEPTION_E,
    "mixed7c": INCEPTION_E,
}


class InceptionV2(nn.Module):
    """GoogLeNet with batch norm after every convolution, and two convolutions of 3x3 in place of one of 5x5.

    conv1 7x7 / 2, 64, separable, with eight maps of each channel - pool1 3x3 / 2 - conv2 1x1, 64 - conv3 3x3, 192 -
    pool2 3x3 / 2 - inception3a, 3b, 3c / 2, 4a to 4d, 4e / 2, 5a, 5b - mean (``pool``) - output: 11,188,288
    parameters. The features have these names. As the paper says there is no dropout; of padding it says nothing, and
    this is "same" everywhere, so that any image will do, padding not counting in the means of the pools. It has
    no auxiliary heads.

    Args:
        num_classes: how many logits.
        width: what all numbers of channels are multiplied by.
        dropout_rate: share of the means that is dropped in training.
        dtype: of the computation.

    >>> build = InceptionV2(num_classes=10).init_with_output
    >>> logits, _ = jax.eval_shape(build, jax.random.key(0), jnp.zeros((2, 32, 32, 3)))
    >>> logits.shape
    (2, 10)
    """

    num_classes: int = 1000
    width: float = 1.0
    dropout_rate: float = 0.0
    dtype: Any = None

    @nn.compact
    def __call__(
        self, x: ArrayLike, train: bool = False, return_intermediates: bool = False
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Return the logits ``[B, num_classes]`` of images ``[B, H, W, 3]``, 224 x 224 in the paper.

        Raises:
            ValueError: these are no images.
        """
        x = jnp.asarray(x)
        check_image_size("InceptionV2", x, 8)
        conv = partial(ConvNorm, padding="same", epsilon=EPSILON, dtype=self.dtype)
        pool = partial(max_pool, window=3, stride=2, padding="same")
        out = {}
        x = SeparableConv(scale(64, self.width), (7, 7), 2, "same", multiplier=8, dtype=self.dtype, name="conv1")(x)
        x = out["conv1"] = jax.nn.relu(BatchNorm(epsilon=EPSILON, name="norm1")(x, train))
        x = out["pool1"] = pool(x)
        x = out["conv2"] = conv(scale(64, self.width), (1, 1), name="conv2")(x, train)
        x = out["conv3"] = conv(scale(192, self.width), (3, 3), name="conv3")(x, train)
        x = out["pool2"] = pool(x)
        for name, branches in V2.items():
            x = out[name] = Mixed(branches, self.width, "same", False, self.dtype, name=name)(x, train)
        x = out["pool"] = global_average_pool(x)
        x = Dropout(self.dropout_rate)(x, train=train)
        logits = nn.Dense(self.num_classes, dtype=self.dtype, name="output")(x)
        return (logits, out) if return_intermediates else logits


class InceptionV3(nn.Module):
    """Inception with factorised kernels: 5x5 as two of 3x3, 7x7 as 1x7 and 7x1, 3x3 as 1x3 beside 3x1.

    conv1 3x3 / 2, 32 - conv2 3x3, 32 - conv3 3x3, 64 - pool1 3x3 / 2 - conv4 1x1, 80 - conv5 3x3, 192 - pool2 3x3 / 2 -
    mixed5b to 5d (35 x 35) - mixed6a to 6e (17 x 17) - mixed7a to 7c (8 x 8) - mean (``pool``) - dropout - output:
    23,834,568 parameters, 27,161,264 with the auxiliary head. The features have these names, those of the published
    weights; with ``train=True`` there are the logits ``auxiliary`` of the head after mixed6e, which needs images
    of 299 x 299. Strides of 2 are without padding; the means of the pools count it.

    Args:
        num_classes: how many logits.
        width: what all numbers of channels are multiplied by.
        modules: which of the eleven there are; the head goes with mixed6e.
        auxiliary_weight: weight of the head's loss, 0.4 in the authors' release; 0 is a network without it.
        dropout_rate: share of the means that is dropped in training.
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
    modules: Sequence[str] = tuple(V3)
    auxiliary_weight: float = 0.4
    dropout_rate: float = 0.5
    transform_input: bool = False
    dtype: Any = None

    @property
    def auxiliary(self) -> dict[str, float]:
        """The weight of the auxiliary head in the training loss."""
        return {"auxiliary": self.auxiliary_weight} if self.auxiliary_weight and "mixed6e" in self.modules else {}

    @nn.compact
    def __call__(
        self, x: ArrayLike, train: bool = False, return_intermediates: bool = False
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Return the logits ``[B, num_classes]`` of images ``[B, H, W, 3]``, 299 x 299 in the paper.

        Raises:
            ValueError: the images are too small.
        """
        head = train and self.auxiliary
        x = jnp.asarray(x)
        name = "InceptionV3 with its head, which auxiliary_weight=0 leaves out," if head else "InceptionV3"
        check_image_size(name, x, 299 if head else 75)
        x = standardized_to_half(x) if self.transform_input else x
        conv = partial(ConvNorm, epsilon=EPSILON, dtype=self.dtype)
        out = {}
        x = out["conv1"] = conv(scale(32, self.width), (3, 3), 2, name="conv1")(x, train)
        x = out["conv2"] = conv(scale(32, self.width), (3, 3), name="conv2")(x, train)
        x = out["conv3"] = conv(scale(64, self.width), (3, 3), padding=1, name="conv3")(x, train)
        x = out["pool1"] = max_pool(x, 3, stride=2)
        x = out["conv4"] = conv(scale(80, self.width), (1, 1), name="conv4")(x, train)
        x = out["conv5"] = conv(scale(192, self.width), (3, 3), name="conv5")(x, train)
        x = out["pool2"] = max_pool(x, 3, stride=2)
        for name in self.modules:
            x = out[name] = Mixed(V3[name], self.width, dtype=self.dtype, name=name)(x, train)
            if name == "mixed6e" and head:
                y = average_pool(x, 5, stride=3)
                y = conv(scale(128, self.width), (1, 1), name="auxiliary_conv1")(y, train)
                y = conv(scale(768, self.width), (5, 5), name="auxiliary_conv2")(y, train)
                y = global_average_pool(y)
                out["auxiliary"] = nn.Dense(self.num_classes, dtype=self.dtype, name="auxiliary_output")(y)
        x = out["pool"] = global_average_pool(x)
        x = Dropout(self.dropout_rate)(x, train=train)
        logits = nn.Dense(self.num_classes, dtype=self.dtype, name="output")(x)
        return (logits, out) if return_intermediates else logits


class Mixed(nn.Module):
    """Branches side by side, joined at their channels; link ``i`` of a branch is the submodule ``BRANCH_i``.

    Pools are 3x3: "average" and "max" keep the sides, "max/2" halves them.
    """

    branches: Branches
    width: float = 1.0
    halving_padding: Padding = "valid"
    count_include_pad: bool = True
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, train: bool = False) -> Array:
        """Map ``[B, H, W, C]`` to ``[B, H2, W2, K]``, as large as before or half."""
        ends = []
        for branch, links in self.branches.items():
            y, count = x, 0
            for link in links:
                if isinstance(link, str):
                    y = self._pool(y, link)
                    continue
                count += 1
                fork = {"": link} if isinstance(link[0], int) else dict(zip("ab", link, strict=True))
                tines = [self._conv(tine, f"{branch}_{count}{mark}", y, train) for mark, tine in fork.items()]
                y = jnp.concatenate(tines, axis=-1)
            ends.append(y)
        return jnp.concatenate(ends, axis=-1)

    def _conv(self, link: tuple[Any, ...], name: str, x: Array, train: bool) -> Array:
        channels, size, stride = (*link, 1)[:3]
        size = (size, size) if isinstance(size, int) else size
        padding = "same" if stride == 1 else self.halving_padding
        conv = partial(ConvNorm, epsilon=EPSILON, dtype=self.dtype, name=name)
        return conv(scale(channels, self.width), size, stride, padding)(x, train)

    def _pool(self, x: Array, kind: str) -> Array:
        if kind == "average":
            return average_pool(x, 3, stride=1, padding=1, count_include_pad=self.count_include_pad)
        stride, padding = (2, self.halving_padding) if kind == "max/2" else (1, 1)
        return max_pool(x, 3, stride=stride, padding=padding)


def scale(channels: int, width: float) -> int:
    """Return so many channels of a network ``width`` times as wide."""
    return max(1, round(width * channels))


register(
    "inception_v2",
    InceptionV2,
    input_shape=(224, 224, 3),
    description="Inception with batch norm, also known as BN-Inception",
)
register("inception_v3", InceptionV3, input_shape=(299, 299, 3), description="Inception with factorised kernels")
