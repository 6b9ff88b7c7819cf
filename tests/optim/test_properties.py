"""Any gradients, any hyper-parameters: each optimizer equals its equations, written as a loop in numpy."""

from collections import defaultdict
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxdl import optim

STEPS, VALUES = 4, 8


def as_tree(values: np.ndarray) -> dict:
    """Nest values ``[..., 8]``: dicts, a tuple, a list, an empty dict, a scalar, and three dtypes."""
    values = np.asarray(values, np.float64)
    layers = (values[..., :3], {"bias": values[..., 3:5].astype(np.float32), "empty": {}})
    return {"layers": layers, "half": [values[..., 5:7].astype(jnp.bfloat16)], "scalar": values[..., 7]}


# The equations: direction(g, moments, t, h), where unknown moments are 0 and h holds b1, b2, eps.


def sgd(g, s, t, h):
    return g


def momentum(g, s, t, h):
    s["u"] = h["b1"] * s["u"] + g
    return s["u"]


def nesterov(g, s, t, h):
    return h["b1"] * momentum(g, s, t, h) + g


def divide(n, s):
    return np.where(s == 0, 0, n / s)


def over_root(n, v, h):
    return divide(n, np.sqrt(v) + h["eps"])


def adagrad(g, s, t, h):
    s["v"] = s["v"] + g**2
    return over_root(g, s["v"], h)


def rmsprop(g, s, t, h):
    s["v"] = h["b2"] * s["v"] + (1 - h["b2"]) * g**2
    return over_root(g, s["v"], h)


def adadelta(g, s, t, h):
    eps = h["eps"] + 1e-6
    s["v"] = h["b2"] * s["v"] + (1 - h["b2"]) * g**2
    d = np.sqrt(s["u"] + eps) / np.sqrt(s["v"] + eps) * g
    s["u"] = h["b2"] * s["u"] + (1 - h["b2"]) * d**2
    return d


def maxprop(g, s, t, h):
    s["v"] = np.maximum(h["b2"] * s["v"], abs(g))
    return divide(g, s["v"] + h["eps"])


def first_and_second(g, s, h):
    s["m"] = h["b1"] * s["m"] + (1 - h["b1"]) * g
    s["v"] = h["b2"] * s["v"] + (1 - h["b2"]) * g**2
    return s["m"], s["v"]


def adam(g, s, t, h):
    m, v = first_and_second(g, s, h)
    return over_root(m / (1 - h["b1"] ** t), v / (1 - h["b2"] ** t), h)


def adamax(g, s, t, h):
    s["m"] = h["b1"] * s["m"] + (1 - h["b1"]) * g
    s["v"] = np.maximum(h["b2"] * s["v"], abs(g))
    return divide(s["m"] / (1 - h["b1"] ** t), s["v"] + h["eps"])


def dozat(g, s, t, h):
    (m, v), b1 = first_and_second(g, s, h), h["b1"]
    return over_root(b1 * m / (1 - b1 ** (t + 1)) + (1 - b1) * g / (1 - b1**t), v / (1 - h["b2"] ** t), h)


def simplified(g, s, t, h):
    (m, v), b1 = first_and_second(g, s, h), h["b1"]
    return over_root((b1 * m + (1 - b1) * g) / (1 - b1**t), v / (1 - h["b2"] ** t), h)


def momentum_decay(g, s, t, h):
    m, v = first_and_second(g, s, h)
    c = [h["b1"] * (1 - 0.5 * 0.96 ** (0.004 * i)) for i in range(1, t + 2)]
    n = c[t] * m / (1 - float(np.prod(c))) + (1 - c[t - 1]) * g / (1 - float(np.prod(c[:t])))
    return over_root(n, v / (1 - h["b2"] ** t), h)


TABLE = {
    "sgd": (sgd, lambda lr, b1, b2, eps: optim.sgd(lr)),
    "momentum": (momentum, lambda lr, b1, b2, eps: optim.momentum(lr, b1)),
    "nesterov": (nesterov, lambda lr, b1, b2, eps: optim.nesterov(lr, b1)),
    "adagrad": (adagrad, lambda lr, b1, b2, eps: optim.adagrad(lr, eps=eps)),
    "rmsprop": (rmsprop, lambda lr, b1, b2, eps: optim.rmsprop(lr, b2, eps)),
    "adadelta": (adadelta, lambda lr, b1, b2, eps: optim.adadelta(lr, b2, eps + 1e-6)),
    "adam": (adam, optim.adam),
    "adamw": (adam, partial(optim.adamw, weight_decay=0.0)),
    "adamax": (adamax, optim.adamax),
    "maxprop": (maxprop, lambda lr, b1, b2, eps: optim.maxprop(lr, b2, eps)),
    "nadam": (dozat, optim.nadam),
    "nadam_simplified": (simplified, optim.nadam_simplified),
    "nadam_momentum_decay": (momentum_decay, optim.nadam_momentum_decay),
}
TOLERANCE = {np.dtype(np.float64): 1e-9, np.dtype(np.float32): 1e-5, np.dtype(jnp.bfloat16): 2e-2}

values = st.floats(-1e3, 1e3).map(lambda x: 0.0 if abs(x) < 1e-3 else x)
cases = st.tuples(
    st.lists(values, min_size=VALUES, max_size=VALUES),
    st.lists(st.sampled_from([1.0, -0.5, 0.0, 3.0, 1e-4, 1e25]), min_size=STEPS, max_size=STEPS),
    st.fixed_dictionaries(
        {
            "lr": st.floats(1e-4, 1.0),
            "b1": st.floats(0.0, 0.99),
            "b2": st.floats(0.1, 0.9999),
            "eps": st.sampled_from([1e-8, 0.0, 1e-3]),
        }
    ),
)


@cache
def compiled(name: str):
    """Compile the updates of a scan over a schedule that halves the rate after two steps."""

    @jax.jit
    def run(gradients, lr, b1, b2, eps):
        optimizer = TABLE[name][1](optim.schedules.join([lambda t: lr, lambda t: lr / 2], [2]), b1, b2, eps)
        params = jax.tree.map(lambda g: jnp.ones_like(g[0]), gradients)

        def step(state, gradient):
            update, state = optimizer.update(gradient, state, params)
            return state, update

        return jax.lax.scan(step, optimizer.init(params), gradients)[1]

    return run


def loop(direction, gradients: np.ndarray, h: dict) -> np.ndarray:
    """Update one leaf step by step: computed in at least float32, moments kept in the leaf's dtype."""
    wide, moments, updates = np.promote_types(gradients.dtype, np.float32), defaultdict(float), []
    for t, gradient in enumerate(gradients, start=1):
        u = direction(gradient.astype(wide), moments, t, h).astype(gradients.dtype)
        for moment in moments:
            moments[moment] = moments[moment].astype(gradients.dtype).astype(wide)
        rate = h["lr"] if t <= 2 else h["lr"] / 2
        updates.append((-rate * u.astype(wide)).astype(gradients.dtype))
    return np.stack(updates)


@pytest.mark.parametrize("name", TABLE)
def test_the_update_is_what_the_equations_say(name, float64):
    @settings(max_examples=200, deadline=None)
    @given(cases)
    def check(case):
        base, factors, h = case
        gradients = as_tree(np.outer(factors, base))
        updates = compiled(name)(gradients, **h)
        assert jax.tree.structure(updates) == jax.tree.structure(gradients)
        for update, gradient in zip(jax.tree.leaves(updates), jax.tree.leaves(gradients), strict=True):
            with np.errstate(all="ignore"):
                want = loop(TABLE[name][0], gradient, h).astype(np.float64)
            assert update.dtype == gradient.dtype
            got, tolerance = np.asarray(update, np.float64), TOLERANCE[gradient.dtype]
            assert np.isfinite(got).all()
            # cancellation: an error is small beside the largest update so far
            assert np.all(abs(got - want) <= tolerance * np.maximum.accumulate(abs(want), axis=0) + 1e-30), (got, want)

    check()


@pytest.mark.parametrize("name", TABLE)
def test_an_empty_tree_stays_empty(name):
    optimizer = TABLE[name][1](0.1, 0.9, 0.99, 1e-8)
    for empty in ({}, (), {"a": [], "b": {}}):
        update, state = optimizer.update(empty, optimizer.init(empty), empty)
        assert update == empty
        assert optax.apply_updates(empty, update) == empty
        assert optim.learning_rate(state) == np.float32(0.1)
