"""GoogLeNet, the first Inception network (Szegedy et al., "Going deeper with convolutions", 2015)."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.models.layers import ConvNorm, check_image_size
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


class GoogLeNet(nn.Module):
    """Nine inception modules, each four branches side by side, with two auxiliary heads for the gradient in training.

    conv1 7x7 / 2, 64 - pool1 - conv2 1x1, 64 - conv3 3x3, 192 - pool2 - inception3a, 3b - pool3 - inception4a to 4e -
    pool4 - inception5a, 5b - mean - dropout - output. A rest at the end of a row makes a window of the pools too.

    =====================  ======================  ======================
    form                   "published"             "batch_norm"
    =====================  ======================  ======================
    after a convolution    bias                    batch norm
    of inceptions' third   5x5                     3x3
    around conv2, conv3    local response norm     nothing
    pool4                  3x3, stride 2           2x2, stride 2
    before a head's dense  means of 5x5, stride 3  means, 4x4 of them
    dropped at the output  0.4                     0.2
    parameters             6,998,552               6,624,904
    with the heads         13,378,280              13,004,888
    =====================  ======================  ======================

    The second is torchvision's, whose third branch has 3x3 kernels by a slip that its weights now keep. The paper gives
    no numbers for the response norm; they are AlexNet's. With ``train=True`` the logits of the heads are the features
    ``auxiliary1`` and ``auxiliary2``; ``auxiliary`` has their weight in the loss. The other features have the names
    above, and ``pool`` is the vector of means.

    Args:
        num_classes: how many logits.
        form: see the table.
        width: what all numbers of channels are multiplied by.
        modules: which of the nine there are; a pool or a head goes with the module beside which it is.
        auxiliary_weight: weight of each head's loss; 0 is a network without heads.
        dropout_rate: share of the means that is dropped; None: as the table says.
        auxiliary_dropout_rate: the same in the heads.
        transform_input: the images are standardised by ImageNet's mean and deviation, the weights are for ``2 x - 1``
            of pixels ``x`` in [0, 1], and the one is turned into the other; so are torchvision's pretrained weights.
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
        return dict.fromkeys(names, self.auxiliary_weight) if self.auxiliary_weight else {}

    @nn.compact
    def __call__(
        self, x: ArrayLike, train: bool = False, return_intermediates: bool = False
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Return the logits ``[B, num_classes]`` of images ``[B, H, W, 3]``, 224 x 224 in the paper.

        Raises:
            ValueError: the images are too small, or there is no such form.
        """
        if self.form not in {"batch_norm", "published"}:
            raise ValueError(f"form is 'batch_norm' or 'published'; came {self.form!r}")
        published, heads = self.form == "published", self.auxiliary if train else {}
        x = jnp.asarray(x)
        if published and heads:
            check_image_size("GoogLeNet as published, with its heads, which auxiliary_weight=0 leaves out,", x, 79)
        check_image_size(f"GoogLeNet(form={self.form!r})", x, 31 if published else 15)
        x = standardized_to_half(x) if self.transform_input else x
        conv = partial(ConvBias if published else partial(ConvNorm, epsilon=1e-3), dtype=self.dtype)
        response_norm = local_response_norm if published else lambda x: x
        out = {}
        x = out["conv1"] = conv(self._wide(64), (7, 7), 2, 3, name="conv1")(x, train)
        x = out["pool1"] = response_norm(ceil_max_pool(x, 3, 2))
        x = out["conv2"] = conv(self._wide(64), (1, 1), name="conv2")(x, train)
        x = out["conv3"] = conv(self._wide(192), (3, 3), padding=1, name="conv3")(x, train)
        x = out["pool2"] = ceil_max_pool(response_norm(x), 3, 2)
        for name in self.modules:
            if name in POOL_BEFORE:
                window = 2 if POOL_BEFORE[name] == "pool4" and not published else 3
                x = out[POOL_BEFORE[name]] = ceil_max_pool(x, window, 2)
            module = Inception([self._wide(n) for n in INCEPTIONS[name]], conv, 5 if published else 3, name=name)
            x = out[name] = module(x, train)
            if HEAD_AFTER.get(name) in heads:
                out[HEAD_AFTER[name]] = self._head(x, HEAD_AFTER[name], conv)
        x = out["pool"] = global_average_pool(x)
        rate = self.dropout_rate if self.dropout_rate is not None else (0.4 if published else 0.2)
        x = Dropout(rate)(x, train=train)
        logits = nn.Dense(self.num_classes, dtype=self.dtype, name="output")(x)
        return (logits, out) if return_intermediates else logits

    def _wide(self, channels: int) -> int:
        return max(1, round(self.width * channels))

    def _head(self, x: Array, name: str, conv: Callable[..., nn.Module]) -> Array:
        """Return the logits of an auxiliary head, which is there in training alone."""
        x = average_pool(x, 5, stride=3) if self.form == "published" else adaptive_average_pool(x, 4)
        x = conv(self._wide(128), (1, 1), name=f"{name}_conv")(x, True)
        x = x.reshape(x.shape[0], -1)
        x = jax.nn.relu(nn.Dense(self._wide(1024), dtype=self.dtype, name=f"{name}_dense")(x))
        x = Dropout(self.auxiliary_dropout_rate)(x, train=True)
        return nn.Dense(self.num_classes, dtype=self.dtype, name=f"{name}_output")(x)


class Inception(nn.Module):
    """Four branches of one size, joined: 1x1; 1x1, 3x3; 1x1, kxk; 3x3 max pool, 1x1.

    ``widths`` are the channels of the six convolutions in this order.
    """

    widths: Sequence[int]
    conv: Callable[..., nn.Module]
    kernel_size: int = 3

    @nn.compact
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


class ConvBias(nn.Module):
    """``y = relu(convolve(x) + bias)``, with the calling form of ``ConvNorm``."""

    features: int
    kernel_size: Sequence[int]
    stride: int = 1
    padding: Padding = "valid"
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, train: bool = False) -> Array:
        """Map ``[B, H, W, C]`` to ``[B, H2, W2, K]``."""
        conv = partial(Conv, kernel_init=xavier_uniform(), dtype=self.dtype, name="conv")
        return jax.nn.relu(conv(self.features, self.kernel_size, self.stride, self.padding)(x))


def ceil_max_pool(x: Array, window: int, stride: int) -> Array:
    """Pool so that a rest at the end, too short for a window, makes one too: ``ceil((W1 - F) / S) + 1`` windows.

    >>> ceil_max_pool(jnp.arange(16.0).reshape(1, 4, 4, 1), 3, 2)[0, ..., 0].tolist()
    [[10.0, 11.0], [14.0, 15.0]]
    """
    rests = [(0, (window - size) % stride) for size in x.shape[1:3]]
    return max_pool(x, window, stride=stride, padding=rests)


def standardized_to_half(x: Array) -> Array:
    """Turn ``(p - mean) / std`` of ImageNet into ``(p - 1/2) / (1/2)``, for colours ``p`` in [0, 1], ``[..., 3]``."""
    mean, std = (np.reshape(a, (1,) * (x.ndim - 1) + (3,)) for a in (IMAGENET_MEAN, IMAGENET_STD))
    return x * jnp.asarray(std / 0.5, x.dtype) + jnp.asarray((mean - 0.5) / 0.5, x.dtype)


register(
    "googlenet", GoogLeNet, input_shape=(224, 224, 3), description="GoogLeNet with batch norm, as torchvision has it"
)
register(
    "googlenet_original", GoogLeNet, input_shape=(224, 224, 3), description="GoogLeNet as published", form="published"
)
