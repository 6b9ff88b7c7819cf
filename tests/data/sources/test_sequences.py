"""Sequence tasks: targets recomputed by loops, and the pendulum by an integrator of scipy."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl.data.sources import sequences

CHAIN = np.random.default_rng(0).dirichlet(np.ones(3), size=(3, 3)).astype(np.float32)
TASKS = {
    "adding": partial(sequences.adding, count=40, steps=7),
    "copy": partial(sequences.copy, count=40, lag=3, length=2, num_symbols=4),
    "latch": partial(sequences.latch, count=40, steps=9, probability=0.3),
    "markov": partial(sequences.markov, count=40, steps=60, transition=CHAIN),
    "local_pattern": partial(sequences.local_pattern, count=40, steps=8),
    "order_of_two": partial(sequences.order_of_two, count=40, steps=9, margin=2),
    "pendulum": partial(sequences.pendulum, count=40, steps=30),
}


@pytest.fixture(scope="module")
def drawn():
    """Draw all tasks for three keys, and again in reverse order, in one program."""

    @jax.jit
    @jax.vmap
    def draw(key):
        return {name: task(key) for name, task in TASKS.items()}

    keys = jax.random.split(jax.random.key(0), 3)
    return jax.device_get(draw(keys)), jax.device_get(draw(keys[::-1]))


def test_tasks_depend_on_their_key_alone_under_vmap(drawn):
    first, again = drawn
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a[::-1], b), first, again)
    for name, arrays in first.items():
        x = jax.tree.leaves(arrays)[0]
        assert x.shape[1] == 40
        assert np.any(x[0] != x[1]), name


def test_adding_marks_one_number_in_each_half_and_targets_their_sum(drawn):
    x, y = drawn[0]["adding"]
    assert y.shape == (3, 40, 1)
    for sequence, total in zip(x.reshape(-1, 7, 2), y.ravel(), strict=True):
        places = np.flatnonzero(sequence[:, 1])
        assert set(sequence[:, 1]) == {0.0, 1.0}
        assert places[0] < 3 <= places[1] < 7
        np.testing.assert_allclose(sequence[places, 0].sum(), total, rtol=1e-6)
    marked = x.reshape(-1, 7, 2)[..., 1].sum(axis=0)
    assert marked.min() > 10


def test_copy_targets_the_symbols_after_the_delimiter(drawn):
    x, y = (each.reshape(-1, 7) for each in drawn[0]["copy"])
    assert x.dtype == y.dtype == np.int32
    for tokens, targets in zip(x.tolist(), y.tolist(), strict=True):
        assert set(tokens[:2]) <= {1, 2, 3, 4}
        assert tokens[2:] == [0, 0, 0, 5, 0]
        assert targets == [0] * 5 + tokens[:2]
    assert set(x[:, :2].ravel()) == {1, 2, 3, 4}


def test_latch_targets_the_last_marked_number(drawn):
    x, y = (each.reshape(120, 9, -1) for each in drawn[0]["latch"])
    for sequence, targets in zip(x, y, strict=True):
        latched = 0.0
        for (number, mark), target in zip(sequence, targets[:, 0], strict=True):
            latched = number if mark else latched
            assert target == latched
    assert abs(x[..., 1].mean() - 0.3) < 0.05
    assert x[..., 0].min() < -0.9


def test_markov_has_the_transition_probabilities_of_second_order(drawn):
    tokens = drawn[0]["markov"].reshape(-1, 60)
    counts = np.zeros((3, 3, 3))
    np.add.at(counts, (tokens[:, :-2], tokens[:, 1:-1], tokens[:, 2:]), 1)
    frequencies = counts / counts.sum(axis=-1, keepdims=True)
    deviation = np.sqrt(CHAIN * (1 - CHAIN) / counts.sum(axis=-1, keepdims=True))
    assert np.all(np.abs(frequencies - CHAIN) < 4 * deviation + 1e-9)
    assert sequences.markov(jax.random.key(0), 2, 1, CHAIN).shape == (2, 1)


def test_pendulum_agrees_with_a_high_order_integrator(drawn):
    integrate = pytest.importorskip("scipy.integrate", reason="scipy integrates")
    angles = drawn[0]["pendulum"][0, ..., 0]
    assert np.abs(angles).max() < 2.5
    for angle in angles[:3]:
        # The initial state is unknown: solve for the velocity at the second angle from the third.
        velocity = (angle[2] - angle[0]) / 0.8
        for _ in range(20):  # Newton's method
            after, faster = (swing(integrate, angle[1], v, 0.4)[-1] for v in (velocity, velocity + 1e-5))
            velocity -= (after - angle[2]) / ((faster - after) / 1e-5)
        expected = [swing(integrate, angle[1], velocity, 0.4 * t)[-1] for t in range(1, 29)]
        np.testing.assert_allclose(angle[2:], expected, atol=0.02)


def swing(integrate, angle, velocity, time):
    solved = integrate.solve_ivp(lambda _, s: (s[1], -np.sin(s[0])), (0, time), (angle, velocity), rtol=1e-9, atol=1e-9)
    return solved.y[0]


@pytest.mark.parametrize(
    ("call", "got"),
    [
        (lambda key: sequences.adding(key, 3, 1), "1"),
        (lambda key: sequences.copy(key, 3, -1), "-1, 10 and 8"),
        (lambda key: sequences.copy(key, 3, 1, length=0), "1, 0 and 8"),
        (lambda key: sequences.markov(key, 3, 4, np.ones((2, 3)) / 3), r"shape \(2, 3\)"),
        (lambda key: sequences.markov(key, 3, 4, jnp.ones(2) / 2), r"shape \(2,\)"),
    ],
)
def test_arguments_are_checked(call, got, key):
    with pytest.raises(ValueError, match=f"got {got}"):
        call(key)


def test_the_pattern_is_found_by_a_loop(drawn):
    tokens, labels = drawn[0]["local_pattern"]
    for row, label in zip(tokens.reshape(-1, 8), labels.ravel(), strict=True):
        assert label == any(row[t : t + 3].tolist() == [1, 2, 3] for t in range(6))
        assert any(row[t : t + 3].tolist() in ([1, 2, 3], [1, 3, 2]) for t in range(6))


def test_the_order_is_that_of_the_two_symbols(drawn):
    tokens, labels = drawn[0]["order_of_two"]
    for row, label in zip(tokens.reshape(-1, 9), labels.ravel(), strict=True):
        (one,), (two,) = (np.flatnonzero(row == symbol) for symbol in (1, 2))
        assert label == (two < one)
        assert 2 <= min(one, two) < max(one, two) < 7
    assert 0.3 < labels.mean() < 0.7


def test_the_order_needs_two_places(key):
    with pytest.raises(ValueError, match="got 5"):
        sequences.order_of_two(key, 1, 5, margin=2)


def test_random_transitions_are_distributions_without_zeros():
    found = sequences.random_transition(0, 4, order=2)
    np.testing.assert_allclose(found.sum(axis=-1), 1, rtol=1e-6)
    assert found.shape == (4, 4, 4)
    assert found.min() >= 0.05 / 4 - 1e-7
    np.testing.assert_array_equal(found, sequences.random_transition(np.random.default_rng(0), 4, order=2))
