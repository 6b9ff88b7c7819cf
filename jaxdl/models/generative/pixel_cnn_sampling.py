"""Sampling from a PixelCNN that keeps what rows and pixels need again, in place of one run of the network a pixel."""

import jax
import jax.numpy as jnp
from jax import lax

from jaxdl.arrays import expand_leading
from jaxdl.checks import check_in_range, is_integer
from jaxdl.models.generative.pixel_cnn import PixelCNN, gate
from jaxdl.typing import Array, ArrayLike, Key, PyTree


def sample_pixel_cnn(
    key: Key,
    model: PixelCNN,
    variables: PyTree,
    x: ArrayLike,
    *,
    labels: ArrayLike | None = None,
    start: int = 0,
    temperature: ArrayLike = 1.0,
) -> Array:
    """Draw images pixel by pixel, ``x_i ~ softmax(logits_i / temperature)``, with the work of about one run in all.

    The vertical stack of a row needs the rows above alone, and is computed once a row; the horizontal stack of a pixel
    needs the pixels to its left, whose layers are kept. The result is that of `jaxdl.generative.sample_pixels`, which
    runs the whole network for every pixel, up to rounding. It is two nested `jax.lax.scan`, to be compiled by
    ``jax.jit`` of the caller.

    Args:
        key: random key.
        model: the network.
        variables: its variables.
        x: levels ``[B, H, W]``, integers; only their first ``start`` pixels, row by row, matter, which stay.
        labels: classes of the images ``[B]``, of a model that has them.
        start: number of given pixels, of ``H W``.
        temperature: above 0; 1 draws from the model.

    Returns:
        ``[B, H, W]``, of the dtype of ``x``.

    Raises:
        ValueError: as for the model and `jaxdl.generative.sample_pixels`.

    >>> model = PixelCNN(num_classes=4, num_layers=2, hidden_size=8)
    >>> x = jnp.zeros((2, 5, 6), int)
    >>> def draw(key):
    ...     return sample_pixel_cnn(key, model, model.init(key, x), x)
    >>> jax.eval_shape(draw, jax.random.key(0)).shape
    (2, 5, 6)
    """
    shape, pixels = jnp.shape(x), jnp.size(jnp.asarray(x)[0]) if jnp.ndim(x) == 3 else 0
    if not is_integer(start) or not 0 <= start <= pixels:
        raise ValueError(f"expected start in 0 .. {pixels}, the number of given pixels, got {start}")
    check_in_range("temperature", temperature, includes_low=False)
    x = jnp.asarray(x)
    given = jnp.arange(pixels).reshape(shape[1:]) < start
    x = model.check_levels(jnp.where(given, x, 0), labels)
    network = _Layers(model, variables["params"], labels)

    def draw_row(carry: tuple[Array, list[Array]], row: tuple[Array, Array, Array]) -> tuple[tuple, Array]:
        above, kept = carry
        number, known, is_known = row
        seen, kept = network.see_rows(above, kept)

        def draw_pixel(carry: tuple[Array, list[Array]], column: tuple) -> tuple[tuple, Array]:
            left, kept = carry
            j, seen, known, is_known = column
            logits, kept = network.read_pixel(left, kept, seen)
            position = number * shape[2] + j
            drawn = jax.random.categorical(jax.random.fold_in(key, position), logits / temperature)
            level = jnp.where(is_known, known, drawn.astype(x.dtype))
            return (network.encode(level), kept), level

        columns = jnp.arange(shape[2]), [jnp.moveaxis(each, 1, 0) for each in seen], known.T, is_known
        nothing = jnp.zeros_like(network.encode(known[:, 0])), network.no_pixels(len(x))
        levels = lax.scan(draw_pixel, nothing, columns)[1].T
        return (network.encode(levels), kept), levels

    nothing = jnp.zeros_like(network.encode(x[:, 0])), network.no_rows(x.shape)
    rows = jnp.arange(shape[1]), jnp.moveaxis(x, 1, 0), given
    return jnp.moveaxis(lax.scan(draw_row, nothing, rows)[1], 0, 1)


class _Layers:
    """The layers of a PixelCNN, a row or a pixel at a time. Kept are, for each layer, the last of its inputs."""

    def __init__(self, model: PixelCNN, params: PyTree, labels: ArrayLike | None) -> None:
        self.model, self.params = model, params
        self.dtype = jnp.promote_types(params["output"]["kernel"].dtype, jnp.float32)
        names = [f"layer{number}" for number in range(1, model.num_layers + 1)]
        none = jnp.zeros((1, 1), self.dtype)
        self.labels = [none if labels is None else params[f"{name}_label"]["embedding"][labels] for name in names]
        self.names, self.half = names, model.kernel_size // 2
        self.channels = [2] + [model.hidden_size] * (model.num_layers - 1)

    def encode(self, levels: Array) -> Array:
        """Return the channels of pixels: their brightness, and 1 within the image."""
        brightness = self.model.scale_levels(levels, self.dtype)
        return jnp.stack([brightness, jnp.ones_like(brightness)], axis=-1)

    def no_rows(self, shape: tuple[int, ...]) -> list[Array]:
        """Return what is kept above an image."""
        return [jnp.zeros((shape[0], self.half, shape[2], channels), self.dtype) for channels in self.channels]

    def no_pixels(self, count: int) -> list[Array]:
        """Return what is kept at the left of a row."""
        return [jnp.zeros((count, self.half, channels), self.dtype) for channels in self.channels]

    def dense(self, name: str, x: Array) -> Array:
        """Apply a dense layer."""
        return x @ self.params[name]["kernel"] + expand_leading(self.params[name]["bias"], x.ndim)

    def see_rows(self, v: Array, kept: list[Array]) -> tuple[list[Array], list[Array]]:
        """Run the vertical stack over a row ``[B, W, 2]``; return what each layer sees of it, and what is kept."""
        seen, later = [], []
        for name, label, before in zip(self.names, self.labels, kept, strict=True):
            window = jnp.concatenate([before, v[:, None]], axis=1)
            later.append(window[:, 1:])
            params, sides = self.params[f"{name}_vertical"], (self.half, self.half)
            dimensions = ("NHWC", "HWIO", "NHWC")
            y = lax.conv_general_dilated(
                window, params["kernel"], (1, 1), ((0, 0), sides), dimension_numbers=dimensions
            )
            seen.append(y[:, 0] + expand_leading(params["bias"], 3))
            v = gate(seen[-1] + label[:, None])
        return seen, later

    def read_pixel(self, h: Array, kept: list[Array], seen: list[Array]) -> tuple[Array, list[Array]]:
        """Run the horizontal stack over a pixel ``[B, 2]``; return the logits of the next one, and what is kept."""
        later = []
        for i, (name, label, before) in enumerate(zip(self.names, self.labels, kept, strict=True)):
            window = jnp.concatenate([before, h[:, None]], axis=1)
            later.append(window[:, 1:])
            params = self.params[f"{name}_horizontal"]
            z = jnp.einsum("bwc,wcd->bd", window, params["kernel"][0]) + expand_leading(params["bias"], 2)
            z = z + self.dense(f"{name}_across", seen[i]) + label
            y = self.dense(f"{name}_output", gate(z))
            h = y if i == 0 else h + y
        return self.dense("output", jax.nn.relu(self.dense("dense", jax.nn.relu(h)))), later
