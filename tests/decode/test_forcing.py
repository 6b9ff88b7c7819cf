"""Scheduled sampling of a model of vectors against a plain loop: forced, free, and from a given prefix."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import decode

pytestmark = pytest.mark.usefixtures("float64")
close = partial(np.testing.assert_allclose, rtol=1e-10, atol=1e-12)
B, T, D = 3, 6, 2
rng = np.random.default_rng(0)
U, W, FIRST, TARGETS = (
    rng.normal(size=(D, D)),
    rng.normal(size=(D, D)),
    rng.normal(size=(B, D)),
    rng.normal(size=(B, T, D)),
)
GIVEN = np.array([1.0, 1.0, 0.0, 0.0, 0.0, 1.0])


def step_fn(h, x, weights=W):
    h = jnp.tanh(h @ U + x @ weights)
    return h, 2 * h


def along(key, p, weights=W, **options):
    step = partial(step_fn, weights=weights)
    return decode.scheduled_sampling(key, step, jnp.zeros((B, D)), FIRST, TARGETS, teacher_probability=p, **options)[1]


def by_hand(teach, weights=W, stop=jax.lax.stop_gradient):
    h, x, outputs = jnp.zeros((B, D)), FIRST, []
    for t in range(T):
        h, y = step_fn(h, x, weights)
        outputs.append(y)
        x = jnp.where(teach[t] == 1, TARGETS[:, t], stop(y))
    return jnp.stack(outputs, axis=1)


@pytest.mark.parametrize("through", [False, True], ids=["stopped", "through vectors"])
def test_vectors_and_gradients_match_a_loop(through, key):
    options, stop = ({"choose": lambda key, y: y}, lambda y: y) if through else ({}, jax.lax.stop_gradient)
    ours = jax.jit(jax.value_and_grad(lambda W, p: jnp.sum(jnp.sin(along(key, p, W, **options)))))
    loop = jax.jit(jax.value_and_grad(lambda W, p: jnp.sum(jnp.sin(by_hand(p, W, stop)))))
    jax.tree.map(close, ours(W, GIVEN), loop(W, GIVEN))


def test_each_step_has_its_own_probability(key):
    run, loop = jax.jit(along), jax.jit(by_hand)
    for teach in (np.ones(T), np.zeros(T), GIVEN):
        close(run(key, teach), loop(teach))
    close(run(key, 1.0), loop(np.ones(T)))
    coins = jax.jit(jax.vmap(along, (0, None)))(jax.random.split(key, 200), np.full(T, 0.3))
    forced = np.isclose(coins[:, :, 1], loop(np.ones(T))[:, 1]).all(axis=-1)
    assert abs(forced.mean() - 0.3) < 0.06


def test_the_key_determines_the_choice_of_input(key):
    run = jax.jit(along)
    half = np.full(T, 0.5)
    np.testing.assert_array_equal(run(key, half), run(key, half))
    assert np.any(run(key, half) != run(jax.random.fold_in(key, 1), half))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"first": FIRST[:, :1]}, r"got \(3, 6, 2\) for \(3, 1\)"),
        ({"targets": TARGETS[:, :0]}, r"got \(3, 0, 2\)"),
        ({"targets": TARGETS[..., 0], "first": FIRST[:, 0]}, "got float64"),
        ({"teacher_probability": np.ones(4)}, r"got \(4,\)"),
        ({"teacher_probability": -0.5}, "got -0.5"),
    ],
)
def test_invalid_arguments_raise(change, message, key):
    arguments = {"first": FIRST, "targets": TARGETS, "teacher_probability": 1.0} | change
    with pytest.raises(ValueError, match=message):
        decode.scheduled_sampling(key, step_fn, jnp.zeros((B, D)), **arguments)


def test_a_prompt_is_input_whatever_the_probability(key):
    sequences = np.concatenate([FIRST[:, None], TARGETS], axis=1)

    @jax.jit
    def after_prompt(p):
        return decode.continue_prompt(key, step_fn, jnp.zeros((B, D)), sequences, 3, teacher_probability=p)

    for p in (0.0, 1.0):
        close(after_prompt(p), by_hand([1.0, 1.0] + [p] * (T - 2))[:, 2:])


@pytest.mark.parametrize("length", [0, T + 1])
def test_a_prompt_is_shorter_than_the_sequences(length, key):
    with pytest.raises(ValueError, match=f"got {length}"):
        decode.continue_prompt(key, step_fn, jnp.zeros((B, D)), np.zeros((B, T + 1, D)), length)


@pytest.mark.parametrize("p", [np.float32(1.5), np.array([0.5, -0.1, 0.0]), jnp.array(2.0)])
def test_a_probability_outside_of_0_to_1_raises_in_every_form(p, key):
    with pytest.raises(ValueError, match="teacher_probability"):
        decode.scheduled_sampling(
            key, lambda carry, x: (carry, x), None, np.ones((1, 1)), np.ones((1, 3, 1)), teacher_probability=p
        )
