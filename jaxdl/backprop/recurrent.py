"""Backpropagation through time: a vanilla recurrent network and an LSTM, with a linear output at every time.

The notation is that of ``jaxdl.nn.recurrent``, with examples as columns in the equations: there ``W x`` is ``x W``.

Vanilla. Forward, for ``t = 1 .. T`` from a given ``h_0``::

    a_t = W x_t + U h_(t-1) + b
    h_t = g(a_t)
    y_t = V h_t + b_y

The loss of time ``t`` includes the output function of ``y_t``; ``E`` is the sum of all losses.

Backward. Let ``d y_t`` be the gradient of ``E`` with respect to ``y_t``, given by the loss, and ``delta_t`` that with
respect to ``a_t``. ``h_t`` affects ``E`` through ``y_t`` and through ``a_(t+1)``, so for ``t = T .. 1``::

    d h_t   = V^T d y_t + U^T delta_(t+1)        with delta_(T+1) = 0
    delta_t = d h_t * g'(a_t)                    entry by entry

and since all times share the weights, their gradients are sums over time (and over examples)::

    d V = sum_t d y_t h_t^T         d W = sum_t delta_t x_t^T           d b_y = sum_t d y_t
                                    d U = sum_t delta_t h_(t-1)^T       d b = sum_t delta_t

``U`` multiplies ``h_(t-1)``, so its gradient contains ``h_(t-1)``, not ``h_t``. The derivative of ``h_t`` with respect
to ``U``, an array of ``d x d x d`` elements, is never needed, because ``delta_t`` contracts it to an outer product.

LSTM. ``W``, ``U`` and ``b`` hold one matrix or vector for each of the gates ``k = i, f, g, o``; the memory is ``c``::

    a_k,t = W_k x_t + U_k h_(t-1) + b_k
    i_t, f_t, o_t = sigmoid(a_i,t), sigmoid(a_f,t), sigmoid(a_o,t)        g_t = tanh(a_g,t)
    c_t = f_t * c_(t-1) + i_t * g_t
    h_t = o_t * tanh(c_t)

Backward, the memory ``c_t`` affects ``E`` through ``h_t`` and through ``c_(t+1)``::

    d h_t     = V^T d y_t + sum_k U_k^T delta_k,(t+1)
    d c_t     = d h_t * o_t * (1 - tanh(c_t)^2) + d c_(t+1) * f_(t+1)
    delta_i,t = d c_t * g_t * i_t (1 - i_t)
    delta_f,t = d c_t * c_(t-1) * f_t (1 - f_t)
    delta_g,t = d c_t * i_t * (1 - g_t^2)
    delta_o,t = d h_t * tanh(c_t) * o_t (1 - o_t)

with gradients of the weights as above, gate by gate. Along ``c`` the gradient is multiplied by ``f_t`` alone.

In the code examples are rows: ``W x`` for a batch is ``x W^T``. (Werbos, 1990; Hochreiter and Schmidhuber, 1997)
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from einops import rearrange

from jaxdl.backprop.activations import Function, Slope, pair
from jaxdl.nn.activations import sigmoid
from jaxdl.typing import Array


class Network(NamedTuple):
    """The parameters, or their gradients.

    ``V [k, d]`` and ``b_y [k]`` in both; ``W [d, n]``, ``U [d, d]``, ``b [d]`` of a vanilla network, and of an LSTM
    ``W [4, d, n]``, ``U [4, d, d]``, ``b [4, d]`` for the gates ``i, f, g, o``.
    """

    W: Array
    U: Array
    b: Array
    V: Array
    b_y: Array


class VanillaResiduals(NamedTuple):
    """The residuals of the forward pass: ``x_t``, ``h_(t-1)``, ``a_t`` and ``h_t``, each ``[T, B, ...]``."""

    x: Array
    h_prev: Array
    a: Array
    h: Array


class LSTMResiduals(NamedTuple):
    """The residuals of the forward pass, each ``[T, B, ...]``, with the gates ``[T, B, 4, d]``."""

    x: Array
    h_prev: Array
    c_prev: Array
    gates: Array
    c: Array
    h: Array


def vanilla_forward(
    network: Network, x: Array, h_0: Array | None = None, activation: str | tuple[Function, Slope] = "tanh"
) -> tuple[Array, VanillaResiduals]:
    """Compute ``y_1 .. y_T``, and the residuals for the backward pass.

    Args:
        network: the parameters.
        x: ``[B, T, n]``.
        h_0: ``[B, d]``; None for zeros.
        activation: ``g`` by name, or the pair of ``g(a)`` and its slope ``g'(a, h)``.

    Returns:
        ``[B, T, k]``, and the residuals.

    Raises:
        ValueError: shapes do not match, or the activation is unknown.

    >>> one = jnp.ones((1, 1))
    >>> network = Network(one, one, one[0], one, -one[0])
    >>> y, residuals = vanilla_forward(network, jnp.ones((1, 2, 1)), activation="identity")
    >>> y.tolist()
    [[[1.0], [3.0]]]
    """
    _check(network, x, gates=())
    g, _ = pair(activation)

    def step(h, x_t):
        a = x_t @ network.W.T + h @ network.U.T + network.b[None]
        return g(a), (h, a, g(a))

    x = rearrange(x, "b t n -> t b n")
    h_0 = jnp.zeros((x.shape[1], len(network.b)), x.dtype) if h_0 is None else h_0
    _, (h_prev, a, h) = jax.lax.scan(step, h_0, x)
    return _output(network, h), VanillaResiduals(x, h_prev, a, h)


def vanilla_backward(
    network: Network, residuals: VanillaResiduals, d_y: Array, activation: str | tuple[Function, Slope] = "tanh"
) -> tuple[Network, Array, Array]:
    """Compute the gradients of the parameters, of the input and of ``h_0``.

    Args:
        network: as in ``vanilla_forward``.
        residuals: from ``vanilla_forward``.
        d_y: the gradient with respect to the outputs, ``[B, T, k]``, from a loss.
        activation: as in ``vanilla_forward``.
    """
    _, slope = pair(activation)

    def step(d_h, inputs):
        d_y_t, a, h = inputs
        delta = (d_y_t @ network.V + d_h) * slope(a, h)
        return delta @ network.U, delta

    d_y = rearrange(d_y, "b t k -> t b k")
    d_h_0, delta = jax.lax.scan(step, jnp.zeros_like(residuals.h[0]), (d_y, residuals.a, residuals.h), reverse=True)
    gradients = Network(
        W=_outer(delta, residuals.x),
        U=_outer(delta, residuals.h_prev),
        b=jnp.sum(delta, axis=(0, 1)),
        V=_outer(d_y, residuals.h),
        b_y=jnp.sum(d_y, axis=(0, 1)),
    )
    return gradients, rearrange(delta @ network.W, "t b n -> b t n"), d_h_0


def lstm_forward(
    network: Network, x: Array, c_0: Array | None = None, h_0: Array | None = None
) -> tuple[Array, LSTMResiduals]:
    """Compute ``y_1 .. y_T``, ``[B, T, k]``, and the residuals for the backward pass.

    Args:
        network: the parameters.
        x: ``[B, T, n]``.
        c_0: ``[B, d]``; None for zeros.
        h_0: ``[B, d]``; None for zeros.

    Raises:
        ValueError: shapes do not match.
    """
    _check(network, x, gates=(4,))

    def step(carry, x_t):
        c_prev, h_prev = carry
        a = jnp.einsum("bn,kdn->bkd", x_t, network.W) + jnp.einsum("be,kde->bkd", h_prev, network.U) + network.b[None]
        i, f, g, o = sigmoid(a[:, 0]), sigmoid(a[:, 1]), jnp.tanh(a[:, 2]), sigmoid(a[:, 3])
        c = f * c_prev + i * g
        h = o * jnp.tanh(c)
        return (c, h), (h_prev, c_prev, jnp.stack([i, f, g, o], axis=1), c, h)

    x = rearrange(x, "b t n -> t b n")
    zeros = jnp.zeros((x.shape[1], network.b.shape[-1]), x.dtype)
    _, saved = jax.lax.scan(step, (zeros if c_0 is None else c_0, zeros if h_0 is None else h_0), x)
    residuals = LSTMResiduals(x, *saved)
    return _output(network, residuals.h), residuals


def lstm_backward(network: Network, residuals: LSTMResiduals, d_y: Array) -> tuple[Network, Array, Array, Array]:
    """Compute the gradients of the parameters, of the input, of ``c_0`` and of ``h_0``.

    Args:
        network: as in ``lstm_forward``.
        residuals: from ``lstm_forward``.
        d_y: the gradient with respect to the outputs, ``[B, T, k]``, from a loss.
    """

    def step(carry, inputs):
        (d_c, d_h), (d_y_t, c_prev, gates, c) = carry, inputs
        i, f, g, o = (gates[:, k] for k in range(4))
        d_h = d_y_t @ network.V + d_h
        d_c = d_h * o * (1 - jnp.tanh(c) ** 2) + d_c
        delta = jnp.stack(
            [
                d_c * g * i * (1 - i),
                d_c * c_prev * f * (1 - f),
                d_c * i * (1 - g**2),
                d_h * jnp.tanh(c) * o * (1 - o),
            ],
            axis=1,
        )
        return (d_c * f, jnp.einsum("bkd,kde->be", delta, network.U)), delta

    d_y = rearrange(d_y, "b t k -> t b k")
    zeros = jnp.zeros_like(residuals.h[0])
    inputs = (d_y, residuals.c_prev, residuals.gates, residuals.c)
    (d_c_0, d_h_0), delta = jax.lax.scan(step, (zeros, zeros), inputs, reverse=True)
    gradients = Network(
        W=jnp.einsum("tbkd,tbn->kdn", delta, residuals.x),
        U=jnp.einsum("tbkd,tbe->kde", delta, residuals.h_prev),
        b=jnp.sum(delta, axis=(0, 1)),
        V=_outer(d_y, residuals.h),
        b_y=jnp.sum(d_y, axis=(0, 1)),
    )
    return gradients, jnp.einsum("tbkd,kdn->btn", delta, network.W), d_c_0, d_h_0


def _output(network: Network, h: Array) -> Array:
    return rearrange(h @ network.V.T + network.b_y[None, None], "t b k -> b t k")


def _outer(delta: Array, x: Array) -> Array:
    """Compute ``sum_t delta_t x_t^T``, over the examples too."""
    return jnp.einsum("tbd,tbn->dn", delta, x)


def _check(network: Network, x: Array, gates: tuple[int, ...]) -> None:
    """Check every shape against those of ``b``, ``b_y`` and the input."""
    size, outputs = network.b.shape[-1], network.b_y.shape[-1]
    shapes = ((*gates, size, x.shape[-1]), (*gates, size, size), (*gates, size), (outputs, size), (outputs,))
    given = tuple(jnp.shape(leaf) for leaf in network)
    if jnp.ndim(x) != 3 or given != shapes:
        expected = ", ".join(f"{name} {shape}" for name, shape in zip(network._fields, shapes, strict=True))
        raise ValueError(f"expected {expected} for x [B, T, n] of shape {jnp.shape(x)}, got {given}")
