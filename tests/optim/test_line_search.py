"""Line searches never end with a larger loss, and Armijo's ends where that of optax does."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxdl.optim import line_search

STEP_SIZES = (0.01, 0.1, 1.0, 10.0)


def loss(params):
    x, y = params["x"], params["y"]
    return jnp.log(x) ** 2 * jnp.cosh(y) + jnp.sum(jnp.sin(3 * y))  # nan for negative x


gradient = jax.jit(jax.grad(loss))
evaluate = jax.jit(loss)
search_candidates = jax.jit(partial(line_search.best_candidate, loss, step_sizes=STEP_SIZES))
search_backwards = jax.jit(partial(line_search.backtracking, loss))

numbers = st.floats(-30, 30, width=32)


@settings(max_examples=100, deadline=None)
@given(st.floats(0.125, 8, width=32), numbers, numbers, numbers, st.booleans())
def test_a_search_is_never_worse_than_no_step(x, y, dx, dy, downhill):
    params = {"x": jnp.float32(x), "y": jnp.float32(y)}
    slope = gradient(params)
    direction = jax.tree.map(jnp.negative, slope) if downhill else {"x": jnp.float32(dx), "y": jnp.float32(dy)}
    before = evaluate(params)
    for found in (search_candidates(params, direction), search_backwards(params, direction, slope)):
        assert found.loss <= before
        after = {name: params[name] + found.step_size * direction[name] for name in params}
        jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-5), found.params, after)


def test_the_best_candidate_is_the_best_of_all():
    params, direction = {"x": jnp.float32(2.0), "y": jnp.float32(0.3)}, {"x": jnp.float32(-1.0), "y": jnp.float32(1.0)}
    values = [float(loss(jax.tree.map(lambda w, d, s=size: w + s * d, params, direction))) for size in (0, *STEP_SIZES)]
    found = search_candidates(params, direction)
    np.testing.assert_allclose(found.loss, np.nanmin(values), rtol=1e-6)
    np.testing.assert_allclose(found.step_size, (0, *STEP_SIZES)[np.nanargmin(values)])


@pytest.mark.parametrize(("factor", "slope"), [(0.5, 1e-4), (0.8, 0.3)])
def test_backtracking_ends_where_that_of_optax_does(factor, slope, float64):
    def bowl(w):
        return jnp.sum(jnp.cosh(w) * jnp.array([1.0, 10.0]))

    peer = optax.scale_by_backtracking_linesearch(
        40, slope_rtol=slope, decrease_factor=factor, max_learning_rate=1.0, increase_factor=jnp.inf
    )

    @jax.jit
    def both(w):
        value, slope_at = jax.value_and_grad(bowl)(w)
        ours = line_search.backtracking(bowl, w, -slope_at, slope_at, factor=factor, slope=slope, max_steps=40)
        update, _ = peer.update(-slope_at, peer.init(w), w, value=value, grad=slope_at, value_fn=bowl)
        return ours.params, w + update, ours.step_size

    for start in ([1.0, 1.0], [0.1, 3.0], [-2.0, 0.05]):
        ours, theirs, step_size = both(jnp.array(start))
        assert 0 < step_size <= 1
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)


def test_no_step_is_taken_uphill_or_when_the_tries_are_used_up():
    parabola, params = jnp.square, jnp.float32(1.0)
    uphill = line_search.backtracking(parabola, params, jnp.float32(1.0), jnp.float32(2.0))
    too_far = line_search.backtracking(parabola, params, jnp.float32(-1e6), jnp.float32(2.0), max_steps=3)
    for found in (uphill, too_far):
        assert (float(found.step_size), float(found.params), float(found.loss)) == (0.0, 1.0, 1.0)


def test_searches_map_over_a_batch():
    starts = jnp.array([1.0, 5.0, -3.0])
    search = jax.vmap(lambda w: line_search.backtracking(jnp.square, w, -4 * w, 2 * w))
    np.testing.assert_allclose(search(starts).step_size, 0.25)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"factor": 1.0}, r"factor must lie in \(0, 1\), got 1.0"),
        ({"slope": 1.0}, r"slope must lie in \[0, 1\), got 1.0"),
        ({"initial_step": 0.0}, r"initial_step must lie in \(0, inf\), got 0.0"),
        ({"max_steps": 0}, "max_steps must be an integer of at least 1, got 0"),
    ],
)
def test_a_bad_argument_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        line_search.backtracking(jnp.square, 1.0, -1.0, 2.0, **arguments)


def test_candidates_are_asked_for():
    with pytest.raises(ValueError, match=r"step_sizes must be a list of at least one number, got .* \(0,\)"):
        line_search.best_candidate(jnp.square, 1.0, -1.0, [])
