"""Line searches never end with a larger loss, and backtracking ends where that of optax does."""

from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxdl.optim import line_search

STEP_SIZES = (0.25, 0.5, 1.0, 2.0)


def loss(params):
    x, y = params["x"], params["y"]
    return jnp.log(x) ** 2 * jnp.cosh(y) + jnp.sum(jnp.sin(3 * y))  # nan for negative x


def exact_loss(params):
    """Compute a loss that no program rounds, so that those of different programs can be compared by ``<=``.

    From integers up to 4 and by steps that are powers of 2, every number is a multiple of a power of 2 with fewer than
    24 bits. Nan for negative x and infinite for large y.
    """
    x, y = params["x"], params["y"]
    value = (x - 2 * y) ** 2 + jnp.abs(x * y - 3)
    return jnp.where(x < 0, jnp.nan, jnp.where(jnp.abs(y) > 64, jnp.inf, value))


gradient = jax.jit(jax.grad(exact_loss))
evaluate = jax.jit(exact_loss)
search_candidates = jax.jit(partial(line_search.best_candidate, exact_loss, step_sizes=STEP_SIZES))
search_backwards = jax.jit(partial(line_search.backtracking, exact_loss, max_steps=8))

numbers = st.integers(-4, 4).map(np.float32)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 4).map(np.float32), numbers, numbers, numbers, st.booleans())
def test_a_search_is_never_worse_than_no_step(x, y, dx, dy, downhill):
    params = {"x": x, "y": y}
    slope = gradient(params)
    direction = jax.tree.map(np.negative, slope) if downhill else {"x": dx, "y": dy}
    before = evaluate(params)
    for found in (search_candidates(params, direction), search_backwards(params, direction, slope)):
        assert found.loss <= before
        assert found.loss == evaluate(found.params)
        step_size = np.asarray(found.step_size)
        after = {name: params[name] + step_size * np.asarray(direction[name]) for name in params}
        chex.assert_trees_all_equal(found.params, after)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 4).map(np.float32), numbers, numbers, numbers)
def test_the_best_candidate_is_the_first_of_the_smallest_loss(x, y, dx, dy):
    sizes = np.array([0, *STEP_SIZES], np.float32)
    losses = np.asarray(evaluate({"x": x + sizes * dx, "y": y + sizes * dy}))
    found = search_candidates({"x": x, "y": y}, {"x": dx, "y": dy})
    assert found.step_size == sizes[np.nanargmin(losses)]
    assert found.loss == np.nanmin(losses)


def test_a_smooth_loss_is_searched():
    params, direction = {"x": jnp.float32(2.0), "y": jnp.float32(0.3)}, {"x": jnp.float32(-1.0), "y": jnp.float32(1.0)}
    values = [float(loss(jax.tree.map(lambda w, d, s=size: w + s * d, params, direction))) for size in (0, *STEP_SIZES)]
    found = line_search.best_candidate(loss, params, direction, STEP_SIZES)
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


def test_no_step_is_taken_uphill_or_beyond_the_last_step_size():
    parabola, params = jnp.square, jnp.float32(1.0)
    uphill = line_search.backtracking(parabola, params, jnp.float32(1.0), jnp.float32(2.0))
    too_far = line_search.backtracking(parabola, params, jnp.float32(-1e6), jnp.float32(2.0), max_steps=3)
    for found in (uphill, too_far):
        assert (float(found.step_size), float(found.params), float(found.loss)) == (0.0, 1.0, 1.0)


def test_searches_map_over_a_batch():
    starts = jnp.array([1.0, 5.0, -3.0])
    search = jax.vmap(lambda w: line_search.backtracking(jnp.square, w, -4 * w, 2 * w))
    np.testing.assert_allclose(search(starts).step_size, 0.25)


@pytest.mark.parametrize(("name", "value"), [("factor", 1.0), ("slope", 1.0), ("initial_step", 0.0), ("max_steps", 0)])
def test_a_bad_argument_is_named(name, value):
    with pytest.raises(ValueError, match=f"{name}.*got {value}"):
        line_search.backtracking(jnp.square, 1.0, -1.0, 2.0, **{name: value})


@pytest.mark.parametrize(("step_sizes", "shape"), [([], r"\(0,\)"), (1.0, r"\(\)")])
def test_step_sizes_are_a_list_of_numbers(step_sizes, shape):
    with pytest.raises(ValueError, match=f"step_sizes.*got the shape {shape}"):
        line_search.best_candidate(jnp.square, 1.0, -1.0, step_sizes)
