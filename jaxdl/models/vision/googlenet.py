"""GoogLeNet, the first Inception network (Szegedy et al., "Going deeper with convolutions", 2015)."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal

import einops
import jax
import jax.numpy as jnp
import numpy as np
from flax import linen

from jaxdl.arrays import to_floating
from jaxdl.checks import check_one_of, renamed_fields
from jaxdl.models.layers import ConvNorm, check_image_size, collect, output_layer, scale_channels
from jaxdl.models.registry import register
from jaxdl.nn.convolution.adaptive_pooling import adaptive_average_pool
from jaxdl.nn.convolution.convolution import Conv
from jaxdl.nn.convolution.geometry import Padding
from jaxdl.nn.convolution.pooling import average_pool, global_average_pool, max_pool
from jaxdl.nn.initializers import xavier_uniform
from jaxdl.nn.noise import Dropout
from jaxdl.nn.normalization import local_response_norm
from jaxdl.typing import Array, ArrayLike

INCEPTIONS = {
    "inception3a": (64, 96, 128, 16, 32, 32),
    "inception3b": (128, 128, 192, 32, 96, 64),
    "inception4a": (192, 96, 208, 16, 48, 64),
    "inception4b": (160, 112, 224, 24, 64, 64),
    "inception4c": (128, 128, 256, 24, 64, 64),
    "inception4d": (112, 144, 288, 32, 64, 64),
    "inception4e": (256, 160, 320, 32, 128, 128),
    "inception5a": (256, 160, 320, 32, 128, 128),
    "inception5b": (384, 192, 384, 48, 128, 128),
}
"""The paper's table 1: 1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5 and pool projection of every module."""

POOL_BEFORE = {"inception4a": "pool3", "inception5a": "pool4"}
HEAD_AFTER = {"inception4a": "auxiliary1", "inception4d": "auxiliary2"}
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@renamed_fields(dropout="dropout_rate", auxiliary_dropout="auxiliary_dropout_rate")
class GoogLeNet(linen.Module):
    """Nine inception modules of four parallel branches, with two auxiliary heads in training.

    conv1 7x7 / 2, 64 - pool1 - conv2 1x1, 64 - conv3 3x3, 192 - pool2 - inception3a, 3b - pool3 - inception4a to 4e -
    pool4 - inception5a, 5b - mean - dropout - output. The pools round up (torch's ``ceil_mode``).

    =====================  ======================  ======================
    form                   "published"             "batch_norm"
    =====================  ======================  ======================
    after a convolution    bias                    batch norm
    third branch           5x5                     3x3
    around conv2, conv3    local response norm     nothing
    pool4                  3x3, stride 2           2x2, stride 2
    pooling of the heads   5x5, stride 3           adaptive, to 4x4
    dropout at the output  0.4                     0.2
    parameters             6,998,552               6,624,904
    with the heads         13,378,280              13,004,888
    =====================  ======================  ======================

    The second is torchvision's, whose third branch has 3x3 kernels by a mistake that its weights depend on. The paper
    gives no numbers for the response norm; they are AlexNet's. With ``train=True`` the logits of the heads are the
    intermediates ``auxiliary1`` and ``auxiliary2``; ``auxiliary`` has their weights in the loss. The others have the
    names above, and ``pool`` is the vector of means.

    Attributes:
        num_classes: number of logits; 0 for no output layer, for a backbone.
        form: see the table.
        width: factor of all numbers of channels.
        modules: names of the modules, by default all nine; the pool before a module and the head after it belong to it.
        auxiliary_weight: weight of each head's loss; 0 for no heads.
        dropout_rate: share of the means dropped; None: see the table.
        auxiliary_dropout_rate: the same in the heads.
        transform_input: convert images standardized by ImageNet's mean and deviation to ``2 x - 1`` of pixels ``x`` in
            [0, 1], for weights trained on the latter, as torchvision's are.
        dtype: of the computation.

    >>> variables = jax.eval_shape(GoogLeNet().init, jax.random.key(0), jnp.zeros((1, 224, 224, 3)))
    >>> sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
    6624904
    """

    num_classes: int = 1000
    form: Literal["batch_norm", "published"] = "batch_norm"
    width: float = 1.0
    modules: Sequence[str] = tuple(INCEPTIONS)
    auxiliary_weight: float = 0.3
    dropout_rate: float | None = None
    auxiliary_dropout_rate: float = 0.7
    transform_input: bool = False
    dtype: Any = None

    @property
    def auxiliary(self) -> dict[str, float]:
        """The weight of each auxiliary head in the training loss."""
        names = [HEAD_AFTER[module] for module in self.modules if module in HEAD_AFTER]
        return dict.fromkeys(names, self.auxiliary_weight) if self.auxiliary_weight and self.num_classes else {}

    @linen.compact
    def __call__(
        self, x: ArrayLike, train: bool = False, return_intermediates: bool = False
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Compute the logits ``[B, num_classes]`` of images ``[B, H, W, 3]``, 224 x 224 in the paper.

        Raises:
            ValueError: the images are too small, or the form is unknown.
        """
        check_one_of("form", self.form, ("batch_norm", "published"))
        published, heads = self.form == "published", self.auxiliary if train else {}
        x = jnp.asarray(x)
        if published and heads:
            check_image_size("GoogLeNet with its auxiliary heads (auxiliary_weight=0 removes them)", x, 79)
        check_image_size(f"GoogLeNet(form={self.form!r})", x, 31 if published else 15)
        x = standardized_to_half(x) if self.transform_input else x
        conv = partial(ConvBias if published else partial(ConvNorm, epsilon=1e-3), dtype=self.dtype)
        out: dict[str, Array] = {}
        x = collect(out, "conv1", conv(self._scale(64), (7, 7), 2, 3, name="conv1")(x, train))
        x = ceil_max_pool(x, 3, 2)
        x = collect(out, "pool1", local_response_norm(x) if published else x)
        x = collect(out, "conv2", conv(self._scale(64), (1, 1), name="conv2")(x, train))
        x = collect(out, "conv3", conv(self._scale(192), (3, 3), padding=1, name="conv3")(x, train))
        x = local_response_norm(x) if published else x
        x = collect(out, "pool2", ceil_max_pool(x, 3, 2))
        for name in self.modules:
            if name in POOL_BEFORE:
                window = 2 if POOL_BEFORE[name] == "pool4" and not published else 3
                x = collect(out, POOL_BEFORE[name], ceil_max_pool(x, window, 2))
            module = Inception([self._scale(n) for n in INCEPTIONS[name]], conv, 5 if published else 3, name=name)
            x = collect(out, name, module(x, train))
            if HEAD_AFTER.get(name) in heads:
                collect(out, HEAD_AFTER[name], self._head(x, HEAD_AFTER[name], conv))
        x = collect(out, "pool", global_average_pool(x))
        rate = self.dropout_rate if self.dropout_rate is not None else (0.4 if published else 0.2)
        x = Dropout(rate)(x, train=train)
        logits = output_layer(x, self.num_classes, dtype=self.dtype)
        return (logits, out) if return_intermediates else logits

    def _scale(self, channels: int) -> int:
        return scale_channels(channels, self.width)

    def _head(self, x: Array, name: str, conv: Callable[..., Any]) -> Array:
        """Compute the logits of an auxiliary head, used in training only."""
        x = average_pool(x, 5, stride=3) if self.form == "published" else adaptive_average_pool(x, 4)
        x = conv(self._scale(128), (1, 1), name=f"{name}_conv")(x, True)
        x = einops.rearrange(x, "b h w c -> b (h w c)")
        x = jax.nn.relu(linen.Dense(self._scale(1024), dtype=self.dtype, name=f"{name}_dense")(x))
        x = Dropout(self.auxiliary_dropout_rate)(x, train=True)
        return linen.Dense(self.num_classes, dtype=self.dtype, name=f"{name}_output")(x)


class Inception(linen.Module):
    """Four concatenated branches: 1x1; 1x1, 3x3; 1x1, kxk; 3x3 max pool, 1x1.

    Attributes:
        widths: channels of the six convolutions, in this order.
        conv: ``ConvNorm`` or ``ConvBias``, with some of its fields.
        kernel_size: ``k``.
    """

    widths: Sequence[int]
    conv: Callable[..., Any]
    kernel_size: int = 3

    @linen.compact
    def __call__(self, x: Array, train: bool = False) -> Array:
        """Map ``[B, H, W, C]`` to ``[B, H, W, K]``."""
        one, reduce3, three, reduce5, five, projection = self.widths
        k = self.kernel_size
        branch1 = self.conv(one, (1, 1), name="branch1")(x, train)
        branch2 = self.conv(reduce3, (1, 1), name="branch2_reduce")(x, train)
        branch2 = self.conv(three, (3, 3), padding=1, name="branch2")(branch2, train)
        branch3 = self.conv(reduce5, (1, 1), name="branch3_reduce")(x, train)
        branch3 = self.conv(five, (k, k), padding=k // 2, name="branch3")(branch3, train)
        pooled = max_pool(x, 3, stride=1, padding=1)
        branch4 = self.conv(projection, (1, 1), name="branch4")(pooled, train)
        return jnp.concatenate([branch1, branch2, branch3, branch4], axis=-1)


class ConvBias(linen.Module):
    """``y = relu(convolve(x) + bias)``, called as ``ConvNorm`` is."""

    features: int
    kernel_size: Sequence[int]
    stride: int = 1
    padding: Padding = "valid"
    dtype: Any = None

    @linen.compact
    def __call__(self, x: Array, train: bool = False) -> Array:
        """Map ``[B, H, W, C]`` to ``[B, H2, W2, features]``."""
        conv = partial(Conv, kernel_init=xavier_uniform(), dtype=self.dtype, name="conv")
        return jax.nn.relu(conv(self.features, self.kernel_size, self.stride, self.padding)(x))


def ceil_max_pool(x: Array, window: int, stride: int) -> Array:
    """Apply max pooling with ``ceil((W1 - F) / S) + 1`` windows: the last window may extend beyond the end.

    >>> ceil_max_pool(jnp.arange(16.0).reshape(1, 4, 4, 1), 3, 2)[0, ..., 0].tolist()
    [[10.0, 11.0], [14.0, 15.0]]
    """
    pads = [(0, (window - size) % stride) for size in x.shape[1:3]]
    return max_pool(x, window, stride=stride, padding=pads)


def standardized_to_half(x: Array) -> Array:
    """Convert ``(p - mean) / std`` of ImageNet to ``(p - 1/2) / (1/2)``, for colors ``p`` in [0, 1], ``[..., 3]``."""
    x = to_floating(x)
    mean, std = (np.reshape(a, (1,) * (x.ndim - 1) + (3,)) for a in (IMAGENET_MEAN, IMAGENET_STD))
    return x * jnp.asarray(std / 0.5, x.dtype) + jnp.asarray((mean - 0.5) / 0.5, x.dtype)


register("googlenet", GoogLeNet, input_shape=(224, 224, 3), description="GoogLeNet with batch norm, as in torchvision")
register(
    "googlenet_original",
    GoogLeNet,
    input_shape=(224, 224, 3),
    description="GoogLeNet as published",
    form="published",
)
