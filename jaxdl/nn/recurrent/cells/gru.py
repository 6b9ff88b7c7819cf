"""The gated recurrent unit."""

from dataclasses import dataclass
from typing import ClassVar

import jax.numpy as jnp

from jaxdl.arrays import expand_leading
from jaxdl.checks import check_one_of, renamed_fields
from jaxdl.nn import initializers
from jaxdl.nn.activations import Activation, get_activation, sigmoid
from jaxdl.nn.recurrent.cells.base import Cell, Parameters, Projected, Shapes
from jaxdl.typing import Array

RESETS = ("after", "before")
UPDATES = ("retain", "write")


@renamed_fields()
@dataclass(frozen=True)
class GRU(Cell):
    """The gated recurrent unit (Cho et al., 2014), with the gates ``r`` (reset), ``z`` (update) and ``n`` (new)::

        r = s(x_t W_r + h_(t-1) U_r + b_r)
        z = s(x_t W_z + h_(t-1) U_z + b_z)
        n = g(x_t W_n + b_n + r * (h_(t-1) U_n + d))      reset="after" the product, with d ``recurrent_bias`` [H]
        n = g(x_t W_n + b_n + (r * h_(t-1)) U_n)          reset="before" the product
        h_t = z * h_(t-1) + (1 - z) * n = y_t             update="retain"
        h_t = (1 - z) * h_(t-1) + z * n = y_t             update="write"

    "after" and "retain" are the form of torch and cuDNN, "before" and "retain" that of the paper. The textbook form is
    "before" and "write" (with ``o`` for ``r`` and ``i`` for ``z``). The two updates differ by the sign of ``W_z``,
    ``U_z`` and ``b_z`` alone.

    Raises:
        ValueError: ``reset`` or ``update`` is none of these.
    """

    activation: str | Activation = "tanh"
    reset: str = "after"
    update: str = "retain"
    update_bias: float = 0.0
    gates: ClassVar[tuple[str, ...]] = ("r", "z", "n")

    def __post_init__(self):
        super().__post_init__()
        check_one_of("reset", self.reset, RESETS)
        check_one_of("update", self.update, UPDATES)

    def gate_biases(self) -> dict[str, float]:
        """Return the initial bias of the update gate."""
        return {"z": self.update_bias}

    def shapes(self, input_size: int) -> Shapes:
        """Return the initializer and the shape of every parameter."""
        extra: Shapes = {"recurrent_bias": (initializers.zeros, (self.hidden_size,))} if self.reset == "after" else {}
        return super().shapes(input_size) | extra

    def step(self, parameters: Parameters, carry: Array, projected: Projected) -> tuple[Array, Array]:
        """Compute ``h_t``, the state and the output."""
        h = carry
        _, z, n, _ = self.gate_values(parameters, h, projected)
        h = n + z * (h - n) if self.update == "retain" else h + z * (n - h)
        return h, h

    def gate_values(self, parameters: Parameters, h: Array, projected: Projected) -> tuple[Array, Array, Array, Array]:
        """Compute ``r, z, n``, and the operand of the reset: ``h U_n + d`` ("after") or ``r * h`` ("before")."""
        (x_r, x_z, x_n), U = projected, parameters["recurrent_kernel"]
        act, cut = get_activation(self.activation), 2 * self.hidden_size
        if self.reset == "after":
            u_r, u_z, u_n = jnp.split(h @ U, 3, axis=-1)
            if "recurrent_bias" in parameters:
                u_n = u_n + expand_leading(parameters["recurrent_bias"], u_n.ndim)
            r, z = sigmoid(x_r + u_r), sigmoid(x_z + u_z)
            return r, z, act(x_n + r * u_n), u_n
        u_r, u_z = jnp.split(h @ U[:, :cut], 2, axis=-1)
        r, z = sigmoid(x_r + u_r), sigmoid(x_z + u_z)
        reset = r * h
        return r, z, act(x_n + reset @ U[:, cut:]), reset
