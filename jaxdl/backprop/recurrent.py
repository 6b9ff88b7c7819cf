"""Backpropagation through time: a vanilla recurrent network and an LSTM, each with a linear output at every time.

Vanilla. Forward, for ``t = 1 .. T`` from a given ``h_0``::

    a_t = W x_t + U h_(t-1) + b
    h_t = g(a_t)
    y_t = V h_t + c

``y_t`` goes to the loss of time ``t``, which brings its own output function; ``E`` is the sum of all losses.

Backward. Let ``d y_t`` stand for the gradient of ``E`` with respect to ``y_t``, which the loss gives, and ``delta_t``
for that with respect to ``a_t``. ``h_t`` reaches ``E`` through ``y_t`` and through ``a_(t+1)``, so for ``t = T .. 1``::

    d h_t   = V^T d y_t + U^T delta_(t+1)        with delta_(T+1) = 0
    delta_t = d h_t * g'(a_t)                    entry by entry

and since every time uses the same weights, their gradients are sums over time (and over examples)::

    d V = sum_t d y_t h_t^T         d W = sum_t delta_t x_t^T           d c = sum_t d y_t
                                    d U = sum_t delta_t h_(t-1)^T       d b = sum_t delta_t

``U`` multiplies ``h_(t-1)``, so it is ``h_(t-1)`` that stands in its gradient. The derivative of ``h_t`` with respect
to ``U`` is an array of ``d x d x d`` numbers; it is never needed, because ``delta_t`` contracts it to an outer product.

LSTM. ``W``, ``U`` and ``b`` hold one matrix or vector for each of the gates ``k = i, f, g, o``; the memory is ``s``::

    a_k,t = W_k x_t + U_k h_(t-1) + b_k
    i_t, f_t, o_t = sigmoid(a_i,t), sigmoid(a_f,t), sigmoid(a_o,t)        g_t = tanh(a_g,t)
    s_t = f_t * s_(t-1) + i_t * g_t
    h_t = o_t * tanh(s_t)

Backward, the memory ``s_t`` reaches ``E`` through ``h_t`` and through ``s_(t+1)``::

    d h_t     = V^T d y_t + sum_k U_k^T delta_k,(t+1)
    d s_t     = d h_t * o_t * (1 - tanh(s_t)^2) + d s_(t+1) * f_(t+1)
    delta_i,t = d s_t * g_t * i_t (1 - i_t)
    delta_f,t = d s_t * s_(t-1) * f_t (1 - f_t)
    delta_g,t = d s_t * i_t * (1 - g_t^2)
    delta_o,t = d h_t * tanh(s_t) * o_t (1 - o_t)

with gradients of the weights as above, gate by gate. Along ``s`` the gradient is multiplied by ``f_t`` alone.

Examples are rows: ``W x`` for a batch is ``x W^T``. (Werbos, 1990; Hochreiter and Schmidhuber, 1997)
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxdl.backprop.activations import Function, Slope, pair
from jaxdl.nn.activations import sigmoid
from jaxdl.typing import Array


class Network(NamedTuple):
    """The parameters, or their gradients.

    ``V [k, d]`` and ``c [k]`` in both; ``W [d, n]``, ``U [d, d]``, ``b [d]`` of a vanilla network, and of an LSTM
    ``W [4, d, n]``, ``U [4, d, d]``, ``b [4, d]`` for the gates ``i, f, g, o``.
    """

    W: Array
    U: Array
    b: Array
    V: Array
    c: Array


class VanillaCache(NamedTuple):
    """What the forward pass keeps, time first: ``x_t``, ``h_(t-1)``, ``a_t`` and ``h_t``, each ``[T, B, ...]``."""

    x: Array
    before: Array
    a: Array
    h: Array


class LSTMCache(NamedTuple):
    """What the forward pass keeps, time first: inputs, states before and after, and ``gates [T, B, 4, d]``."""

    x: Array
    h_before: Array
    s_before: Array
    gates: Array
    s: Array
    h: Array


def vanilla_forward(
    network: Network, x: Array, h_0: Array | None = None, activation: str | tuple[Function, Slope] = "tanh"
) -> tuple[Array, VanillaCache]:
    """Return ``y_1 .. y_T`` and what the backward pass needs.

    Args:
        network: the parameters.
        x: ``[B, T, n]``.
        h_0: ``[B, d]``; None for zeros.
        activation: ``g`` by name, or the pair of ``g(a)`` and its slope ``g'(a, h)``.

    Returns:
        ``[B, T, k]``, and the cache.

    Raises:
        ValueError: the shapes do not fit each other, or the activation is unknown.

    >>> one = jnp.ones((1, 1))
    >>> y, cache = vanilla_forward(Network(one, one, one[0], one, -one[0]), jnp.ones((1, 2, 1)), activation="identity")
    >>> y.tolist()
    [[[1.0], [3.0]]]
    """
    _check(network, x, gates=())
    g, _ = pair(activation)

    def step(h, x_t):
        a = x_t @ network.W.T + h @ network.U.T + network.b[None]
        return g(a), (h, a, g(a))

    x = jnp.swapaxes(x, 0, 1)
    h_0 = jnp.zeros((x.shape[1], len(network.b)), x.dtype) if h_0 is None else h_0
    _, (before, a, h) = jax.lax.scan(step, h_0, x)
    return _output(network, h), VanillaCache(x, before, a, h)


def vanilla_backward(
    network: Network, cache: VanillaCache, d_y: Array, activation: str | tuple[Function, Slope] = "tanh"
) -> tuple[Network, Array, Array]:
    """Return the gradients of the parameters, of the input and of ``h_0``.

    Args:
        network: as in ``vanilla_forward``.
        cache: from ``vanilla_forward``.
        d_y: the gradient with respect to the outputs, ``[B, T, k]``, from a loss.
        activation: as in ``vanilla_forward``.
    """
    _, slope = pair(activation)

    def step(from_after, inputs):
        d_y_t, a, h = inputs
        delta = (d_y_t @ network.V + from_after) * slope(a, h)
        return delta @ network.U, delta

    d_y = jnp.swapaxes(d_y, 0, 1)
    d_h_0, delta = jax.lax.scan(step, jnp.zeros_like(cache.h[0]), (d_y, cache.a, cache.h), reverse=True)
    gradients = Network(
        W=_outer(delta, cache.x),
        U=_outer(delta, cache.before),
        b=jnp.sum(delta, axis=(0, 1)),
        V=_outer(d_y, cache.h),
        c=jnp.sum(d_y, axis=(0, 1)),
    )
    return gradients, jnp.swapaxes(delta @ network.W, 0, 1), d_h_0


def lstm_forward(
    network: Network, x: Array, s_0: Array | None = None, h_0: Array | None = None
) -> tuple[Array, LSTMCache]:
    """Return ``y_1 .. y_T``, ``[B, T, k]``, and what the backward pass needs.

    Args:
        network: the parameters.
        x: ``[B, T, n]``.
        s_0: ``[B, d]``; None for zeros.
        h_0: ``[B, d]``; None for zeros.

    Raises:
        ValueError: the shapes do not fit each other.
    """
    _check(network, x, gates=(4,))

    def step(carry, x_t):
        s_before, h_before = carry
        a = jnp.einsum("bn,kdn->bkd", x_t, network.W) + jnp.einsum("be,kde->bkd", h_before, network.U) + network.b[None]
        i, f, g, o = sigmoid(a[:, 0]), sigmoid(a[:, 1]), jnp.tanh(a[:, 2]), sigmoid(a[:, 3])
        s = f * s_before + i * g
        h = o * jnp.tanh(s)
        return (s, h), (h_before, s_before, jnp.stack([i, f, g, o], axis=1), s, h)

    x = jnp.swapaxes(x, 0, 1)
    zeros = jnp.zeros((x.shape[1], network.b.shape[-1]), x.dtype)
    _, kept = jax.lax.scan(step, (zeros if s_0 is None else s_0, zeros if h_0 is None else h_0), x)
    cache = LSTMCache(x, *kept)
    return _output(network, cache.h), cache


def lstm_backward(network: Network, cache: LSTMCache, d_y: Array) -> tuple[Network, Array, Array, Array]:
    """Return the gradients of the parameters, of the input, of ``s_0`` and of ``h_0``.

    Args:
        network: as in ``lstm_forward``.
        cache: from ``lstm_forward``.
        d_y: the gradient with respect to the outputs, ``[B, T, k]``, from a loss.
    """

    def step(from_after, inputs):
        (d_s, d_h), (d_y_t, s_before, gates, s) = from_after, inputs
        i, f, g, o = (gates[:, k] for k in range(4))
        d_h = d_y_t @ network.V + d_h
        d_s = d_h * o * (1 - jnp.tanh(s) ** 2) + d_s
        delta = jnp.stack(
            [
                d_s * g * i * (1 - i),
                d_s * s_before * f * (1 - f),
                d_s * i * (1 - g**2),
                d_h * jnp.tanh(s) * o * (1 - o),
            ],
            axis=1,
        )
        return (d_s * f, jnp.einsum("bkd,kde->be", delta, network.U)), delta

    d_y = jnp.swapaxes(d_y, 0, 1)
    nothing = jnp.zeros_like(cache.h[0])
    inputs = (d_y, cache.s_before, cache.gates, cache.s)
    (d_s_0, d_h_0), delta = jax.lax.scan(step, (nothing, nothing), inputs, reverse=True)
    gradients = Network(
        W=jnp.einsum("tbkd,tbn->kdn", delta, cache.x),
        U=jnp.einsum("tbkd,tbe->kde", delta, cache.h_before),
        b=jnp.sum(delta, axis=(0, 1)),
        V=_outer(d_y, cache.h),
        c=jnp.sum(d_y, axis=(0, 1)),
    )
    return gradients, jnp.einsum("tbkd,kdn->btn", delta, network.W), d_s_0, d_h_0


def _output(network: Network, h: Array) -> Array:
    return jnp.swapaxes(h @ network.V.T + network.c[None, None], 0, 1)


def _outer(delta: Array, entering: Array) -> Array:
    """Return ``sum_t delta_t entering_t^T``, over the examples too."""
    return jnp.einsum("tbd,tbn->dn", delta, entering)


def _check(network: Network, x: Array, gates: tuple[int, ...]) -> None:
    """Compare every shape to what ``b``, ``c`` and the input ask for."""
    size, outputs = network.b.shape[-1], network.c.shape[-1]
    shapes = ((*gates, size, x.shape[-1]), (*gates, size, size), (*gates, size), (outputs, size), (outputs,))
    came = tuple(jnp.shape(leaf) for leaf in network)
    if jnp.ndim(x) != 3 or came != shapes:
        expected = ", ".join(f"{name} {shape}" for name, shape in zip(network._fields, shapes, strict=True))
        raise ValueError(f"for x [B, T, n] of shape {jnp.shape(x)} the network needs {expected}; got {came}")
