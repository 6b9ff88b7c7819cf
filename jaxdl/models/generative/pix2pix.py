"""pix2pix, a U-Net from images to images and a discriminator of patches (Isola et al., 2017)."""

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import linen

from jaxdl.checks import check_one_of, check_positive_integer
from jaxdl.models.generative.dcgan import init_kernel, init_scale
from jaxdl.models.layers import channels_last_hint, check_image_size, collect
from jaxdl.models.registry import register
from jaxdl.nn.convolution.convolution import Conv
from jaxdl.nn.convolution.transposed import ConvTranspose
from jaxdl.nn.noise import Dropout
from jaxdl.nn.normalization import BatchNorm, InstanceNorm
from jaxdl.typing import Array, ArrayLike


class Pix2PixGenerator(linen.Module):
    """A U-Net of convolutions of 4 x 4 that halve and double the size::

        d_1 = down_1(x)        d_s = norm(down_s(lrelu(d_(s-1))))              s = 2 .. S, the last without norm
        u_S = norm(up_S(relu(d_S)))      u_s = norm(up_s(relu([d_s, u_(s+1)])))      y = tanh(up_1(relu([d_1, u_2])))

    with a slope of 0.2 in ``lrelu``. Layers are ``down1`` to ``downS``, ``up1`` to ``upS``, and ``down_norm2``,
    ``up_norm2`` and so on; intermediates have the names of the convolutions.

    Dropout is the only noise of the published model, which keeps it, and the moments of the batch, when it generates:
    apply with ``train=True`` for its results.

    Attributes:
        channels: of the result.
        widths: channels at each scale; eight for images of at least 256 pixels.
        dropout_rate: share dropped after the norms of ``up5`` to ``up(S-1)``, of the small scales but the smallest.
        dtype: of the computation.

    >>> model = Pix2PixGenerator()
    >>> y, variables = jax.eval_shape(model.init_with_output, jax.random.key(0), jnp.zeros((1, 256, 256, 3)))
    >>> y.shape, sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
    ((1, 256, 256, 3), 54413955)
    """

    channels: int = 3
    widths: Sequence[int] = (64, 128, 256, 512, 512, 512, 512, 512)
    dropout_rate: float = 0.5
    dtype: Any = None

    @linen.compact
    def __call__(
        self, x: ArrayLike, train: bool = False, return_intermediates: bool = False
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Map images ``[B, H, W, C]`` to images ``[B, H, W, channels]`` from -1 to 1.

        Raises:
            ValueError: height or width is not a multiple of ``2^S``.
        """
        x = jnp.asarray(x, self.dtype)
        scales = len(self.widths)
        unit = 2**scales
        if x.ndim != 4 or any(size < unit or size % unit for size in x.shape[1:3]):
            hint = channels_last_hint(x.shape) or "; resize them"
            raise ValueError(
                f"expected images [B, H, W, C] with H and W multiples of {unit}, for {scales} scales, got "
                f"{x.shape}{hint}"
            )
        options = {"kernel_size": (4, 4), "stride": 2, "padding": 1, "kernel_init": init_kernel, "dtype": self.dtype}
        norm = partial(BatchNorm, scale_init=init_scale)
        out: dict[str, Array] = {}
        for scale, width in enumerate(self.widths, 1):
            x = x if scale == 1 else jax.nn.leaky_relu(x, 0.2)
            x = Conv(width, use_bias=False, name=f"down{scale}", **options)(x)
            if 1 < scale < scales:
                x = norm(name=f"down_norm{scale}")(x, train)
            x = collect(out, f"down{scale}", x)
        for scale in range(scales, 0, -1):
            x = x if scale == scales else jnp.concatenate([out[f"down{scale}"], x], axis=-1)
            width = self.channels if scale == 1 else self.widths[scale - 2]
            x = ConvTranspose(width, use_bias=scale == 1, name=f"up{scale}", **options)(jax.nn.relu(x))
            if scale > 1:
                x = norm(name=f"up_norm{scale}")(x, train)
            if scale in self.dropped:
                x = Dropout(self.dropout_rate)(x, train=train)
            x = collect(out, f"up{scale}", x)
        x = jnp.tanh(x)
        return (x, out) if return_intermediates else x

    @property
    def dropped(self) -> range:
        """The scales with dropout: from the fifth on, but not the smallest."""
        return range(5, len(self.widths))


class PatchDiscriminator(linen.Module):
    """A logit for each patch of an image: PatchGAN, by convolutions of 4 x 4 and leaky ReLU with a slope of 0.2.

    All layers but the last two halve the size. With three strides the patches have 70 x 70 pixels, and 256 pixels give
    30 x 30 logits. For pairs, concatenate condition and image along the channels. Layers are ``conv1``, ``conv2``,
    ``norm2``, ..., ``output``; intermediates are ``hidden1`` and so on.

    Attributes:
        widths: channels of the layers but the last.
        norm: "batch" as in pix2pix, or "instance", without parameters, as in CycleGAN; not of the first layer.
        dtype: of the computation.

    >>> model = PatchDiscriminator()
    >>> y, variables = jax.eval_shape(model.init_with_output, jax.random.key(0), jnp.zeros((1, 256, 256, 6)))
    >>> y.shape, sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
    ((1, 30, 30, 1), 2768705)
    """

    widths: Sequence[int] = (64, 128, 256, 512)
    norm: Literal["batch", "instance"] = "batch"
    dtype: Any = None

    @linen.compact
    def __call__(
        self, x: ArrayLike, train: bool = False, return_intermediates: bool = False
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Map images ``[B, H, W, C]`` to logits ``[B, H2, W2, 1]``.

        Raises:
            ValueError: the images are too small, or the norm is unknown.
        """
        x = jnp.asarray(x, self.dtype)
        check_one_of("norm", self.norm, ("batch", "instance"))
        check_positive_integer("the number of widths", len(self.widths))
        check_image_size("PatchDiscriminator", x, 3 * 2 ** (len(self.widths) - 1))
        conv = partial(Conv, kernel_size=(4, 4), padding=1, kernel_init=init_kernel, dtype=self.dtype)
        out: dict[str, Array] = {}
        for number, width in enumerate(self.widths, 1):
            stride = 1 if number == len(self.widths) else 2
            with_bias = number == 1 or self.norm == "instance"
            x = conv(width, stride=stride, use_bias=with_bias, name=f"conv{number}")(x)
            if number > 1 and self.norm == "batch":
                x = BatchNorm(scale_init=init_scale, name=f"norm{number}")(x, train)
            elif number > 1:
                x = InstanceNorm(use_scale=False, use_bias=False, name=f"norm{number}")(x)
            x = collect(out, f"hidden{number}", jax.nn.leaky_relu(x, 0.2))
        x = conv(1, name="output")(x)
        return (x, out) if return_intermediates else x


register(
    "pix2pix_generator",
    Pix2PixGenerator,
    input_shape=(256, 256, 3),
    description="pix2pix's U-Net of eight scales, from images to images",
)
register(
    "pix2pix_discriminator",
    PatchDiscriminator,
    input_shape=(256, 256, 6),
    description="pix2pix's PatchGAN, a logit for each patch of a pair of images",
)
