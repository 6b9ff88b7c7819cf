"""The atoms of the optimizers: each turns gradients into a direction, without a learning rate.

Two families cover the classic methods. `trace` sums gradients up (momentum, Nesterov). `scale_by_moments` divides a
first moment by the root of a second one (AdaGrad, RMSProp, Adam, AdaMax, MaxProp, NAdam), and its arguments are what
the methods differ in; the ``scale_by_*`` functions below it are its presets.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from optax import GradientTransformation

from jaxdl.arrays import widen
from jaxdl.optim.checks import at_step, in_range, increment, is_decay, map_wide, one_of, weight_of_average
from jaxdl.typing import Array, ArrayLike, PyTree, Schedule

MOMENTUM_DECAY = 0.004  # psi, the rate at which NAdam's own momentum schedule rises to b1
SECOND_MOMENTS = ("mean", "sum", "maximum")
LOOK_AHEADS = (None, "dozat", "simplified", "momentum_decay")


class TraceState(NamedTuple):
    """The number of updates made, and the decayed sum of gradients ``u``."""

    count: Array
    trace: PyTree


def trace(
    decay: ArrayLike | Schedule, nesterov: bool = False, moment_dtype: jax.typing.DTypeLike | None = None
) -> GradientTransformation:
    """Sum the gradients up with a decay: momentum.

    ``u_t = decay_t u_(t-1) + g_t``; the direction is ``u_t``, or with ``nesterov=True`` the rewritten look-ahead
    ``decay_t u_t + g_t`` (Sutskever et al., 2013), whose parameters are those where the next gradient is taken.

    Args:
        decay: a number in [0, 1), or a schedule.
        nesterov: look ahead.
        moment_dtype: dtype of ``u``; None means that of the parameters.

    Raises:
        ValueError: the decay is outside of [0, 1).
    """
    is_decay("decay", decay)

    def init(params):
        return TraceState(jnp.zeros((), jnp.int32), _full_like(params, 0.0, moment_dtype))

    def update(updates, state, params=None):
        del params
        beta = at_step(decay, state.count)
        total = jax.tree.map(lambda g, u: beta * widen(u) + widen(g), updates, state.trace)
        direction = map_wide(lambda g, u: beta * u + g, updates, total) if nesterov else _cast(total, updates)
        return direction, TraceState(increment(state.count), _cast(total, state.trace))

    return GradientTransformation(init, update)


class ScaleByMomentsState(NamedTuple):
    """The number of updates made, the moments, and the product of NAdam's scheduled decays; None where unused."""

    count: Array
    mu: PyTree | None
    nu: PyTree
    product: Array | None


def scale_by_moments(
    b1: ArrayLike | None = 0.9,
    b2: ArrayLike = 0.999,
    eps: ArrayLike = 1e-8,
    eps_root: ArrayLike = 0.0,
    *,
    second_moment: str = "mean",
    bias_correction: bool = True,
    look_ahead: str | None = None,
    initial_accumulator_value: ArrayLike = 0.0,
    moment_dtype: jax.typing.DTypeLike | None = None,
) -> GradientTransformation:
    """Divide the first moment of the gradients by the root of the second: the family of the adaptive methods.

    With ``m_t = b1 m_(t-1) + (1 - b1) g_t``, or ``m_t = g_t`` where ``b1`` is None, and by ``second_moment``

    - "mean": ``v_t = b2 v_(t-1) + (1 - b2) g_t^2``, ``s_t = sqrt(v_t / (1 - b2^t) + eps_root) + eps``;
    - "sum": ``v_t = v_(t-1) + g_t^2``, ``s_t = sqrt(v_t + eps_root) + eps``;
    - "maximum": ``v_t = max(b2 v_(t-1), |g_t|)``, ``s_t = v_t + eps``;

    the direction is ``n_t / s_t`` (0 where ``s_t`` is 0), and the numerator ``n_t`` by ``look_ahead``

    - None: ``m_t / (1 - b1^t)``;
    - "simplified": ``(b1 m_t + (1 - b1) g_t) / (1 - b1^t)``;
    - "dozat": ``b1 m_t / (1 - b1^(t+1)) + (1 - b1) g_t / (1 - b1^t)``;
    - "momentum_decay": ``c_(t+1) m_t / (1 - c_1 ... c_(t+1)) + (1 - c_t) g_t / (1 - c_1 ... c_t)`` with the rising
      ``c_t = b1 (1 - 0.96^(0.004 t) / 2)``.

    Without ``bias_correction`` the corrections ``1 - b^t`` are left out. The arithmetic is in at least float32.
    Second moments in bfloat16 hardly decay (their steps are smaller than its resolution): ask for float32.

    Args:
        b1: decay of the first moment in [0, 1); None for none.
        b2: decay of the second moment in [0, 1).
        eps: added to the root.
        eps_root: added inside of the root.
        second_moment: "mean", "sum" or "maximum".
        bias_correction: divide the averages by ``1 - b^t``, the weight that they have gathered.
        look_ahead: the form of Nesterov's look-ahead, or None.
        initial_accumulator_value: ``v_0``.
        moment_dtype: dtype of ``m`` and ``v``; None means that of the parameters.

    Raises:
        ValueError: a number is outside of its range, or a name is unknown.
    """
    _check_moments(b1, b2, second_moment, look_ahead, bias_correction)
    for name, value in {
        "eps": eps,
        "eps_root": eps_root,
        "initial_accumulator_value": initial_accumulator_value,
    }.items():
        in_range(name, value)

    def init(params):
        mu = None if b1 is None else _full_like(params, 0.0, moment_dtype)
        nu = _full_like(params, initial_accumulator_value, moment_dtype)
        product = jnp.ones(()) if look_ahead == "momentum_decay" else None
        return ScaleByMomentsState(jnp.zeros((), jnp.int32), mu, nu, product)

    def update(updates, state, params=None):
        del params
        count = increment(state.count)
        mu, nu = updates, jax.tree.map(lambda g, v: _second(widen(g), widen(v), b2, second_moment), updates, state.nu)
        if b1 is not None:
            mu = jax.tree.map(lambda g, m: b1 * widen(m) + (1 - b1) * widen(g), updates, state.mu)
        of_mu, of_gradient, product = _numerator(b1, count, state.product, look_ahead, bias_correction)
        corrected = bias_correction and second_moment == "mean"
        of_nu = 1 / weight_of_average(b2, count) if corrected else jnp.ones(())

        def rule(g, m, v):
            n, v = of_mu.astype(m.dtype) * m, of_nu.astype(v.dtype) * v
            n = n if look_ahead is None else n + of_gradient.astype(g.dtype) * g
            return _divide(n, v + eps) if second_moment == "maximum" else _divide(n, jnp.sqrt(v + eps_root) + eps)

        direction = map_wide(rule, updates, mu, nu)
        mu = None if b1 is None else _cast(mu, state.mu)
        return direction, ScaleByMomentsState(count, mu, _cast(nu, state.nu), product)

    return GradientTransformation(init, update)


def scale_by_adam(
    b1: ArrayLike = 0.9,
    b2: ArrayLike = 0.999,
    eps: ArrayLike = 1e-8,
    eps_root: ArrayLike = 0.0,
    *,
    moment_dtype: jax.typing.DTypeLike | None = None,
) -> GradientTransformation:
    """Divide the mean gradient by the root of the mean square, both corrected for their zero start: see `adam`."""
    return scale_by_moments(b1, b2, eps, eps_root, moment_dtype=moment_dtype)


def scale_by_nadam(
    b1: ArrayLike = 0.9,
    b2: ArrayLike = 0.999,
    eps: ArrayLike = 1e-8,
    eps_root: ArrayLike = 0.0,
    *,
    variant: str = "dozat",
    moment_dtype: jax.typing.DTypeLike | None = None,
) -> GradientTransformation:
    """Adam with a look-ahead in the numerator, in one of three forms: see `nadam`."""
    one_of("variant", variant, LOOK_AHEADS[1:])
    return scale_by_moments(b1, b2, eps, eps_root, look_ahead=variant, moment_dtype=moment_dtype)


def scale_by_adamax(
    b1: ArrayLike = 0.9,
    b2: ArrayLike = 0.999,
    eps: ArrayLike = 1e-8,
    *,
    moment_dtype: jax.typing.DTypeLike | None = None,
) -> GradientTransformation:
    """Divide the mean gradient by the decayed maximum of its size: see `adamax`."""
    return scale_by_moments(b1, b2, eps, second_moment="maximum", moment_dtype=moment_dtype)


def scale_by_maximum(
    decay: ArrayLike = 0.9, eps: ArrayLike = 1e-8, *, moment_dtype: jax.typing.DTypeLike | None = None
) -> GradientTransformation:
    """Divide the gradient by the decayed maximum of its size: see `maxprop`."""
    is_decay("decay", decay)
    return scale_by_moments(None, decay, eps, second_moment="maximum", moment_dtype=moment_dtype)


def scale_by_rms(
    decay: ArrayLike = 0.9,
    eps: ArrayLike = 1e-8,
    eps_root: ArrayLike = 0.0,
    *,
    bias_correction: bool = False,
    moment_dtype: jax.typing.DTypeLike | None = None,
) -> GradientTransformation:
    """Divide the gradient by the root of its mean square: see `rmsprop`."""
    is_decay("decay", decay)
    return scale_by_moments(None, decay, eps, eps_root, bias_correction=bias_correction, moment_dtype=moment_dtype)


def scale_by_rss(
    initial_accumulator_value: ArrayLike = 0.0,
    eps: ArrayLike = 1e-8,
    eps_root: ArrayLike = 0.0,
    *,
    moment_dtype: jax.typing.DTypeLike | None = None,
) -> GradientTransformation:
    """Divide the gradient by the root of the sum of its squares: see `adagrad`."""
    return scale_by_moments(
        None,
        eps=eps,
        eps_root=eps_root,
        second_moment="sum",
        initial_accumulator_value=initial_accumulator_value,
        moment_dtype=moment_dtype,
    )


class ScaleByAdadeltaState(NamedTuple):
    """The mean squares of the gradients, ``v``, and of the directions, ``u``."""

    v: PyTree
    u: PyTree


def scale_by_adadelta(
    rho: ArrayLike = 0.9, eps: ArrayLike = 1e-6, *, moment_dtype: jax.typing.DTypeLike | None = None
) -> GradientTransformation:
    """Give the gradient the size of the past directions: see `adadelta`.

    Raises:
        ValueError: ``rho`` is outside of [0, 1), or ``eps`` is not positive: with 0 it would never start to move.
    """
    is_decay("rho", rho)
    in_range("eps", eps, includes_low=False)

    def init(params):
        return ScaleByAdadeltaState(_full_like(params, 0.0, moment_dtype), _full_like(params, 0.0, moment_dtype))

    def update(updates, state, params=None):
        del params
        v = jax.tree.map(lambda g, v: _second(widen(g), widen(v), rho, "mean"), updates, state.v)
        d = jax.tree.map(lambda g, v, u: jnp.sqrt(widen(u) + eps) / jnp.sqrt(v + eps) * widen(g), updates, v, state.u)
        u = jax.tree.map(lambda d, u: _second(d, widen(u), rho, "mean"), d, state.u)
        return _cast(d, updates), ScaleByAdadeltaState(_cast(v, state.v), _cast(u, state.u))

    return GradientTransformation(init, update)


def _full_like(params: PyTree, value: ArrayLike, dtype: jax.typing.DTypeLike | None) -> PyTree:
    """Fill a tree of the parameters' shapes and shardings."""
    return jax.tree.map(lambda w: jnp.full_like(w, value, dtype=dtype or jnp.asarray(w).dtype), params)


def _cast(tree: PyTree, like: PyTree) -> PyTree:
    return jax.tree.map(lambda x, y: x.astype(jnp.asarray(y).dtype), tree, like)


def _check_moments(
    b1: ArrayLike | None, b2: ArrayLike, second_moment: str, look_ahead: str | None, bias_correction: bool
) -> None:
    if b1 is not None:
        is_decay("b1", b1)
    is_decay("b2", b2)
    one_of("second_moment", second_moment, SECOND_MOMENTS)
    one_of("look_ahead", look_ahead, LOOK_AHEADS)
    if look_ahead is not None and (b1 is None or not bias_correction):
        raise ValueError(f"look_ahead={look_ahead!r} needs a first moment (b1) and bias_correction=True")


def _divide(numerator: Array, denominator: Array) -> Array:
    """Divide, and rest where nothing has been seen yet: without eps, 0 / 0 is 0."""
    return jnp.where(denominator == 0, 0, numerator / denominator)


def _second(g: Array, v: Array, b2: ArrayLike, second_moment: str) -> Array:
    if second_moment == "sum":
        return v + jnp.square(g)
    if second_moment == "maximum":
        return jnp.maximum(b2 * v, jnp.abs(g))
    return b2 * v + (1 - b2) * jnp.square(g)


def _numerator(
    b1: ArrayLike | None, t: Array, product: Array | None, look_ahead: str | None, bias_correction: bool
) -> tuple[Array, Array, Array | None]:
    """Return the factors of ``m_t`` and ``g_t`` in the numerator, and the new product of decays."""
    if b1 is None or not bias_correction:
        return jnp.ones(()), jnp.zeros(()), None
    if look_ahead == "momentum_decay":
        now, following = (b1 * (1 - 0.5 * 0.96 ** (s.astype(float) * MOMENTUM_DECAY)) for s in (t, t + 1))
        product = (product * now).astype(product.dtype)
        return following / (1 - product * following), (1 - now) / (1 - product), product
    weight = weight_of_average(b1, t)
    if look_ahead == "dozat":
        return b1 / weight_of_average(b1, t + 1), (1 - b1) / weight, None
    if look_ahead == "simplified":
        return b1 / weight, (1 - b1) / weight, None
    return 1 / weight, jnp.zeros(()), None
