"""Random search and restarts: the best of all trials, and the distributions of the settings."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl.optim import trials
from jaxdl.optim.trials import LogUniform, Uniform

SPACE = {"rate": LogUniform(1e-4, 1.0), "decay": Uniform(-1.0, 3.0)}


def run(settings):
    """Return a loss whose minimum is at a rate of 0.01 and a decay of 1, and nan for large rates."""
    loss = (jnp.log10(settings["rate"]) + 2) ** 2 + (settings["decay"] - 1) ** 2
    return jnp.where(settings["rate"] > 0.5, jnp.nan, loss)


def test_random_search_returns_the_best_trial():
    found = jax.jit(lambda key: trials.random_search(key, run, SPACE, 300))(jax.random.key(0))
    best = int(np.nanargmin(found.losses))
    assert np.isnan(found.losses).any()
    assert found.best_loss == found.losses[best] < 0.1
    for name, values in found.settings.items():
        assert values.shape == (300,)
        assert found.best[name] == values[best]


def test_settings_have_their_distributions():
    stats = pytest.importorskip("scipy.stats", reason="scipy is the peer")
    rates, decays = (np.asarray(SPACE[name].draw(jax.random.key(1), (2000,))) for name in ("rate", "decay"))
    assert stats.kstest(np.log10(rates), stats.uniform(-4, 4).cdf).pvalue > 0.01
    assert stats.kstest(decays, stats.uniform(-1, 4).cdf).pvalue > 0.01
    assert rates.min() >= 1e-4 * (1 - 1e-5)
    assert rates.max() <= 1 + 1e-5


def test_the_best_of_several_starts():
    def learn(key):
        w = jax.random.normal(key, (2,))
        loss = jnp.sum(w**2)
        return jnp.where(loss < 0.3, jnp.nan, loss), {"w": w, "key": jax.random.key_data(key)}

    found = jax.jit(lambda key: trials.restart(key, learn, 40))(jax.random.key(0))
    assert np.isnan(found.losses).any()
    assert found.best_loss == np.nanmin(found.losses)
    np.testing.assert_allclose(np.sum(found.best["w"] ** 2), found.best_loss, rtol=1e-6)
    loss, _ = learn(jax.random.wrap_key_data(found.best["key"]))
    np.testing.assert_allclose(loss, found.best_loss, rtol=1e-6)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: Uniform(1.0, 1.0), "got 1.0"),
        (lambda: LogUniform(0.0, 1.0), "got 0.0"),
        (lambda: trials.random_search(jax.random.key(0), run, SPACE, 0), "got 0"),
        (lambda: trials.random_search(jax.random.key(0), run, {}, 3), "got none"),
        (lambda: trials.restart(jax.random.key(0), run, -1), "got -1"),
    ],
)
def test_invalid_arguments_raise(call, match):
    with pytest.raises(ValueError, match=match):
        call()
