"""Long short-term memory: the common form and its three variants."""

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from jaxdl.arrays import expand_leading
from jaxdl.checks import check_one_of, renamed_fields
from jaxdl.nn import initializers
from jaxdl.nn.activations import Activation, get_activation, sigmoid
from jaxdl.nn.dense import linear
from jaxdl.nn.recurrent.cells.base import Cell, Parameters, Projected, Shape, Shapes, preactivations
from jaxdl.typing import Array


class LSTMState(NamedTuple):
    """The state of an LSTM: the memory ``c`` and the output ``h``, both ``[..., H]``."""

    c: Array
    h: Array


@renamed_fields()
@dataclass(frozen=True)
class LSTM(Cell):
    """Long short-term memory (Hochreiter and Schmidhuber, 1997) with a forget gate (Gers et al., 2000).

    With ``a_k = x_t W_k + h_(t-1) U_k + b_k`` for the gates ``i, f, g, o``::

        i = s(a_i)    input gate          f = s(a_f)    forget gate
        g = g(a_g)    candidate           o = s(a_o)    output gate
        c_t = f * c_(t-1) + i * g
        h_t = o * g(c_t) = y_t

    ``activation`` is tanh; "sigmoid" is an older textbook form. The forget gate's bias starts at 1, so that memories
    last until the cell has learned to forget (Jozefowicz et al., 2015).
    """

    activation: str | Activation = "tanh"
    forget_bias: float = 1.0
    input_bias: float = 0.0
    output_bias: float = 0.0
    gates: ClassVar[tuple[str, ...]] = ("i", "f", "g", "o")

    def gate_biases(self) -> dict[str, float]:
        """Return the initial biases of the gates."""
        return {"i": self.input_bias, "f": self.forget_bias, "o": self.output_bias}

    def init_carry(self, batch_shape: Shape = (), dtype: Any = jnp.float32) -> LSTMState:
        """Return the initial memory and output, zeros."""
        return LSTMState(*(jnp.zeros((*batch_shape, self.hidden_size), dtype) for _ in range(2)))

    def step(self, parameters: Parameters, carry: LSTMState, projected: Projected) -> tuple[LSTMState, Array]:
        """Compute ``(c_t, h_t)`` and ``h_t``."""
        (c, h), act = carry, get_activation(self.activation)
        a_i, a_f, a_g, a_o = preactivations(parameters, h, projected)
        i, f, g, o = sigmoid(a_i), sigmoid(a_f), act(a_g), sigmoid(a_o)
        c = f * c + i * g
        h = o * act(c)
        return LSTMState(c, h), h


@renamed_fields()
@dataclass(frozen=True)
class ConstantForgetLSTM(LSTM):
    """An LSTM with a constant in the place of the forget gate: ``c_t = forget c_(t-1) + i * g``.

    With ``forget=1`` it is the cell of 1997 (Hochreiter and Schmidhuber), whose memory is a constant error carousel and
    grows without bound on long streams until ``tanh(c_t)`` saturates; a factor below 1, say 0.9, anneals it.

    With ``truncated_gradient`` no gradient flows through ``h_(t-1)``, as in the paper: backward through time it flows
    in ``c`` alone, and the recurrent kernel still learns.
    """

    forget: float = 1.0
    truncated_gradient: bool = False
    gates: ClassVar[tuple[str, ...]] = ("i", "g", "o")

    def step(self, parameters: Parameters, carry: LSTMState, projected: Projected) -> tuple[LSTMState, Array]:
        """Compute ``(c_t, h_t)`` and ``h_t``."""
        (c, h), act = carry, get_activation(self.activation)
        h = jax.lax.stop_gradient(h) if self.truncated_gradient else h
        a_i, a_g, a_o = preactivations(parameters, h, projected)
        i, g, o = sigmoid(a_i), act(a_g), sigmoid(a_o)
        c = self.forget * c + i * g
        h = o * act(c)
        return LSTMState(c, h), h


@renamed_fields()
@dataclass(frozen=True)
class PeepholeLSTM(LSTM):
    """An LSTM with peephole connections from the memory to the gates, unit by unit (Gers and Schmidhuber, 2000).

    As ``LSTM``, with the three rows ``p_i, p_f, p_o`` of the parameter ``peephole`` ``[3, H]``::

        i = s(a_i + p_i * c_(t-1))      f = s(a_f + p_f * c_(t-1))      o = s(a_o + p_o * c_t)

    In the notation of Graves (2012) ``i, f, o`` are ``b_iota, b_phi, b_omega``, ``c`` is ``s_c``, ``h`` is ``b_c``, and
    ``p`` are ``w_(c iota), w_(c phi), w_(c omega)``.
    """

    def shapes(self, input_size: int) -> Shapes:
        """Return the initializer and the shape of every parameter."""
        peephole: Shapes = {"peephole": (initializers.zeros, (3, self.hidden_size))}
        return super().shapes(input_size) | peephole

    def step(self, parameters: Parameters, carry: LSTMState, projected: Projected) -> tuple[LSTMState, Array]:
        """Compute ``(c_t, h_t)`` and ``h_t``."""
        (c, h), act = carry, get_activation(self.activation)
        a_i, a_f, a_g, a_o = preactivations(parameters, h, projected)
        p_i, p_f, p_o = (expand_leading(p, c.ndim) for p in parameters["peephole"])
        i, f, g = sigmoid(a_i + p_i * c), sigmoid(a_f + p_f * c), act(a_g)
        c = f * c + i * g
        o = sigmoid(a_o + p_o * c)
        h = o * act(c)
        return LSTMState(c, h), h


@renamed_fields()
@dataclass(frozen=True)
class FourGateLSTM(LSTM):
    """The form with a forget, a learn, a remember and a use gate; long-term memory ``c``, short-term memory ``h``.

    With ``a_k`` as in ``LSTM``, and ``Q`` ``use_kernel`` ``[H, H]`` and ``q`` ``use_bias`` ``[H]``::

        forget    k = c_(t-1) * s(a_f)
        learn     l = g(a_g) * s(a_i)
        remember  c_t = k + l
        use       h_t = g(c_t Q + q) * s(a_o) = y_t       use_reads="remembered"
                  h_t = g(k Q + q) * s(a_o) = y_t         use_reads="forgotten"

    With the identity for ``Q`` and 0 for ``q`` the first is ``LSTM``.

    Raises:
        ValueError: ``use_reads`` is neither "remembered" nor "forgotten".
    """

    use_reads: str = "remembered"

    def __post_init__(self):
        super().__post_init__()
        check_one_of("use_reads", self.use_reads, ("remembered", "forgotten"))

    def shapes(self, input_size: int) -> Shapes:
        """Return the initializer and the shape of every parameter."""
        size = self.hidden_size
        use: Shapes = {
            "use_kernel": (initializers.orthogonal(), (size, size)),
            "use_bias": (initializers.zeros, (size,)),
        }
        return super().shapes(input_size) | use

    def step(self, parameters: Parameters, carry: LSTMState, projected: Projected) -> tuple[LSTMState, Array]:
        """Compute ``(c_t, h_t)`` and ``h_t``."""
        (c, h), act = carry, get_activation(self.activation)
        a_i, a_f, a_g, a_o = preactivations(parameters, h, projected)
        k = c * sigmoid(a_f)
        c = k + act(a_g) * sigmoid(a_i)
        used = c if self.use_reads == "remembered" else k
        h = act(linear(used, parameters["use_kernel"], parameters.get("use_bias"))) * sigmoid(a_o)
        return LSTMState(c, h), h
