"""The last step forward and the first step back: output functions with their losses.

Softmax with cross-entropy. With ``y_hat_j = e^(a_j) / sum_i e^(a_i)`` and ``L = -sum_j y_j ln y_hat_j``::

    d y_hat_j / d a_i = y_hat_j (1[i = j] - y_hat_i)
    d a_i = -sum_j y_j / y_hat_j * y_hat_j (1[i = j] - y_hat_i) = y_hat_i sum_j y_j - y_i = y_hat_i - y_i

The last step needs targets that sum to 1, such as ``e_l``, which is 1 at the true class ``l``. The loss has one term
for each class: the form with ``(1 - y) ln(1 - y_hat)`` belongs to independent yes-or-no outputs, and there, with
``y_hat = sigmoid(a)``, again ``d a = y_hat - y``.

Squared error. ``L = (y_hat - y)^2`` gives ``d y_hat = 2 (y_hat - y)``, with its factor 2. Behind a softmax it passes
the same Jacobian, ``d a = y_hat * (d y_hat - sum_j y_hat_j d y_hat_j)``, which vanishes wherever ``y_hat`` is sure,
right or wrong: the reason to pair a softmax with the cross-entropy.

All losses here are means, so every gradient is divided by what the mean divides by.
"""

import jax
import jax.numpy as jnp

from jaxdl.typing import Array


def softmax(a: Array) -> Array:
    """Return ``y_hat = e^a / sum e^a`` over the last dimension, with the largest taken away first against overflow."""
    powers = jnp.exp(a - jnp.max(a, axis=-1, keepdims=True))
    return powers / jnp.sum(powers, axis=-1, keepdims=True)


def softmax_backward(y_hat: Array, d_y_hat: Array) -> Array:
    """Return ``d a = y_hat * (d y_hat - sum_j y_hat_j d y_hat_j)``."""
    return y_hat * (d_y_hat - jnp.sum(y_hat * d_y_hat, axis=-1, keepdims=True))


def softmax_cross_entropy(a: Array, y: Array) -> tuple[Array, Array]:
    """Return the mean over examples of ``-sum_j y_j ln softmax(a)_j``, and ``d a = (y_hat - y) / B``.

    Args:
        a: logits, ``[B, K]``.
        y: class numbers ``[B]`` (integers), or probabilities ``[B, K]`` that sum to 1.

    Returns:
        The loss, a number, and its gradient, ``[B, K]``.

    Raises:
        ValueError: the shapes do not belong together.

    >>> loss, d_a = softmax_cross_entropy(jnp.zeros((1, 2)), jnp.array([0]))
    >>> round(float(loss), 4), d_a.tolist()
    (0.6931, [[-0.5, 0.5]])
    """
    if jnp.issubdtype(y.dtype, jnp.integer) and y.shape == a.shape[:-1]:
        y = jax.nn.one_hot(y, a.shape[-1], dtype=a.dtype)
    _check(a, y)
    largest = jnp.max(a, axis=-1, keepdims=True)
    log_y_hat = a - largest - jnp.log(jnp.sum(jnp.exp(a - largest), axis=-1, keepdims=True))
    return -jnp.sum(y * log_y_hat) / len(a), (softmax(a) - y) / len(a)


def sigmoid_cross_entropy(a: Array, y: Array) -> tuple[Array, Array]:
    """Return the mean of ``-y ln s - (1 - y) ln(1 - s)`` with ``s = sigmoid(a)``, and ``d a = (s - y) / count``.

    Args:
        a: logits, ``[...]``.
        y: targets from 0 to 1, of the same shape.

    Raises:
        ValueError: the shapes differ.
    """
    _check(a, y)
    loss = jnp.maximum(a, 0) - a * y + jnp.log1p(jnp.exp(-jnp.abs(a)))
    return jnp.mean(loss), (1 / (1 + jnp.exp(-a)) - y) / a.size


def squared_error(y_hat: Array, y: Array) -> tuple[Array, Array]:
    """Return the mean of ``(y_hat - y)^2``, and ``d y_hat = 2 (y_hat - y) / count``.

    Args:
        y_hat: predictions, ``[...]``; of a linear output layer they are ``a_L`` itself.
        y: targets, of the same shape.

    Raises:
        ValueError: the shapes differ.

    >>> loss, d_y_hat = squared_error(jnp.array([3.0]), jnp.array([1.0]))
    >>> float(loss), d_y_hat.tolist()
    (4.0, [4.0])
    """
    _check(y_hat, y)
    return jnp.mean(jnp.square(y_hat - y)), 2 * (y_hat - y) / y_hat.size


def _check(a: Array, y: Array) -> None:
    if a.shape != y.shape:
        raise ValueError(f"predictions and targets do not belong together; they have {a.shape} and {y.shape}")
