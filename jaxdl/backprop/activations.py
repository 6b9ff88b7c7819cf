"""The slopes ``g'(a)`` of the activation functions ``h = g(a)``, written in ``a`` and ``h``.

Several depend on ``h`` alone, which the forward pass saves::

    sigmoid    h = 1 / (1 + e^-a)    g' = h (1 - h)           at most 1/4
    tanh       h = tanh(a)           g' = 1 - h^2             at most 1
    relu       h = max(0, a)         g' = 1 if a > 0 else 0
    elu        h = e^a - 1, a <= 0   g' = h + 1               and 1 if a > 0
    softplus   h = ln(1 + e^a)       g' = sigmoid(a)
    swish      h = a s               g' = s + h (1 - s)       with s = sigmoid(a)
    gelu       h = a Phi(a)          g' = Phi(a) + a phi(a)   with the density phi = Phi'
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxdl.checks import did_you_mean, shorten
from jaxdl.nn.activations import get_activation, sigmoid
from jaxdl.typing import Array

Function = Callable[[Array], Array]
Slope = Callable[[Array, Array], Array]


def _swish(a: Array, h: Array) -> Array:
    s = sigmoid(a)
    return s + h * (1 - s)


def _gelu(a: Array, h: Array) -> Array:
    cumulative = jax.scipy.special.erfc(-a / math.sqrt(2)) / 2
    density = jnp.exp(-jnp.square(a) / 2) / math.sqrt(2 * math.pi)
    return cumulative + a * density


SLOPES: dict[str, Slope] = {
    "identity": lambda a, h: jnp.ones_like(a),
    "step": lambda a, h: jnp.zeros_like(a),
    "sigmoid": lambda a, h: h * (1 - h),
    "tanh": lambda a, h: 1 - jnp.square(h),
    "scaled_tanh": lambda a, h: 2 / 3 * (1.7159 - jnp.square(h) / 1.7159),
    "relu": lambda a, h: (a > 0).astype(a.dtype),
    "leaky_relu": lambda a, h: jnp.where(a > 0, 1.0, 0.01).astype(a.dtype),
    "elu": lambda a, h: jnp.where(a > 0, 1, h + 1),
    "softplus": lambda a, h: sigmoid(a),
    "swish": _swish,
    "silu": _swish,
    "gelu": _gelu,
}
"""The slopes of the named elementwise activations."""


def pair(activation: str | tuple[Function, Slope]) -> tuple[Function, Slope]:
    """Return ``g`` and ``g'`` by name; a pair is returned unchanged.

    Raises:
        ValueError: the name is unknown, or its slope is not implemented.

    >>> g, slope = pair("tanh")
    >>> a = jnp.array(0.5)
    >>> round(float(slope(a, g(a))), 4)
    0.7864
    """
    if not isinstance(activation, str):
        return activation
    g = get_activation(activation)
    if activation not in SLOPES:
        raise ValueError(
            f"expected an activation with a slope, got {shorten(repr(activation))}; {did_you_mean(activation, SLOPES)}"
        )
    return g, SLOPES[activation]
