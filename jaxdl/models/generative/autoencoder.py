"""Autoencoders: networks that reconstruct their input from a code.

Every network has the methods ``encode`` and ``decode``, and returns the reconstruction of its input, or its
logits for a Bernoulli likelihood; `jaxdl.tasks.autoencoding` trains any of them.
"""

import math
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import jax.numpy as jnp
from flax import linen
from flax.linen.dtypes import promote_dtype

from jaxdl.checks import check_positive_integer
from jaxdl.models.layers import collect
from jaxdl.nn.activations import Activation, get_activation
from jaxdl.nn.convolution.convolution import Conv
from jaxdl.nn.convolution.pooling import max_pool_with_switches, max_unpool
from jaxdl.nn.convolution.transposed import ConvTranspose
from jaxdl.nn.dense import linear
from jaxdl.nn.initializers import lecun_normal
from jaxdl.typing import Array, ArrayLike

Reconstruction = Array | tuple[Array, dict[str, Array]]


class Autoencoder(linen.Module):
    """A dense autoencoder (Rumelhart, Hinton and Williams, 1986)::

        h_k = g(h_(k-1) W_k + b_k)           encoder, ``h_0`` the flattened input, the last ``h_k`` the code
        g_k = g(g_(k-1) V_k + c_k)           decoder, ``g_0`` the code, the last layer linear

    Attributes:
        input_shape: shape of an example.
        hidden_sizes: units of the encoder's layers; the last is the size of the code. The decoder mirrors them.
        activation: ``g``.
        code_activation: activation of the code.
        dtype: of the computation.

    >>> import jax
    >>> model = Autoencoder((4, 4, 1), hidden_sizes=(8, 3))
    >>> x_hat, variables = model.init_with_output(jax.random.key(0), jnp.zeros((2, 4, 4, 1)))
    >>> x_hat.shape, model.apply(variables, jnp.zeros((2, 4, 4, 1)), method="encode").shape
    ((2, 4, 4, 1), (2, 3))
    """

    input_shape: Sequence[int] = (28, 28, 1)
    hidden_sizes: Sequence[int] = (128, 32)
    activation: str | Activation = "relu"
    code_activation: str | Activation = "identity"
    dtype: Any = None

    def setup(self) -> None:
        """Make the layers."""
        sizes, dense = self._layer_sizes(), partial(linen.Dense, dtype=self.dtype)
        self.encoder: Any = [dense(size) for size in sizes[1:]]
        self.decoder: Any = [dense(size) for size in sizes[-2::-1]]

    def encode(self, x: ArrayLike) -> Array:
        """Compute the codes ``[B, hidden_sizes[-1]]`` of examples ``[B, ...]``.

        Raises:
            ValueError: an example has another shape than ``input_shape``.
        """
        x = flatten_examples(x, self.input_shape)
        activation = get_activation(self.activation)
        for layer in self.encoder[:-1]:
            x = activation(layer(x))
        return get_activation(self.code_activation)(self.encoder[-1](x))

    def decode(self, code: ArrayLike) -> Array:
        """Reconstruct examples ``[B, ...]`` from codes ``[B, hidden_sizes[-1]]``."""
        x, activation = jnp.asarray(code), get_activation(self.activation)
        for layer in self.decoder[:-1]:
            x = activation(layer(x))
        return self.decoder[-1](x).reshape(-1, *self.input_shape)

    def __call__(self, x: ArrayLike, train: bool = False, return_intermediates: bool = False) -> Reconstruction:
        """Reconstruct examples ``[B, ...]``; the only intermediate is the ``code``."""
        out: dict[str, Array] = {}
        x_hat = self.decode(collect(out, "code", self.encode(x)))
        return (x_hat, out) if return_intermediates else x_hat

    def _layer_sizes(self) -> list[int]:
        for layer, size in enumerate(self.hidden_sizes):
            check_positive_integer(f"hidden_sizes[{layer}]", size)
        if not self.hidden_sizes:
            raise ValueError("expected hidden_sizes with the size of the code, got none; give at least one")
        return [math.prod(self.input_shape), *self.hidden_sizes]


class TiedAutoencoder(Autoencoder):
    """An `Autoencoder` whose decoder has the transposed kernels of the encoder, ``V_k = W_k^T``, and its own biases.

    >>> import jax
    >>> variables = TiedAutoencoder((6,), hidden_sizes=(3,)).init(jax.random.key(0), jnp.zeros((2, 6)))
    >>> jax.tree.map(jnp.shape, variables["params"])
    {'decoder_bias1': (6,), 'encoder_bias1': (3,), 'kernel1': (6, 3)}
    """

    def setup(self) -> None:
        """Make the parameters."""
        sizes, zeros = self._layer_sizes(), linen.initializers.zeros
        encoder, decoder = [], []
        for number, (inputs, units) in enumerate(pairwise(sizes), 1):
            kernel = self.param(f"kernel{number}", lecun_normal(), (inputs, units))
            encoder.append((kernel, self.param(f"encoder_bias{number}", zeros, (units,))))
            decoder.append((kernel.T, self.param(f"decoder_bias{number}", zeros, (inputs,))))
        self.encoder = [partial(_linear, kernel=kernel, bias=bias, dtype=self.dtype) for kernel, bias in encoder]
        self.decoder = [partial(_linear, kernel=kernel, bias=bias, dtype=self.dtype) for kernel, bias in decoder[::-1]]


class ConvAutoencoder(linen.Module):
    """Convolutions with stride 2, and transposed ones that undo the strides.

    Kernels of 4 x 4 are divisible by the stride, so that all pixels of a reconstruction have equally many summands.

    Attributes:
        widths: channels after each convolution; the last are those of the code.
        channels: of the images.
        activation: after every convolution but the last of each part.
        dtype: of the computation.

    >>> import jax
    >>> model, x = ConvAutoencoder((8, 2)), jnp.zeros((2, 12, 8, 1))
    >>> (x_hat, out), _ = model.init_with_output(jax.random.key(0), x, return_intermediates=True)
    >>> x_hat.shape, out["code"].shape
    ((2, 12, 8, 1), (2, 3, 2, 2))
    """

    widths: Sequence[int] = (16, 32)
    channels: int = 1
    activation: str | Activation = "relu"
    dtype: Any = None

    def setup(self) -> None:
        """Make the layers."""
        options = {"stride": 2, "padding": 1, "dtype": self.dtype}
        self.encoder = [Conv(width, (4, 4), **options) for width in self.widths]
        backwards = (*self.widths[-2::-1], self.channels)
        self.decoder = [ConvTranspose(width, (4, 4), **options) for width in backwards]

    def encode(self, x: ArrayLike) -> Array:
        """Compute the codes ``[B, H / 2^n, W / 2^n, C]`` of images ``[B, H, W, channels]``, ``n = len(widths)``.

        Raises:
            ValueError: ``H`` or ``W`` is not divisible by ``2^n``.
        """
        x, activation = check_halving(x, len(self.widths)), get_activation(self.activation)
        for layer in self.encoder[:-1]:
            x = activation(layer(x))
        return self.encoder[-1](x)

    def decode(self, code: ArrayLike) -> Array:
        """Reconstruct images ``[B, H, W, channels]``."""
        x, activation = jnp.asarray(code), get_activation(self.activation)
        for layer in self.decoder[:-1]:
            x = activation(layer(x))
        return self.decoder[-1](x)

    def __call__(self, x: ArrayLike, train: bool = False, return_intermediates: bool = False) -> Reconstruction:
        """Reconstruct images ``[B, H, W, channels]``; the only intermediate is the ``code``."""
        out: dict[str, Array] = {}
        x_hat = self.decode(collect(out, "code", self.encode(x)))
        return (x_hat, out) if return_intermediates else x_hat


class UnpoolingAutoencoder(linen.Module):
    """Convolutions with max-pooling, and unpooling to the positions of the maxima with convolutions.

    The switches, two bits for each pooled element, pass from the encoder to the decoder beside the code (Zhao et al.,
    2015): the code alone does not determine the reconstruction.

    Attributes:
        widths: channels after each convolution; the last are those of the code.
        channels: of the images.
        activation: after every convolution but the last of each part.
        dtype: of the computation.

    >>> import jax
    >>> model, x = UnpoolingAutoencoder((8, 2)), jnp.zeros((2, 12, 8, 1))
    >>> (x_hat, out), _ = model.init_with_output(jax.random.key(0), x, return_intermediates=True)
    >>> x_hat.shape, out["code"].shape
    ((2, 12, 8, 1), (2, 3, 2, 2))
    """

    widths: Sequence[int] = (16, 32)
    channels: int = 1
    activation: str | Activation = "relu"
    dtype: Any = None

    def setup(self) -> None:
        """Make the layers."""
        options = {"padding": "same", "dtype": self.dtype}
        self.encoder = [Conv(width, (3, 3), **options) for width in self.widths]
        self.decoder = [Conv(width, (3, 3), **options) for width in (*self.widths[-2::-1], self.channels)]

    def encode_with_switches(self, x: ArrayLike) -> tuple[Array, list[Array]]:
        """Compute the codes ``[B, H / 2^n, W / 2^n, C]`` of images, and the switches of each pooling.

        Raises:
            ValueError: ``H`` or ``W`` is not divisible by ``2^n``.
        """
        x, activation = check_halving(x, len(self.widths)), get_activation(self.activation)
        switches = []
        for number, layer in enumerate(self.encoder, 1):
            x = layer(x) if number == len(self.widths) else activation(layer(x))
            x, places = max_pool_with_switches(x, 2)
            switches.append(places)
        return x, switches

    def encode(self, x: ArrayLike) -> Array:
        """Compute the codes alone."""
        return self.encode_with_switches(x)[0]

    def decode(self, code: ArrayLike, switches: Sequence[Array]) -> Array:
        """Reconstruct images ``[B, H, W, channels]`` from codes and switches."""
        x, activation = jnp.asarray(code), get_activation(self.activation)
        for number, (layer, places) in enumerate(zip(self.decoder, reversed(switches), strict=True), 1):
            size = [2 * side for side in x.shape[1:3]]
            x = layer(max_unpool(x, places, size))
            x = x if number == len(self.widths) else activation(x)
        return x

    def __call__(self, x: ArrayLike, train: bool = False, return_intermediates: bool = False) -> Reconstruction:
        """Reconstruct images ``[B, H, W, channels]``; the only intermediate is the ``code``."""
        out: dict[str, Array] = {}
        code, switches = self.encode_with_switches(x)
        x_hat = self.decode(collect(out, "code", code), switches)
        return (x_hat, out) if return_intermediates else x_hat


def flatten_examples(x: ArrayLike, input_shape: Sequence[int]) -> Array:
    """Flatten examples ``[B, ...]`` of a known shape to ``[B, N]``.

    Raises:
        ValueError: they have another shape.

    >>> flatten_examples(jnp.zeros((2, 4, 4)), (4, 4, 1))
    Traceback (most recent call last):
    ...
    ValueError: expected examples [B, 4, 4, 1], got (2, 4, 4); create the model with their input_shape
    """
    x = jnp.asarray(x)
    if x.shape[1:] != tuple(input_shape) or x.ndim == 0:
        shape = ", ".join(["B", *map(str, input_shape)])
        raise ValueError(f"expected examples [{shape}], got {x.shape}; create the model with their input_shape")
    return x.reshape(x.shape[0], math.prod(input_shape))


def check_halving(x: ArrayLike, times: int) -> Array:
    """Check that images ``[B, H, W, C]`` can be halved several times, and convert them to an array.

    Raises:
        ValueError: the rank is not 4, or a side is not divisible by ``2^times``.

    >>> check_halving(jnp.zeros((1, 14, 14, 1)), 2)
    Traceback (most recent call last):
    ...
    ValueError: expected images [B, H, W, C] with sides divisible by 4, got (1, 14, 14, 1); pad or resize them
    """
    x = jnp.asarray(x)
    if x.ndim != 4 or any(side % 2**times for side in x.shape[1:3]):
        raise ValueError(
            f"expected images [B, H, W, C] with sides divisible by {2**times}, got {x.shape}; pad or resize them"
        )
    return x


def _linear(x: Array, kernel: Array, bias: Array, dtype: Any) -> Array:
    """Compute `nn.linear` in the dtype that ``linen.Dense`` would compute in."""
    return linear(*promote_dtype(x, kernel, bias, dtype=dtype))
