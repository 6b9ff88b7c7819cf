"""Images: sizes after convolution and pooling, parameters of networks, interpolation, symmetric kernels."""

import jax
import jax.numpy as jnp

from experiments.audit import files
from experiments.audit.files import cite
from jaxdl import models, nn, tree

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


def parameters(name: str) -> int:
    """Count the parameters of a registered model, by its shapes alone."""
    x = jax.ShapeDtypeStruct((1, *models.input_shape(name)), models.input_dtype(name))
    return tree.size(jax.eval_shape(models.create(name).init, jax.random.key(0), x)["params"])


def flip_difference(kernel: tuple[tuple[int, ...], ...]) -> jax.Array:
    """Return the largest difference between convolution and correlation with a kernel, of an impulse."""
    impulse = jnp.zeros((5, 5, 1)).at[2, 2, 0].set(1.0)
    kernel = jnp.asarray(kernel, impulse.dtype)
    return jnp.max(jnp.abs(nn.convolve_true(impulse, kernel) - nn.correlate(impulse, kernel)))


SYMMETRIC = ((0, 1, 2), (1, 0, 3), (2, 3, 4))
ROTATED = ((1, 2, 3), (4, 5, 4), (3, 2, 1))
SAME = r"Correlation and Convolution operator will be same when  $K$  is a symmetric matrix."
ITEMS = [
    cite(
        "227 pixels under a kernel of 11 with stride 4",
        printed="55",
        right="55",
        compute=lambda: nn.output_size(227, 11, stride=4),
        phrase=r"W_2 = \frac{227 - 11}{4} + 1 = 55",
        file=files.VISION,
    ),
    cite(
        "10 x 10 pixels under a kernel of 3 with stride 2, padded by 1: the formula with its numbers",
        printed="10",
        right="5",
        compute=lambda: nn.output_size(10, 3, stride=2, padding=1, exact=False),
        phrase=r"\text{floor} \left( \frac{10*2+1-3}{2} \right) + 1 = 5 \times 5",
        file=files.RECURRENT,
        reason="(10*2 + 1 - 3) / 2 + 1 is 10; (10 + 2*1 - 3) / 2 + 1, rounded down, is the 5 of the printed result",
    ),
    cite(
        "largest of each 2 x 2 window of 4 x 4 numbers",
        printed="4 9 6 7",
        right="4 9 11 6",
        compute=max_pooled,
        phrase="6	7",
        file=files.VISION,
        reason="the lower windows hold 10 7 11 3 and 4 6 5 4",
    ),
    cite("places of a map of 14 x 14", "196", "196", locations, r"14 \times 14 = 196", file=files.VISION),
    cite(
        "weights of 1000 x 1000, and of 1000 x 100 + 100 x 1000",
        printed="1000000 200000",
        right="1000000 200000",
        compute=low_rank,
        phrase=r"1000 \times 1000 \Rightarrow 1000 \times 100 + 100 \times 1000",
        file=files.RECURRENT,
    ),
    cite(
        "parameters of AlexNet, in millions",
        printed="27",
        right="60.965224",
        compute=lambda: parameters("alexnet_grouped") / 1e6,
        phrase=r"Approx  $27M$  parameters.",
        file=files.COURSE,
        reason="60,965,224 as published, in two groups",
    ),
    cite(
        "pixels of VGG's input",
        printed="227",
        right="224",
        compute=lambda: models.input_shape("vgg16")[0],
        phrase="**VGGNet:** Input is again the same",
        file=files.COURSE,
        reason="the same as AlexNet's 227 x 227, two lines before; VGG's is 224 x 224",
    ),
    cite(
        "3 x 3 pixels under a transposed convolution of 3, stride 1",
        printed="5 5",
        right="5 5",
        compute=lambda: [nn.transposed_output_size(3, 3)] * 2,
        phrase="- result is a 5×5",
        file=files.NEURONS,
    ),
    cite(
        "2 x 2 numbers by nearest neighbours",
        printed="1 1 2 2 1 1 2 2 3 3 A 9 3 0 4 6",
        right="1 1 2 2 1 1 2 2 3 3 4 4 3 3 4 4",
        compute=lambda: nn.upsample_nearest(jnp.array([[1, 2], [3, 4]])[..., None], 2),
        phrase="3	3	A	9",
        file=files.NEURONS,
        reason="every number fills a square of 2 x 2",
    ),
    cite(
        "difference of convolution and correlation, kernel 0 1 2, 1 0 3, 2 3 4, a symmetric matrix",
        printed="0",
        right="4",
        compute=lambda: flip_difference(SYMMETRIC),
        phrase=SAME,
        file=files.COURSE,
        reason="the kernel must be symmetric under rotation by 180 degrees; its diagonal 0 0 4 is not",
    ),
    cite(
        "the same, kernel 1 2 3, 4 5 4, 3 2 1, which a rotation by 180 degrees keeps",
        printed="0",
        right="0",
        compute=lambda: flip_difference(ROTATED),
        phrase=SAME,
        file=files.COURSE,
    ),
]
