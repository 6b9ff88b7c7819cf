"""The two simple recurrent cells: Elman's, which feeds back its state, and Jordan's, which feeds back its output."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax.numpy as jnp

from jaxdl.checks import renamed_fields
from jaxdl.nn import initializers
from jaxdl.nn.activations import Activation, get_activation
from jaxdl.nn.dense import linear
from jaxdl.nn.recurrent.cells.base import Cell, Parameters, Projected, Shape, Shapes
from jaxdl.typing import Array


@renamed_fields()
@dataclass(frozen=True)
class Vanilla(Cell):
    """The simple recurrent cell ``h_t = g(x_t W + h_(t-1) U + b)``, ``y_t = h_t`` (Elman, 1990).

    >>> import jax
    >>> from jaxdl.nn import init_cell
    >>> cell = Vanilla(4)
    >>> parameters = init_cell(jax.random.key(0), cell, input_size=3)
    >>> carry, y = cell(parameters, cell.init_carry((2,)), jnp.ones((2, 3)))
    >>> y.shape
    (2, 4)
    """

    activation: str | Activation = "tanh"

    def step(self, parameters: Parameters, carry: Array, projected: Projected) -> tuple[Array, Array]:
        """Compute ``h_t``, the state and the output."""
        h, (a,) = carry, projected
        h = get_activation(self.activation)(a + h @ parameters["recurrent_kernel"])
        return h, h


class JordanState(NamedTuple):
    """The state of `Jordan`: ``h``, ``[..., H]``, and the output ``y``, ``[..., K]``."""

    h: Array
    y: Array


@renamed_fields(outputs="num_outputs")
@dataclass(frozen=True)
class Jordan(Cell):
    """A cell with connections from its last output (Jordan, 1986), and optionally from its last state.

    ``h_t = g(x_t W + y_(t-1) R [+ h_(t-1) U] + b)``, ``y_t = o(h_t V + c)``, with the parameters ``R``
    ``output_recurrent_kernel`` ``[K, H]``, ``V`` ``output_kernel`` ``[H, K]`` and ``c`` ``output_bias`` ``[K]``, and
    ``U`` with ``hidden_recurrence=True`` alone.

    For teacher forcing, replace ``y`` in the state by the true output.
    """

    num_outputs: int = 1
    activation: str | Activation = "tanh"
    output_activation: str | Activation = "identity"
    hidden_recurrence: bool = False

    @property
    def output_size(self) -> int:
        """The last dimension of ``y``."""
        return self.num_outputs

    def shapes(self, input_size: int) -> Shapes:
        """Return the initializer and the shape of every parameter."""
        shapes = super().shapes(input_size)
        if not self.hidden_recurrence:
            del shapes["recurrent_kernel"]
        return shapes | {
            "output_recurrent_kernel": (initializers.orthogonal(), (self.output_size, self.hidden_size)),
            "output_kernel": (initializers.lecun_normal(), (self.hidden_size, self.output_size)),
            "output_bias": (initializers.zeros, (self.output_size,)),
        }

    def init_carry(self, batch_shape: Shape = (), dtype: Any = jnp.float32) -> JordanState:
        """Return the initial state and output, zeros."""
        return JordanState(*(jnp.zeros((*batch_shape, size), dtype) for size in (self.hidden_size, self.output_size)))

    def step(self, parameters: Parameters, carry: JordanState, projected: Projected) -> tuple[JordanState, Array]:
        """Compute ``(h_t, y_t)`` and ``y_t``."""
        (h, y), (a,) = carry, projected
        a = a + y @ parameters["output_recurrent_kernel"]
        if self.hidden_recurrence:
            a = a + h @ parameters["recurrent_kernel"]
        h = get_activation(self.activation)(a)
        a_y = linear(h, parameters["output_kernel"], parameters.get("output_bias"))
        y = get_activation(self.output_activation)(a_y)
        return JordanState(h, y), y
