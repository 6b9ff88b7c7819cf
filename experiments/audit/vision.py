"""Images: sizes after convolution and pooling, and the parameters of a low-rank layer."""

import jax
import jax.numpy as jnp

from experiments.audit.item import Item
from jaxdl import nn, tree

FEATURE_MAP = ((1, 3, 5, 8), (2, 4, 6, 9), (10, 7, 4, 6), (11, 3, 5, 4))


def max_pooled() -> jax.Array:
    """Return the maxima of windows of 2 x 2."""
    return nn.max_pool(jnp.asarray(FEATURE_MAP)[:, :, None], 2)


def locations() -> int:
    """Return the number of positions of VGG's last feature maps for 224 x 224 pixels, after four poolings."""
    size = 224
    for _ in range(4):
        size = nn.output_size(size, 2, stride=2)
    return size**2


def low_rank() -> list[int]:
    """Count the weights of a layer of 1000 x 1000, and of its two factors of rank 100."""
    layer = jax.eval_shape(lambda: jnp.zeros((1000, 1000)))
    left, _, right = jax.eval_shape(lambda x: jnp.linalg.svd(x, full_matrices=False), layer)
    factors = jax.eval_shape(lambda left, right: (left[:, :100], right[:100]), left, right)
    return [tree.size(layer), tree.size(factors)]


ITEMS = [
    Item("227 pixels under a kernel of 11 with stride 4", "55", "55", lambda: nn.output_size(227, 11, stride=4)),
    Item(
        "10 x 10 pixels under a kernel of 3 with stride 2, padded by 1, rounded down",
        printed="5 5",
        right="5 5",
        compute=lambda: [nn.output_size(10, 3, stride=2, padding=1, exact=False)] * 2,
    ),
    Item(
        "largest of each 2 x 2 window of 4 x 4 numbers",
        printed="4 9 6 7",
        right="4 9 11 6",
        compute=max_pooled,
        reason="the lower windows hold 10 7 11 3 and 4 6 5 4",
    ),
    Item("places of a map of 14 x 14", "196", "196", locations),
    Item("weights of 1000 x 1000, and of 1000 x 100 + 100 x 1000", "1000000 200000", "1000000 200000", low_rank),
]
