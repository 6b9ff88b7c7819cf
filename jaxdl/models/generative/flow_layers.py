"""Invertible layers with a cheap determinant: couplings, activation norms, convolutions of 1 x 1, and squeezing.

``layer(x)`` returns ``y`` and the logarithm of the determinant ``[B]``; ``layer.inverse(y)`` returns ``x``.
"""

from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from einops import rearrange
from flax import linen

from jaxdl.arrays import expand_leading
from jaxdl.checks import check_one_of
from jaxdl.nn.convolution.convolution import Conv
from jaxdl.nn.initializers import orthogonal, zeros
from jaxdl.typing import Array

Pattern = Literal["halves", "checkerboard"]


class Conditioner(linen.Module):
    """A residual network whose result, scales and shifts for a coupling, is 0 at first.

    Of vectors ``[B, D]`` the layers are dense, of images ``[B, H, W, C]`` convolutions of 3 x 3.
    """

    hidden_size: int
    num_blocks: int
    dtype: Any = None

    @linen.compact
    def __call__(self, x: Array) -> tuple[Array, Array]:
        """Map ``[B, ..., C]`` to the logarithms of scales, within the learned ``limit``, and shifts, of its shape."""
        layer: Any = partial(linen.Dense, dtype=self.dtype)
        if x.ndim == 4:
            layer = partial(Conv, kernel_size=(3, 3), padding="same", dtype=self.dtype)
        y, channels = layer(self.hidden_size, name="input")(x), x.shape[-1]
        for i in range(1, self.num_blocks + 1):
            z = layer(self.hidden_size, name=f"block{i}_first")(jax.nn.relu(y))
            y = y + layer(self.hidden_size, name=f"block{i}_second")(jax.nn.relu(z))
        y = layer(2 * channels, kernel_init=zeros, name="output")(jax.nn.relu(y))
        limit = self.param("limit", linen.initializers.ones, (channels,))
        log_scale, shift = jnp.split(y, 2, axis=-1)
        return expand_leading(limit.astype(y.dtype), y.ndim) * jnp.tanh(log_scale), shift


class AffineCoupling(linen.Module):
    """Scale and shift a half of the elements by functions of the other half, which passes unchanged::

        y = b x + (1 - b) (x exp(s) + t)         (s, t) = conditioner(b x)         ln |det| = sum (1 - b) s

    Attributes:
        hidden_size: of the conditioner.
        num_blocks: residual blocks of the conditioner.
        pattern: ``b`` is 1 for a "checkerboard" of pixels, or for the first of the "halves" of the last dimension.
        flip: exchange 0 and 1 in ``b``.
        dtype: of the computation.
    """

    hidden_size: int
    num_blocks: int = 1
    pattern: Pattern = "halves"
    flip: bool = False
    dtype: Any = None

    def setup(self) -> None:
        """Make the conditioner."""
        self.conditioner = Conditioner(self.hidden_size, self.num_blocks, self.dtype)

    def __call__(self, x: Array) -> tuple[Array, Array]:
        """Map ``x`` ``[B, ..., C]`` to ``y`` and the logarithm of the determinant ``[B]``."""
        mask = self._mask(x)
        log_scale, shift = self.conditioner(mask * x)
        log_scale, shift = (1 - mask) * log_scale, (1 - mask) * shift
        return x * jnp.exp(log_scale) + shift, _sum(log_scale)

    def inverse(self, y: Array) -> Array:
        """Map ``y`` to ``x``."""
        mask = self._mask(y)
        log_scale, shift = self.conditioner(mask * y)
        return (y - (1 - mask) * shift) * jnp.exp(-(1 - mask) * log_scale)

    def _mask(self, x: Array) -> Array:
        """Return ``b``, of the rank of ``x``."""
        check_one_of("pattern", self.pattern, ("halves", "checkerboard"))
        if self.pattern == "checkerboard":
            mask = (np.indices(x.shape[1:3]).sum(axis=0) % 2 == 0)[None, :, :, None]
        else:
            mask = (np.arange(x.shape[-1]) < (x.shape[-1] + 1) // 2).reshape((1,) * (x.ndim - 1) + (-1,))
        return jnp.asarray(mask != self.flip, x.dtype)


class ActNorm(linen.Module):
    """Scale and shift every channel, so that the first batch has the mean 0 and the variance 1::

        y = (x + bias) exp(log_scale)        ln |det| = P sum log_scale       for P pixels

    Source: Kingma and Dhariwal, "Glow: generative flow with invertible 1x1 convolutions", 2018.
    """

    @linen.compact
    def __call__(self, x: Array) -> tuple[Array, Array]:
        """Map ``x`` ``[B, ..., C]`` to ``y`` and the logarithm of the determinant ``[B]``."""
        bias, log_scale = self._parameters(x)
        pixels = int(np.prod(x.shape[1:-1]))
        return (x + bias) * jnp.exp(log_scale), jnp.broadcast_to(pixels * jnp.sum(log_scale), x.shape[:1])

    def inverse(self, y: Array) -> Array:
        """Map ``y`` to ``x``."""
        bias, log_scale = self._parameters(y)
        return y * jnp.exp(-log_scale) - bias

    @linen.compact
    def _parameters(self, x: Array) -> tuple[Array, Array]:
        axes = tuple(range(x.ndim - 1))
        bias = self.param("bias", lambda _: -jnp.mean(x, axes).astype(jnp.float32))
        log_scale = self.param("log_scale", lambda _: -jnp.log(jnp.std(x, axes) + 1e-6).astype(jnp.float32))
        return expand_leading(bias.astype(x.dtype), x.ndim), expand_leading(log_scale.astype(x.dtype), x.ndim)


class InvertibleConv(linen.Module):
    """Mix the channels of every pixel by one square matrix, orthogonal at first::

        y = x W                              ln |det| = P ln |det W|          for P pixels

    Source: Kingma and Dhariwal, "Glow: generative flow with invertible 1x1 convolutions", 2018.
    """

    @linen.compact
    def __call__(self, x: Array) -> tuple[Array, Array]:
        """Map ``x`` ``[B, ..., C]`` to ``y`` and the logarithm of the determinant ``[B]``."""
        kernel = self._kernel(x)
        pixels = int(np.prod(x.shape[1:-1]))
        log_det = pixels * jnp.linalg.slogdet(kernel)[1]
        return x @ kernel.astype(x.dtype), jnp.broadcast_to(log_det.astype(x.dtype), x.shape[:1])

    def inverse(self, y: Array) -> Array:
        """Map ``y`` to ``x``."""
        return y @ jnp.linalg.inv(self._kernel(y)).astype(y.dtype)

    @linen.compact
    def _kernel(self, x: Array) -> Array:
        return self.param("kernel", orthogonal(), (x.shape[-1], x.shape[-1]))


def squeeze(x: Array) -> Array:
    """Turn blocks of 2 x 2 pixels into channels: ``[B, 2 H, 2 W, C]`` to ``[B, H, W, 4 C]``.

    >>> squeeze(jnp.arange(4.0).reshape(1, 2, 2, 1)).ravel().tolist()
    [0.0, 1.0, 2.0, 3.0]
    """
    return rearrange(x, "b (h p) (w q) c -> b h w (c p q)", p=2, q=2)


def unsqueeze(x: Array) -> Array:
    """Turn channels into blocks of 2 x 2 pixels, the inverse of `squeeze`."""
    return rearrange(x, "b h w (c p q) -> b (h p) (w q) c", p=2, q=2)


def _sum(x: Array) -> Array:
    """Sum all but the first dimension."""
    return jnp.sum(x, axis=tuple(range(1, x.ndim)))
