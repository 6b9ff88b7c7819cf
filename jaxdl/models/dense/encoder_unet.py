"""U-Net whose encoder is any network for images with named intermediates."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from flax import linen

from jaxdl.models.dense.unet import DoubleConv
from jaxdl.nn.convolution.convolution import Conv
from jaxdl.nn.convolution.upsampling import upsample_bilinear
from jaxdl.typing import Array, ArrayLike


class EncoderUNet(linen.Module):
    """The decoder of a U-Net over the intermediates ``d_1 .. d_S`` of an encoder, the largest first::

        u_S = d_S          u_s = double_conv([d_s, upsample(u_(s+1))])          y = upsample(W u_1 + b)

    The sizes need not be halves of each other: maps are interpolated to the size of the next, and the result to that of
    the image. Layers are ``encoder``, ``up1`` to ``up(S-1)`` and ``output``; intermediates are those of the encoder and
    ``up1`` and so on.

    Attributes:
        encoder: ``encoder(x, train, return_intermediates=True)`` returns its result, which is not used, and a dict of
            maps ``[B, H, W, C]``, such as ``models.create("resnet18", num_classes=None)``. An output
            layer costs nothing under ``jit`` but its parameters.
        num_classes: number of logits at every pixel.
        skips: names of ``d_1 .. d_S``; as they are, those of a `ResNet`.
        widths: channels of ``u_1 .. u_(S-1)``.
        batch_norm: apply batch norm after every convolution of the decoder but the last.
        dtype: of the computation of the decoder.

    >>> import jax
    >>> from jaxdl import models
    >>> model = EncoderUNet(models.create("resnet18", num_classes=None), num_classes=3)
    >>> logits, variables = jax.eval_shape(model.init_with_output, jax.random.key(0), jnp.zeros((1, 50, 70, 3)))
    >>> logits.shape, sorted(variables["params"])
    ((1, 50, 70, 3), ['encoder', 'output', 'up1', 'up2', 'up3', 'up4'])
    """

    encoder: linen.Module
    num_classes: int = 2
    skips: Sequence[str] = ("stem", "stage1", "stage2", "stage3", "stage4")
    widths: Sequence[int] = (32, 64, 128, 256)
    batch_norm: bool = True
    dtype: Any = None

    @linen.compact
    def __call__(
        self, x: ArrayLike, train: bool = False, return_intermediates: bool = False
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Compute the logits ``[B, H, W, num_classes]`` of images ``[B, H, W, C]``.

        Raises:
            ValueError: the encoder has no such intermediates, or there is not one width for all skips but the last.
        """
        x = jnp.asarray(x)
        if len(self.widths) != len(self.skips) - 1:
            raise ValueError(f"expected {len(self.skips) - 1} widths for skips {self.skips}, got {self.widths}")
        _, out = self.encoder(x, train, return_intermediates=True)  # pyright: ignore[reportCallIssue]
        out = dict(out)
        unknown = [name for name in self.skips if name not in out]
        if unknown:
            raise ValueError(f"expected skips in {list(out)}, got {unknown}")
        y = out[self.skips[-1]]
        for scale, (name, width) in reversed(list(enumerate(zip(self.skips[:-1], self.widths, strict=True), 1))):
            y = jnp.concatenate([out[name], upsample_bilinear(y, size=out[name].shape[1:3])], axis=-1)
            double = DoubleConv(width, "same", self.batch_norm, self.dtype, name=f"up{scale}")
            y = out[f"up{scale}"] = double(y, train)
        logits = Conv(self.num_classes, (1, 1), dtype=self.dtype, name="output")(y)
        logits = upsample_bilinear(logits, size=x.shape[1:3])
        return (logits, out) if return_intermediates else logits
