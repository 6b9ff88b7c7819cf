"""GloVe: loss, gradient and update by hand, and a matrix of known rank that it recovers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse

from jaxdl import backprop, embeddings
from jaxdl.embeddings import GloveState, GloveTables

RNG = np.random.default_rng(0)
V, D = 5, 3


def draw():
    return GloveTables(RNG.normal(size=(V, D)), RNG.normal(size=(V, D)), RNG.normal(size=V), RNG.normal(size=V))


def by_hand(params, row, column, count):
    weight = min(1.0, (count / 100) ** 0.75)
    return backprop.embeddings.glove_loss(
        *(table[i] for table, i in zip(params, (row, column, row, column), strict=True)), np.log(count), weight
    )


def test_loss_and_gradient_agree_with_those_by_hand(float64):
    params = draw()

    def loss(params, count):
        return embeddings.glove_loss(params, jnp.array(1), jnp.array(4), count)

    run = jax.jit(jax.value_and_grad(loss))
    for count in (3.0, 100.0, 2000.0):
        value, gradients = run(params, count)
        expected, d_w, d_c, d_b = by_hand(params, 1, 4, count)
        np.testing.assert_allclose(value, expected, rtol=1e-12)
        np.testing.assert_allclose(gradients.words[1], d_w, rtol=1e-10)
        np.testing.assert_allclose(gradients.contexts[4], d_c, rtol=1e-10)
        np.testing.assert_allclose([gradients.word_bias[1], gradients.context_bias[4]], [d_b, d_b], rtol=1e-10)


def test_a_step_is_adagrad_on_the_rows_of_its_pairs(float64):
    params = draw()
    squares = GloveTables(*(1 + np.abs(table) for table in draw()))
    pairs = {"row": [0, 1, 1, 4], "column": [2, 2, 3, 4], "count": [7.0, 1.0, 300.0, 2.0], "mask": [1, 1, 1, 0]}
    batch = {name: np.array(values) for name, values in pairs.items()}
    expected, sums = ([table.copy() for table in part] for part in (params, squares))
    losses = []
    for row, column, count in list(zip(pairs["row"], pairs["column"], pairs["count"], strict=True))[:3]:
        loss, d_w, d_c, d_b = by_hand(params, row, column, count)
        losses.append(loss)
        for k, (place, gradient) in enumerate(((row, d_w), (column, d_c), (row, d_b), (column, d_b))):
            expected[k][place] -= 0.05 * gradient / np.sqrt(squares[k][place])
            sums[k][place] += gradient**2
    state = GloveState(jnp.zeros((), jnp.int32), *(jax.tree.map(jnp.asarray, part) for part in (params, squares)))
    after, metrics = jax.jit(embeddings.make_glove_step())(state, batch)
    for ours, loop in zip([*after.params, *after.squares], [*expected, *sums], strict=True):
        np.testing.assert_allclose(ours, loop, rtol=1e-10)
    np.testing.assert_allclose(metrics["loss"], np.mean(losses), rtol=1e-10)
    np.testing.assert_allclose(after.vectors, after.params.words + after.params.contexts)


def test_counts_of_known_rank_are_recovered():
    truth = draw()
    log_counts = truth.words @ truth.contexts.T / 2 + truth.word_bias[:, None] + truth.context_bias[None, :]
    batch = jax.tree.map(jnp.asarray, embeddings.pair_arrays(scipy.sparse.csr_array(np.exp(log_counts))))
    step = embeddings.make_glove_step(0.2, x_max=1e-9)  # all weights are 1

    @jax.jit
    def learn(state):
        return jax.lax.scan(lambda state, _: step(state, batch), state, length=3000)[0]

    params = learn(embeddings.init_glove(jax.random.key(1), V, D)).params
    found = params.words @ params.contexts.T + params.word_bias[:, None] + params.context_bias[None, :]
    np.testing.assert_allclose(found, log_counts, atol=0.02)


def test_pairs_without_counts_have_no_loss():
    params = GloveTables(*(jnp.ones(shape) for shape in ((2, 1), (2, 1), (2,), (2,))))
    assert embeddings.glove_loss(params, np.array([0]), np.array([1]), np.array([0.0])).tolist() == [0]
    counts = scipy.sparse.coo_array(([0.0, 2.0], ([0, 1], [1, 0])), (2, 2))
    assert embeddings.pair_arrays(counts)["row"].tolist() == [1]


@pytest.mark.parametrize("changes", [{"learning_rate": 0.0}, {"x_max": 0.0}])
def test_arguments_are_checked(changes):
    with pytest.raises(ValueError, match="got 0"):
        embeddings.make_glove_step(**changes)
