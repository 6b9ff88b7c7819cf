"""CycleGAN's networks: a generator of residual blocks, and PatchGAN with instance norm (Zhu et al., 2017)."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen

from jaxdl.checks import check_positive_integer
from jaxdl.models.generative.dcgan import init_kernel
from jaxdl.models.generative.pix2pix import PatchDiscriminator
from jaxdl.models.layers import channels_last_hint, collect
from jaxdl.models.registry import register
from jaxdl.nn.convolution.convolution import Conv
from jaxdl.nn.convolution.transposed import ConvTranspose
from jaxdl.nn.normalization import InstanceNorm
from jaxdl.typing import Array, ArrayLike


def reflect(x: Array, pixels: int) -> Array:
    """Pad images ``[B, H, W, C]`` by their reflection at the border, which is not repeated.

    >>> reflect(jnp.arange(6.0).reshape(1, 2, 3, 1), 1)[0, 1, :, 0].tolist()
    [1.0, 0.0, 1.0, 2.0, 1.0]
    """
    return jnp.pad(x, ((0, 0), (pixels, pixels), (pixels, pixels), (0, 0)), mode="reflect")


class ReflectedBlock(linen.Module):
    """A residual block ``x + norm(conv2(relu(norm(conv1(x)))))`` of 3 x 3 convolutions with reflected borders."""

    dtype: Any = None

    @linen.compact
    def __call__(self, x: Array) -> Array:
        """Map ``[B, H, W, C]`` to the same shape."""
        conv = partial(Conv, x.shape[-1], (3, 3), kernel_init=init_kernel, dtype=self.dtype)
        norm = partial(InstanceNorm, use_scale=False, use_bias=False)
        y = jax.nn.relu(norm()(conv(name="conv1")(reflect(x, 1))))
        return x + norm()(conv(name="conv2")(reflect(y, 1)))


class CycleGANGenerator(linen.Module):
    """Images of images: a 7 x 7 convolution, two that halve, residual blocks, two that double, a 7 x 7 convolution.

    Every convolution but the last is followed by instance norm without parameters and ReLU, the last by ``tanh``.
    Layers are ``stem``, ``down1``, ``down2``, ``block1`` and so on, ``up1``, ``up2`` and ``output``; intermediates have
    the same names.

    Attributes:
        channels: of the result.
        width: channels after the first layer, a quarter of those of the blocks.
        num_blocks: 9 for images of 256 pixels, 6 for 128.
        dtype: of the computation.

    >>> model = CycleGANGenerator()
    >>> y, variables = jax.eval_shape(model.init_with_output, jax.random.key(0), jnp.zeros((1, 256, 256, 3)))
    >>> y.shape, sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
    ((1, 256, 256, 3), 11378179)
    """

    channels: int = 3
    width: int = 64
    num_blocks: int = 9
    dtype: Any = None

    @linen.compact
    def __call__(
        self, x: ArrayLike, train: bool = False, return_intermediates: bool = False
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Map images ``[B, H, W, C]`` to images ``[B, H, W, channels]`` from -1 to 1; ``train`` changes nothing.

        Raises:
            ValueError: height or width is not a multiple of 4, or below 8.
        """
        del train
        x = jnp.asarray(x, self.dtype)
        check_positive_integer("num_blocks", self.num_blocks)
        if x.ndim != 4 or any(size < 8 or size % 4 for size in x.shape[1:3]):
            hint = channels_last_hint(x.shape) or "; resize them"
            raise ValueError(f"expected images [B, H, W, C] with H and W multiples of 4 from 8 on, got {x.shape}{hint}")
        conv = partial(Conv, kernel_init=init_kernel, dtype=self.dtype)
        out: dict[str, Array] = {}

        def rectify(x: Array, name: str) -> Array:
            return collect(out, name, jax.nn.relu(InstanceNorm(use_scale=False, use_bias=False)(x)))

        x = rectify(conv(self.width, (7, 7), name="stem")(reflect(x, 3)), "stem")
        for number in (1, 2):
            name, width = f"down{number}", 2**number * self.width
            x = rectify(conv(width, (3, 3), stride=2, padding=1, name=name)(x), name)
        for number in range(1, self.num_blocks + 1):
            x = collect(out, f"block{number}", ReflectedBlock(self.dtype, name=f"block{number}")(x))
        for number in (1, 2):
            name, width = f"up{number}", self.width * 2 // number
            options = {"padding": 1, "output_padding": 1, "kernel_init": init_kernel, "dtype": self.dtype}
            x = rectify(ConvTranspose(width, (3, 3), stride=2, name=name, **options)(x), name)
        x = jnp.tanh(conv(self.channels, (7, 7), name="output")(reflect(x, 3)))
        return (x, out) if return_intermediates else x


register(
    "cyclegan_generator",
    CycleGANGenerator,
    input_shape=(256, 256, 3),
    description="CycleGAN's generator of 9 residual blocks, from images to images",
)
register(
    "cyclegan_discriminator",
    PatchDiscriminator,
    input_shape=(256, 256, 3),
    description="CycleGAN's PatchGAN with instance norm, a logit for each patch of an image",
    norm="instance",
)
