"""Probabilistic U-Net, a distribution of segmentations of an ambiguous image (Kohl et al., 2018)."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen

from jaxdl.arrays import widen
from jaxdl.models.dense.unet import DoubleConv, UNet
from jaxdl.nn.convolution.convolution import Conv
from jaxdl.nn.convolution.pooling import global_average_pool, max_pool
from jaxdl.nn.initializers import he_normal
from jaxdl.typing import Array, ArrayLike


class Gaussian(NamedTuple):
    """A Gaussian with diagonal covariance, ``mean`` and ``log_std`` of ``[B, D]``."""

    mean: Array
    log_std: Array

    def sample(self, noise: Array) -> Array:
        """Return ``mean + std * noise``, with standard normal noise ``[..., B, D]``."""
        mean, std = (jnp.broadcast_to(each, noise.shape) for each in (self.mean, jnp.exp(self.log_std)))
        return mean + std * noise


class GaussianEncoder(linen.Module):
    """The encoder of a U-Net, the mean over its smallest scale, and a dense layer to a Gaussian."""

    latent_size: int
    widths: Sequence[int]
    batch_norm: bool = False
    dtype: Any = None

    @linen.compact
    def __call__(self, x: Array, train: bool = False) -> Gaussian:
        """Map ``[B, H, W, C]`` to means and logarithms of deviations ``[B, latent_size]``, in at least float32."""
        for scale, width in enumerate(self.widths, 1):
            x = x if scale == 1 else max_pool(x, 2)
            x = DoubleConv(width, "same", self.batch_norm, self.dtype, name=f"down{scale}")(x, train)
        x = linen.Dense(2 * self.latent_size, dtype=self.dtype, name="output")(global_average_pool(x))
        return Gaussian(*jnp.split(widen(x), 2, axis=-1))


class ProbabilisticUNet(linen.Module):
    """A U-Net whose last layers also see a vector ``z``, which stands for one reading of the image::

        z ~ p(z | x) = N(m_p(x), s_p(x)^2)              prior, to draw readings
        z ~ q(z | x, y) = N(m_q(x, y), s_q(x, y)^2)     posterior, in training: the reading ``y`` of an annotator
        logits = W_3 relu(W_2 relu(W_1 [unet(x), z]))   at every pixel

    The network draws nothing: noise is an argument. `jaxdl.tasks.probabilistic_segmentation` trains it, and
    `sample_segmentations` is applied by ``model.apply(variables, x, noise, method="sample_segmentations")``.

    Attributes:
        num_classes: number of logits at every pixel.
        widths: channels at each scale of the U-Net, with padding, and of both encoders.
        latent_size: elements of ``z``.
        batch_norm: apply batch norm after every convolution of 3 x 3.
        dtype: of the computation.

    >>> model, x = ProbabilisticUNet(widths=(4, 8)), jnp.zeros((1, 8, 8, 1))
    >>> noise, labels = jnp.zeros((1, 6)), jnp.zeros((1, 8, 8), int)
    >>> build = lambda key: model.init_with_output(key, x, noise, jax.nn.one_hot(labels, 2))
    >>> (logits, posterior, prior), _ = jax.eval_shape(build, jax.random.key(0))
    >>> logits.shape, posterior.mean.shape
    ((1, 8, 8, 2), (1, 6))
    """

    num_classes: int = 2
    widths: Sequence[int] = (32, 64, 128, 192)
    latent_size: int = 6
    batch_norm: bool = False
    dtype: Any = None

    def setup(self) -> None:
        """Make the four parts."""
        common = {"widths": self.widths, "batch_norm": self.batch_norm, "dtype": self.dtype}
        self.unet = UNet(None, padding="same", dropout_rate=0.0, **common)
        self.prior = GaussianEncoder(self.latent_size, **common)
        self.posterior = GaussianEncoder(self.latent_size, **common)
        sizes = (self.widths[0], self.widths[0], self.num_classes)
        self.combine = [Conv(size, (1, 1), kernel_init=he_normal(), dtype=self.dtype) for size in sizes]

    def __call__(
        self, x: ArrayLike, noise: ArrayLike, labels: ArrayLike, train: bool = False
    ) -> tuple[Array, Gaussian, Gaussian]:
        """Compute the logits for a ``z`` of the posterior, the posterior, and the prior.

        Args:
            x: images ``[B, H, W, C]``, with sizes as for a `UNet` with padding.
            noise: standard normal, ``[B, latent_size]``.
            labels: probabilities of the classes ``[B, H, W, num_classes]``, 0 or 1; all 0 where the label is unknown.
            train: whether batch norms use the moments of the batch.
        """
        x, labels = jnp.asarray(x, self.dtype), jnp.asarray(labels)
        prior = self.prior(x, train)
        posterior = self.posterior(jnp.concatenate([x, labels.astype(x.dtype)], axis=-1), train)
        features: Any = self.unet(x, train)
        logits = self._decode(features, posterior.sample(jnp.asarray(noise)))
        return logits, posterior, prior

    def sample_segmentations(self, x: ArrayLike, noise: ArrayLike, train: bool = False) -> Array:
        """Compute the logits ``[N, B, H, W, num_classes]`` for ``N`` vectors of the prior.

        Args:
            x: images ``[B, H, W, C]``.
            noise: standard normal, ``[N, B, latent_size]``; zeros for the mean of the prior.
            train: whether batch norms use the moments of the batch.
        """
        x, noise = jnp.asarray(x, self.dtype), jnp.asarray(noise)
        features: Any = self.unet(x, train)
        prior = self.prior(x, train)
        return self._decode(features, prior.sample(noise))

    def _decode(self, features: Array, z: Array) -> Array:
        """Compute the logits of the U-Net's features ``[B, H, W, C]`` and vectors ``[..., B, latent_size]``."""
        pixels, channels = features.shape[1:3], features.shape[-1]
        features = jnp.broadcast_to(features, (*z.shape[:-1], *pixels, channels))
        z = jnp.broadcast_to(z[..., None, None, :].astype(features.dtype), (*z.shape[:-1], *pixels, z.shape[-1]))
        y = jnp.concatenate([features, z], axis=-1)
        for layer in self.combine[:-1]:
            y = jax.nn.relu(layer(y))
        return self.combine[-1](y)
