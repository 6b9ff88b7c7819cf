"""Nesterov's look-ahead in the numerator of Adam: the three forms of NAdam.

With the moments ``m_t`` and ``v_t`` of `jaxdl.optim.scale_by_adam`, each direction is
``n_t / (sqrt(v_t / (1 - b2^t) + eps_root) + eps)``; the forms differ in the numerator ``n_t``.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax.typing import DTypeLike
from optax import GradientTransformation

from jaxdl.optim.numerics import (
    cast_like,
    check_adam,
    debias,
    decayed_mean,
    decayed_mean_square,
    divide_by_root,
    increment,
    init_moments,
    one_minus_power,
    transformation,
    weighted_sum,
)
from jaxdl.optim.transforms import ScaleByAdamState
from jaxdl.typing import Array, ArrayLike, PyTree


class ScaleByNadamMomentumDecayState(NamedTuple):
    """State of `scale_by_nadam_momentum_decay`: the number of updates, ``m``, ``v``, and ``c_1 ... c_t``."""

    count: Array
    mu: PyTree
    nu: PyTree
    product: Array


def scale_by_nadam(
    b1: ArrayLike = 0.9,
    b2: ArrayLike = 0.999,
    eps: ArrayLike = 1e-8,
    eps_root: ArrayLike = 0.0,
    *,
    moment_dtype: DTypeLike | None = None,
) -> GradientTransformation:
    """Scale by Adam with Nesterov's look-ahead in the numerator: NAdam (Dozat, 2016), in the form of optax.

    With ``m_t`` and ``v_t`` of `scale_by_adam`, the direction is ``n_t / (sqrt(v_t / (1 - b2^t) + eps_root) + eps)``
    with ``n_t = b1 m_t / (1 - b1^(t+1)) + (1 - b1) g_t / (1 - b1^t)``. Dozat's algorithm multiplies ``v_t`` by ``b2``
    besides, which no implementation does.

    Raises:
        ValueError: a decay is outside of [0, 1), or ``eps`` or ``eps_root`` is negative.

    >>> transform, g = scale_by_nadam(b1=0.5), jnp.ones(1)
    >>> transform.update(g, transform.init(g))[0].round(4)
    Array([1.3333], dtype=float32)
    """
    check_adam(b1, b2, eps, eps_root)

    def init(params):
        return ScaleByAdamState(*init_moments(params, moment_dtype))

    def update(updates, state, params=None):
        del params
        count = increment(state.count)
        mu, nu = decayed_mean(updates, state.mu, b1), decayed_mean_square(updates, state.nu, b2)
        of_mu, of_gradient = b1 / one_minus_power(b1, count + 1), (1 - b1) / one_minus_power(b1, count)
        numerator = weighted_sum(of_mu, mu, of_gradient, updates)
        direction = divide_by_root(numerator, debias(nu, b2, count), eps, eps_root)
        return cast_like((direction, ScaleByAdamState(count, mu, nu)), (updates, state))

    return transformation(init, update)


def scale_by_nadam_simplified(
    b1: ArrayLike = 0.9,
    b2: ArrayLike = 0.999,
    eps: ArrayLike = 1e-8,
    eps_root: ArrayLike = 0.0,
    *,
    moment_dtype: DTypeLike | None = None,
) -> GradientTransformation:
    """Scale by NAdam with one bias correction for both terms of the numerator.

    As `scale_by_nadam`, but ``n_t = (b1 m_t + (1 - b1) g_t) / (1 - b1^t)`` (Ruder, 2016, section 4.8). Its first
    direction is ``1 + b1`` times Adam's.

    Raises:
        ValueError: a decay is outside of [0, 1), or ``eps`` or ``eps_root`` is negative.

    >>> transform, g = scale_by_nadam_simplified(b1=0.5), jnp.ones(1)
    >>> transform.update(g, transform.init(g))[0].round(4)
    Array([1.5], dtype=float32)
    """
    check_adam(b1, b2, eps, eps_root)

    def init(params):
        return ScaleByAdamState(*init_moments(params, moment_dtype))

    def update(updates, state, params=None):
        del params
        count = increment(state.count)
        mu, nu = decayed_mean(updates, state.mu, b1), decayed_mean_square(updates, state.nu, b2)
        weight = one_minus_power(b1, count)
        numerator = weighted_sum(b1 / weight, mu, (1 - b1) / weight, updates)
        direction = divide_by_root(numerator, debias(nu, b2, count), eps, eps_root)
        return cast_like((direction, ScaleByAdamState(count, mu, nu)), (updates, state))

    return transformation(init, update)


def scale_by_nadam_momentum_decay(
    b1: ArrayLike = 0.9,
    b2: ArrayLike = 0.999,
    eps: ArrayLike = 1e-8,
    eps_root: ArrayLike = 0.0,
    *,
    moment_dtype: DTypeLike | None = None,
) -> GradientTransformation:
    """Scale by NAdam with a momentum that rises to ``b1`` (Dozat, 2016), in the form of torch.

    As `scale_by_nadam`, but ``n_t = c_(t+1) m_t / (1 - c_1 ... c_(t+1)) + (1 - c_t) g_t / (1 - c_1 ... c_t)`` with
    ``c_t = b1 (1 - 0.96^(0.004 t) / 2)``, which starts at ``b1 / 2``.

    Raises:
        ValueError: a decay is outside of [0, 1), or ``eps`` or ``eps_root`` is negative.

    >>> transform, g = scale_by_nadam_momentum_decay(), jnp.ones(1)
    >>> transform.update(g, transform.init(g))[0].round(4)
    Array([1.0565], dtype=float32)
    """
    check_adam(b1, b2, eps, eps_root)

    def init(params):
        return ScaleByNadamMomentumDecayState(*init_moments(params, moment_dtype), product=jnp.ones(()))

    def momentum(t):
        return b1 * (1 - 0.5 * 0.96 ** (t.astype(float) * 0.004))

    def update(updates, state, params=None):
        del params
        count = increment(state.count)
        mu, nu = decayed_mean(updates, state.mu, b1), decayed_mean_square(updates, state.nu, b2)
        now, following = momentum(count), momentum(count + 1)
        product = (state.product * now).astype(state.product.dtype)
        of_mu, of_gradient = following / (1 - product * following), (1 - now) / (1 - product)
        numerator = weighted_sum(of_mu, mu, of_gradient, updates)
        direction = divide_by_root(numerator, debias(nu, b2, count), eps, eps_root)
        return cast_like((direction, ScaleByNadamMomentumDecayState(count, mu, nu, product)), (updates, state))

    return transformation(init, update)
