"""Averages of parameters against the plain mean, optax and torch."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxdl.optim import averaging


def histories():
    rng = np.random.default_rng(0)
    return {"a": rng.normal(size=(20, 3)), "b": {"c": rng.normal(size=20)}}


def fold(take, history):
    first = jax.tree.map(lambda h: h[0], history)
    return jax.jit(
        lambda history: jax.lax.scan(lambda average, w: (take(average, w), None), averaging.init(first), history)[0]
    )(history)


def test_the_arithmetic_average_is_the_mean(float64):
    average = fold(averaging.arithmetic, histories())
    assert average.count == 20
    chex.assert_trees_all_close(average.value, jax.tree.map(lambda h: h.mean(0), histories()), rtol=1e-12)


def test_the_exponential_average_is_the_corrected_one_of_optax(float64):
    history = histories()
    average = fold(lambda average, w: averaging.exponential(average, w, 0.9), history)
    peer = optax.ema(0.9)
    state = peer.init(jax.tree.map(lambda h: h[0], history))
    for step in range(20):
        want, state = peer.update(jax.tree.map(lambda h, i=step: jnp.asarray(h[i]), history), state)
    chex.assert_trees_all_close(average.value, want, rtol=1e-12)


def test_the_arithmetic_average_equals_that_of_torch(float64):
    torch = pytest.importorskip("torch", reason="parity with torch.optim.swa_utils")
    model = torch.nn.Linear(3, 1, bias=False, dtype=torch.float64)
    peer = torch.optim.swa_utils.AveragedModel(model)
    for row in histories()["a"]:
        model.weight.data = torch.tensor(row[None])
        peer.update_parameters(model)
    average = fold(averaging.arithmetic, histories())
    np.testing.assert_allclose(average.value["a"], peer.module.weight.detach().numpy()[0], rtol=1e-12)


def test_an_average_of_bfloat16_is_kept_in_float32():
    average = averaging.init({"a": jnp.ones(2, jnp.bfloat16)})
    for _ in range(3):
        average = averaging.exponential(average, {"a": jnp.ones(2, jnp.bfloat16)}, 0.999)
    assert average.value["a"].dtype == jnp.float32
    np.testing.assert_allclose(average.value["a"], 1.0, rtol=1e-6)


def test_a_bad_decay_is_named():
    with pytest.raises(ValueError, match=r"decay.*got 1\.0"):
        averaging.exponential(averaging.init({}), {}, 1.0)
