"""The backward passes of vanilla cells, LSTM and GRU through time, by hand.

``forward`` does a step and keeps what gradients need; ``factors`` makes of it, for all times at once, the factors by
which they will be multiplied. So ``backward`` consists of multiplications and one product: it turns the gradient
``d_h`` of the loss with respect to ``h_t`` into ``delta_t``, that with respect to the sum ``a_t`` inside of the
activations, and into that with respect to ``h_(t-1)``. ``finish`` has all times before it. It makes the gradient of
each kernel as one product, where adding it up in the loop would take ``T`` small ones::

    dW = sum_t x_t^T delta_t        dU = sum_t h_(t-1)^T delta_t        db = sum_t delta_t        dx_t = delta_t W^T

A slope ``g'(a)`` is written in terms of the value ``g(a)``.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxdl.nn import activations
from jaxdl.nn.dense import linear
from jaxdl.nn.recurrent.cells import GRU, LSTM, Cell, LSTMState, Parameters, Projected, Vanilla
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


def _as_kept(cell: Cell, kept: PyTree) -> PyTree:
    return kept


class Rule(NamedTuple):
    """``prepare(cell, parameters, x) -> (projected, weights)`` of all times, before the loop;
    ``forward(cell, weights, carry, projected) -> (carry, y, kept)`` of one time;
    ``factors(cell, kept) -> factors`` of all times;
    ``backward(cell, U_T, d_carry, d_y, factors) -> (d_carry before, deltas)`` of one time, ``U_T`` being the recurrent
    kernel transposed; and
    ``finish(cell, parameters, x, factors, deltas) -> (d_parameters, d_x)`` of all times, ``[T, B, ...]``.
    """

    forward: Callable[[Cell, Parameters, PyTree, Projected], tuple[PyTree, Array, PyTree]]
    backward: Callable[[Cell, Array, PyTree, Array, PyTree], tuple[PyTree, PyTree]]
    finish: Callable[[Cell, Parameters, Array, PyTree, PyTree], tuple[Parameters, Array]]
    prepare: Callable[[Cell, Parameters, Array], tuple[Projected, Parameters]] = _project
    factors: Callable[[Cell, PyTree], PyTree] = _as_kept


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


class VanillaKept(NamedTuple):
    """``h_(t-1)``, and the slope at ``a_t``."""

    before: Array
    slope: Array


def _vanilla_forward(cell: Vanilla, parameters: Parameters, h: Array, projected: Projected) -> tuple:
    before = h
    h, _ = cell.step(parameters, h, projected)
    return h, h, VanillaKept(before, SLOPES[cell.activation](h))


def _vanilla_backward(cell: Vanilla, U_T: Array, d_h: Array, d_y: Array, kept: VanillaKept) -> tuple:
    delta = (d_h + d_y) * kept.slope
    return delta @ U_T, delta


def _finish(cell: Cell, parameters: Parameters, x: Array, kept: PyTree, delta: Array) -> tuple:
    d_parameters = {"kernel": _over_time(x, delta), "recurrent_kernel": _over_time(kept.before, delta)}
    if "bias" in parameters:
        d_parameters["bias"] = jnp.sum(delta, axis=(0, 1))
    return d_parameters, delta @ parameters["kernel"].T


VANILLA = Rule(_vanilla_forward, _vanilla_backward, _finish)


class LSTMKept(NamedTuple):
    """``h_(t-1)``, ``c_(t-1)``, ``c_t``, and ``t = tanh(scale a)`` of all gates side by side."""

    before: Array
    c_before: Array
    c: Array
    t: Array


class LSTMFactors(NamedTuple):
    """``h_(t-1)``, and the factors: ``d_c = c * d_h`` through the output; ``f``; and to the four gates."""

    before: Array
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
    scale = np.repeat([0.5 if _half(cell, gate) else 1.0 for gate in cell.gates], cell.hidden_size)
    weights = {
        name: leaf * scale.astype(leaf.dtype).reshape((1,) * (leaf.ndim - 1) + (-1,))
        for name, leaf in parameters.items()
    }
    return (linear(x, weights["kernel"], weights.get("bias")),), weights


def _lstm_gates(cell: LSTM, t: Array) -> list[Array]:
    """Return ``i, f, g, o`` of the tanh of all gates."""
    parts = zip(cell.gates, jnp.split(t, len(cell.gates), axis=-1), strict=True)
    return [0.5 + 0.5 * part if _half(cell, gate) else part for gate, part in parts]


def _lstm_forward(cell: LSTM, weights: Parameters, carry: LSTMState, projected: Projected) -> tuple:
    (c_before, before), (a,) = carry, projected
    t = jnp.tanh(a + before @ weights["recurrent_kernel"])
    i, f, g, o = _lstm_gates(cell, t)
    c = f * c_before + i * g
    h = o * activations.get(cell.activation)(c)
    return LSTMState(c, h), h, LSTMKept(before, c_before, c, t)


def _lstm_factors(cell: LSTM, kept: LSTMKept) -> LSTMFactors:
    slope, squashed = SLOPES[cell.activation], activations.get(cell.activation)(kept.c)
    i, f, g, o = _lstm_gates(cell, kept.t)
    return LSTMFactors(
        before=kept.before,
        c=o * slope(squashed),
        f=f,
        to_i=g * i * (1 - i),
        to_f=kept.c_before * f * (1 - f),
        to_g=i * slope(g),
        to_o=squashed * o * (1 - o),
    )


def _lstm_backward(cell: LSTM, U_T: Array, d_carry: LSTMState, d_y: Array, factors: LSTMFactors) -> tuple:
    d_h = d_carry.h + d_y
    d_c = d_carry.c + d_h * factors.c
    to_gates = [d_c * factors.to_i, d_c * factors.to_f, d_c * factors.to_g, d_h * factors.to_o]
    delta = jnp.concatenate(to_gates, axis=-1)
    return LSTMState(d_c * factors.f, delta @ U_T), delta


LONG_SHORT_TERM = Rule(_lstm_forward, _lstm_backward, _finish, _lstm_prepare, _lstm_factors)


class GRUKept(NamedTuple):
    """``h_(t-1)``, what else enters a product, and the factors: what is retained, the gate ``r``, and to the gates."""

    before: Array
    before_n: Array | None
    retained: Array
    r: Array
    to_r: Array
    to_z: Array
    to_n: Array


def _gru_kept(cell: GRU, h: Array, r: Array, z: Array, n: Array) -> tuple[Array, GRUKept]:
    """Return ``h_t`` and the factors that do not depend on the place of the reset; ``to_r`` is the slope alone."""
    retained, sign = (z, 1) if cell.update == "retain" else (1 - z, -1)
    kept = GRUKept(
        before=h,
        before_n=None,
        retained=retained,
        r=r,
        to_r=r * (1 - r),
        to_z=sign * (h - n) * z * (1 - z),
        to_n=(1 - retained) * SLOPES[cell.activation](n),
    )
    return n + retained * (h - n), kept


def _after_forward(cell: GRU, parameters: Parameters, h: Array, projected: Projected) -> tuple:
    r, z, n, u_n = cell.values(parameters, h, projected)
    h_new, kept = _gru_kept(cell, h, r, z, n)
    return h_new, h_new, kept._replace(to_r=kept.to_n * u_n * kept.to_r)


def _after_backward(cell: GRU, U_T: Array, d_h: Array, d_y: Array, kept: GRUKept) -> tuple:
    d_h = d_h + d_y
    delta_r, delta_z, delta_n = d_h * kept.to_r, d_h * kept.to_z, d_h * kept.to_n
    delta_u = delta_n * kept.r
    delta = jnp.concatenate([delta_r, delta_z, delta_u], axis=-1)
    d_before = d_h * kept.retained + delta @ U_T
    return d_before, (jnp.concatenate([delta_r, delta_z], axis=-1), delta_n, delta_u)


def _before_forward(cell: GRU, parameters: Parameters, h: Array, projected: Projected) -> tuple:
    r, z, n, reset = cell.values(parameters, h, projected)
    h_new, kept = _gru_kept(cell, h, r, z, n)
    return h_new, h_new, kept._replace(before_n=reset, to_r=h * kept.to_r)


def _before_backward(cell: GRU, U_T: Array, d_h: Array, d_y: Array, kept: GRUKept) -> tuple:
    gates = 2 * cell.hidden_size
    d_h = d_h + d_y
    delta_n = d_h * kept.to_n
    d_reset = delta_n @ U_T[gates:]
    delta = jnp.concatenate([d_reset * kept.to_r, d_h * kept.to_z], axis=-1)
    return d_h * kept.retained + d_reset * kept.r + delta @ U_T[:gates], (delta, delta_n, delta_n)


def _gru_finish(cell: GRU, parameters: Parameters, x: Array, kept: GRUKept, deltas: tuple) -> tuple:
    """Join the gates ``r, z`` and ``n``, whose delta is another one on the side of the state: ``delta_u``."""
    (delta, delta_n, delta_u), W, gates = deltas, parameters["kernel"], 2 * cell.hidden_size
    before_n = kept.before if kept.before_n is None else kept.before_n
    columns = {
        "kernel": (_over_time(x, delta), _over_time(x, delta_n)),
        "recurrent_kernel": (_over_time(kept.before, delta), _over_time(before_n, delta_u)),
        "bias": (jnp.sum(delta, axis=(0, 1)), jnp.sum(delta_n, axis=(0, 1))),
        "recurrent_bias": (jnp.sum(delta_u, axis=(0, 1)),),
    }
    d_parameters = {name: jnp.concatenate(parts, axis=-1) for name, parts in columns.items() if name in parameters}
    return d_parameters, delta @ W[:, :gates].T + delta_n @ W[:, gates:].T


GRU_RESET_AFTER = Rule(_after_forward, _after_backward, _gru_finish)
GRU_RESET_BEFORE = Rule(_before_forward, _before_backward, _gru_finish)


def _over_time(entering: Array, delta: Array) -> Array:
    """Return ``sum_t entering_t^T delta_t`` as one product over all times and examples."""
    # Time and batch stay two dimensions: as one, a batch that is spread over devices would be gathered on each of them.
    return jnp.tensordot(entering, delta, axes=((0, 1), (0, 1)))
