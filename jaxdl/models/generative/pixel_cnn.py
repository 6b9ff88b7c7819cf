"""Gated PixelCNN, a distribution of images pixel by pixel (van den Oord et al., 2016)."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen

from jaxdl.checks import check_indices, check_positive_integer
from jaxdl.models.layers import Embed, collect
from jaxdl.models.registry import register
from jaxdl.nn.convolution.convolution import Conv
from jaxdl.typing import Array, ArrayLike


class PixelCNN(linen.Module):
    """A network from the levels of pixels to the logits of every pixel given those above it and to its left::

        p(x) = prod_ij p(x_ij | x_kl with k < i, or k = i and l < j)

    Every layer has two stacks. The vertical one sees the rows above, the horizontal one the pixels to the left and the
    vertical one; so there is no blind spot::

        v <- gate(V * v + L y)                                V * v: the rows of v down to this one
        h <- h + W gate(H * h + U (V * v) + L y)              H * h: the pixels of h up to this one
        gate([a, b]) = tanh(a) sigmoid(b)

    with the class ``y`` of the image, if there are classes. At first ``v`` is the image one row lower, and ``h`` the
    image one pixel to the right, so that no pixel sees itself. The objective is
    `jaxdl.generative.pixel_log_likelihood`, and `sample_pixel_cnn` draws images.

    Intermediates are ``layer1`` and so on (the horizontal stack) and ``dense``.

    Attributes:
        num_classes: levels of a pixel.
        num_layers: number of layers.
        hidden_size: channels of both stacks.
        kernel_size: odd width of the kernels; the vertical ones have ``(kernel_size + 1) / 2`` rows.
        num_labels: number of classes of images; 0 for none.
        dtype: of the computation.

    >>> model = PixelCNN(num_classes=4, num_layers=2, hidden_size=8)
    >>> build = lambda key: model.init_with_output(key, jnp.zeros((2, 5, 6), int))
    >>> jax.eval_shape(build, jax.random.key(0))[0].shape
    (2, 5, 6, 4)
    """

    num_classes: int = 256
    num_layers: int = 7
    hidden_size: int = 64
    kernel_size: int = 3
    num_labels: int = 0
    dtype: Any = None

    def __call__(
        self,
        x: ArrayLike,
        labels: ArrayLike | None = None,
        train: bool = False,
        return_intermediates: bool = False,
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Compute the logits ``[B, H, W, num_classes]`` of all pixels of images ``[B, H, W]``, integers.

        Args:
            x: levels ``0 .. num_classes - 1``.
            labels: classes of the images ``[B]``, with ``num_labels``.
            train: without effect.
            return_intermediates: return the intermediates too.

        Raises:
            ValueError: these are no integers ``[B, H, W]``, a level is known not to exist, the kernel has an even
                width, or there are labels without classes or classes without labels.
        """
        del train  # nothing is random
        x = self.check_levels(x, labels)
        logits, out = self.from_brightness(self.scale_levels(x, jnp.float32), labels)
        return (logits, out) if return_intermediates else logits

    @linen.compact
    def from_brightness(self, x: Array, labels: ArrayLike | None = None) -> tuple[Array, dict[str, Array]]:
        """Compute logits and intermediates of the levels scaled to -1 to 1, ``[B, H, W]``, as a smooth function."""
        conv = partial(Conv, 2 * self.hidden_size, dtype=self.dtype)
        dense = partial(linen.Dense, dtype=self.dtype)
        # A channel of ones makes the border of the image visible.
        x = jnp.stack([x, jnp.ones_like(x)], axis=-1)
        rows, columns, half = (self.kernel_size + 1) // 2, self.kernel_size, self.kernel_size // 2
        v, h = _shift(x, axis=1), _shift(x, axis=2)
        out: dict[str, Array] = {}
        for number in range(1, self.num_layers + 1):
            name, label = f"layer{number}", 0.0
            if labels is not None:
                embed = Embed(self.num_labels, 2 * self.hidden_size, dtype=self.dtype, name=f"{name}_label")
                label = embed(labels)[:, None, None]
            above = jnp.pad(v, ((0, 0), (rows - 1, 0), (half, half), (0, 0)))
            seen = conv(kernel_size=(rows, columns), name=f"{name}_vertical")(above)
            left = jnp.pad(h, ((0, 0), (0, 0), (half, 0), (0, 0)))
            z = conv(kernel_size=(1, half + 1), name=f"{name}_horizontal")(left)
            z = z + dense(2 * self.hidden_size, name=f"{name}_across")(seen) + label
            y, v = dense(self.hidden_size, name=f"{name}_output")(gate(z)), gate(seen + label)
            h = collect(out, name, y if number == 1 else h + y)
        y = dense(self.hidden_size, name="dense")(jax.nn.relu(h))
        y = collect(out, "dense", jax.nn.relu(y))
        return dense(self.num_classes, name="output")(y), out

    def scale_levels(self, x: Array, dtype: Any) -> Array:
        """Scale levels to -1 to 1."""
        return 2 * x.astype(dtype) / max(self.num_classes - 1, 1) - 1

    def check_levels(self, x: ArrayLike, labels: ArrayLike | None) -> Array:
        """Return valid images as an array; raise the errors of calls."""
        x = jnp.asarray(x)
        if x.ndim != 3 or not jnp.issubdtype(x.dtype, jnp.integer):
            raise ValueError(
                f"expected images [B, H, W] of integers in [0, {self.num_classes}), got {x.shape} of {x.dtype}; "
                "jaxdl.generative.quantize makes them"
            )
        check_indices("levels", x, self.num_classes)
        check_positive_integer("num_layers", self.num_layers)
        if self.kernel_size < 1 or self.kernel_size % 2 == 0:
            raise ValueError(f"expected kernel_size to be odd, got {self.kernel_size}")
        if (labels is None) != (self.num_labels == 0):
            got = None if labels is None else jnp.shape(labels)
            raise ValueError(f"expected labels [B] with num_labels alone, got {got} with num_labels={self.num_labels}")
        return x


def gate(x: Array) -> Array:
    """Compute ``tanh(a) sigmoid(b)`` of the halves ``a`` and ``b`` of the channels.

    >>> gate(jnp.array([0.0, 5.0])).tolist()
    [0.0]
    """
    a, b = jnp.split(x, 2, axis=-1)
    return jnp.tanh(a) * jax.nn.sigmoid(b)


def _shift(x: Array, axis: int) -> Array:
    """Move an array by one towards larger indices of an axis, with zeros in front."""
    padding = [(1, 0) if i == axis else (0, 0) for i in range(x.ndim)]
    return jax.lax.slice_in_dim(jnp.pad(x, padding), 0, x.shape[axis], axis=axis)


register(
    "pixel_cnn",
    PixelCNN,
    input_shape=(28, 28),
    input_dtype="int32",
    description="Gated PixelCNN of 7 layers for grey images of 256 levels",
)
