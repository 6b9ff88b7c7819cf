"""Normalizing flows, invertible networks with a cheap determinant: RealNVP (Dinh et al., 2017), Glow (Kingma, 2018)."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax.numpy as jnp
from flax import linen

from jaxdl.models.generative.flow_layers import (
    ActNorm,
    AffineCoupling,
    InvertibleConv,
    Pattern,
    squeeze,
    unsqueeze,
)
from jaxdl.models.layers import channels_last_hint
from jaxdl.models.registry import register
from jaxdl.typing import Array, ArrayLike


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

    >>> import jax
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
        out = self._checked(x)
        log_det, final = jnp.zeros(out.shape[:1], out.dtype), []
        for scale, after in enumerate(self.after):
            if self.before:
                out, term = self.before[scale](out)
                log_det = log_det + term
            out, term = after(squeeze(out))
            log_det = log_det + term
            if scale + 1 < self.num_scales:
                out, rest = jnp.split(out, 2, axis=-1)
                final.append(rest)
        for rest in reversed(final):
            out = jnp.concatenate([unsqueeze(out), rest], axis=-1)
        return unsqueeze(out), log_det

    def inverse(self, z: ArrayLike) -> Array:
        """Map latent images to images.

        Raises:
            ValueError: height or width cannot be halved as often as there are scales.
        """
        out, final = squeeze(self._checked(z)), []
        for _ in range(self.num_scales - 1):
            out, rest = jnp.split(out, 2, axis=-1)
            out = squeeze(out)
            final.append(rest)
        for scale, after in reversed([*enumerate(self.after)]):
            if scale + 1 < self.num_scales:
                out = jnp.concatenate([out, final[scale]], axis=-1)
            out = unsqueeze(after.inverse(out))
            if self.before:
                out = self.before[scale].inverse(out)
        return out

    def _checked(self, x: ArrayLike) -> Array:
        """Convert images, and check that they can be halved as often as there are scales."""
        images, unit = jnp.asarray(x, self.dtype), 2**self.num_scales
        if images.ndim != 4 or images.shape[1] % unit or images.shape[2] % unit:
            raise ValueError(
                f"expected images [B, H, W, C] with H and W divisible by {unit} for {self.num_scales} scales, got "
                f"{images.shape}; pad them{channels_last_hint(images.shape)}"
            )
        return images


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

    >>> import jax
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

    >>> import jax
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


register("realnvp", RealNVP, input_shape=(32, 32, 3), description="RealNVP of two scales for images of 32 x 32")
