"""Variational autoencoders: encoders to a distribution of a latent vector, and decoders from its samples.

The networks draw nothing: noise and samples are arguments. Their objectives are in `jaxdl.generative`, and
`jaxdl.tasks` joins both. Outputs are logits of pixels in [0, 1], or means.
"""

import math
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from flax import linen

from jaxdl.arrays import widen
from jaxdl.checks import check_positive_integer
from jaxdl.models.dense.probabilistic_unet import Gaussian
from jaxdl.models.generative.autoencoder import ConvAutoencoder, flatten_examples
from jaxdl.models.layers import collect
from jaxdl.models.mlp import MLP
from jaxdl.models.registry import register
from jaxdl.nn.activations import Activation
from jaxdl.typing import Array, ArrayLike


class VAE(linen.Module):
    """A variational autoencoder with a Gaussian latent vector (Kingma and Welling, 2014)::

        q(z | x) = N(m(x), diag s(x)^2)        encoder, a multilayer perceptron
        y = decode(z)                          decoder, logits or means of the elements of ``x``

    Attributes:
        input_shape: shape of an example.
        hidden_sizes: units of the encoder's hidden layers; the decoder mirrors them.
        latent_size: elements of ``z``.
        activation: of the hidden layers.
        dtype: of the computation.

    >>> import jax
    >>> model, x = VAE((4, 4, 1), hidden_sizes=(8,), latent_size=2), jnp.zeros((3, 4, 4, 1))
    >>> logits, variables = model.init_with_output(jax.random.key(0), x)
    >>> logits.shape, model.apply(variables, x, method="encode").mean.shape
    ((3, 4, 4, 1), (3, 2))
    """

    input_shape: Sequence[int] = (28, 28, 1)
    hidden_sizes: Sequence[int] = (400,)
    latent_size: int = 20
    activation: str | Activation = "relu"
    dtype: Any = None

    def setup(self) -> None:
        """Make both parts."""
        check_positive_integer("latent_size", self.latent_size)
        self.encoder = MLP(self.hidden_sizes, 2 * self.latent_size, self.activation, self.dtype)
        self.decoder = MLP(self.hidden_sizes[::-1], math.prod(self.input_shape), self.activation, self.dtype)

    def encode(self, x: ArrayLike) -> Gaussian:
        """Compute means and logarithms of deviations ``[B, latent_size]`` of ``q(z | x)``, in at least float32.

        Raises:
            ValueError: an example has another shape than ``input_shape``.
        """
        output: Any = self.encoder(flatten_examples(x, self.input_shape))
        return Gaussian(*jnp.split(widen(output), 2, axis=-1))

    def decode(self, z: ArrayLike) -> Array:
        """Map latent vectors ``[B, latent_size]`` to logits or means ``[B, ...]``."""
        output: Any = self.decoder(z)
        return output.reshape(-1, *self.input_shape)

    def __call__(
        self,
        x: ArrayLike,
        train: bool = False,
        return_intermediates: bool = False,
        *,
        noise: ArrayLike | None = None,
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Reconstruct examples ``[B, ...]`` from the mean of ``q(z | x)``, or from ``m + s * noise``.

        Args:
            x: examples.
            train: has no effect.
            return_intermediates: also return ``mean``, ``log_std`` and ``latent``, ``[B, latent_size]``.
            noise: standard normal, ``[B, latent_size]``.
        """
        out: dict[str, Array] = {}
        posterior = self.encode(x)
        mean, log_std = collect(out, "mean", posterior.mean), collect(out, "log_std", posterior.log_std)
        z = mean if noise is None else Gaussian(mean, log_std).sample(jnp.asarray(noise))
        logits = self.decode(collect(out, "latent", z))
        return (logits, out) if return_intermediates else logits


class CategoricalVAE(linen.Module):
    """A variational autoencoder with several categorical latent variables (Jang et al., 2017; Maddison et al., 2017).

    Attributes:
        input_shape: shape of an example.
        hidden_sizes: units of the encoder's hidden layers; the decoder mirrors them.
        num_latents: number of latent variables ``N``.
        num_categories: values of each, ``K``.
        activation: of the hidden layers.
        dtype: of the computation.

    >>> import jax
    >>> model, x = CategoricalVAE((4, 4, 1), (8,), num_latents=3, num_categories=5), jnp.zeros((2, 4, 4, 1))
    >>> logits, variables = model.init_with_output(jax.random.key(0), x)
    >>> logits.shape, model.apply(variables, x, method="encode").shape
    ((2, 4, 4, 1), (2, 3, 5))
    """

    input_shape: Sequence[int] = (28, 28, 1)
    hidden_sizes: Sequence[int] = (400,)
    num_latents: int = 20
    num_categories: int = 10
    activation: str | Activation = "relu"
    dtype: Any = None

    def setup(self) -> None:
        """Make both parts."""
        check_positive_integer("num_latents", self.num_latents)
        check_positive_integer("num_categories", self.num_categories)
        outputs = self.num_latents * self.num_categories
        self.encoder = MLP(self.hidden_sizes, outputs, self.activation, self.dtype)
        self.decoder = MLP(self.hidden_sizes[::-1], math.prod(self.input_shape), self.activation, self.dtype)

    def encode(self, x: ArrayLike) -> Array:
        """Compute the logits ``[B, N, K]`` of ``q(z | x)``, in at least float32."""
        output: Any = self.encoder(flatten_examples(x, self.input_shape))
        return widen(output).reshape(-1, self.num_latents, self.num_categories)

    def decode(self, z: ArrayLike) -> Array:
        """Map one-hot or relaxed latent variables ``[B, N, K]`` to logits or means ``[B, ...]``."""
        output: Any = self.decoder(z)
        return output.reshape(-1, *self.input_shape)

    def __call__(
        self, x: ArrayLike, train: bool = False, return_intermediates: bool = False
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Reconstruct examples ``[B, ...]`` from the probabilities of ``q(z | x)``; the only intermediate is these."""
        out: dict[str, Array] = {}
        probabilities = collect(out, "probabilities", linen.softmax(self.encode(x)))
        logits = self.decode(probabilities)
        return (logits, out) if return_intermediates else logits


class VQVAE(linen.Module):
    """A convolutional autoencoder with a codebook, whose vectors replace those of the code (van den Oord et al., 2017).

    The network has the codebook; `jaxdl.generative.quantize_vectors` replaces the vectors.

    Attributes:
        widths: channels after each convolution; the last are the elements of a code vector.
        codebook_size: vectors in the codebook.
        channels: of the images.
        activation: after every convolution but the last of each part.
        dtype: of the computation.

    >>> import jax
    >>> model, x = VQVAE((8, 2), codebook_size=5), jnp.zeros((2, 8, 8, 1))
    >>> logits, variables = model.init_with_output(jax.random.key(0), x)
    >>> logits.shape, variables["params"]["codebook"].shape
    ((2, 8, 8, 1), (5, 2))
    """

    widths: Sequence[int] = (32, 16)
    codebook_size: int = 64
    channels: int = 1
    activation: str | Activation = "relu"
    dtype: Any = None

    def setup(self) -> None:
        """Make the autoencoder and the codebook, uniform in ``[-1 / codebook_size, 1 / codebook_size]``."""
        check_positive_integer("codebook_size", self.codebook_size)
        self.autoencoder = ConvAutoencoder(self.widths, self.channels, self.activation, self.dtype)
        init = linen.initializers.variance_scaling(1 / (3 * self.codebook_size), "fan_in", "uniform")
        self.codebook = self.param("codebook", init, (self.codebook_size, self.widths[-1]))

    def encode(self, x: ArrayLike) -> Array:
        """Compute the code vectors ``[B, H / 2^n, W / 2^n, D]`` of images, before they are replaced."""
        return widen(self.autoencoder.encode(x))

    def vectors(self) -> Array:
        """Return the codebook ``[codebook_size, D]``."""
        return self.codebook

    def decode(self, z: ArrayLike) -> Array:
        """Map code vectors to logits or means ``[B, H, W, channels]``."""
        return self.autoencoder.decode(z)

    def __call__(
        self, x: ArrayLike, train: bool = False, return_intermediates: bool = False
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Reconstruct images from the nearest vectors of the codebook; intermediates are ``code`` and ``latent``."""
        out: dict[str, Array] = {}
        z = collect(out, "code", self.encode(x))
        codebook = jnp.asarray(self.codebook)
        z = collect(out, "latent", codebook[nearest_vectors(z, codebook)])
        logits = self.decode(z)
        return (logits, out) if return_intermediates else logits


def nearest_vectors(z: Array, codebook: Array) -> Array:
    """Return the indices ``[...]`` of the vectors of a codebook ``[K, D]`` that are nearest to ``z [..., D]``.

    >>> nearest_vectors(jnp.array([[0.9], [-3.0]]), jnp.array([[0.0], [1.0]])).tolist()
    [1, 0]
    """
    # |z|^2 is the same for all vectors; about their mean, so that no large squares cancel
    mean = jnp.mean(codebook, axis=0)
    z, codebook = z - mean[(None,) * (z.ndim - 1)], codebook - mean[None]
    distances = jnp.sum(jnp.square(codebook), axis=-1)[(None,) * (z.ndim - 1)] - 2 * z @ codebook.T
    return jnp.argmin(distances, axis=-1)


register(
    "vae", VAE, input_shape=(28, 28, 1), description="Variational autoencoder, 400 hidden units and 20 latent variables"
)
