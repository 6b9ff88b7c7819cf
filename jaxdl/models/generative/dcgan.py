"""DCGAN, a generator and a discriminator of strided convolutions (Radford et al., 2016)."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen

from jaxdl.models.layers import check_image_size, collect
from jaxdl.models.registry import register
from jaxdl.nn.convolution.convolution import Conv
from jaxdl.nn.convolution.transposed import ConvTranspose
from jaxdl.nn.normalization import BatchNorm
from jaxdl.nn.spectral import SpectralNorm
from jaxdl.typing import Array, ArrayLike, Key

init_kernel = linen.initializers.normal(0.02)
"""Normal with a deviation of 0.02, as published."""


def init_scale(key: Key, shape: Sequence[int], dtype: Any = jnp.float32) -> Array:
    """Draw the scale of a batch norm: normal around 1 with a deviation of 0.02."""
    return 1 + init_kernel(key, shape, dtype)


class DCGANGenerator(linen.Module):
    """Images of latent vectors: ``y = tanh(upconv_n(.. relu(norm(upconv_1(z)))))``, all kernels 4 x 4.

    The first layer makes ``4 x 4`` pixels of the vector; each of the others doubles the size: ``4 * 2^len(widths)``.
    Layers are ``upconv1``, ``norm1``, ..., ``output``, none of the convolutions with a bias; intermediates are
    ``hidden1`` and so on.

    Attributes:
        channels: of the images.
        widths: channels of the layers but the last; four for 64 x 64 pixels.
        dtype: of the computation.

    >>> model = DCGANGenerator()
    >>> y, variables = jax.eval_shape(model.init_with_output, jax.random.key(0), jnp.zeros((2, 100)))
    >>> y.shape, sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
    ((2, 64, 64, 3), 3576704)
    """

    channels: int = 3
    widths: Sequence[int] = (512, 256, 128, 64)
    dtype: Any = None

    @linen.compact
    def __call__(
        self, z: ArrayLike, train: bool = False, return_intermediates: bool = False
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Map latent vectors ``[B, D]`` to images ``[B, H, W, channels]`` from -1 to 1.

        Raises:
            ValueError: the latent vectors have another rank.
        """
        z = jnp.asarray(z, self.dtype)
        if z.ndim != 2:
            raise ValueError(f"expected latent vectors [B, D], got {z.shape}")
        options = {"use_bias": False, "kernel_init": init_kernel, "dtype": self.dtype}
        out: dict[str, Array] = {}
        x = z[:, None, None, :]
        for number, width in enumerate(self.widths, 1):
            doubling = {} if number == 1 else {"stride": 2, "padding": 1}
            x = ConvTranspose(width, (4, 4), **doubling, **options, name=f"upconv{number}")(x)
            x = jax.nn.relu(BatchNorm(scale_init=init_scale, name=f"norm{number}")(x, train))
            x = collect(out, f"hidden{number}", x)
        x = jnp.tanh(ConvTranspose(self.channels, (4, 4), stride=2, padding=1, **options, name="output")(x))
        return (x, out) if return_intermediates else x


class DCGANDiscriminator(linen.Module):
    """A logit for each image, by convolutions of 4 x 4 that halve the size and leaky ReLU with a slope of 0.2.

    There is no pooling and no dense layer: the last convolution covers the ``4 x 4`` pixels that are left, so images
    have ``4 * 2^len(widths)`` pixels on each side. Layers are ``conv1``, ``conv2``, ``norm2``, ..., ``output``, none of
    the convolutions with a bias; intermediates are ``hidden1`` and so on. A sigmoid of the logit is the probability of
    the published network.

    Attributes:
        widths: channels of the layers but the last.
        batch_norm: normalize all layers but the first and the last; not with a gradient penalty.
        spectral_norm: divide every kernel by its largest singular value.
        dtype: of the computation.

    >>> model = DCGANDiscriminator()
    >>> y, variables = jax.eval_shape(model.init_with_output, jax.random.key(0), jnp.zeros((2, 64, 64, 3)))
    >>> y.shape, sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
    ((2, 1), 2765568)
    """

    widths: Sequence[int] = (64, 128, 256, 512)
    batch_norm: bool = True
    spectral_norm: bool = False
    dtype: Any = None

    @linen.compact
    def __call__(
        self, x: ArrayLike, train: bool = False, return_intermediates: bool = False
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Map images ``[B, H, W, C]`` to logits ``[B, 1]``.

        Raises:
            ValueError: the images have another size.
        """
        x = jnp.asarray(x, self.dtype)
        side = 4 * 2 ** len(self.widths)
        check_image_size("DCGANDiscriminator", x, side)
        if x.shape[1:3] != (side, side):
            raise ValueError(f"expected images of {side} x {side} pixels for {len(self.widths)} widths, got {x.shape}")
        out: dict[str, Array] = {}
        for number, width in enumerate(self.widths, 1):
            x = self.convolve(x, train, width, f"conv{number}", stride=2, padding=1)
            if self.batch_norm and number > 1:
                x = BatchNorm(scale_init=init_scale, name=f"norm{number}")(x, train)
            x = collect(out, f"hidden{number}", jax.nn.leaky_relu(x, 0.2))
        x = self.convolve(x, train, 1, "output")[:, 0, 0, :]
        return (x, out) if return_intermediates else x

    def convolve(self, x: Array, train: bool, features: int, name: str, **options: Any) -> Array:
        """Apply a convolution of 4 x 4, normalized if the network is."""
        layer = Conv(features, (4, 4), use_bias=False, kernel_init=init_kernel, dtype=self.dtype, name=name, **options)
        return SpectralNorm(layer, name=f"{name}_spectral")(x, train) if self.spectral_norm else layer(x)


register(
    "dcgan_generator",
    DCGANGenerator,
    input_shape=(100,),
    description="DCGAN's generator of images of 64 x 64 pixels",
)
register(
    "dcgan_discriminator",
    DCGANDiscriminator,
    input_shape=(64, 64, 3),
    description="DCGAN's discriminator of images of 64 x 64 pixels",
)
