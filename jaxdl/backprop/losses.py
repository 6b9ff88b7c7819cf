"""Output functions with their losses, and the gradients with which backpropagation starts.

Softmax with cross-entropy. With ``y_hat_j = e^(a_j) / sum_i e^(a_i)`` and ``L = -sum_j y_j ln y_hat_j``::

    d y_hat_j / d a_i = y_hat_j (1[i = j] - y_hat_i)
    d a_i = -sum_j y_j / y_hat_j * y_hat_j (1[i = j] - y_hat_i) = y_hat_i sum_j y_j - y_i = y_hat_i - y_i

The last equality holds for targets that sum to 1, such as the one-hot ``e_l`` of the true class ``l``. The loss has one
term per class; the form with ``(1 - y) ln(1 - y_hat)`` is that of independent binary outputs, for which, with
``y_hat = sigmoid(a)``, again ``d a = y_hat - y``.

Squared error. ``L = (y_hat - y)^2`` gives ``d y_hat = 2 (y_hat - y)``, with its factor 2. After a softmax it
is multiplied by the same Jacobian, ``d a = y_hat * (d y_hat - sum_j y_hat_j d y_hat_j)``, which vanishes for confident
``y_hat``, right or wrong: the reason to pair a softmax with the cross-entropy.

All losses are means, and the gradients are divided by the same count.
"""

import jax
import jax.numpy as jnp

from jaxdl.arrays import to_floating
from jaxdl.checks import check_indices
from jaxdl.typing import Array


def softmax(a: Array) -> Array:
    """Compute ``y_hat = e^a / sum e^a`` over the last dimension, with the maximum subtracted against overflow."""
    a = to_floating(a)
    powers = jnp.exp(a - jnp.max(a, axis=-1, keepdims=True))
    return powers / jnp.sum(powers, axis=-1, keepdims=True)


def softmax_backward(y_hat: Array, d_y_hat: Array) -> Array:
    """Compute ``d a = y_hat * (d y_hat - sum_j y_hat_j d y_hat_j)``."""
    return y_hat * (d_y_hat - jnp.sum(y_hat * d_y_hat, axis=-1, keepdims=True))


def softmax_cross_entropy(a: Array, y: Array) -> tuple[Array, Array]:
    """Compute the mean over examples of ``-sum_j y_j ln softmax(a)_j``, and ``d a = (y_hat - y) / B``.

    Args:
        a: logits, ``[B, K]``.
        y: class numbers ``[B]`` (integers), or probabilities ``[B, K]`` that sum to 1.

    Returns:
        The loss, a number, and its gradient, ``[B, K]``.

    Raises:
        ValueError: shapes do not match, or a class is known not to be one; where it is traced, all is nan.

    >>> loss, d_a = softmax_cross_entropy(jnp.zeros((1, 2)), jnp.array([0]))
    >>> round(float(loss), 4), d_a.tolist()
    (0.6931, [[-0.5, 0.5]])
    """
    a = to_floating(a)
    if jnp.issubdtype(y.dtype, jnp.integer) and y.shape == a.shape[:-1]:
        check_indices("y", y, a.shape[-1])
        y = jnp.where(((y >= 0) & (y < a.shape[-1]))[..., None], jax.nn.one_hot(y, a.shape[-1], dtype=a.dtype), jnp.nan)
    _check(a, y)
    largest = jnp.max(a, axis=-1, keepdims=True)
    log_y_hat = a - largest - jnp.log(jnp.sum(jnp.exp(a - largest), axis=-1, keepdims=True))
    return -jnp.sum(_weighted(y, log_y_hat)) / len(a), (softmax(a) - y) / len(a)


def sigmoid_cross_entropy(a: Array, y: Array) -> tuple[Array, Array]:
    """Compute the mean of ``-y ln s - (1 - y) ln(1 - s)`` with ``s = sigmoid(a)``, and ``d a = (s - y) / count``.

    Args:
        a: logits, ``[...]``.
        y: targets from 0 to 1, of the same shape.

    Raises:
        ValueError: the shapes differ.
    """
    a, y = to_floating(a), to_floating(y)
    _check(a, y)
    ln_s, ln_rest = (jnp.minimum(z, 0) - jnp.log1p(jnp.exp(-jnp.abs(z))) for z in (a, -a))  # of s and of 1 - s
    loss = -_weighted(y, ln_s) - _weighted(1 - y, ln_rest)
    return jnp.mean(loss), (1 / (1 + jnp.exp(-a)) - y) / a.size


def squared_error(y_hat: Array, y: Array) -> tuple[Array, Array]:
    """Compute the mean of ``(y_hat - y)^2``, and ``d y_hat = 2 (y_hat - y) / count``.

    Args:
        y_hat: predictions, ``[...]``; of a linear output layer they are ``a_L`` itself.
        y: targets, of the same shape.

    Raises:
        ValueError: the shapes differ.

    >>> loss, d_y_hat = squared_error(jnp.array([3.0]), jnp.array([1.0]))
    >>> float(loss), d_y_hat.tolist()
    (4.0, [4.0])
    """
    y_hat, y = to_floating(y_hat), to_floating(y)
    _check(y_hat, y)
    return jnp.mean(jnp.square(y_hat - y)), 2 * (y_hat - y) / y_hat.size


def _weighted(y: Array, log_y_hat: Array) -> Array:
    """Compute ``y ln y_hat`` with ``0 ln 0 = 0``."""
    return y * jnp.where((y == 0) & jnp.isinf(log_y_hat), 0, log_y_hat)


def _check(a: Array, y: Array) -> None:
    if a.shape != y.shape:
        raise ValueError(f"expected predictions and targets of equal shape, got {a.shape} and {y.shape}")
