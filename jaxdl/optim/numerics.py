"""Arithmetic of the transformations, in at least float32: counters, decayed averages, checks of their arguments."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from optax import GradientTransformation

from jaxdl import tree as trees
from jaxdl.arrays import square_modulus, widen
from jaxdl.checks import check_decay, check_in_range, known_value
from jaxdl.typing import Array, ArrayLike, PyTree, Schedule


def transformation(init: Callable, update: Callable) -> GradientTransformation:
    """Make an optax transformation that raises a TypeError for parameters or gradients that are not floating-point.

    Rounded to integers, the updates would be 0 without a word.
    """

    def checked_init(params):
        check_inexact("parameters", params)
        return init(params)

    def checked_update(updates, state, params=None):
        check_inexact("gradients", updates)
        return update(updates, state, params)

    return GradientTransformation(checked_init, checked_update)


def check_inexact(what: str, tree: PyTree) -> None:
    """Check that all leaves are floating-point or complex numbers.

    Raises:
        TypeError: a leaf has another dtype.

    >>> check_inexact("gradients", {"a": jnp.array([1, 2])})
    Traceback (most recent call last):
    TypeError: expected floating-point gradients, got int32 at 'a'; cast them with astype(float), or mask them
    """
    for path, leaf in trees.flatten(tree).items():
        dtype = jnp.result_type(leaf)
        if not jnp.issubdtype(dtype, jnp.inexact):
            raise TypeError(
                f"expected floating-point {what}, got {dtype} at {path!r}; cast them with astype(float), or mask them"
            )


def increment(count: Array) -> Array:
    """Add 1 to a counter, which stays at the largest integer rather than wrap around.

    >>> increment(jnp.int8(126)), increment(jnp.int8(127))
    (Array(127, dtype=int8), Array(127, dtype=int8))
    """
    return count + (count < jnp.iinfo(count.dtype).max)


def nan_to_infinity(losses: Array) -> Array:
    """Replace nan by infinity, so that a run that diverged is not the best of several.

    >>> nan_to_infinity(jnp.array([jnp.nan, 2.0])).tolist()
    [inf, 2.0]
    """
    return jnp.where(jnp.isnan(losses), jnp.inf, losses)


def at_step(value: ArrayLike | Schedule, count: Array) -> ArrayLike:
    """Return the value of a schedule at a step, or a number as it is.

    >>> at_step(lambda step: 2 * step, 3), at_step(0.5, 3)
    (6, 0.5)
    """
    return value(count) if callable(value) else value


def map_wide(function: Callable[..., Array], tree: PyTree, *rest: PyTree) -> PyTree:
    """Map a function over the leaves in at least float32, and cast each result to the dtype of the first tree's leaf.

    >>> map_wide(lambda g, v: g * v, {"a": jnp.ones(2, jnp.bfloat16)}, {"a": jnp.full(2, 0.5)})["a"].dtype
    dtype(bfloat16)
    """

    def apply(leaf, *leaves):
        return function(widen(leaf), *map(widen, leaves)).astype(jnp.asarray(leaf).dtype)

    return jax.tree.map(apply, tree, *rest)


def full_like(params: PyTree, value: ArrayLike, dtype: DTypeLike | None) -> PyTree:
    """Fill a tree of the parameters' shapes and shardings with a value; without a dtype, in the parameters' dtypes.

    Where the parameters are complex, so are the values.
    """

    def full(w):
        own = jnp.result_type(w)
        wanted = own if dtype is None else dtype
        is_complex = jnp.issubdtype(own, jnp.complexfloating)
        return jnp.full_like(w, value, dtype=jnp.promote_types(wanted, jnp.complex64) if is_complex else wanted)

    return jax.tree.map(full, params)


def cast_like(tree: PyTree, like: PyTree) -> PyTree:
    """Cast each leaf to the dtype of the same leaf of another tree."""
    return jax.tree.map(lambda x, y: x.astype(jnp.asarray(y).dtype), tree, like)


def one_minus_power(decay: ArrayLike, t: Array) -> Array:
    """Compute ``1 - decay^t``, the weight that an average from zero has gathered, without cancellation near 1.

    In float32, ``1 - 0.9999^1`` as it is written has an error of 1e-4.

    >>> one_minus_power(0.5, jnp.array(2))
    Array(0.75, dtype=float32)
    """
    known = known_value(decay)
    log = jnp.log(decay) if known is None or known.ndim or known == 0 else math.log(known)
    return -jnp.expm1(t.astype(float) * log)


def decayed_mean(updates: PyTree, mu: PyTree, decay: ArrayLike) -> PyTree:
    """Compute ``decay m + (1 - decay) g`` of each leaf, in at least float32."""
    return jax.tree.map(lambda g, m: decay * widen(m) + (1 - decay) * widen(g), updates, mu)


def decayed_mean_square(updates: PyTree, nu: PyTree, decay: ArrayLike) -> PyTree:
    """Compute ``decay v + (1 - decay) |g|^2`` of each leaf, in at least float32."""
    return jax.tree.map(lambda g, v: decay * widen(v) + (1 - decay) * square_modulus(widen(g)), updates, nu)


def decayed_maximum(updates: PyTree, nu: PyTree, decay: ArrayLike) -> PyTree:
    """Compute ``max(decay v, |g|)`` of each leaf, in at least float32."""
    return jax.tree.map(lambda g, v: jnp.maximum(decay * widen(v), jnp.abs(widen(g))), updates, nu)


def debias(moment: PyTree, decay: ArrayLike, t: Array) -> PyTree:
    """Divide a decayed mean that started at 0 by the weight that it has gathered in ``t`` steps, ``1 - decay^t``."""
    factor = 1 / one_minus_power(decay, t)
    return jax.tree.map(lambda m: factor.astype(m.dtype) * m, moment)


def weighted_sum(a: ArrayLike, mu: PyTree, b: ArrayLike, updates: PyTree) -> PyTree:
    """Compute ``a m + b g`` of each leaf, in at least float32."""

    def add(m, g):
        m, g = widen(m), widen(g)
        return jnp.asarray(a, m.dtype) * m + jnp.asarray(b, g.dtype) * g

    return jax.tree.map(add, mu, updates)


def divide(numerator: PyTree, nu: PyTree, eps: ArrayLike) -> PyTree:
    """Compute ``n / (v + eps)`` of each leaf, in at least float32; where the denominator is 0, so is the result."""

    def quotient(n, v):
        denominator = widen(v) + eps
        return jnp.where(denominator == 0, 0, widen(n) / denominator)

    return jax.tree.map(quotient, numerator, nu)


def divide_by_root(numerator: PyTree, nu: PyTree, eps: ArrayLike, eps_root: ArrayLike) -> PyTree:
    """Compute ``n / (sqrt(v + eps_root) + eps)`` of each leaf, as `divide` does."""
    return divide(numerator, jax.tree.map(lambda v: jnp.sqrt(widen(v) + eps_root), nu), eps)


def init_moments(params: PyTree, dtype: DTypeLike | None) -> tuple[Array, PyTree, PyTree]:
    """Return a counter at 0 and two moments of zeros, with memory of their own because states are donated."""
    return jnp.zeros((), jnp.int32), full_like(params, 0.0, dtype), full_like(params, 0.0, dtype)


def check_adam(b1: ArrayLike, b2: ArrayLike, eps: ArrayLike, eps_root: ArrayLike = 0.0) -> None:
    """Check the hyper-parameters of the methods with two moments.

    Raises:
        ValueError: a decay is outside of [0, 1), or ``eps`` or ``eps_root`` is negative.
    """
    check_decay("b1", b1)
    check_decay("b2", b2)
    check_in_range("eps", eps)
    check_in_range("eps_root", eps_root)


def check_params(params: PyTree | None, name: str) -> None:
    """Check that ``update`` of a transformation was called with the parameters.

    Raises:
        ValueError: the parameters are None.
    """
    if params is None:
        raise ValueError(f"expected the parameters in {name}, got None; call update(gradients, state, params)")
