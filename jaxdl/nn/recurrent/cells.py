"""Recurrent cells: one time step each, as a pure function that reads as its equations.

A cell is a description without arrays, ``LSTM(64)``. It is called as ``(parameters, carry, x_t) -> (carry, y_t)``, with
examples as rows: ``x_t`` is ``[..., D]``, the state ``h`` is ``[..., H]``. The letters of the equations are

    W  ``kernel`` ``[D, G H]``             on the input
    U  ``recurrent_kernel`` ``[H, G H]``   on the state (square for each gate)
    b  ``bias`` ``[G H]``

where the ``G`` gates of a cell lie side by side in the order in which they are named; ``W_f`` is the part of the gate
``f``. (Some texts swap the letters ``W`` and ``U``.) ``s`` is the sigmoid, ``g()`` the activation; ``*`` goes entry by
entry. ``project`` is the part of a step that needs no state, ``x_t W + b``: a scan does it for all times as one
product, and only ``step`` is left for the loop. ``cell(parameters, carry, x)`` is one after the other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from jaxdl.nn import activations, initializers
from jaxdl.nn.activations import Activation, sigmoid
from jaxdl.nn.dense import linear
from jaxdl.typing import Array, Key, PyTree

RESETS = ("after", "before")
UPDATES = ("retain", "write")

Parameters = dict[str, Array]
Projected = tuple[Array, ...]
Shape = tuple[int, ...]
Shapes = dict[str, tuple[initializers.Initializer, Shape]]


class LSTMState(NamedTuple):
    """The memory ``c`` and the output ``h`` of an LSTM, both ``[..., H]``."""

    c: Array
    h: Array


class JordanState(NamedTuple):
    """The state ``h``, ``[..., H]``, and the output ``y``, ``[..., K]``, of a cell that reads its own output."""

    h: Array
    y: Array


@dataclass(frozen=True)
class Cell:
    """What all cells share: the gates lie side by side in a kernel, a recurrent kernel and a bias.

    Raises:
        ValueError: the number of features is not positive.
    """

    hidden_size: int
    gates: ClassVar[tuple[str, ...]] = ("h",)

    def __post_init__(self):
        if self.hidden_size < 1:
            raise ValueError(f"features is the size of the state and must be at least 1; got {self.hidden_size}")

    @property
    def output_size(self) -> int:
        """The last dimension of ``y``."""
        return self.hidden_size

    def gate_biases(self) -> dict[str, float]:
        """Say at which bias a gate starts; a gate that is not named starts at 0."""
        return {}

    def shapes(self, in_features: int) -> Shapes:
        """Name every parameter for inputs of ``in_features``, with what draws it and its shape."""
        size, count = self.hidden_size, len(self.gates)
        biases = [self.gate_biases().get(gate, 0.0) for gate in self.gates]
        return {
            "kernel": (initializers.lecun_normal(), (in_features, count * size)),
            "recurrent_kernel": (_side_by_side([initializers.orthogonal()] * count), (size, count * size)),
            "bias": (_side_by_side([initializers.constant(bias) for bias in biases]), (count * size,)),
        }

    def init_carry(self, batch_shape: Shape = (), dtype: Any = jnp.float32) -> PyTree:
        """Return the state of zeros."""
        return jnp.zeros((*batch_shape, self.hidden_size), dtype)

    def project(self, parameters: Parameters, x: Array) -> Projected:
        """Return ``x W + b`` of every gate, each ``[..., H]``: what needs no state."""
        projected = linear(x, parameters["kernel"], parameters.get("bias"))
        return tuple(jnp.split(projected, len(self.gates), axis=-1))

    def step(self, parameters: Parameters, carry: PyTree, projected: Projected) -> tuple[PyTree, Array]:
        """Do one step, given what ``project`` returned."""
        raise NotImplementedError

    def __call__(self, parameters: Parameters, carry: PyTree, x: Array) -> tuple[PyTree, Array]:
        """Do one step ``(carry, x_t) -> (carry, y_t)``."""
        return self.step(parameters, carry, self.project(parameters, x))


@dataclass(frozen=True)
class Vanilla(Cell):
    """The simple recurrent cell ``h_t = g(x_t W + h_(t-1) U + b)``, ``y_t = h_t`` (Elman, 1990).

    >>> cell = Vanilla(4)
    >>> parameters = init(jax.random.key(0), cell, in_features=3)
    >>> carry, y = cell(parameters, cell.init_carry((2,)), jnp.ones((2, 3)))
    >>> y.shape
    (2, 4)
    """

    activation: str | Activation = "tanh"

    def step(self, parameters: Parameters, carry: Array, projected: Projected) -> tuple[Array, Array]:
        """Return ``h_t`` as the state and as the output."""
        h, (a,) = carry, projected
        h = activations.get(self.activation)(a + h @ parameters["recurrent_kernel"])
        return h, h


@dataclass(frozen=True)
class Jordan(Cell):
    """A cell that reads its last output (Jordan, 1986), and with ``hidden_recurrence`` its last state as well.

    ``h_t = g(x_t W + y_(t-1) R [+ h_(t-1) U] + b)``, ``y_t = o(h_t V + c)``, with the parameters ``R``
    ``output_recurrent_kernel`` ``[K, H]``, ``V`` ``output_kernel`` ``[H, K]`` and ``c`` ``output_bias`` ``[K]``.

    In training the true output can be put in the place of ``y`` in the state: that is teacher forcing.
    """

    num_outputs: int = 1
    activation: str | Activation = "tanh"
    output_activation: str | Activation = "identity"
    hidden_recurrence: bool = False

    @property
    def output_size(self) -> int:
        """The last dimension of ``y``."""
        return self.num_outputs

    def shapes(self, in_features: int) -> Shapes:
        """Name every parameter."""
        shapes = super().shapes(in_features)
        if not self.hidden_recurrence:
            del shapes["recurrent_kernel"]
        return shapes | {
            "output_recurrent_kernel": (initializers.orthogonal(), (self.output_size, self.hidden_size)),
            "output_kernel": (initializers.lecun_normal(), (self.hidden_size, self.output_size)),
            "output_bias": (initializers.zeros, (self.output_size,)),
        }

    def init_carry(self, batch_shape: Shape = (), dtype: Any = jnp.float32) -> JordanState:
        """Return the state and the output of zeros."""
        return JordanState(*(jnp.zeros((*batch_shape, size), dtype) for size in (self.hidden_size, self.output_size)))

    def step(self, parameters: Parameters, carry: JordanState, projected: Projected) -> tuple[JordanState, Array]:
        """Return ``(h_t, y_t)`` and ``y_t``."""
        (h, y), (a,) = carry, projected
        a = a + y @ parameters["output_recurrent_kernel"]
        if self.hidden_recurrence:
            a = a + h @ parameters["recurrent_kernel"]
        h = activations.get(self.activation)(a)
        y = activations.get(self.output_activation)(
            linear(h, parameters["output_kernel"], parameters.get("output_bias"))
        )
        return JordanState(h, y), y


@dataclass(frozen=True)
class LSTM(Cell):
    """Long short-term memory (Hochreiter and Schmidhuber, 1997) with a forget gate (Gers et al., 2000).

    With ``a_k = x_t W_k + h_(t-1) U_k + b_k`` for the gates ``i, f, g, o``::

        i = s(a_i)    what is read             f = s(a_f)    what is kept
        g = g(a_g)    the candidate            o = s(a_o)    what is written
        c_t = f * c_(t-1) + i * g
        h_t = o * g(c_t) = y_t

    ``activation`` is tanh; "sigmoid" is the lecture-note form. The forget gate starts near 1 by its bias, so that
    memories last until the cell has learned what to forget (Jozefowicz et al., 2015).
    """

    activation: str | Activation = "tanh"
    forget_bias: float = 1.0
    input_bias: float = 0.0
    output_bias: float = 0.0
    gates: ClassVar[tuple[str, ...]] = ("i", "f", "g", "o")

    def gate_biases(self) -> dict[str, float]:
        """Start the gates where the description says."""
        return {"i": self.input_bias, "f": self.forget_bias, "o": self.output_bias}

    def init_carry(self, batch_shape: Shape = (), dtype: Any = jnp.float32) -> LSTMState:
        """Return the memory and the output of zeros."""
        return LSTMState(*(jnp.zeros((*batch_shape, self.hidden_size), dtype) for _ in range(2)))

    def step(self, parameters: Parameters, carry: LSTMState, projected: Projected) -> tuple[LSTMState, Array]:
        """Return ``(c_t, h_t)`` and ``h_t``."""
        (c, h), act = carry, activations.get(self.activation)
        a_i, a_f, a_g, a_o = preactivations(parameters, h, projected)
        i, f, g, o = sigmoid(a_i), sigmoid(a_f), act(a_g), sigmoid(a_o)
        c = f * c + i * g
        h = o * act(c)
        return LSTMState(c, h), h


@dataclass(frozen=True)
class ConstantForgetLSTM(LSTM):
    """An LSTM whose memory is kept by a constant factor: ``c_t = forget c_(t-1) + i * g``, and no forget gate.

    With ``forget=1`` it is the cell of 1997 (Hochreiter and Schmidhuber), whose memory is a constant error carousel and
    grows without bound on long streams until ``tanh(c_t)`` saturates; a factor below 1, say 0.9, anneals it.

    With ``truncated_gradient`` no error leaves the cell backward through ``h_(t-1)``, as in the paper: it flows through
    time in ``c`` alone, and the recurrent kernel still learns.
    """

    forget: float = 1.0
    truncated_gradient: bool = False
    gates: ClassVar[tuple[str, ...]] = ("i", "g", "o")

    def step(self, parameters: Parameters, carry: LSTMState, projected: Projected) -> tuple[LSTMState, Array]:
        """Return ``(c_t, h_t)`` and ``h_t``."""
        (c, h), act = carry, activations.get(self.activation)
        h = jax.lax.stop_gradient(h) if self.truncated_gradient else h
        a_i, a_g, a_o = preactivations(parameters, h, projected)
        i, g, o = sigmoid(a_i), act(a_g), sigmoid(a_o)
        c = self.forget * c + i * g
        h = o * act(c)
        return LSTMState(c, h), h


@dataclass(frozen=True)
class PeepholeLSTM(LSTM):
    """An LSTM whose gates see the memory, unit by unit (Gers and Schmidhuber, 2000).

    As ``LSTM``, with the three rows ``p_i, p_f, p_o`` of the parameter ``peephole`` ``[3, H]``::

        i = s(a_i + p_i * c_(t-1))      f = s(a_f + p_f * c_(t-1))      o = s(a_o + p_o * c_t)

    In the notation of Graves (2012) ``i, f, o`` are ``b_iota, b_phi, b_omega``, ``c`` is ``s_c``, ``h`` is ``b_c``, and
    ``p`` are ``w_(c iota), w_(c phi), w_(c omega)``.
    """

    def shapes(self, in_features: int) -> Shapes:
        """Name every parameter."""
        return super().shapes(in_features) | {"peephole": (initializers.zeros, (3, self.hidden_size))}

    def step(self, parameters: Parameters, carry: LSTMState, projected: Projected) -> tuple[LSTMState, Array]:
        """Return ``(c_t, h_t)`` and ``h_t``."""
        (c, h), act = carry, activations.get(self.activation)
        a_i, a_f, a_g, a_o = preactivations(parameters, h, projected)
        p_i, p_f, p_o = (_as_row(p, c.ndim) for p in parameters["peephole"])
        i, f, g = sigmoid(a_i + p_i * c), sigmoid(a_f + p_f * c), act(a_g)
        c = f * c + i * g
        o = sigmoid(a_o + p_o * c)
        h = o * act(c)
        return LSTMState(c, h), h


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
        _check_choice("use_reads", self.use_reads, ("remembered", "forgotten"))

    def shapes(self, in_features: int) -> Shapes:
        """Name every parameter."""
        size = self.hidden_size
        use = {"use_kernel": (initializers.orthogonal(), (size, size)), "use_bias": (initializers.zeros, (size,))}
        return super().shapes(in_features) | use

    def step(self, parameters: Parameters, carry: LSTMState, projected: Projected) -> tuple[LSTMState, Array]:
        """Return ``(c_t, h_t)`` and ``h_t``."""
        (c, h), act = carry, activations.get(self.activation)
        a_i, a_f, a_g, a_o = preactivations(parameters, h, projected)
        k = c * sigmoid(a_f)
        c = k + act(a_g) * sigmoid(a_i)
        used = c if self.use_reads == "remembered" else k
        h = act(linear(used, parameters["use_kernel"], parameters.get("use_bias"))) * sigmoid(a_o)
        return LSTMState(c, h), h


@dataclass(frozen=True)
class GRU(Cell):
    """Gated recurrent unit (Cho et al., 2014), with the gates ``r`` (reset), ``z`` (update) and ``n`` (new)::

        r = s(x_t W_r + h_(t-1) U_r + b_r)
        z = s(x_t W_z + h_(t-1) U_z + b_z)
        n = g(x_t W_n + b_n + r * (h_(t-1) U_n + d))      reset="after" the product, with d ``recurrent_bias`` [H]
        n = g(x_t W_n + b_n + (r * h_(t-1)) U_n)          reset="before" the product
        h_t = z * h_(t-1) + (1 - z) * n = y_t             update="retain"
        h_t = (1 - z) * h_(t-1) + z * n = y_t             update="write"

    "after" and "retain" are the form of torch and cuDNN, "before" and "retain" that of the paper. The lecture-note form
    is "before" and "write" (with ``o`` for ``r`` and ``i`` for ``z``). Retaining and writing differ by the sign of
    ``W_z``, ``U_z`` and ``b_z`` alone.

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
        _check_choice("reset", self.reset, RESETS)
        _check_choice("update", self.update, UPDATES)

    def gate_biases(self) -> dict[str, float]:
        """Start the update gate where the description says."""
        return {"z": self.update_bias}

    def shapes(self, in_features: int) -> Shapes:
        """Name every parameter."""
        extra = {"recurrent_bias": (initializers.zeros, (self.hidden_size,))} if self.reset == "after" else {}
        return super().shapes(in_features) | extra

    def step(self, parameters: Parameters, carry: Array, projected: Projected) -> tuple[Array, Array]:
        """Return ``h_t`` as the state and as the output."""
        _, z, n, _ = self.values(parameters, carry, projected)
        h = n + z * (carry - n) if self.update == "retain" else carry + z * (n - carry)
        return h, h

    def values(self, parameters: Parameters, h: Array, projected: Projected) -> tuple[Array, Array, Array, Array]:
        """Return ``r, z, n``, and what the reset gate meets: ``h U_n + d`` before it, or ``r * h`` after it."""
        (x_r, x_z, x_n), U = projected, parameters["recurrent_kernel"]
        act, gates = activations.get(self.activation), 2 * self.hidden_size
        if self.reset == "after":
            u_r, u_z, u_n = jnp.split(h @ U, 3, axis=-1)
            if "recurrent_bias" in parameters:
                u_n = u_n + _as_row(parameters["recurrent_bias"], u_n.ndim)
            r, z = sigmoid(x_r + u_r), sigmoid(x_z + u_z)
            return r, z, act(x_n + r * u_n), u_n
        u_r, u_z = jnp.split(h @ U[:, :gates], 2, axis=-1)
        r, z = sigmoid(x_r + u_r), sigmoid(x_z + u_z)
        reset = r * h
        return r, z, act(x_n + reset @ U[:, gates:]), reset


def preactivations(parameters: Parameters, h: Array, projected: Projected) -> list[Array]:
    """Return ``a_k = x W_k + b_k + h U_k`` of all gates, with one product for all."""
    recurrent = jnp.split(h @ parameters["recurrent_kernel"], len(projected), axis=-1)
    return [a + u for a, u in zip(projected, recurrent, strict=True)]


def init(key: Key, cell: Cell, in_features: int, dtype: Any = jnp.float32) -> Parameters:
    """Draw the parameters of a cell.

    >>> jax.eval_shape(lambda: init(jax.random.key(0), LSTM(4), in_features=3))["kernel"].shape
    (3, 16)
    """
    shapes = cell.shapes(in_features)
    keys = jax.random.split(key, len(shapes))
    return {name: draw(key, shape, dtype) for key, (name, (draw, shape)) in zip(keys, shapes.items(), strict=True)}


def _side_by_side(draws: Sequence[initializers.Initializer]) -> initializers.Initializer:
    """Draw one block for each gate, since the whole must not be orthogonal but each gate's square."""

    def draw(key: Key, shape: Shape, dtype: Any = jnp.float32) -> Array:
        block = (*shape[:-1], shape[-1] // len(draws))
        keys = jax.random.split(key, len(draws))
        return jnp.concatenate([one(key, block, dtype) for one, key in zip(draws, keys, strict=True)], axis=-1)

    return draw


def _as_row(a: Array, ndim: int) -> Array:
    return a.reshape((1,) * (ndim - a.ndim) + a.shape)


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name} must be {' or '.join(map(repr, choices))}; got {value!r}")
