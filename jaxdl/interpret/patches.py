"""Maximally activating patches: the parts of a data set's images that excite the channels of a layer most."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.checks import check_positive_integer
from jaxdl.nn.convolution.geometry import receptive_field
from jaxdl.typing import Array


class Layer(NamedTuple):
    """A square sliding window: a convolution or a pooling.

    Attributes:
        kernel_size: of the window.
        stride: step of the window.
        padding: number of rows and columns before the first ones of the input.
        dilation: distance between neighbouring elements of the window.
    """

    kernel_size: int
    stride: int = 1
    padding: int = 0
    dilation: int = 1


class Patches(NamedTuple):
    """The places of the largest activations of every channel, in falling order.

    Attributes:
        activations: ``[count, C]``.
        image: index of the image, ``[count, C]``.
        row: row of the feature map, ``[count, C]``.
        column: column of the feature map, ``[count, C]``.
    """

    activations: np.ndarray
    image: np.ndarray
    row: np.ndarray
    column: np.ndarray


def receptive_interval(layers: Sequence[Layer], position: int) -> tuple[int, int]:
    """Compute the rows ``start .. stop - 1`` of the input that a row of the last layer's output depends on.

    ``start = position prod_l S_l - sum_l p_l prod_(i < l) S_i`` and ``stop = start + r``, with strides ``S``, paddings
    ``p`` and the `receptive_field` ``r``. Rows outside of the image are padding.

    Args:
        layers: from the input on; elementwise layers are left out.
        position: row (or column) of the output.

    Raises:
        ValueError: a layer has a number that is out of range.

    >>> receptive_interval([Layer(3, padding=1), Layer(2, stride=2), Layer(5)], position=1)
    (1, 13)
    """
    start, jump = 0, 1
    size = receptive_field([(layer.kernel_size, layer.stride, layer.dilation) for layer in layers])
    for layer in layers:
        if layer.padding < 0:
            raise ValueError(f"expected padding >= 0, got {layer}")
        start -= layer.padding * jump
        jump *= layer.stride
    start += position * jump
    return start, start + size


def maximal_patches(
    activations: Callable[[Array], Array], images: np.ndarray, count: int, *, batch_size: int = 100
) -> Patches:
    """Find the images, and the place in each, where every channel is largest; an image counts once per channel.

    Args:
        activations: ``[B, H, W, C] -> [B, H2, W2, K]``, for instance by `read`; compiled once per size of a batch.
        images: the data set ``[N, H, W, C]``, read in batches.
        count: number of patches of each channel; all ``N`` if there are fewer.
        batch_size: number of images at a time.

    Returns:
        Places in the feature maps; nan is never among the largest. `cut_patches` takes the images.

    Raises:
        ValueError: a number is not positive, there are no images, or the activations are not ``[B, H2, W2, K]``.

    >>> found = maximal_patches(lambda x: x, np.array([1.0, 5.0, 7.0, 2.0]).reshape(2, 1, 2, 1), count=1)
    >>> found.activations.tolist(), found.image.tolist(), found.column.tolist()
    ([[7.0]], [[1]], [[0]])
    """
    check_positive_integer("count", count)
    check_positive_integer("batch_size", batch_size)
    images = np.asarray(images)
    if images.ndim != 4 or len(images) == 0:
        raise ValueError(f"expected images [N, H, W, C] with N >= 1, got {images.shape}")

    @jax.jit
    def largest(x: Array) -> tuple[Array, Array]:
        maps = activations(x)
        if maps.ndim != 4 or len(maps) != len(x):
            raise ValueError(f"expected activations [{len(x)}, H, W, C], got {maps.shape}")
        flat = jnp.where(jnp.isnan(maps), -jnp.inf, maps).reshape(len(maps), -1, maps.shape[-1])
        places = jnp.stack(jnp.unravel_index(jnp.argmax(flat, axis=1), maps.shape[1:3]))
        return jnp.max(flat, axis=1), places

    parts = [largest(images[at : at + batch_size]) for at in range(0, len(images), batch_size)]
    values = np.concatenate([np.asarray(value) for value, _ in parts])
    places = np.concatenate([np.asarray(place) for _, place in parts], axis=1)
    order = np.argsort(-values, axis=0, kind="stable")[:count]
    row, column = (np.take_along_axis(place, order, axis=0) for place in places)
    return Patches(np.take_along_axis(values, order, axis=0), order, row, column)


def cut_patches(images: np.ndarray, found: Patches, layers: Sequence[Layer], *, fill: float = 0.0) -> np.ndarray:
    """Cut the receptive fields of the places that `maximal_patches` found out of the images.

    Args:
        images: the data set ``[N, H, W, C]``.
        found: places.
        layers: from the input to the layer of the activations.
        fill: of pixels outside of an image.

    Returns:
        ``[count, K, r, r, C]`` with the receptive field ``r``.

    Raises:
        ValueError: a place lies wholly outside of an image: the layers are not those of the activations.
    """
    images = np.asarray(images)
    size = receptive_interval(layers, 0)
    size = size[1] - size[0]
    patches = np.full((*found.image.shape, size, size, images.shape[-1]), fill, images.dtype)
    for place in np.ndindex(found.image.shape):
        here, there = [], []
        for position, length in zip((found.row[place], found.column[place]), images.shape[1:3], strict=True):
            start, stop = receptive_interval(layers, int(position))
            if stop <= 0 or start >= length:
                raise ValueError(
                    f"expected layers whose receptive fields lie in images of {length}, got {start} to {stop} for the "
                    f"place {position}; give every layer up to that of the activations"
                )
            low, high = max(start, 0), min(stop, length)
            here.append(slice(low - start, high - start))
            there.append(slice(low, high))
        patches[place][tuple(here)] = images[found.image[place]][tuple(there)]
    return patches
