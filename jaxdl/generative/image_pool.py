"""A pool of generated images, from which a discriminator also sees those of earlier generators."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxdl.arrays import to_floating
from jaxdl.checks import check_positive_integer
from jaxdl.typing import Array, ArrayLike, Key


class ImagePool(NamedTuple):
    """The last images of a generator: ``images [N, H, W, C]``, of which the first ``count []`` are filled."""

    images: Array
    count: Array


def init_image_pool(size: int, image: Array) -> ImagePool:
    """Make an empty pool for ``size`` images of the shape and dtype of ``image [H, W, C]``; integers become floating.

    Raises:
        ValueError: the size is below one.

    >>> pool = init_image_pool(50, jnp.zeros((8, 8, 3)))
    >>> pool.images.shape, int(pool.count)
    ((50, 8, 8, 3), 0)
    """
    check_positive_integer("size", size)
    image = to_floating(image)
    return ImagePool(jnp.zeros((size, *image.shape), image.dtype), jnp.zeros((), jnp.int32))


def query_image_pool(
    pool: ImagePool, images: Array, key: Key, *, mask: ArrayLike | None = None
) -> tuple[Array, ImagePool]:
    """Exchange images with a pool, one after the other; return those to show the discriminator, and the new pool.

    While the pool is not full an image is stored and returned. Then, with probability 1/2, it takes the place of a
    random image of the pool, which is returned instead of it; else it is returned and not stored.

    Args:
        pool: from `init_image_pool`, or the last query.
        images: ``[B, H, W, C]``; no gradient passes.
        key: for the coins and the places.
        mask: ``[B]``; an image whose mask is 0 is returned and not stored.

    Returns:
        ``[B, H, W, C]``, and the pool.

    Source: Shrivastava et al., "Learning from simulated and unsupervised images through adversarial training", 2017;
    Zhu et al., "Unpaired image-to-image translation using cycle-consistent adversarial networks", 2017.

    >>> images = jnp.arange(3.0).reshape(3, 1, 1, 1)
    >>> shown, pool = query_image_pool(init_image_pool(2, images[0]), images, jax.random.key(1))
    >>> shown[:2].ravel().tolist(), pool.count.item()
    ([0.0, 1.0], 2)
    """
    images = jax.lax.stop_gradient(images)
    size, batch = len(pool.images), len(images)
    coin_key, place_key = jax.random.split(key)
    coins = jax.random.bernoulli(coin_key, 0.5, (batch,))
    places = jax.random.randint(place_key, (batch,), 0, size)

    counts = jnp.ones(batch, bool) if mask is None else jnp.asarray(mask) != 0

    def exchange(carry: tuple[Array, Array], one: tuple[Array, ...]) -> tuple[tuple[Array, Array], Array]:
        stored, count = carry
        image, coin, place, counts = one
        filling = count < size
        place = jnp.where(filling, count, place)
        old = stored[place]
        shown = jnp.where(counts & ~filling & coin, old, image)
        stored = stored.at[place].set(jnp.where(counts & (filling | coin), image, old))
        return (stored, jnp.minimum(count + counts, size)), shown

    # The loop exchanges numbers of images. The images are taken once: devices that share a batch send them once.
    numbers = jnp.arange(size + batch)
    choices = numbers[size:], coins, places, counts
    (stored, count), shown = jax.lax.scan(exchange, (numbers[:size], pool.count), choices)
    known = jnp.concatenate([pool.images, images.astype(pool.images.dtype)])
    return known[shown].astype(images.dtype), ImagePool(known[stored], count)
