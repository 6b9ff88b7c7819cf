"""Normalizing flows, invertible networks with a cheap determinant: RealNVP (Dinh et al., 2017), Glow (Kingma, 2018)."""

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from einops import rearrange
from flax import linen

from jaxdl.arrays import expand_leading
from jaxdl.checks import check_one_of
from jaxdl.models.layers import channels_last_hint
from jaxdl.models.registry import register
from jaxdl.nn.convolution.convolution import Conv
from jaxdl.nn.initializers import orthogonal, zeros
from jaxdl.typing import Array, ArrayLike

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

    y = (x + bias) exp(log_scale)            ln |det| = P sum log_scale       for P pixels
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

    y = x W                                  ln |det| = P ln |det W|          for P pixels
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


class _Chain(linen.Module):
    """Invertible layers one after the other; a subclass makes ``layers`` in its ``setup``."""

    def __call__(self, x: Array) -> tuple[Array, Array]:
        """Map ``x`` ``[B, ..., C]`` to ``y`` and the logarithm of the determinant ``[B]``."""
        log_det = jnp.zeros(x.shape[:1], x.dtype)
        for layer in self.layers:
            x, term = layer(x)
            log_det = log_det + term
        return x, log_det

    def inverse(self, y: Array) -> Array:
        """Map ``y`` to ``x``."""
        for layer in reversed(self.layers):
            y = layer.inverse(y)
        return y


class _Couplings(_Chain):
    """Couplings in turn of both halves."""

    count: int
    hidden_size: int
    num_blocks: int
    pattern: Pattern
    dtype: Any = None

    def setup(self) -> None:
        """Make the couplings."""
        options = {"hidden_size": self.hidden_size, "num_blocks": self.num_blocks, "dtype": self.dtype}
        self.layers = [AffineCoupling(pattern=self.pattern, flip=i % 2 == 1, **options) for i in range(self.count)]


class _GlowSteps(_Chain):
    """Steps of Glow: activation norm, invertible convolution, coupling."""

    count: int
    hidden_size: int
    dtype: Any = None

    def setup(self) -> None:
        """Make the layers."""
        coupling = partial(AffineCoupling, self.hidden_size, dtype=self.dtype)
        self.layers = [layer() for _ in range(self.count) for layer in (ActNorm, InvertibleConv, coupling)]


class CouplingFlow(linen.Module):
    """A RealNVP of vectors ``[B, D]``: couplings in turn of the first and the second half of their elements.

    Attributes:
        num_couplings: number of couplings.
        hidden_size: of their conditioners.
        num_blocks: residual blocks of a conditioner.
        dtype: of the computation.

    >>> model = CouplingFlow(num_couplings=2, hidden_size=4)
    >>> (z, log_det), _ = jax.eval_shape(model.init_with_output, jax.random.key(0), jnp.zeros((5, 2)))
    >>> z.shape, log_det.shape
    ((5, 2), (5,))
    """

    num_couplings: int = 6
    hidden_size: int = 64
    num_blocks: int = 1
    dtype: Any = None

    def setup(self) -> None:
        """Make the couplings."""
        self.couplings = _Couplings(self.num_couplings, self.hidden_size, self.num_blocks, "halves", self.dtype)

    def __call__(self, x: ArrayLike, train: bool = False) -> tuple[Array, Array]:
        """Map vectors ``x`` to latent ones ``z`` ``[B, D]`` and ``ln |det dz / dx|`` ``[B]``.

        Raises:
            ValueError: the vectors have less than two elements.
        """
        del train  # nothing is random
        x = jnp.asarray(x, self.dtype)
        if x.ndim != 2 or x.shape[1] < 2:
            raise ValueError(f"expected vectors [B, D] with D >= 2, got {x.shape}; a coupling needs two halves")
        return self.couplings(x)

    def inverse(self, z: ArrayLike) -> Array:
        """Map latent vectors to vectors."""
        return self.couplings.inverse(jnp.asarray(z, self.dtype))


class _MultiScale(linen.Module):
    """A flow of images in scales; a subclass makes ``before`` (of every scale) and ``after`` in its ``setup``.

    A scale turns blocks of 2 x 2 pixels into four times the channels between ``before`` and ``after``. The second half
    of its channels is final, the first goes through the next scale; put together again the result is as large as the
    image.
    """

    def __call__(self, x: ArrayLike, train: bool = False) -> tuple[Array, Array]:
        """Map images ``x`` ``[B, H, W, C]`` to latent ones ``z``, as large, and ``ln |det dz / dx|`` ``[B]``.

        Raises:
            ValueError: height or width cannot be halved as often as there are scales.
        """
        del train  # nothing is random
        x = jnp.asarray(x, self.dtype)
        self._check_size(x)
        log_det, final = jnp.zeros(x.shape[:1], x.dtype), []
        for scale, after in enumerate(self.after):
            if self.before:
                x, term = self.before[scale](x)
                log_det = log_det + term
            x, term = after(squeeze(x))
            log_det = log_det + term
            if scale + 1 < self.num_scales:
                x, rest = jnp.split(x, 2, axis=-1)
                final.append(rest)
        for rest in reversed(final):
            x = jnp.concatenate([unsqueeze(x), rest], axis=-1)
        return unsqueeze(x), log_det

    def inverse(self, z: ArrayLike) -> Array:
        """Map latent images to images.

        Raises:
            ValueError: height or width cannot be halved as often as there are scales.
        """
        z = jnp.asarray(z, self.dtype)
        self._check_size(z)
        z, final = squeeze(z), []
        for _ in range(self.num_scales - 1):
            z, rest = jnp.split(z, 2, axis=-1)
            z = squeeze(z)
            final.append(rest)
        for scale, after in reversed([*enumerate(self.after)]):
            if scale + 1 < self.num_scales:
                z = jnp.concatenate([z, final[scale]], axis=-1)
            z = unsqueeze(after.inverse(z))
            if self.before:
                z = self.before[scale].inverse(z)
        return z

    def _check_size(self, x: Array) -> None:
        unit = 2**self.num_scales
        if x.ndim != 4 or x.shape[1] % unit or x.shape[2] % unit:
            raise ValueError(
                f"expected images [B, H, W, C] with H and W divisible by {unit} for {self.num_scales} scales, got "
                f"{x.shape}; pad them{channels_last_hint(x.shape)}"
            )


class RealNVP(_MultiScale):
    """A flow of images: couplings of checkerboards and of channels at several scales (Dinh et al., 2017).

    The published network has batch norms in between, which make the density of an image depend on its batch; they are
    left out. The latent images are standard normal: `jaxdl.generative.flow_log_likelihood` is the objective, and
    ``model.apply(variables, z, method="inverse")`` makes images.

    Attributes:
        num_scales: number of scales.
        num_couplings: of each kind at each scale.
        hidden_size: channels of the conditioners.
        num_blocks: residual blocks of a conditioner.
        dtype: of the computation.

    >>> model = RealNVP(num_scales=1, hidden_size=4)
    >>> (z, log_det), _ = jax.eval_shape(model.init_with_output, jax.random.key(0), jnp.zeros((5, 4, 4, 1)))
    >>> z.shape, log_det.shape
    ((5, 4, 4, 1), (5,))
    """

    num_scales: int = 2
    num_couplings: int = 4
    hidden_size: int = 64
    num_blocks: int = 2
    dtype: Any = None

    def setup(self) -> None:
        """Make the couplings of every scale."""
        couplings = partial(_Couplings, self.num_couplings, self.hidden_size, self.num_blocks, dtype=self.dtype)
        self.before: Sequence[Any] = [couplings("checkerboard") for _ in range(self.num_scales)]
        self.after: Sequence[Any] = [couplings("halves") for _ in range(self.num_scales)]


class Glow(_MultiScale):
    """A flow of images whose steps are an `ActNorm`, an `InvertibleConv` and an `AffineCoupling` (Kingma, 2018).

    The first batch that ``init`` sees determines the activation norms.

    Attributes:
        num_scales: number of scales.
        num_steps: steps at each scale.
        hidden_size: channels of the conditioners.
        dtype: of the computation.

    >>> model = Glow(num_scales=1, num_steps=2, hidden_size=4)
    >>> (z, log_det), _ = jax.eval_shape(model.init_with_output, jax.random.key(0), jnp.zeros((5, 4, 4, 1)))
    >>> z.shape, log_det.shape
    ((5, 4, 4, 1), (5,))
    """

    num_scales: int = 2
    num_steps: int = 8
    hidden_size: int = 64
    dtype: Any = None

    def setup(self) -> None:
        """Make the steps of every scale."""
        self.before: Sequence[Any] = ()
        self.after: Sequence[Any] = [
            _GlowSteps(self.num_steps, self.hidden_size, self.dtype) for _ in range(self.num_scales)
        ]


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


register("realnvp", RealNVP, input_shape=(32, 32, 3), description="RealNVP of two scales for images of 32 x 32")
