"""One gradient transformation a method, from gradients to a direction, without a learning rate.

In the equations ``g`` are gradients and ``t`` counts the updates from 1. Moments are stored in the dtype of the
parameters, or in ``moment_dtype``; the arithmetic between is in at least float32. Second moments in bfloat16 hardly
decay, because their steps are smaller than its resolution: use ``moment_dtype=jnp.float32``.

Squares are those of the modulus, so a complex parameter moves as one number. ``jax.grad`` gives the conjugate of the
direction of ascent: conjugate the gradients of complex parameters first. Integers raise a TypeError.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from optax import GradientTransformation

from jaxdl.arrays import square_modulus, widen
from jaxdl.checks import check_decay, check_in_range
from jaxdl.optim.numerics import (
    at_step,
    cast_like,
    check_adam,
    debias,
    decayed_maximum,
    decayed_mean,
    decayed_mean_square,
    divide,
    divide_by_root,
    full_like,
    increment,
    init_moments,
    map_wide,
    transformation,
)
from jaxdl.typing import Array, ArrayLike, PyTree, Schedule

# Fields and their order are the paths of leaves in checkpoints: the count stays where a method does not need it.


class TraceState(NamedTuple):
    """State of `trace`: the number of updates, and the decayed sum of gradients ``u``."""

    count: Array
    trace: PyTree


class ScaleByAdamState(NamedTuple):
    """State of the methods with two moments: the number of updates, ``m`` and ``v``."""

    count: Array
    mu: PyTree
    nu: PyTree


class ScaleByRmsState(NamedTuple):
    """State of the methods with a second moment alone: the number of updates, and ``v``."""

    count: Array
    nu: PyTree


class ScaleByAdadeltaState(NamedTuple):
    """State of `scale_by_adadelta`: the mean squares of the gradients, ``v``, and of the directions, ``u``."""

    v: PyTree
    u: PyTree


def trace(
    decay: ArrayLike | Schedule, nesterov: bool = False, moment_dtype: DTypeLike | None = None
) -> GradientTransformation:
    """Accumulate a decayed sum of the gradients: momentum.

    ``u_t = decay_t u_(t-1) + g_t``. The direction is ``u_t`` (Polyak, 1964), or with Nesterov's look-ahead
    ``decay_t u_t + g_t`` (Sutskever et al., 2013), for parameters at the point where the next gradient is taken.

    Args:
        decay: in [0, 1), a number or a schedule.
        nesterov: whether to look ahead.
        moment_dtype: dtype of ``u``; None for that of the parameters.

    Raises:
        ValueError: the decay is outside of [0, 1).

    >>> transform, g = trace(0.5), jnp.ones(1)
    >>> _, state = transform.update(g, transform.init(g))
    >>> transform.update(g, state)[0]
    Array([1.5], dtype=float32)
    """
    check_decay("decay", decay)

    def init(params):
        return TraceState(jnp.zeros((), jnp.int32), full_like(params, 0.0, moment_dtype))

    def update(updates, state, params=None):
        del params
        beta = at_step(decay, state.count)
        total = jax.tree.map(lambda g, u: beta * widen(u) + widen(g), updates, state.trace)
        direction = map_wide(lambda g, u: beta * u + g, updates, total) if nesterov else total
        return cast_like((direction, TraceState(increment(state.count), total)), (updates, state))

    return transformation(init, update)


def scale_by_adam(
    b1: ArrayLike = 0.9,
    b2: ArrayLike = 0.999,
    eps: ArrayLike = 1e-8,
    eps_root: ArrayLike = 0.0,
    *,
    moment_dtype: DTypeLike | None = None,
) -> GradientTransformation:
    """Divide the mean of the gradients by the root of their mean square: Adam (Kingma and Ba, 2015).

    ``m_t = b1 m_(t-1) + (1 - b1) g_t``, ``v_t = b2 v_(t-1) + (1 - b2) g_t^2``; the direction is
    ``m_t / (1 - b1^t) / (sqrt(v_t / (1 - b2^t) + eps_root) + eps)``. Where the denominator is 0, so is the direction:
    no gradient has been seen, and both ``eps`` are 0.

    Raises:
        ValueError: a decay is outside of [0, 1), or ``eps`` or ``eps_root`` is negative.

    >>> transform, g = scale_by_adam(), jnp.array([4.0, -0.1])
    >>> transform.update(g, transform.init(g))[0].round(4)
    Array([ 1., -1.], dtype=float32)
    """
    check_adam(b1, b2, eps, eps_root)

    def init(params):
        return ScaleByAdamState(*init_moments(params, moment_dtype))

    def update(updates, state, params=None):
        del params
        count = increment(state.count)
        mu, nu = decayed_mean(updates, state.mu, b1), decayed_mean_square(updates, state.nu, b2)
        direction = divide_by_root(debias(mu, b1, count), debias(nu, b2, count), eps, eps_root)
        return cast_like((direction, ScaleByAdamState(count, mu, nu)), (updates, state))

    return transformation(init, update)


def scale_by_adamax(
    b1: ArrayLike = 0.9,
    b2: ArrayLike = 0.999,
    eps: ArrayLike = 1e-8,
    *,
    moment_dtype: DTypeLike | None = None,
) -> GradientTransformation:
    """Divide the mean of the gradients by their decayed maximum: AdaMax (Kingma and Ba, 2015, section 7.1).

    ``m_t = b1 m_(t-1) + (1 - b1) g_t``, ``v_t = max(b2 v_(t-1), |g_t|)``; the direction is
    ``m_t / (1 - b1^t) / (v_t + eps)``. A maximum has no bias to correct. optax adds ``eps`` to ``|g_t|`` instead.

    Raises:
        ValueError: a decay is outside of [0, 1), or ``eps`` is negative.

    >>> transform, g = scale_by_adamax(), jnp.array([4.0, -0.1])
    >>> transform.update(g, transform.init(g))[0].round(4)
    Array([ 1., -1.], dtype=float32)
    """
    check_adam(b1, b2, eps)

    def init(params):
        return ScaleByAdamState(*init_moments(params, moment_dtype))

    def update(updates, state, params=None):
        del params
        count = increment(state.count)
        mu, nu = decayed_mean(updates, state.mu, b1), decayed_maximum(updates, state.nu, b2)
        direction = divide(debias(mu, b1, count), nu, eps)
        return cast_like((direction, ScaleByAdamState(count, mu, nu)), (updates, state))

    return transformation(init, update)


def scale_by_maximum(
    decay: ArrayLike = 0.9, eps: ArrayLike = 1e-8, *, moment_dtype: DTypeLike | None = None
) -> GradientTransformation:
    """Divide the gradient by its decayed maximum: MaxProp, which is AdaMax without the first moment.

    ``v_t = max(decay v_(t-1), |g_t|)``; the direction is ``g_t / (v_t + eps)``, of a size of at most 1.

    Raises:
        ValueError: the decay is outside of [0, 1), or ``eps`` is negative.

    >>> transform, g = scale_by_maximum(decay=0.5), jnp.array([4.0])
    >>> _, state = transform.update(g, transform.init(g))
    >>> transform.update(g / 4, state)[0]
    Array([0.5], dtype=float32)
    """
    check_decay("decay", decay)
    check_in_range("eps", eps)

    def init(params):
        return ScaleByRmsState(jnp.zeros((), jnp.int32), full_like(params, 0.0, moment_dtype))

    def update(updates, state, params=None):
        del params
        nu = decayed_maximum(updates, state.nu, decay)
        direction = divide(updates, nu, eps)
        return cast_like((direction, ScaleByRmsState(increment(state.count), nu)), (updates, state))

    return transformation(init, update)


def scale_by_rms(
    decay: ArrayLike = 0.9,
    eps: ArrayLike = 1e-8,
    eps_root: ArrayLike = 0.0,
    *,
    bias_correction: bool = False,
    moment_dtype: DTypeLike | None = None,
) -> GradientTransformation:
    """Divide the gradient by the root of its recent mean square: RMSProp (Tieleman and Hinton, 2012).

    ``v_t = decay v_(t-1) + (1 - decay) g_t^2``; the direction is ``g_t / (sqrt(v_t + eps_root) + eps)``. Without bias
    correction the first direction is ``1 / sqrt(1 - decay)``; with it, ``v_t / (1 - decay^t)`` in place of ``v_t``,
    this is `scale_by_adam` with ``b1 = 0`` and without its first moment.

    Raises:
        ValueError: the decay is outside of [0, 1), or ``eps`` or ``eps_root`` is negative.

    >>> transform, g = scale_by_rms(decay=0.75), jnp.array([3.0])
    >>> transform.update(g, transform.init(g))[0].round(4)
    Array([2.], dtype=float32)
    """
    check_decay("decay", decay)
    check_in_range("eps", eps)
    check_in_range("eps_root", eps_root)

    def init(params):
        return ScaleByRmsState(jnp.zeros((), jnp.int32), full_like(params, 0.0, moment_dtype))

    def update(updates, state, params=None):
        del params
        count = increment(state.count)
        nu = decayed_mean_square(updates, state.nu, decay)
        nu_hat = debias(nu, decay, count) if bias_correction else nu
        direction = divide_by_root(updates, nu_hat, eps, eps_root)
        return cast_like((direction, ScaleByRmsState(count, nu)), (updates, state))

    return transformation(init, update)


def scale_by_rss(
    initial_accumulator_value: ArrayLike = 0.0,
    eps: ArrayLike = 1e-8,
    eps_root: ArrayLike = 0.0,
    *,
    moment_dtype: DTypeLike | None = None,
) -> GradientTransformation:
    """Divide the gradient by the root of the sum of its squares: AdaGrad (Duchi, Hazan and Singer, 2011).

    ``v_t = v_(t-1) + g_t^2`` from ``v_0 = initial_accumulator_value``; the direction is
    ``g_t / (sqrt(v_t + eps_root) + eps)``. The sum only grows, so directions only shrink.

    Raises:
        ValueError: an argument is negative.

    >>> transform, g = scale_by_rss(initial_accumulator_value=7.0), jnp.array([3.0])
    >>> transform.update(g, transform.init(g))[0]
    Array([0.75], dtype=float32)
    """
    check_in_range("initial_accumulator_value", initial_accumulator_value)
    check_in_range("eps", eps)
    check_in_range("eps_root", eps_root)

    def init(params):
        return ScaleByRmsState(jnp.zeros((), jnp.int32), full_like(params, initial_accumulator_value, moment_dtype))

    def update(updates, state, params=None):
        del params
        nu = jax.tree.map(lambda g, v: widen(v) + square_modulus(widen(g)), updates, state.nu)
        direction = divide_by_root(updates, nu, eps, eps_root)
        return cast_like((direction, ScaleByRmsState(increment(state.count), nu)), (updates, state))

    return transformation(init, update)


def scale_by_adadelta(
    rho: ArrayLike = 0.9, eps: ArrayLike = 1e-6, *, moment_dtype: DTypeLike | None = None
) -> GradientTransformation:
    """Rescale the gradient from its own root mean square to that of the past directions: AdaDelta (Zeiler, 2012).

    ``v_t = rho v_(t-1) + (1 - rho) g_t^2``; the direction is ``d_t = sqrt(u_(t-1) + eps) / sqrt(v_t + eps) g_t``, and
    ``u_t = rho u_(t-1) + (1 - rho) d_t^2``. The first directions have a size of about ``sqrt(eps)``.

    Raises:
        ValueError: ``rho`` is outside of [0, 1), or ``eps`` is not positive: with 0 nothing would ever move.

    >>> transform, g = scale_by_adadelta(rho=0.75, eps=0.01), jnp.array(3.0)
    >>> round(float(transform.update(g, transform.init(g))[0]), 2)
    0.2
    """
    check_decay("rho", rho)
    check_in_range("eps", eps, includes_low=False)

    def init(params):
        return ScaleByAdadeltaState(full_like(params, 0.0, moment_dtype), full_like(params, 0.0, moment_dtype))

    def update(updates, state, params=None):
        del params
        v = decayed_mean_square(updates, state.v, rho)
        d = jax.tree.map(lambda g, v, u: jnp.sqrt(widen(u) + eps) / jnp.sqrt(v + eps) * widen(g), updates, v, state.u)
        u = decayed_mean_square(d, state.u, rho)
        return cast_like((d, ScaleByAdadeltaState(v, u)), (updates, state))

    return transformation(init, update)
