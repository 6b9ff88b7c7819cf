"""U-Net, an encoder and a decoder with a connection at every scale (Ronneberger et al., 2015)."""

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import linen

from jaxdl.checks import check_one_of
from jaxdl.models.layers import channels_last_hint
from jaxdl.models.registry import register
from jaxdl.nn.convolution.convolution import Conv
from jaxdl.nn.convolution.pooling import max_pool
from jaxdl.nn.convolution.transposed import ConvTranspose
from jaxdl.nn.initializers import he_normal
from jaxdl.nn.noise import Dropout
from jaxdl.nn.normalization import BatchNorm
from jaxdl.typing import Array, ArrayLike


class DoubleConv(linen.Module):
    """Two 3 x 3 convolutions ``conv1`` and ``conv2`` with ReLU, each optionally with a batch norm before it.

    >>> layer = DoubleConv(8)
    >>> y, variables = jax.eval_shape(layer.init_with_output, jax.random.key(0), jnp.zeros((1, 9, 9, 3)))
    >>> y.shape, sorted(variables["params"])
    ((1, 5, 5, 8), ['conv1', 'conv2'])
    """

    features: int
    padding: Literal["valid", "same"] = "valid"
    batch_norm: bool = False
    dtype: Any = None

    @linen.compact
    def __call__(self, x: Array, train: bool = False) -> Array:
        """Map ``[B, H, W, C]`` to ``[B, H - 4, W - 4, features]``; with padding the size stays."""
        conv = partial(Conv, self.features, (3, 3), kernel_init=he_normal(), dtype=self.dtype, padding=self.padding)
        for number in (1, 2):
            x = conv(use_bias=not self.batch_norm, name=f"conv{number}")(x)
            if self.batch_norm:
                x = BatchNorm(name=f"norm{number}")(x, train)
            x = jax.nn.relu(x)
        return x


class UNet(linen.Module):
    """A network from images to a logit for each class at each pixel::

        d_1 = double_conv(x)                  d_s = double_conv(max_pool(d_(s-1)))         s = 2 .. S
        u_S = d_S                             u_s = double_conv([crop(d_s), upconv(u_(s+1))])
        y   = W u_1 + b

    Each of the ``S`` scales has half of the size and usually twice the channels of the one before. Without padding, as
    published, the result is smaller than the image by `margin` pixels on every side: what it says of a pixel has been
    computed from the image alone. `jaxdl.tasks.predict_tiles` covers images of any size. With ``padding="same"``
    height and width must be multiples of ``2^(S - 1)``.

    Layers and intermediates are ``down1`` to ``downS``, ``up1`` to ``up(S-1)`` (with the transposed convolution
    ``upconv1`` and so on before it), and ``output``.

    Attributes:
        num_classes: number of logits at every pixel; None for no output layer, where ``up1`` is the result.
        widths: channels at each scale.
        padding: "valid", as published, or "same".
        batch_norm: apply batch norm after every convolution of 3 x 3.
        dropout_rate: share dropped of the features of the two smallest scales of the encoder.
        dtype: of the computation.

    >>> x = jnp.zeros((1, 572, 572, 1))
    >>> logits, variables = jax.eval_shape(UNet().init_with_output, jax.random.key(0), x)
    >>> logits.shape, sum(leaf.size for leaf in jax.tree.leaves(variables))
    ((1, 388, 388, 2), 31030658)
    """

    num_classes: int | None = 2
    widths: Sequence[int] = (64, 128, 256, 512, 1024)
    padding: Literal["valid", "same"] = "valid"
    batch_norm: bool = False
    dropout_rate: float = 0.5
    dtype: Any = None

    @property
    def margin(self) -> int:
        """The number of pixels on every side of an image for which there is no result."""
        return unet_margin(len(self.widths)) if self.padding == "valid" else 0

    @linen.compact
    def __call__(
        self, x: ArrayLike, train: bool = False, return_intermediates: bool = False
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Compute the logits ``[B, H - 2 margin, W - 2 margin, num_classes]`` of images ``[B, H, W, C]``.

        Raises:
            ValueError: the images do not have a size that can be halved as often as the network does.
        """
        x = jnp.asarray(x, self.dtype)
        check_one_of("padding", self.padding, ("valid", "same"))
        _check_size(x, len(self.widths), self.padding)
        double = partial(DoubleConv, padding=self.padding, batch_norm=self.batch_norm, dtype=self.dtype)
        scales = len(self.widths)
        out: dict[str, Array] = {}
        for scale, width in enumerate(self.widths, 1):
            x = x if scale == 1 else max_pool(x, 2)
            x = double(width, name=f"down{scale}")(x, train)
            if scale > 1 and scale >= scales - 1:
                x = Dropout(self.dropout_rate)(x, train=train)
            out[f"down{scale}"] = x
        for scale, width in reversed(list(enumerate(self.widths[:-1], 1))):
            x = ConvTranspose(width, (2, 2), 2, kernel_init=he_normal(), dtype=self.dtype, name=f"upconv{scale}")(x)
            x = jnp.concatenate([crop(out[f"down{scale}"], x.shape[1:3]), x], axis=-1)
            x = out[f"up{scale}"] = double(width, name=f"up{scale}")(x, train)
        if self.num_classes is not None:
            x = Conv(self.num_classes, (1, 1), dtype=self.dtype, name="output")(x)
        return (x, out) if return_intermediates else x


def unet_margin(scales: int) -> int:
    """Return the pixels on every side of an image that a U-Net without padding has no result for.

    The convolutions of a scale take two, and one of its pixels is two of the scale above: ``m_1 = 2`` and
    ``m_S = 2 m_(S-1) + 4``.

    >>> unet_margin(5), 572 - 2 * unet_margin(5)
    (92, 388)
    """
    return 6 * 2 ** (scales - 1) - 4


def crop(x: ArrayLike, size: Sequence[int]) -> Array:
    """Cut ``(H2, W2)`` pixels from the centre of images ``[B, H, W, ...]``.

    Raises:
        ValueError: the images are smaller.

    >>> crop(jnp.arange(4.0).reshape(1, 1, 4, 1), (1, 2)).ravel().tolist()
    [1.0, 2.0]
    """
    x = jnp.asarray(x)
    top, left = ((have - want) // 2 for have, want in zip(x.shape[1:3], size, strict=True))
    if min(top, left) < 0:
        raise ValueError(f"expected images of at least {tuple(size)}, got {x.shape}")
    return x[:, top : top + size[0], left : left + size[1]]


def _check_size(x: Array, scales: int, padding: str) -> None:
    """Check that the maps of every scale can be halved, and that some of the result remains."""
    unit = 2 ** (scales - 1)
    least = unit
    if padding == "valid":  # b pixels remain at the smallest scale, and unit b - 4 (unit - 1) of the result
        least = unit * (4 * (unit - 1) // unit + 1) + 4 * (2 * unit - 1)
    if x.ndim == 4 and all(size >= least and (size - least) % unit == 0 for size in x.shape[1:3]):
        return
    raise ValueError(
        f"expected images [B, H, W, C] with H and W in {least}, {least + unit}, {least + 2 * unit}, ... for {scales} "
        f"scales and padding={padding!r}, got {x.shape}; pad them, or use jaxdl.tasks.predict_tiles"
        f"{channels_last_hint(x.shape)}"
    )


register(
    "unet",
    UNet,
    input_shape=(572, 572, 1),
    description="U-Net of five scales without padding, 572 to 388 pixels",
)
