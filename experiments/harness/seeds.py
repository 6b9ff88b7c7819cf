"""The initialization of independent runs that are trained as one program."""

from collections.abc import Callable
from functools import partial

import jax
import numpy as np
from flax import linen

from jaxdl import tree
from jaxdl.typing import Key, PyTree


def he(inputs: int, outputs: int) -> float:
    """Return the variance ``2 / n`` of the weights of rectified units with ``n`` inputs (He et al., 2015)."""
    return 2 / inputs


def xavier(inputs: int, outputs: int) -> float:
    """Return the variance ``2 / (n + m)`` of the weights from ``n`` units to ``m`` (Glorot and Bengio, 2010)."""
    return 2 / (inputs + outputs)


def lecun(inputs: int, outputs: int) -> float:
    """Return the variance ``1 / n`` of the weights of units with ``n`` inputs (LeCun et al., 1998)."""
    return 1 / inputs


def initialize(
    random: np.random.Generator,
    model: linen.Module,
    example: np.ndarray,
    runs: int,
    variance: Callable[[int, int], float] = he,
) -> PyTree:
    """Initialize the variables of a model for every run, ``[runs, ...]``, with NumPy, which compiles nothing.

    Kernels are normal with the given variance, a function of the numbers of inputs and outputs of a unit; scales and
    variances of normalization are 1, all other leaves 0. A kernel may have a leading dimension of scanned blocks.

    Raises:
        ValueError: a kernel is neither ``[in, out]`` nor ``[H, W, in, out]`` nor ``[blocks, H, W, in, out]``.
    """

    def draw(path: str, leaf: jax.ShapeDtypeStruct) -> np.ndarray:
        shape = (runs, *leaf.shape)
        if not path.endswith("kernel"):
            return np.full(shape, path.endswith(("scale", "var")), np.float32)
        if leaf.ndim not in (2, 4, 5):
            raise ValueError(
                f"expected kernels [in, out], [H, W, in, out] or [blocks, H, W, in, out], got {list(leaf.shape)} for "
                f"{path}; initialize it with the model's own init"
            )
        *window, inputs, outputs = leaf.shape[-4:]
        deviation = variance(int(np.prod(window)) * inputs, int(np.prod(window)) * outputs) ** 0.5
        return random.normal(0, deviation, shape).astype(np.float32)

    return tree.map_with_path(draw, jax.eval_shape(model.init, jax.random.key(0), example))


def initialize_dense(random: np.random.Generator, model: linen.Module, example: np.ndarray, runs: int) -> PyTree:
    """Initialize the variables of a network of linear layers for every run, ``[runs, ...]``, with NumPy.

    Kernels are normal with variance ``1 / n`` for ``n`` inputs. Numbers are drawn for the biases, too, which are 0.
    """

    def draw(path: str, leaf: jax.ShapeDtypeStruct) -> np.ndarray:
        drawn = random.normal(size=(runs, *leaf.shape)) / np.sqrt(leaf.shape[0])
        return (drawn * path.endswith("kernel")).astype(np.float32)

    return tree.map_with_path(draw, jax.eval_shape(model.init, jax.random.key(0), example))


def init_each(init: Callable[[Key], PyTree], keys: Key) -> PyTree:
    """Map an initialization over keys, one after the other.

    Under `jax.vmap` the factorizations of orthogonal initializers may block each other on a CPU.
    """
    return jax.jit(partial(jax.lax.map, init))(keys)
