"""Backpropagation through a multi-layer network.

Forward, for the layers ``k = 1 .. L`` with ``h_0 = x``::

    a_k = b_k + W_k h_(k-1)          pre-activation
    h_k = g(a_k)                     activation, for k < L

The loss of ``a_L`` includes the output function: softmax with cross-entropy, none with the squared error.

Backward. Let ``d a_k`` be the gradient of the loss with respect to ``a_k``, given for ``a_L``. Since
``a_k`` is linear in ``W_k``, ``b_k`` and ``h_(k-1)``, and ``h_(k-1)`` affects the loss through every entry of ``a_k``::

    d W_k     = sum over examples of d a_k h_(k-1)^T
    d b_k     = sum over examples of d a_k
    d h_(k-1) = W_k^T d a_k
    d a_(k-1) = d h_(k-1) * g'(a_(k-1))      entry by entry, for k > 1

This is a loop over ``k = L .. 1``, including the output layer. ``d h_0`` is the gradient with respect to the input.

Examples are rows: ``W_k h`` for a batch is ``h W_k^T``. (Rumelhart, Hinton and Williams, 1986)
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxdl.backprop.activations import Function, Slope, pair
from jaxdl.typing import Array, Key


class Layer(NamedTuple):
    """The weights ``W_k [n_k, n_(k-1)]`` and the bias ``b_k [n_k]`` of a layer, or their gradients."""

    W: Array
    b: Array


class Residuals(NamedTuple):
    """The residuals of the forward pass: ``a_1 .. a_L`` and ``h_0 .. h_(L-1)``."""

    a: list[Array]
    h: list[Array]


def init(key: Key, sizes: tuple[int, ...]) -> list[Layer]:
    """Draw layers of ``sizes = (n_0, .., n_L)``: ``W_k`` normal of the variance ``1 / n_(k-1)``, ``b_k`` zero."""
    keys = jax.random.split(key, len(sizes) - 1)
    return [
        Layer(jax.random.normal(key, (after, before)) / before**0.5, jnp.zeros(after))
        for key, before, after in zip(keys, sizes[:-1], sizes[1:], strict=True)
    ]


def forward(
    layers: list[Layer], x: Array, activation: str | tuple[Function, Slope] = "tanh"
) -> tuple[Array, Residuals]:
    """Compute ``a_L``, and the residuals for the backward pass.

    Args:
        layers: ``(W_k, b_k)`` for ``k = 1 .. L``.
        x: ``h_0``, ``[B, n_0]``.
        activation: ``g`` by name, or the pair of ``g(a)`` and its slope ``g'(a, h)``.

    Raises:
        ValueError: the shape of a layer does not match its input, or the activation is unknown.

    >>> layers = [Layer(jnp.array([[2.0]]), jnp.array([0.5])), Layer(jnp.array([[3.0]]), jnp.array([0.0]))]
    >>> a_L, residuals = forward(layers, jnp.array([[1.0]]), "identity")
    >>> a_L.tolist(), len(residuals.h)
    ([[7.5]], 2)
    """
    g, _ = pair(activation)
    a, h = [], [x]
    for k, (W, b) in enumerate(layers, start=1):
        if W.shape != (*b.shape, h[-1].shape[-1]):
            raise ValueError(
                f"expected W [n_{k}, n_{k - 1}] and b [n_{k}] of layer {k}, "
                f"got W {W.shape} and b {b.shape} for the input {h[-1].shape}"
            )
        a.append(h[-1] @ W.T + b[None])
        if k < len(layers):
            h.append(g(a[-1]))
    return a[-1], Residuals(a, h)


def backward(
    layers: list[Layer], residuals: Residuals, d_a: Array, activation: str | tuple[Function, Slope] = "tanh"
) -> tuple[list[Layer], Array]:
    """Compute the gradients of all layers, and of the input.

    Args:
        layers: as in ``forward``.
        residuals: from ``forward``.
        d_a: the gradient with respect to ``a_L``, ``[B, n_L]``, from a loss.
        activation: as in ``forward``.

    Returns:
        ``[(d W_k, d b_k)]`` for ``k = 1 .. L``, and ``d h_0``, ``[B, n_0]``.
    """
    _, slope = pair(activation)
    gradients, d_h = [], d_a
    for k in range(len(layers), 0, -1):
        gradients.append(Layer(d_a.T @ residuals.h[k - 1], jnp.sum(d_a, axis=0)))
        d_h = d_a @ layers[k - 1].W
        if k > 1:
            d_a = d_h * slope(residuals.a[k - 2], residuals.h[k - 1])
    return gradients[::-1], d_h
