"""Backward passes through time of vanilla cells, LSTM and GRU, written by hand.

The notation is that of ``jaxdl.backprop.recurrent``: ``a_t`` is the pre-activation, ``d_h`` the gradient of the loss
with respect to ``h_t``, ``delta`` that with respect to ``a_t``, ``h_prev`` is ``h_(t-1)``. A rule has these parts:

``forward`` computes a step and saves residuals. ``factors`` computes from the residuals of all times at once the
factors of the backward recursion, so that ``backward`` consists of multiplications and one product: it maps ``d_h`` to
``delta`` and to the gradient with respect to ``h_prev``. ``gradients`` follows the loop, and computes the gradient of
each kernel as one product, where accumulation in the loop would take ``T`` small ones::

    d_W = sum_t x_t^T delta_t       d_U = sum_t h_(t-1)^T delta_t       d_b = sum_t delta_t       d_x_t = delta_t W^T

A slope ``g'(a)`` is written in terms of the value ``g(a)``.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxdl.arrays import expand_leading
from jaxdl.nn.activations import get_activation
from jaxdl.nn.dense import linear
from jaxdl.nn.recurrent.cells.base import Cell, Parameters, Projected
from jaxdl.nn.recurrent.cells.gru import GRU
from jaxdl.nn.recurrent.cells.lstm import LSTM, LSTMState
from jaxdl.nn.recurrent.cells.vanilla import Vanilla
from jaxdl.typing import Array, PyTree

SLOPES: dict[Any, Callable[[Array], Array]] = {
    "identity": jnp.ones_like,
    "sigmoid": lambda h: h * (1 - h),
    "tanh": lambda h: 1 - h * h,
    "relu": lambda h: (h > 0).astype(h.dtype),
}
"""The slopes of activations that are functions of the value."""


def _project(cell: Cell, parameters: Parameters, x: Array) -> tuple[Projected, Parameters]:
    return cell.project(parameters, x), parameters


def _residuals_as_factors(cell: Cell, residuals: PyTree) -> PyTree:
    return residuals


class VJPRule(NamedTuple):
    """The parts of a backward pass; arrays of all times are ``[T, B, ...]``.

    ``prepare(cell, parameters, x) -> (projected, weights)`` of all times, before the loop;
    ``forward(cell, weights, carry, projected) -> (carry, y, residuals)`` of one time;
    ``factors(cell, residuals) -> factors`` of all times;
    ``backward(cell, U_T, d_carry, d_y, factors) -> (d_carry_prev, delta)`` of one time, with the transposed recurrent
    kernel ``U_T``; and
    ``gradients(cell, parameters, x, factors, delta) -> (d_parameters, d_x)`` of all times.
    """

    forward: Callable[..., tuple[PyTree, Array, PyTree]]
    backward: Callable[..., tuple[PyTree, PyTree]]
    gradients: Callable[..., tuple[Parameters, Array]]
    prepare: Callable[..., tuple[Projected, Parameters]] = _project
    factors: Callable[..., PyTree] = _residuals_as_factors


def find_vjp_rule(cell: Cell) -> VJPRule | None:
    """Return the rule of a cell, or None for a cell without one.

    >>> find_vjp_rule(Vanilla(3, "relu")) is None, find_vjp_rule(Vanilla(3, "softplus")) is None
    (False, True)
    """
    if getattr(cell, "activation", None) not in SLOPES:
        return None
    if type(cell) is GRU:
        return _GRU_RESET_AFTER if cell.reset == "after" else _GRU_RESET_BEFORE
    if type(cell) is LSTM:
        return _LSTM if cell.activation in ("tanh", "sigmoid") else None
    return _VANILLA if type(cell) is Vanilla else None


class VanillaResiduals(NamedTuple):
    """``h_(t-1)``, and the slope ``g'(a_t)``."""

    h_prev: Array
    slope: Array


def _vanilla_forward(cell: Vanilla, parameters: Parameters, h_prev: Array, projected: Projected) -> tuple:
    h, _ = cell.step(parameters, h_prev, projected)
    return h, h, VanillaResiduals(h_prev, SLOPES[cell.activation](h))


def _vanilla_backward(cell: Vanilla, U_T: Array, d_h: Array, d_y: Array, factors: VanillaResiduals) -> tuple:
    delta = (d_h + d_y) * factors.slope
    return delta @ U_T, delta


def _gradients(cell: Cell, parameters: Parameters, x: Array, factors: PyTree, delta: Array) -> tuple:
    d_parameters = {"kernel": _sum_outer(x, delta), "recurrent_kernel": _sum_outer(factors.h_prev, delta)}
    if "bias" in parameters:
        d_parameters["bias"] = jnp.sum(delta, axis=(0, 1))
    return d_parameters, delta @ parameters["kernel"].T


_VANILLA = VJPRule(_vanilla_forward, _vanilla_backward, _gradients)


class LSTMResiduals(NamedTuple):
    """``h_(t-1)``, ``c_(t-1)``, ``c_t``, and ``t = tanh(scale a_t)`` of all gates, concatenated."""

    h_prev: Array
    c_prev: Array
    c: Array
    t: Array


class LSTMFactors(NamedTuple):
    """``h_(t-1)``, and factors: ``h_to_c`` from ``d_h`` to ``d_c``, ``c_to_i`` from ``d_c`` to ``delta_i`` etc."""

    h_prev: Array
    h_to_c: Array
    c_to_c: Array
    c_to_i: Array
    c_to_f: Array
    c_to_g: Array
    h_to_o: Array


def _is_sigmoid(cell: LSTM, gate: str) -> bool:
    """Return whether a gate is a sigmoid, ``s(a) = 1/2 + tanh(a / 2) / 2``; the candidate may be a tanh."""
    return gate != "g" or cell.activation == "sigmoid"


def _lstm_prepare(cell: LSTM, parameters: Parameters, x: Array) -> tuple[Projected, Parameters]:
    """Halve the pre-activations of sigmoids in the weights, so that a step has one tanh for all gates."""
    scale = np.repeat([0.5 if _is_sigmoid(cell, gate) else 1.0 for gate in cell.gates], cell.hidden_size)
    weights = {name: leaf * expand_leading(scale.astype(leaf.dtype), leaf.ndim) for name, leaf in parameters.items()}
    return (linear(x, weights["kernel"], weights.get("bias")),), weights


def _lstm_gates(cell: LSTM, t: Array) -> list[Array]:
    """Return ``i, f, g, o`` from the tanh of all gates."""
    parts = zip(cell.gates, jnp.split(t, len(cell.gates), axis=-1), strict=True)
    return [0.5 + 0.5 * part if _is_sigmoid(cell, gate) else part for gate, part in parts]


def _lstm_forward(cell: LSTM, weights: Parameters, carry: LSTMState, projected: Projected) -> tuple:
    (c_prev, h_prev), (a,) = carry, projected
    t = jnp.tanh(a + h_prev @ weights["recurrent_kernel"])
    i, f, g, o = _lstm_gates(cell, t)
    c = f * c_prev + i * g
    h = o * get_activation(cell.activation)(c)
    return LSTMState(c, h), h, LSTMResiduals(h_prev, c_prev, c, t)


def _lstm_factors(cell: LSTM, residuals: LSTMResiduals) -> LSTMFactors:
    slope, g_c = SLOPES[cell.activation], get_activation(cell.activation)(residuals.c)
    i, f, g, o = _lstm_gates(cell, residuals.t)
    return LSTMFactors(
        h_prev=residuals.h_prev,
        h_to_c=o * slope(g_c),
        c_to_c=f,
        c_to_i=g * i * (1 - i),
        c_to_f=residuals.c_prev * f * (1 - f),
        c_to_g=i * slope(g),
        h_to_o=g_c * o * (1 - o),
    )


def _lstm_backward(cell: LSTM, U_T: Array, d_carry: LSTMState, d_y: Array, factors: LSTMFactors) -> tuple:
    d_h = d_carry.h + d_y
    d_c = d_carry.c + d_h * factors.h_to_c
    deltas = [d_c * factors.c_to_i, d_c * factors.c_to_f, d_c * factors.c_to_g, d_h * factors.h_to_o]
    delta = jnp.concatenate(deltas, axis=-1)
    return LSTMState(d_c * factors.c_to_c, delta @ U_T), delta


_LSTM = VJPRule(_lstm_forward, _lstm_backward, _gradients, _lstm_prepare, _lstm_factors)


class GRUResiduals(NamedTuple):
    """``h_(t-1)``, ``r * h_(t-1)`` for a reset before the product, the gate ``r``, and the factors of ``d_h``."""

    h_prev: Array
    reset: Array | None
    r: Array
    h_to_h: Array
    h_to_r: Array
    h_to_z: Array
    h_to_n: Array


def _gru_step(cell: GRU, h_prev: Array, r: Array, z: Array, n: Array) -> tuple[Array, GRUResiduals]:
    """Return ``h_t`` and what both resets have in common; ``h_to_r`` is the slope of ``r`` alone."""
    retained, sign = (z, 1) if cell.update == "retain" else (1 - z, -1)
    residuals = GRUResiduals(
        h_prev=h_prev,
        reset=None,
        r=r,
        h_to_h=retained,
        h_to_r=r * (1 - r),
        h_to_z=sign * (h_prev - n) * z * (1 - z),
        h_to_n=(1 - retained) * SLOPES[cell.activation](n),
    )
    return n + retained * (h_prev - n), residuals


def _after_forward(cell: GRU, parameters: Parameters, h_prev: Array, projected: Projected) -> tuple:
    r, z, n, u_n = cell.gate_values(parameters, h_prev, projected)
    h, residuals = _gru_step(cell, h_prev, r, z, n)
    return h, h, residuals._replace(h_to_r=residuals.h_to_n * u_n * residuals.h_to_r)


def _after_backward(cell: GRU, U_T: Array, d_h: Array, d_y: Array, factors: GRUResiduals) -> tuple:
    d_h = d_h + d_y
    delta_r, delta_z, delta_n = d_h * factors.h_to_r, d_h * factors.h_to_z, d_h * factors.h_to_n
    delta_u = delta_n * factors.r
    delta = jnp.concatenate([delta_r, delta_z, delta_u], axis=-1)
    d_h_prev = d_h * factors.h_to_h + delta @ U_T
    return d_h_prev, (jnp.concatenate([delta_r, delta_z], axis=-1), delta_n, delta_u)


def _before_forward(cell: GRU, parameters: Parameters, h_prev: Array, projected: Projected) -> tuple:
    r, z, n, reset = cell.gate_values(parameters, h_prev, projected)
    h, residuals = _gru_step(cell, h_prev, r, z, n)
    return h, h, residuals._replace(reset=reset, h_to_r=h_prev * residuals.h_to_r)


def _before_backward(cell: GRU, U_T: Array, d_h: Array, d_y: Array, factors: GRUResiduals) -> tuple:
    cut = 2 * cell.hidden_size
    d_h = d_h + d_y
    delta_n = d_h * factors.h_to_n
    d_reset = delta_n @ U_T[cut:]
    delta = jnp.concatenate([d_reset * factors.h_to_r, d_h * factors.h_to_z], axis=-1)
    return d_h * factors.h_to_h + d_reset * factors.r + delta @ U_T[:cut], (delta, delta_n, delta_n)


def _gru_gradients(cell: GRU, parameters: Parameters, x: Array, factors: GRUResiduals, deltas: tuple) -> tuple:
    """Concatenate the gates ``r, z`` and ``n``; the delta of ``n`` on the side of the state is ``delta_u``."""
    (delta, delta_n, delta_u), W, cut = deltas, parameters["kernel"], 2 * cell.hidden_size
    operand = factors.h_prev if factors.reset is None else factors.reset
    columns = {
        "kernel": (_sum_outer(x, delta), _sum_outer(x, delta_n)),
        "recurrent_kernel": (_sum_outer(factors.h_prev, delta), _sum_outer(operand, delta_u)),
        "bias": (jnp.sum(delta, axis=(0, 1)), jnp.sum(delta_n, axis=(0, 1))),
        "recurrent_bias": (jnp.sum(delta_u, axis=(0, 1)),),
    }
    d_parameters = {name: jnp.concatenate(parts, axis=-1) for name, parts in columns.items() if name in parameters}
    return d_parameters, delta @ W[:, :cut].T + delta_n @ W[:, cut:].T


_GRU_RESET_AFTER = VJPRule(_after_forward, _after_backward, _gru_gradients)
_GRU_RESET_BEFORE = VJPRule(_before_forward, _before_backward, _gru_gradients)


def _sum_outer(x: Array, delta: Array) -> Array:
    """Compute ``sum_t x_t^T delta_t`` as one product over all times and examples."""
    # Time and batch stay two dimensions: merged, a batch that is sharded over devices would be gathered on each.
    return jnp.tensordot(x, delta, axes=((0, 1), (0, 1)))
