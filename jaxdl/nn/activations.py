"""Activation functions, elementwise unless stated otherwise, and `get_activation` by name.

Values and gradients are finite over the whole range of the dtype, which is that of the input; integers and Booleans
become floating-point numbers. At an infinite input a function has its limit, and NaN stays NaN.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen

from jaxdl.arrays import check_boolean, expand_leading, to_floating, widen
from jaxdl.checks import check_one_of, did_you_mean, shorten
from jaxdl.typing import Array, ArrayLike, Key

Activation = Callable[[Array], Array]


def identity(x: ArrayLike) -> Array:
    """Return ``x``: the output of a linear unit."""
    return to_floating(x)


def step(x: ArrayLike) -> Array:
    """Return 1 where ``x >= 0`` and 0 elsewhere, the perceptron's threshold; its gradient is 0 everywhere.

    >>> step(jnp.array([-1.0, 0.0, 2.0])).tolist()
    [0.0, 1.0, 1.0]
    """
    x = to_floating(x)
    return jnp.where(jnp.isnan(x), jnp.nan, (x >= 0).astype(x.dtype))


def sigmoid(x: ArrayLike) -> Array:
    """Return ``1 / (1 + e^-x)``; its slope ``s (1 - s)`` is at most 1/4."""
    return jax.lax.logistic(to_floating(x))


def tanh(x: ArrayLike) -> Array:
    """Return ``tanh(x) = 2 sigmoid(2 x) - 1``, which is centred on 0; its slope ``1 - tanh(x)^2`` is at most 1."""
    return jnp.tanh(to_floating(x))


def scaled_tanh(x: ArrayLike) -> Array:
    """Return ``1.7159 tanh(2 x / 3)``, which is 1 at 1 and -1 at -1 (LeCun, 1989).

    >>> round(float(scaled_tanh(1.0)), 4)
    1.0
    """
    return 1.7159 * jnp.tanh(2 / 3 * to_floating(x))


def relu(x: ArrayLike) -> Array:
    """Return ``max(0, x)`` (Nair and Hinton, 2010); the gradient at 0 is 0."""
    return jax.nn.relu(to_floating(x))


def leaky_relu(x: ArrayLike, negative_slope: float = 0.01) -> Array:
    """Return ``x`` where positive and ``negative_slope * x`` elsewhere (Maas et al., 2013)."""
    return prelu(x, negative_slope)


def prelu(x: ArrayLike, alpha: ArrayLike) -> Array:
    """Return ``x`` where positive and ``alpha x`` elsewhere, with a learned slope (He et al., 2015).

    Args:
        x: ``[..., C]``.
        alpha: a scalar, or one per channel, ``[C]``.

    >>> prelu(jnp.array([[-1.0, -2.0]]), jnp.array([0.5, 0.1])).tolist()
    [[-0.5, -0.2...]]
    """
    x = to_floating(x)
    return jnp.where(x > 0, x, _per_channel(alpha, x) * x)


def elu(x: ArrayLike, alpha: float = 1.0) -> Array:
    """Return ``x`` where positive and ``alpha (e^x - 1)`` elsewhere (Clevert et al., 2016).

    >>> round(float(elu(-1.0)), 4)
    -0.6321
    """
    x = to_floating(x)
    # The inner where keeps the exponential from overflow in the branch that is not selected.
    return jnp.where(x > 0, x, alpha * jnp.expm1(jnp.where(x > 0, 0, x)))


def maxout(x: ArrayLike, pieces: int) -> Array:
    """Return the maximum of every ``pieces`` neighbours along the last dimension (Goodfellow et al., 2013).

    The gradient is that of the first of equal neighbours.

    Args:
        x: ``[..., K * pieces]``.
        pieces: linear units per maxout unit.

    Returns:
        ``[..., K]``.

    Raises:
        ValueError: the last dimension is not a multiple of ``pieces``.

    >>> maxout(jnp.array([1.0, 3.0, -2.0, -5.0]), pieces=2).tolist()
    [3.0, -2.0]
    """
    x = to_floating(x)
    if x.ndim == 0 or pieces < 1 or x.shape[-1] % pieces:
        raise ValueError(f"expected a last dimension divisible by pieces={pieces}, got x of shape {x.shape}")
    x = x.reshape(*x.shape[:-1], x.shape[-1] // pieces, pieces)
    # The gradient of jnp.max compares x with the maximum; computed twice by two fusions they may differ, and it is NaN.
    first = jax.nn.one_hot(jnp.argmax(x, axis=-1), pieces, dtype=bool)
    return jnp.sum(jnp.where(first, x, jnp.zeros((), x.dtype)), axis=-1)


def gelu(x: ArrayLike, approximate: str = "none") -> Array:
    """Return ``x Phi(x)``, with the normal distribution function ``Phi`` (Hendrycks and Gimpel, 2016).

    Args:
        x: ``[...]``.
        approximate: ``"none"`` for the error function; ``"tanh"`` for ``Phi(x) = (1 + tanh(sqrt(2/pi) (x + 0.044715
            x^3))) / 2``; ``"sigmoid"`` for ``Phi(x) = sigmoid(1.702 x)``.

    Raises:
        ValueError: the approximation is none of these.

    >>> [round(float(gelu(1.0, form)), 4) for form in ("none", "tanh", "sigmoid")]
    [0.8413, 0.8412, 0.8458]
    """
    check_one_of("approximate", approximate, ("none", "tanh", "sigmoid"))
    x = to_floating(x)
    if approximate == "none":
        return _gated(x, _normal_cdf(x))
    if approximate == "tanh":
        # Beyond 10 the hyperbolic tangent is 1 in every dtype, and the cube would overflow.
        z = jnp.clip(x, -10, 10)
        return _gated(x, (1 + jnp.tanh(math.sqrt(2 / math.pi) * (z + 0.044715 * z**3))) / 2)
    return swish(x, 1.702)


def stochastic_gelu(key: Key, x: ArrayLike) -> Array:
    """Return ``m x`` with ``m ~ Bernoulli(Phi(x))``: input-dependent dropout with the mean ``gelu(x)``.

    The gradient is ``m``: no gradient flows through the sampling.

    Args:
        key: a random key.
        x: ``[...]``.

    >>> x = jnp.array([0.0, 9.0, -9.0])
    >>> stochastic_gelu(jax.random.key(0), x).tolist()
    [0.0, 9.0, 0.0]
    """
    x = to_floating(x)
    retained = jax.random.bernoulli(key, _normal_cdf(x))
    return jnp.where(retained | jnp.isnan(x), x, jnp.zeros((), x.dtype))


def swish(x: ArrayLike, beta: ArrayLike = 1.0) -> Array:
    """Return ``x sigmoid(beta x)`` (Ramachandran et al., 2017): linear for ``beta`` 0, near ``relu`` for a large one.

    Args:
        x: ``[..., C]``.
        beta: a scalar, or one per channel, ``[C]``; 1.702 approximates ``gelu``.
    """
    x = to_floating(x)
    return _gated(x, jax.lax.logistic(_per_channel(beta, x) * x))


def silu(x: ArrayLike) -> Array:
    """Return ``x sigmoid(x)``, the sigmoid-weighted linear unit (Elfwing et al., 2018): ``swish`` with ``beta`` 1."""
    return swish(x)


def softplus(x: ArrayLike) -> Array:
    """Return ``ln(1 + e^x)``, a smooth ``relu`` whose slope is ``sigmoid(x)``."""
    x = to_floating(x)
    return jnp.logaddexp(x, jnp.zeros_like(x))


def softmax(x: ArrayLike, axis: int = -1, *, mask: ArrayLike | None = None) -> Array:
    """Return ``p_k = e^(x_k) / sum_j e^(x_j)``, computed in at least float32.

    Args:
        x: ``[...]``.
        axis: the dimension of ``k``.
        mask: Booleans of the rank of ``x`` that broadcast to its shape; where False, ``p`` is 0 and no gradient flows.
            Where all are False, all of ``p`` is 0.

    Raises:
        ValueError: the ranks of mask and ``x`` differ.
        TypeError: the mask is not Boolean.

    >>> [round(p, 4) for p in softmax(jnp.array([2.0, 1.0, 0.0])).tolist()]
    [0.6652, 0.2447, 0.09]
    >>> softmax(jnp.array([2.0, 1.0, 0.0]), mask=jnp.array([False, True, False])).tolist()
    [0.0, 1.0, 0.0]
    """
    x = to_floating(x)
    wide = widen(x)
    if mask is not None:
        if jnp.ndim(mask) != x.ndim:
            raise ValueError(f"expected a mask of the rank of x of shape {x.shape}, got {jnp.shape(mask)}")
        wide = jnp.where(check_boolean(mask), wide, -jnp.inf)
    largest = jax.lax.stop_gradient(jnp.max(wide, axis=axis, keepdims=True, initial=-jnp.inf))
    powers = jnp.exp(wide - jnp.where(jnp.isfinite(largest), largest, 0))
    total = jnp.sum(powers, axis=axis, keepdims=True)
    return (powers / jnp.where(total == 0, 1, total)).astype(x.dtype)


def soft_maximum(x: ArrayLike, axis: int = -1, *, mask: ArrayLike | None = None) -> Array:
    """Return ``sum_k softmax(x)_k x_k``, a smooth maximum that is at most the largest element.

    It is the mean of the elements weighted by `softmax`, which, whatever its name, is a smooth argmax. Of ``beta x`` it
    is near ``beta`` times the mean of ``x`` for a small ``beta``, and ``beta`` times its maximum for a large one.

    Args:
        x: ``[...]``.
        axis: the dimension of ``k``.
        mask: as in `softmax`; hidden elements have no influence, and where all are hidden the result is 0.

    >>> round(float(soft_maximum(jnp.array([0.0, 1.0, 10.0]))), 2)
    10.0
    """
    x = to_floating(x)
    weights = softmax(widen(x), axis, mask=mask)
    shown = jnp.where(weights == 0, 0, widen(x))  # minus infinity and padding have the weight 0
    return jnp.sum(weights * shown, axis=axis).astype(x.dtype)


class PReLU(linen.Module):
    """``prelu`` with learned slopes, the parameter ``alpha``: one per channel, or one for all."""

    per_channel: bool = True
    initial_slope: float = 0.25
    param_dtype: Any = jnp.float32

    @linen.compact
    def __call__(self, x: Array) -> Array:
        """Map ``[..., C]`` to ``[..., C]``."""
        x = to_floating(x)
        shape = (x.shape[-1],) if self.per_channel else ()
        alpha = self.param("alpha", linen.initializers.constant(self.initial_slope), shape, self.param_dtype)
        return prelu(x, alpha.astype(x.dtype))


class Swish(linen.Module):
    """``swish`` with a learned ``beta``, one for all channels."""

    initial_beta: float = 1.0
    param_dtype: Any = jnp.float32

    @linen.compact
    def __call__(self, x: Array) -> Array:
        """Map ``[...]`` to ``[...]``."""
        x = to_floating(x)
        beta = self.param("beta", linen.initializers.constant(self.initial_beta), (), self.param_dtype)
        return swish(x, beta.astype(x.dtype))


def _gelu_tanh(x: ArrayLike) -> Array:
    return gelu(x, approximate="tanh")


ACTIVATIONS: dict[str, Activation] = {
    "identity": identity,
    "step": step,
    "sigmoid": sigmoid,
    "tanh": tanh,
    "scaled_tanh": scaled_tanh,
    "relu": relu,
    "leaky_relu": leaky_relu,
    "elu": elu,
    "gelu": gelu,
    "gelu_tanh": _gelu_tanh,
    "silu": silu,
    "swish": swish,
    "softplus": softplus,
    "softmax": softmax,
}
"""Activations by name."""


def get_activation(activation: str | Activation) -> Activation:
    """Return an activation by name; a function is returned unchanged.

    Raises:
        ValueError: the name is unknown.

    >>> get_activation("relu") is relu
    True
    >>> get_activation("leaky_rel")
    Traceback (most recent call last):
    ...
    ValueError: expected the name of an activation, got 'leaky_rel'; did you mean 'leaky_relu'?
    """
    if callable(activation):
        return activation
    if activation in ACTIVATIONS:
        return ACTIVATIONS[activation]
    raise ValueError(
        f"expected the name of an activation, got {shorten(repr(activation))}; {did_you_mean(activation, ACTIVATIONS)}"
    )


def _normal_cdf(x: Array) -> Array:
    """Compute ``Phi(x)``, by the complementary error function for precision where ``Phi`` is small."""
    return jax.scipy.special.erfc(-math.sqrt(0.5) * x) / 2


def _gated(x: Array, gate: Array) -> Array:
    """Compute ``x gate`` for a gate in [0, 1]; where that is 0, so is the result, for minus infinity too."""
    return jnp.where(gate == 0, jnp.zeros((), x.dtype), x) * gate


def _per_channel(value: ArrayLike, x: Array) -> ArrayLike:
    """Align values per channel, ``[C]``, with ``x``."""
    return expand_leading(value, x.ndim) if jnp.ndim(value) == 1 else value
