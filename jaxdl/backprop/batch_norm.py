"""Backpropagation through batch and layer normalization.

Forward, over the ``m`` entries with a common mean (batch norm: examples and positions of a channel; layer norm:
channels of a position)::

    mu = 1/m sum x        var = 1/m sum (x - mu)^2        s = sqrt(var + eps)
    x_hat = (x - mu) / s                                  y = gamma x_hat + beta

Backward. The gradients of ``gamma`` and ``beta``, which are shared, are sums over all entries::

    d gamma = sum d y x_hat        d beta = sum d y        d x_hat = gamma d y

``x`` affects the loss in three ways: directly, through ``var`` and through ``mu``::

    d var = sum d x_hat (x - mu) (-1/2) s^-3 = -1/2 s^-2 sum d x_hat x_hat
    d mu  = -1/s sum d x_hat                     (var does not add: sum (x - mu) = 0)
    d x   = d x_hat / s + d var * 2 (x - mu) / m + d mu / m

With the two sums substituted::

    d x = 1/s (d x_hat - mean(d x_hat) - x_hat mean(d x_hat x_hat))

So ``d x`` has zero mean and is orthogonal to ``x_hat``, because shifting or scaling ``x`` changes nothing. With fixed
moments, as in evaluation, only the direct term remains: ``d x = d x_hat / s``.
(Ioffe and Szegedy, 2015; Ba, Kiros and Hinton, 2016)
"""

from typing import NamedTuple

import jax.numpy as jnp

from jaxdl.arrays import expand_leading
from jaxdl.typing import Array


class Residuals(NamedTuple):
    """The residuals of the forward pass: ``x_hat``, ``s`` and ``gamma``, with the rank of ``x``."""

    x_hat: Array
    s: Array
    gamma: Array


def batch_norm_forward(x: Array, gamma: Array, beta: Array, *, eps: float = 1e-5) -> tuple[Array, Residuals]:
    """Normalize every channel of ``x [B, ..., C]`` over all other dimensions; ``gamma`` and ``beta`` are ``[C]``.

    >>> y, _ = batch_norm_forward(jnp.array([[1.0], [3.0]]), jnp.array([2.0]), jnp.array([1.0]), eps=0.0)
    >>> y.tolist()
    [[-1.0], [3.0]]
    """
    return _forward(x, gamma, beta, tuple(range(x.ndim - 1)), eps)


def batch_norm_backward(residuals: Residuals, d_y: Array) -> tuple[Array, Array, Array]:
    """Compute ``d x``, ``d gamma`` and ``d beta``."""
    return _backward(residuals, d_y, tuple(range(d_y.ndim - 1)))


def layer_norm_forward(x: Array, gamma: Array, beta: Array, *, eps: float = 1e-5) -> tuple[Array, Residuals]:
    """Normalize every position of ``x [..., C]`` over its channels; ``gamma`` and ``beta`` are ``[C]``."""
    return _forward(x, gamma, beta, (-1,), eps)


def layer_norm_backward(residuals: Residuals, d_y: Array) -> tuple[Array, Array, Array]:
    """Compute ``d x``, ``d gamma`` and ``d beta``."""
    return _backward(residuals, d_y, (-1,))


def fixed_norm_forward(
    x: Array, mu: Array, var: Array, gamma: Array, beta: Array, *, eps: float = 1e-5
) -> tuple[Array, Residuals]:
    """Normalize ``x [..., C]`` by given moments ``[C]``: batch norm in evaluation."""
    mu, var, gamma, beta = (expand_leading(a, x.ndim) for a in (mu, var, gamma, beta))
    s = jnp.sqrt(var + eps)
    x_hat = (x - mu) / s
    return gamma * x_hat + beta, Residuals(x_hat, s, gamma)


def fixed_norm_backward(residuals: Residuals, d_y: Array) -> tuple[Array, Array, Array]:
    """Compute ``d x``, ``d gamma`` and ``d beta`` with constant moments."""
    return residuals.gamma * d_y / residuals.s, *_affine(residuals, d_y)


def _forward(x: Array, gamma: Array, beta: Array, axes: tuple[int, ...], eps: float) -> tuple[Array, Residuals]:
    if gamma.shape != x.shape[-1:] or beta.shape != x.shape[-1:]:
        raise ValueError(
            f"expected gamma and beta of shape {x.shape[-1:]} for x {x.shape}, got {gamma.shape} and {beta.shape}"
        )
    gamma, beta = expand_leading(gamma, x.ndim), expand_leading(beta, x.ndim)
    mu = jnp.mean(x, axis=axes, keepdims=True)
    s = jnp.sqrt(jnp.mean(jnp.square(x - mu), axis=axes, keepdims=True) + eps)
    x_hat = (x - mu) / s
    return gamma * x_hat + beta, Residuals(x_hat, s, gamma)


def _backward(residuals: Residuals, d_y: Array, axes: tuple[int, ...]) -> tuple[Array, Array, Array]:
    x_hat, s, gamma = residuals
    d_x_hat = gamma * d_y
    mean = jnp.mean(d_x_hat, axis=axes, keepdims=True)
    along = jnp.mean(d_x_hat * x_hat, axis=axes, keepdims=True)
    return (d_x_hat - mean - x_hat * along) / s, *_affine(residuals, d_y)


def _affine(residuals: Residuals, d_y: Array) -> tuple[Array, Array]:
    """Compute ``d gamma`` and ``d beta``, sums over all dimensions but the channels."""
    others = tuple(range(d_y.ndim - 1))
    return jnp.sum(d_y * residuals.x_hat, axis=others), jnp.sum(d_y, axis=others)
