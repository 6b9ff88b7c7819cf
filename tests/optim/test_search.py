"""The search for a learning rate finds the known best one of a quadratic."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import optim
from jaxdl.optim import search

CURVATURE = jnp.array([1.0, 20.0])
BEST = 2 / 21  # of gradient descent on curvatures 1 and 20


def run(rate):
    """Descend for ten steps; the largest error per direction left over is the loss."""
    optimizer = optim.sgd(rate)

    def step(_, carry):
        w, state = carry
        update, state = optimizer.update(CURVATURE * w, state)
        return w + update, state

    w, _ = jax.lax.fori_loop(0, 10, step, (jnp.ones(2), optimizer.init(jnp.ones(2))))
    return jnp.max(jnp.abs(w))


def test_a_grid_is_logarithmic_and_its_best_is_found():
    found = search.grid(run, 1e-4, 1.0, points=5)
    np.testing.assert_allclose(found.learning_rates, [1e-4, 1e-3, 1e-2, 1e-1, 1.0], rtol=1e-5)
    np.testing.assert_allclose(found.losses, [run(rate) for rate in found.learning_rates], rtol=1e-4)
    np.testing.assert_allclose(found.best_learning_rate, 0.01, rtol=1e-5)  # at 0.1 the steep direction flips its sign
    np.testing.assert_allclose(found.best_loss, found.losses.min())


def test_finer_grids_come_nearer_and_the_run_is_traced_once():
    chex.clear_trace_counter()
    found = search.refine(chex.assert_max_traces(run, n=1), 1e-4, 1.0, points=9, levels=4)
    chex.assert_shape(found.losses, (36,))
    np.testing.assert_allclose(found.best_learning_rate, BEST, rtol=0.01)


def test_a_run_that_diverges_is_not_the_best():
    found = search.grid(lambda rate: jnp.where(rate < 0.05, jnp.nan, rate), 1e-3, 1.0, points=4)
    np.testing.assert_allclose(found.best_learning_rate, 0.1, rtol=1e-5)
    assert np.isnan(found.losses[0])


def test_the_range_test_raises_the_rate_and_finds_the_steepest_fall():
    def step(w, batch, rate):
        loss = jnp.sum(CURVATURE * w**2) + batch
        return w - rate * CURVATURE * w, loss

    found = search.range_test(step, jnp.ones(2), jnp.zeros(40), 1e-4, 10.0)
    np.testing.assert_allclose(found.learning_rates[jnp.array([0, -1])], [1e-4, 10.0], rtol=1e-5)
    w, losses = np.ones(2), []
    for rate in np.geomspace(1e-4, 10.0, 40):
        losses.append(np.sum(CURVATURE * w**2))
        w = w - rate * np.asarray(CURVATURE) * w
    np.testing.assert_allclose(found.losses[:30], losses[:30], rtol=1e-3)
    assert 1e-3 < found.best_learning_rate < 2 / 20  # below the rate where the steep direction diverges
    assert found.losses[-1] > found.losses[0]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: search.grid(run, 0.0, 1.0), r"low.*got 0\.0"),
        (lambda: search.grid(run, 1.0, 0.1), r"high.*got 0\.1"),
        (lambda: search.grid(run, 0.1, 1.0, points=1), "points.*got 1"),
        (lambda: search.refine(run, 0.1, 1.0, levels=0), "levels.*got 0"),
        (lambda: search.range_test(run, 0, jnp.zeros(2), 0.1, 1.0), "batches.*got 2"),
    ],
)
def test_a_bad_argument_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
