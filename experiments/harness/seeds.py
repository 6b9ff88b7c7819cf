"""Independent runs as one program: their first values, and the curves of all of them."""

from collections.abc import Callable
from functools import partial

import jax
import numpy as np
from flax import linen as nn
from matplotlib.axes import Axes

from jaxdl import tree
from jaxdl.typing import Key, PyTree


def he(inputs: int, outputs: int) -> float:
    """Return the variance ``2 / n`` of the weights of rectified units with ``n`` inputs (He et al., 2015)."""
    return 2 / inputs


def xavier(inputs: int, outputs: int) -> float:
    """Return the variance ``2 / (n + m)`` of the weights from ``n`` units to ``m`` (Glorot and Bengio, 2010)."""
    return 2 / (inputs + outputs)


def first_values(
    random: np.random.Generator,
    model: nn.Module,
    example: np.ndarray,
    runs: int,
    variance: Callable[[int, int], float] = he,
) -> PyTree:
    """Draw the variables of a model for every run, ``[runs, ...]``, by NumPy, which compiles nothing.

    Kernels are normal, with the variance that is given for the inputs and the outputs of a unit; scales and variances
    of normalisation are 1, all else is 0. A dimension before those of a convolution is that of scanned blocks.

    Raises:
        ValueError: a kernel is neither ``[in, out]`` nor ``[H, W, in, out]``, of scanned blocks or not.
    """

    def draw(path: str, leaf: jax.ShapeDtypeStruct) -> np.ndarray:
        shape = (runs, *leaf.shape)
        if not path.endswith("kernel"):
            return np.full(shape, path.endswith(("scale", "var")), np.float32)
        if leaf.ndim not in (2, 4, 5):
            raise ValueError(
                f"expected kernels [in, out], [H, W, in, out] or [blocks, H, W, in, out]; {path} is "
                f"{list(leaf.shape)}, of which it is open what counts as inputs"
            )
        *window, inputs, outputs = leaf.shape[-4:]
        deviation = variance(int(np.prod(window)) * inputs, int(np.prod(window)) * outputs) ** 0.5
        return random.normal(0, deviation, shape).astype(np.float32)

    return tree.map_with_path(draw, jax.eval_shape(model.init, jax.random.key(0), example))


def draw_each(draw: Callable[[Key], PyTree], keys: Key) -> PyTree:
    """Draw for every key, one after the other.

    Mapped together, the factorisations that make matrices orthogonal may block each other on a CPU.
    """
    return jax.jit(partial(jax.lax.map, draw))(keys)


def smooth(values: np.ndarray, width: int) -> np.ndarray:
    """Return the means over every ``width`` neighbours in the last dimension of curves ``[runs, T]``.

    >>> smooth(np.array([[0.0, 2.0, 4.0]]), 2)
    array([[1., 3.]])
    """
    width = min(width, values.shape[1])
    return np.apply_along_axis(np.convolve, 1, values, np.ones(width) / width, "valid")


def plot_runs(
    axis: Axes, values: np.ndarray, colour: str, *, x: np.ndarray | None = None, style: str = "-", label: str = ""
) -> None:
    """Draw curves ``[runs, T]``: every run as a thin line, their mean as a thick one."""
    x = np.arange(values.shape[1]) if x is None else x
    axis.plot(x, values.T, color=colour, linewidth=0.4, alpha=0.35)
    axis.plot(x, values.mean(axis=0), style, color=colour, linewidth=1.8, label=label or None)
