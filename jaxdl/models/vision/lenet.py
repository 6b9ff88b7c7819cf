"""LeNet-5, in its common form and as published (LeCun, Bottou, Bengio and Haffner, 1998)."""

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

import einops
import jax
import jax.numpy as jnp
import numpy as np
from flax import linen
from flax.linen.dtypes import promote_dtype

from jaxdl.checks import check_one_of
from jaxdl.models.layers import collect, output_layer
from jaxdl.models.registry import register
from jaxdl.nn import activations
from jaxdl.nn.activations import Activation, scaled_tanh
from jaxdl.nn.convolution.convolution import Conv, convolve
from jaxdl.nn.convolution.pooling import average_pool, max_pool
from jaxdl.typing import Array, ArrayLike, Key

SIDE = 32
"""Height and width of the input of the first convolution, padding included."""

CONNECTIONS = (
    (0, 1, 2),
    (1, 2, 3),
    (2, 3, 4),
    (3, 4, 5),
    (0, 4, 5),
    (0, 1, 5),
    (0, 1, 2, 3),
    (1, 2, 3, 4),
    (2, 3, 4, 5),
    (0, 3, 4, 5),
    (0, 1, 4, 5),
    (0, 1, 2, 5),
    (0, 1, 3, 4),
    (1, 2, 4, 5),
    (0, 2, 3, 5),
    (0, 1, 2, 3, 4, 5),
)
"""The input channels, of S2, of each of the sixteen output channels of C3: table I of the paper."""

BITMAPS = """
..###.. ...#... .#####. .#####. .....#. ####### ..####. ####### ..###.. .#####.
.#...#. ..##... #.....# #.....# ....##. #...... .#..... ......# .#...#. #.....#
#.....# .#.#... ......# ......# ...#.#. #...... #...... ......# #.....# #.....#
#.....# ...#... ......# ......# ..#..#. #...... #...... .....#. #.....# #.....#
#.....# ...#... .....#. .....#. .#...#. #.####. #.####. .....#. .#...#. #.....#
#.....# ...#... ....#.. ..###.. #....#. ##....# ##....# ....#.. ..###.. .######
#.....# ...#... ...#... .....#. ####### ......# #.....# ....#.. .#...#. ......#
#.....# ...#... ..#.... ......# .....#. ......# #.....# ...#... #.....# ......#
#.....# ...#... .#..... ......# .....#. ......# #.....# ...#... #.....# ......#
#.....# ...#... #...... #.....# .....#. #.....# #.....# ..#.... #.....# .....#.
.#...#. ...#... #...... #.....# .....#. .#...#. .#...#. ..#.... .#...#. ....#..
..###.. .#####. ####### .#####. .....#. ..###.. ..###.. ..#.... ..###.. .###...
"""
"""The digits 0 to 9 in 7x12 dots, after figure 3 of the paper, which gives no numbers."""


def digit_codes() -> np.ndarray:
    """Return the targets of the output layer, 84 elements for each digit: +1 where its bitmap has a dot, else -1.

    >>> digit_codes().shape, digit_codes()[1, :7].tolist()
    ((10, 84), [-1.0, -1.0, -1.0, 1.0, -1.0, -1.0, -1.0])
    """
    lines = [line.split() for line in BITMAPS.split("\n") if line]
    rows = ["".join(line[digit] for line in lines) for digit in range(10)]
    return np.array([[1.0 if dot == "#" else -1.0 for dot in row] for row in rows], np.float32)


class LeNet5(linen.Module):
    """LeNet-5 in its common form: ordinary convolutions, pooling without parameters, a linear output.

    ``[32, 32, C]``, or 28 x 28 padded by 2 - conv1 5x5, 6 - pool1 2x2 - conv2 5x5, 16 - pool2 2x2 - dense1 120 -
    dense2 84 - output; 61,706 parameters for one channel and ten classes. Intermediates are ``conv1``, ``pool1``,
    ``conv2``, ``pool2``, ``dense1`` and ``dense2``, each as the next layer receives it. Each side is padded by ``pad``;
    None chooses it by the size of the images. ``dtype`` is that of the computation.

    >>> build = LeNet5().init_with_output
    >>> logits, variables = jax.eval_shape(build, jax.random.key(0), jnp.zeros((1, 28, 28, 1)))
    >>> logits.shape, sum(leaf.size for leaf in jax.tree.leaves(variables))
    ((1, 10), 61706)
    """

    num_classes: int = 10
    activation: str | Activation = "relu"
    pooling: Literal["max", "average"] = "max"
    pad: int | None = None
    dtype: Any = None

    @linen.compact
    def __call__(
        self, x: ArrayLike, train: bool = False, return_intermediates: bool = False
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Compute the logits ``[B, num_classes]`` of images ``[B, 32, 32, C]`` or ``[B, 28, 28, C]``.

        Raises:
            ValueError: the images have another size, or an activation or pooling is unknown.
        """
        x = jnp.asarray(x)
        pad = _choose_padding("LeNet5", x, self.pad)
        pools = {"max": max_pool, "average": average_pool}
        check_one_of("pooling", self.pooling, pools)
        pool, activation = partial(pools[self.pooling], window=2), activations.get_activation(self.activation)
        conv, dense = partial(Conv, dtype=self.dtype), partial(linen.Dense, dtype=self.dtype)
        out: dict[str, Array] = {}
        x = collect(out, "conv1", activation(conv(6, (5, 5), padding=pad, name="conv1")(x)))
        x = collect(out, "pool1", pool(x))
        x = collect(out, "conv2", activation(conv(16, (5, 5), name="conv2")(x)))
        x = collect(out, "pool2", pool(x))
        x = einops.rearrange(x, "b h w c -> b (h w c)")
        x = collect(out, "dense1", activation(dense(120, name="dense1")(x)))
        x = collect(out, "dense2", activation(dense(84, name="dense2")(x)))
        logits = output_layer(x, self.num_classes, dtype=self.dtype)
        return (logits, out) if return_intermediates else logits


class LeNet5Original(linen.Module):
    """LeNet-5 as published: sparsely connected channels, trainable subsampling, scaled tanh, RBF outputs.

    With the activation ``f(a) = 1.7159 tanh(2 a / 3)`` after each of the layers C1 to F6:

    ======  ====================================================  ===========  ==========
    layer   equation                                              shape        parameters
    ======  ====================================================  ===========  ==========
    c1      5x5 convolution                                       28, 28, 6    156
    s2      coefficient times the sum of 2x2, plus bias           14, 14, 6    12
    c3      5x5 convolution of the channels in ``CONNECTIONS``    10, 10, 16   1,516
    s4      coefficient times the sum of 2x2, plus bias           5, 5, 16     32
    c5      5x5 convolution                                       120          48,120
    f6      linear                                                84           10,164
    output  ``y_i = sum_j (x_j - w_ij)^2``, w fixed bitmaps       10           0
    ======  ====================================================  ===========  ==========

    Together 60,000 parameters. The logits are ``-y``; ``output="dense"`` replaces the distances by a linear layer.
    Intermediates are named after the layers up to ``f6``. The paper scales images to a background of -0.1 and ink of
    1.175; ``background`` is the value that ``pad`` (None: chosen by the size of the images) adds. ``dtype`` is that of
    the computation.

    >>> forms = jax.eval_shape(LeNet5Original().init, jax.random.key(0), jnp.zeros((1, 32, 32, 1)))
    >>> sum(leaf.size for leaf in jax.tree.leaves(forms))
    60000
    """

    num_classes: int = 10
    output: Literal["rbf", "dense"] = "rbf"
    pad: int | None = None
    background: float = 0.0
    dtype: Any = None

    @linen.compact
    def __call__(
        self, x: ArrayLike, train: bool = False, return_intermediates: bool = False
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Compute the logits ``[B, num_classes]`` of images ``[B, 32, 32, C]`` or ``[B, 28, 28, C]``.

        Raises:
            ValueError: the images have another size, the output is unknown, or there are not ten classes for "rbf".
        """
        x = jnp.asarray(x)
        pad = _choose_padding("LeNet5Original", x, self.pad)
        check_one_of("output", self.output, ("rbf", "dense"))
        if self.output == "rbf" and self.num_classes not in {0, 10}:
            raise ValueError(
                f"expected num_classes=10, the number of bitmaps of output='rbf', got {self.num_classes}; give "
                "output='dense'"
            )
        x = jnp.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)), constant_values=self.background)
        conv = partial(Conv, kernel_size=(5, 5), kernel_init=_published_init, dtype=self.dtype)
        dense = partial(linen.Dense, kernel_init=_published_init, dtype=self.dtype)
        out: dict[str, Array] = {}
        x = collect(out, "c1", scaled_tanh(conv(6, name="c1")(x)))
        x = collect(out, "s2", scaled_tanh(Subsampling(self.dtype, name="s2")(x)))
        x = collect(out, "c3", scaled_tanh(TableConv(CONNECTIONS, (5, 5), self.dtype, name="c3")(x)))
        x = collect(out, "s4", scaled_tanh(Subsampling(self.dtype, name="s4")(x)))
        x = collect(out, "c5", scaled_tanh(conv(120, name="c5")(x)))
        x = einops.rearrange(x, "b h w c -> b (h w c)")
        x = collect(out, "f6", scaled_tanh(dense(84, name="f6")(x)))
        if self.output == "rbf" and self.num_classes:
            logits = -squared_distances(x, jnp.asarray(digit_codes(), x.dtype))
        else:
            logits = output_layer(x, self.num_classes, kernel_init=_published_init, dtype=self.dtype)
        return (logits, out) if return_intermediates else logits


class Subsampling(linen.Module):
    """``y = coefficient sum_(2x2) x + bias``, one ``coefficient`` and one ``bias`` for each channel."""

    dtype: Any = None

    @linen.compact
    def __call__(self, x: Array) -> Array:
        """Halve height and width of ``[B, H, W, C]``."""
        shape = x.shape[-1:]
        coefficient = self.param("coefficient", partial(_published_init, fan_in=4), shape, jnp.float32)
        bias = self.param("bias", linen.initializers.zeros, shape, jnp.float32)
        x, coefficient, bias = promote_dtype(x, coefficient, bias, dtype=self.dtype)
        return 4 * average_pool(x, 2) * coefficient[None, None, None] + bias[None, None, None]


class TableConv(linen.Module):
    """A convolution with a table of the input channels of each output channel.

    ``kernel`` is ``[H, W, pairs]``, with the pairs of input and output channels in the order of the table.
    """

    table: Sequence[Sequence[int]]
    kernel_size: tuple[int, int]
    dtype: Any = None

    @linen.compact
    def __call__(self, x: Array) -> Array:
        """Convolve ``[B, H, W, C]`` without padding."""
        pairs = [(source, target) for target, sources in enumerate(self.table) for source in sources]
        source, target = np.array(pairs).T
        fan_in = np.array([len(sources) for sources in self.table])[target] * np.prod(self.kernel_size)
        init = partial(_published_init, fan_in=fan_in)
        sparse = self.param("kernel", init, (*self.kernel_size, len(pairs)), jnp.float32)
        bias = self.param("bias", linen.initializers.zeros, (len(self.table),), jnp.float32)
        x, sparse, bias = promote_dtype(x, sparse, bias, dtype=self.dtype)
        dense = jnp.zeros((*self.kernel_size, x.shape[-1], len(self.table)), sparse.dtype)
        kernel = dense.at[:, :, source, target].set(sparse)
        return convolve(x, kernel) + bias[None, None, None]


def squared_distances(x: Array, codes: Array) -> Array:
    """Compute the radial basis functions ``y_i = sum_j (x_j - w_ij)^2`` of ``x [B, J]`` and codes ``w [I, J]``.

    >>> squared_distances(jnp.array([[1.0, 1.0]]), jnp.array([[1.0, 1.0], [-1.0, 1.0]])).tolist()
    [[0.0, 4.0]]
    """
    return jnp.sum(jnp.square(x[:, None] - codes[None]), axis=-1)


def _published_init(key: Key, shape: Sequence[int], dtype: Any = jnp.float32, fan_in: ArrayLike | None = None) -> Array:
    """Sample from ``U(-2.4 / fan_in, 2.4 / fan_in)``, the initialization of the paper.

    ``fan_in`` is by default the product of all dimensions but the last.
    """
    inputs = np.asarray(np.prod(shape[:-1]) if fan_in is None else fan_in)
    bound = jnp.broadcast_to(jnp.asarray(2.4 / inputs, dtype), shape)
    return jax.random.uniform(key, shape, dtype, -1, 1) * bound


def _choose_padding(name: str, x: Array, pad: int | None = None) -> int:
    """Return the padding of each side that makes the images 32 x 32: ``pad``, or if None 2 for 28 x 28, else 0.

    Raises:
        ValueError: the padded images have another size.
    """
    choices = (0, 2) if pad is None else (pad,)
    for choice in choices:
        if x.ndim == 4 and x.shape[1:3] == (SIDE - 2 * choice, SIDE - 2 * choice):
            return choice
    expected = " or ".join(f"[B, {SIDE - 2 * choice}, {SIDE - 2 * choice}, C]" for choice in choices)
    raise ValueError(f"{name} with pad={pad} expected images {expected}, got {x.shape}; resize them")


register(
    "lenet5",
    LeNet5,
    input_shape=(32, 32, 1),
    description="LeNet-5 in its common form, with ReLU and max pooling",
)
register("lenet5_original", LeNet5Original, input_shape=(32, 32, 1), description="LeNet-5 as published in 1998")
