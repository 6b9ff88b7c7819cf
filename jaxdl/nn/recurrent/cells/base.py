"""The base class of recurrent cells, and the initialization of their parameters."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from jaxdl.checks import renamed_fields
from jaxdl.nn import initializers
from jaxdl.nn.dense import linear
from jaxdl.typing import Array, Key, PyTree

Parameters = dict[str, Array]
Projected = tuple[Array, ...]
Shape = tuple[int, ...]
Shapes = dict[str, tuple[initializers.Initializer, Shape]]


@renamed_fields(features="hidden_size")
@dataclass(frozen=True)
class Cell:
    """The base class: the gates are concatenated in a kernel, a recurrent kernel and a bias.

    Attributes:
        hidden_size: ``H``, the size of the state.

    Raises:
        ValueError: the size is not positive.
    """

    hidden_size: int
    gates: ClassVar[tuple[str, ...]] = ("h",)

    def __post_init__(self):
        if self.hidden_size < 1:
            raise ValueError(f"expected hidden_size >= 1, got {self.hidden_size}")

    @property
    def output_size(self) -> int:
        """The last dimension of ``y``."""
        return self.hidden_size

    def gate_biases(self) -> dict[str, float]:
        """Return the initial biases of gates, where they are not 0."""
        return {}

    def shapes(self, input_size: int) -> Shapes:
        """Return the initializer and the shape of every parameter, for inputs ``[..., input_size]``."""
        size, count = self.hidden_size, len(self.gates)
        biases = [self.gate_biases().get(gate, 0.0) for gate in self.gates]
        return {
            "kernel": (initializers.lecun_normal(), (input_size, count * size)),
            "recurrent_kernel": (_concatenated([initializers.orthogonal()] * count), (size, count * size)),
            "bias": (_concatenated([initializers.constant(bias) for bias in biases]), (count * size,)),
        }

    def init_carry(self, batch_shape: Shape = (), dtype: Any = jnp.float32) -> Any:
        """Return the initial state, zeros."""
        return jnp.zeros((*batch_shape, self.hidden_size), dtype)

    def project(self, parameters: Parameters, x: Array) -> Projected:
        """Compute ``x W + b`` of every gate, each ``[..., H]``: the part of a step that needs no state."""
        projected = linear(x, parameters["kernel"], parameters.get("bias"))
        return tuple(jnp.split(projected, len(self.gates), axis=-1))

    def step(self, parameters: Parameters, carry: Any, projected: Projected) -> tuple[Any, Array]:
        """Compute ``(carry, y_t)`` from the result of ``project``."""
        raise NotImplementedError

    def __call__(self, parameters: Parameters, carry: PyTree, x: Array) -> tuple[PyTree, Array]:
        """Compute one step, ``(carry, x_t) -> (carry, y_t)``."""
        return self.step(parameters, carry, self.project(parameters, x))


def preactivations(parameters: Parameters, h: Array, projected: Projected) -> list[Array]:
    """Compute ``a_k = x W_k + b_k + h U_k`` of all gates, with one product for all."""
    recurrent = jnp.split(h @ parameters["recurrent_kernel"], len(projected), axis=-1)
    return [a + u for a, u in zip(projected, recurrent, strict=True)]


def init_cell(key: Key, cell: Cell, input_size: int, dtype: Any = jnp.float32) -> Parameters:
    """Draw the parameters of a cell.

    >>> from jaxdl.nn.recurrent.cells import LSTM
    >>> jax.eval_shape(lambda: init_cell(jax.random.key(0), LSTM(4), input_size=3))["kernel"].shape
    (3, 16)
    """
    shapes = cell.shapes(input_size)
    keys = jax.random.split(key, len(shapes))
    return {name: draw(key, shape, dtype) for key, (name, (draw, shape)) in zip(keys, shapes.items(), strict=True)}


def _concatenated(draws: Sequence[initializers.Initializer]) -> initializers.Initializer:
    """Draw one block for each gate, because each gate's square block is orthogonal, and not the whole kernel."""

    def draw(key: Key, shape: Sequence[int], dtype: Any = jnp.float32) -> Array:
        block = (*shape[:-1], shape[-1] // len(draws))
        keys = jax.random.split(key, len(draws))
        return jnp.concatenate([one(key, block, dtype) for one, key in zip(draws, keys, strict=True)], axis=-1)

    return draw
