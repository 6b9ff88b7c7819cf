"""The U-Net of diffusion models: residual blocks that see the time, attention at small scales (Ho et al., 2020)."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from einops import rearrange
from flax import linen

from jaxdl.arrays import widen_floating
from jaxdl.checks import is_integer
from jaxdl.models.layers import Embed, channels_last_hint, collect
from jaxdl.models.registry import register
from jaxdl.nn.attention.dot_product import dot_product_attention
from jaxdl.nn.convolution.convolution import Conv
from jaxdl.nn.convolution.upsampling import upsample_nearest
from jaxdl.nn.initializers import he_normal, zeros
from jaxdl.nn.noise import Dropout
from jaxdl.nn.normalization import GroupNorm
from jaxdl.typing import Array, ArrayLike

silu = jax.nn.silu


def time_embedding(t: ArrayLike, size: int, max_period: float = 10_000.0) -> Array:
    """Embed times in waves: ``[cos(t w_0), ..., sin(t w_0), ...]`` with ``w_i = max_period^(-2 i / size)``.

    Args:
        t: times ``[B]``, from 0 to about 1,000.
        size: even number of elements.
        max_period: the longest wave is a multiple of it.

    Returns:
        ``[B, size]``, in float32 or wider.

    Raises:
        ValueError: the size is odd, or times are not ``[B]``.

    >>> time_embedding(jnp.array([0.0]), 4).tolist()
    [[1.0, 1.0, 0.0, 0.0]]
    """
    t = jnp.asarray(t)
    if t.ndim != 1 or not is_integer(size) or size < 2 or size % 2:
        raise ValueError(f"expected times [B] and an even size, got {t.shape} and {size}")
    t = widen_floating(t)
    frequencies = jnp.asarray(np.exp(-np.log(max_period) * np.arange(size // 2) / (size // 2)), t.dtype)
    angles = t[:, None] * frequencies[None]
    return jnp.concatenate([jnp.cos(angles), jnp.sin(angles)], axis=-1)


class ResidualBlock(linen.Module):
    """Two convolutions with group norms before them, and a vector that is added to every pixel between them::

        h = conv1(silu(norm1(x))) + W silu(c) + b
        y = shortcut(x) + conv2(dropout(silu(norm2(h))))          conv2 is 0 at first

    >>> layer = ResidualBlock(4, groups=2)
    >>> y, _ = jax.eval_shape(layer.init_with_output, jax.random.key(0), jnp.zeros((1, 8, 8, 2)), jnp.zeros((1, 3)))
    >>> y.shape
    (1, 8, 8, 4)
    """

    features: int
    groups: int = 32
    dropout_rate: float = 0.0
    dtype: Any = None

    @linen.compact
    def __call__(self, x: Array, conditioning: Array, train: bool = False) -> Array:
        """Map ``x`` ``[B, H, W, C]`` and a vector ``[B, D]`` to ``[B, H, W, features]``."""
        conv = partial(Conv, self.features, (3, 3), padding=1, dtype=self.dtype)
        h = conv(kernel_init=he_normal(), name="conv1")(silu(GroupNorm(groups=self.groups, name="norm1")(x)))
        shift = linen.Dense(self.features, dtype=self.dtype, name="conditioning")(silu(conditioning))
        h = silu(GroupNorm(groups=self.groups, name="norm2")(h + shift[:, None, None]))
        h = Dropout(self.dropout_rate)(h, train=train)
        h = conv(kernel_init=zeros, name="conv2")(h)
        if x.shape[-1] != self.features:
            x = Conv(self.features, (1, 1), dtype=self.dtype, name="shortcut")(x)
        return x + h


class PixelAttention(linen.Module):
    """Self-attention of all pixels, added to them: ``y = x + W attention(norm(x))``, with ``W`` 0 at first."""

    groups: int = 32
    num_heads: int = 1
    dtype: Any = None

    @linen.compact
    def __call__(self, x: Array) -> Array:
        """Map ``[B, H, W, C]`` to the same shape."""
        dense = partial(linen.Dense, dtype=self.dtype)
        qkv = dense(3 * x.shape[-1], name="query_key_value")(GroupNorm(groups=self.groups, name="norm")(x))
        q, k, v = rearrange(qkv, "b h w (n k d) -> n b k (h w) d", n=3, k=self.num_heads)
        y = rearrange(dot_product_attention(q, k, v), "b k (h w) d -> b h w (k d)", h=x.shape[1])
        return x + dense(x.shape[-1], kernel_init=zeros, name="output")(y)


class DiffusionUNet(linen.Module):
    """A U-Net from noisy images, their times and perhaps their classes to images::

        c = W_2 silu(W_1 time_embedding(t) + b_1) + b_2 [+ class embedding]

    ``num_blocks`` residual blocks that see ``c`` at every scale of the encoder, one more at every scale of the decoder;
    each of the decoder's takes the result of its mirror image in the encoder too. Blocks at the scales in
    ``attention_scales`` are followed by attention. Between scales are a convolution of stride 2, or nearest upsampling
    and a convolution. Whether the result is the noise, the image or a velocity is a matter of the objective:
    `jaxdl.generative`.

    Intermediates are ``down1_block1`` and so on, ``middle`` and ``up1_block1`` and so on.

    Attributes:
        out_channels: of the result; None for those of the images.
        widths: channels at each scale; ``groups`` must divide them.
        num_blocks: residual blocks of a scale.
        attention_scales: numbers of the scales with attention, from 1; the middle always has it.
        num_labels: number of classes; 0 for none. One more, the label ``num_labels``, stands for no class.
        groups: of the group norms.
        num_heads: of attention.
        dropout_rate: share dropped in the blocks.
        dtype: of the computation.

    >>> model = DiffusionUNet(widths=(8, 16), attention_scales=(2,), num_labels=10, groups=4)
    >>> x, t, labels = jnp.zeros((2, 8, 8, 1)), jnp.zeros(2), jnp.zeros(2, int)
    >>> jax.eval_shape(model.init_with_output, jax.random.key(0), x, t, labels)[0].shape
    (2, 8, 8, 1)
    """

    out_channels: int | None = None
    widths: Sequence[int] = (64, 96, 128)
    num_blocks: int = 2
    attention_scales: Sequence[int] = (3,)
    num_labels: int = 0
    groups: int = 32
    num_heads: int = 1
    dropout_rate: float = 0.0
    dtype: Any = None

    @linen.compact
    def __call__(
        self,
        x: ArrayLike,
        t: ArrayLike = 0.0,
        labels: ArrayLike | None = None,
        train: bool = False,
        return_intermediates: bool = False,
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Compute the images ``[B, H, W, out_channels]`` of noisy images ``x`` ``[B, H, W, C]``.

        Args:
            x: noisy images.
            t: times ``[B]`` or one for all, from 0 to about 1,000.
            labels: classes ``[B]``, integers; None for no class.
            train: whether to drop units.
            return_intermediates: return the intermediates too.

        Raises:
            ValueError: height or width cannot be halved as often as the network does, there are labels but no classes,
                or groups do not divide the channels.
        """
        x = jnp.asarray(x, self.dtype)
        self._check(x, labels)
        conv = partial(Conv, kernel_size=(3, 3), padding=1, dtype=self.dtype)
        block = partial(ResidualBlock, groups=self.groups, dropout_rate=self.dropout_rate, dtype=self.dtype)
        attention = partial(PixelAttention, self.groups, self.num_heads, self.dtype)
        conditioning, out = self._conditioning(x, t, labels), {}

        def stage(x: Array, name: str, scale: int) -> Array:
            x = block(self.widths[scale - 1], name=name)(x, conditioning, train)
            x = attention(name=f"{name}_attention")(x) if scale in self.attention_scales else x
            return collect(out, name, x)

        channels, scales = x.shape[-1], len(self.widths)
        x = conv(self.widths[0], name="input")(x)
        skipped = [x]
        for scale in range(1, scales + 1):
            for i in range(1, self.num_blocks + 1):
                x = stage(x, f"down{scale}_block{i}", scale)
                skipped.append(x)
            if scale < scales:
                x = conv(self.widths[scale - 1], stride=2, name=f"downsample{scale}")(x)
                skipped.append(x)
        x = block(self.widths[-1], name="middle1")(x, conditioning, train)
        x = attention(name="middle_attention")(x)
        x = collect(out, "middle", block(self.widths[-1], name="middle2")(x, conditioning, train))
        for scale in range(scales, 0, -1):
            for i in range(1, self.num_blocks + 2):
                x = stage(jnp.concatenate([x, skipped.pop()], axis=-1), f"up{scale}_block{i}", scale)
            if scale > 1:
                x = conv(self.widths[scale - 1], name=f"upsample{scale}")(upsample_nearest(x, 2))
        x = silu(GroupNorm(groups=self.groups, name="output_norm")(x))
        channels = channels if self.out_channels is None else self.out_channels
        x = conv(channels, kernel_init=zeros, name="output")(x)
        return (x, out) if return_intermediates else x

    def _conditioning(self, x: Array, t: ArrayLike, labels: ArrayLike | None) -> Array:
        """Compute the vectors ``c`` ``[B, 4 widths[0]]``."""
        dense = partial(linen.Dense, 4 * self.widths[0], dtype=self.dtype)
        waves = time_embedding(jnp.broadcast_to(jnp.asarray(t), x.shape[:1]), self.widths[0]).astype(x.dtype)
        c = dense(name="time2")(silu(dense(name="time1")(waves)))
        if self.num_labels:
            chosen = self.num_labels if labels is None else labels
            table = Embed(self.num_labels + 1, 4 * self.widths[0], dtype=self.dtype, name="label")
            c = c + table(jnp.broadcast_to(jnp.asarray(chosen), x.shape[:1]))
        return c

    def _check(self, x: Array, labels: ArrayLike | None) -> None:
        unit = 2 ** (len(self.widths) - 1)
        if x.ndim != 4 or x.shape[1] % unit or x.shape[2] % unit:
            raise ValueError(
                f"expected images [B, H, W, C] with H and W divisible by {unit} for {len(self.widths)} scales, got "
                f"{x.shape}; pad them{channels_last_hint(x.shape)}"
            )
        if any(width % self.groups for width in self.widths):
            raise ValueError(f"expected widths divisible by groups={self.groups}, got {tuple(self.widths)}")
        if labels is not None and not self.num_labels:
            raise ValueError(f"expected no labels without classes, got {jnp.shape(labels)}; set num_labels")


register(
    "diffusion_unet",
    DiffusionUNet,
    input_shape=(32, 32, 3),
    description="U-Net of three scales that sees the time, for diffusion at 32 x 32",
)
