"""The backward passes of vanilla cells, LSTM and GRU through time, by hand.

``forward`` does a step. Of the states and what else it keeps ``factors`` makes, for all times at once, the factors by
which gradients will be multiplied. So ``backward`` consists of multiplications and one product: it turns the gradient
``d_h`` of the loss with respect to ``h_t`` into ``delta_t``, that with respect to the sum ``a_t`` inside of the
activations, and into that with respect to ``h_(t-1)``. ``finish`` has all times before it. It makes the gradient of
the kernels as one product, where adding it up in the loop would take ``T`` small ones::

    dW = sum_t x_t^T delta_t        dU = sum_t h_(t-1)^T delta_t        db = sum_t delta_t        dx_t = delta_t W^T

A slope ``g'(a)`` is written in terms of the value ``g(a)``.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxdl.nn import activations
from jaxdl.nn.cells import GRU, LSTM, Cell, LSTMState, Parameters, Projected, Vanilla
from jaxdl.nn.linear import linear
from jaxdl.typing import Array, PyTree

SLOPES = {
    "identity": jnp.ones_like,
    "sigmoid": lambda h: h * (1 - h),
    "tanh": lambda h: 1 - h * h,
    "relu": lambda h: (h > 0).astype(h.dtype),
}
"""The slopes of the activations for which a rule can be written."""


def _project(cell: Cell, parameters: Parameters, x: Array) -> tuple[Projected, Parameters]:
    return cell.project(parameters, x), parameters


class Rule(NamedTuple):
    """``prepare(cell, parameters, x) -> (projected, weights)`` of all times, before the loop;
    ``forward(cell, weights, carry, projected) -> (carry, kept)`` of one time;
    ``factors(cell, before, after, kept) -> factors`` of all times, with the states before and after each of them;
    ``backward(cell, U_T, d_carry, d_y, factors) -> (d_carry before, deltas)`` of one time, ``U_T`` being the recurrent
    kernel transposed; and
    ``finish(cell, parameters, x, before, factors, deltas) -> (d_parameters, d_x)`` of all times, ``[T, B, ...]``.

    The output of a cell with a rule is the ``h`` of its state.
    """

    forward: Callable[[Cell, Parameters, PyTree, Projected], tuple[PyTree, PyTree]]
    factors: Callable[[Cell, PyTree, PyTree, PyTree], PyTree]
    backward: Callable[[Cell, Array, PyTree, Array, PyTree], tuple[PyTree, PyTree]]
    finish: Callable[[Cell, Parameters, Array, PyTree, PyTree, PyTree], tuple[Parameters, Array]]
    prepare: Callable[[Cell, Parameters, Array], tuple[Projected, Parameters]] = _project


def h_of(carry: PyTree) -> Array:
    """Return the part of a state that is the output."""
    return getattr(carry, "h", carry)


def rule_for(cell: Cell) -> Rule | None:
    """Return the rule of a cell, or None if it has to be differentiated as it stands.

    >>> rule_for(Vanilla(3, "relu")) is None, rule_for(Vanilla(3, "softplus")) is None
    (False, True)
    """
    if getattr(cell, "activation", None) not in SLOPES:
        return None
    if type(cell) is GRU:
        return GRU_RESET_AFTER if cell.reset == "after" else GRU_RESET_BEFORE
    if type(cell) is LSTM:
        return LONG_SHORT_TERM if cell.activation in ("tanh", "sigmoid") else None
    return VANILLA if type(cell) is Vanilla else None


def _vanilla_forward(cell: Vanilla, parameters: Parameters, h: Array, projected: Projected) -> tuple:
    h, _ = cell.step(parameters, h, projected)
    return h, None


def _vanilla_factors(cell: Vanilla, before: Array, after: Array, kept: None) -> Array:
    return SLOPES[cell.activation](after)


def _vanilla_backward(cell: Vanilla, U_T: Array, d_h: Array, d_y: Array, slope: Array) -> tuple:
    delta = (d_h + d_y) * slope
    return delta @ U_T, delta


def _finish(cell: Cell, parameters: Parameters, x: Array, before: PyTree, factors: PyTree, delta: Array) -> tuple:
    d_W, d_U = _over_time([x, h_of(before)], delta)
    d_parameters = {"kernel": d_W, "recurrent_kernel": d_U}
    if "bias" in parameters:
        d_parameters["bias"] = jnp.sum(delta, axis=(0, 1))
    return d_parameters, delta @ parameters["kernel"].T


VANILLA = Rule(_vanilla_forward, _vanilla_factors, _vanilla_backward, _finish)


class LSTMFactors(NamedTuple):
    """The factors: ``d_c = c * d_h`` through the output; ``f``; and to the four gates."""

    c: Array
    f: Array
    to_i: Array
    to_f: Array
    to_g: Array
    to_o: Array


def _half(cell: LSTM, gate: str) -> bool:
    """Say whether a gate is a sigmoid, ``s(a) = 1/2 + tanh(a / 2) / 2``; the candidate may be a tanh."""
    return gate != "g" or cell.activation == "sigmoid"


def _lstm_prepare(cell: LSTM, parameters: Parameters, x: Array) -> tuple[Projected, Parameters]:
    """Halve what enters a sigmoid, in the weights, so that one tanh does for all gates of a step."""
    scale = np.repeat([0.5 if _half(cell, gate) else 1.0 for gate in cell.gates], cell.features)
    weights = {
        name: leaf * scale.astype(leaf.dtype).reshape((1,) * (leaf.ndim - 1) + (-1,))
        for name, leaf in parameters.items()
    }
    return (linear(x, weights["kernel"], weights.get("bias")),), weights


def _lstm_gates(cell: LSTM, t: Array) -> list[Array]:
    """Return ``i, f, g, o`` of ``t = tanh(scale a)``, all gates side by side."""
    parts = zip(cell.gates, jnp.split(t, len(cell.gates), axis=-1), strict=True)
    return [0.5 + 0.5 * part if _half(cell, gate) else part for gate, part in parts]


def _lstm_forward(cell: LSTM, weights: Parameters, carry: LSTMState, projected: Projected) -> tuple:
    (a,) = projected
    t = jnp.tanh(a + carry.h @ weights["recurrent_kernel"])
    i, f, g, o = _lstm_gates(cell, t)
    c = f * carry.c + i * g
    h = o * activations.get(cell.activation)(c)
    return LSTMState(c, h), t


def _lstm_factors(cell: LSTM, before: LSTMState, after: LSTMState, t: Array) -> LSTMFactors:
    slope, squashed = SLOPES[cell.activation], activations.get(cell.activation)(after.c)
    i, f, g, o = _lstm_gates(cell, t)
    return LSTMFactors(
        c=o * slope(squashed),
        f=f,
        to_i=g * i * (1 - i),
        to_f=before.c * f * (1 - f),
        to_g=i * slope(g),
        to_o=squashed * o * (1 - o),
    )


def _lstm_backward(cell: LSTM, U_T: Array, d_carry: LSTMState, d_y: Array, factors: LSTMFactors) -> tuple:
    d_h = d_carry.h + d_y
    d_c = d_carry.c + d_h * factors.c
    to_gates = [d_c * factors.to_i, d_c * factors.to_f, d_c * factors.to_g, d_h * factors.to_o]
    delta = jnp.concatenate(to_gates, axis=-1)
    return LSTMState(d_c * factors.f, delta @ U_T), delta


LONG_SHORT_TERM = Rule(_lstm_forward, _lstm_factors, _lstm_backward, _finish, _lstm_prepare)


class GRUKept(NamedTuple):
    """The gates, and what the reset gate meets: ``h U_n + d`` before it, or ``r * h`` after it."""

    r: Array
    z: Array
    n: Array
    met: Array


class GRUFactors(NamedTuple):
    """The factors: what is retained, the gate ``r``, and to the gates; and ``r * h`` where the reset comes before."""

    retained: Array
    r: Array
    to_r: Array
    to_z: Array
    to_n: Array
    reset: Array | None


def _gru_forward(cell: GRU, parameters: Parameters, h: Array, projected: Projected) -> tuple:
    kept = GRUKept(*cell.values(parameters, h, projected))
    return kept.n + _retained(cell, kept) * (h - kept.n), kept


def _retained(cell: GRU, kept: GRUKept) -> Array:
    return kept.z if cell.update == "retain" else 1 - kept.z


def _gru_factors(cell: GRU, before: Array, after: Array, kept: GRUKept) -> GRUFactors:
    (r, z, n, met), retained = kept, _retained(cell, kept)
    to_n = (1 - retained) * SLOPES[cell.activation](n)
    sign = 1 if cell.update == "retain" else -1
    return GRUFactors(
        retained=retained,
        r=r,
        to_r=(to_n * met if cell.reset == "after" else before) * r * (1 - r),
        to_z=sign * (before - n) * z * (1 - z),
        to_n=to_n,
        reset=met if cell.reset == "before" else None,
    )


def _after_backward(cell: GRU, U_T: Array, d_h: Array, d_y: Array, factors: GRUFactors) -> tuple:
    d_h = d_h + d_y
    delta_r, delta_z, delta_n = d_h * factors.to_r, d_h * factors.to_z, d_h * factors.to_n
    delta_u = delta_n * factors.r
    delta = jnp.concatenate([delta_r, delta_z, delta_u], axis=-1)
    return d_h * factors.retained + delta @ U_T, (jnp.concatenate([delta_r, delta_z], axis=-1), delta_n, delta_u)


def _before_backward(cell: GRU, U_T: Array, d_h: Array, d_y: Array, factors: GRUFactors) -> tuple:
    gates = 2 * cell.features
    d_h = d_h + d_y
    delta_n = d_h * factors.to_n
    d_reset = delta_n @ U_T[gates:]
    delta = jnp.concatenate([d_reset * factors.to_r, d_h * factors.to_z], axis=-1)
    return d_h * factors.retained + d_reset * factors.r + delta @ U_T[:gates], (delta, delta_n, delta_n)


def _gru_finish(
    cell: GRU, parameters: Parameters, x: Array, before: Array, factors: GRUFactors, deltas: tuple
) -> tuple:
    """Join the gates ``r, z`` and ``n``, whose delta is another one on the side of the state: ``delta_u``."""
    (delta, delta_n, delta_u), W, gates = deltas, parameters["kernel"], 2 * cell.features
    d_W, d_U = _over_time([x, before], delta)
    (d_W_n,), (d_U_n,) = (
        _over_time([x], delta_n),
        _over_time([factors.reset if factors.reset is not None else before], delta_u),
    )
    columns = {
        "kernel": (d_W, d_W_n),
        "recurrent_kernel": (d_U, d_U_n),
        "bias": (jnp.sum(delta, axis=(0, 1)), jnp.sum(delta_n, axis=(0, 1))),
        "recurrent_bias": (jnp.sum(delta_u, axis=(0, 1)),),
    }
    d_parameters = {name: jnp.concatenate(parts, axis=-1) for name, parts in columns.items() if name in parameters}
    return d_parameters, delta @ W[:, :gates].T + delta_n @ W[:, gates:].T


GRU_RESET_AFTER = Rule(_gru_forward, _gru_factors, _after_backward, _gru_finish)
GRU_RESET_BEFORE = Rule(_gru_forward, _gru_factors, _before_backward, _gru_finish)


def _over_time(entering: Sequence[Array], delta: Array) -> list[Array]:
    """Return ``sum_t entering_t^T delta_t`` for all that enters, as one product over all times and examples."""
    # All that enters is turned before the product, to [D, T, B], since a CPU is slower at one that reads it turned.
    # Time and batch stay two dimensions, since only so a batch that is spread over devices stays where it is.
    turned = jnp.concatenate([jnp.moveaxis(part, -1, 0) for part in entering])
    sizes = np.cumsum([part.shape[-1] for part in entering])[:-1]
    return jnp.split(jnp.tensordot(turned, delta, axes=((1, 2), (0, 1))), sizes)
