"""Relaxed samples by their frequencies, gradients by hand, and codebooks against a loop."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jaxdl import generative


def test_straight_through_samples_have_the_frequencies_of_the_softmax_and_relaxed_gradients():
    logits = jnp.array([0.0, 1.0, 2.0])

    @jax.jit
    def run(keys, logits):
        hard = jax.vmap(lambda key: generative.straight_through_gumbel_softmax(key, logits, 0.7))(keys)
        relaxed = jax.vmap(lambda key: generative.gumbel_softmax(key, logits, 0.7))(keys)
        weights = jnp.array([1.0, 3.0, -2.0])
        slope = lambda sample: jax.grad(lambda z: sample(keys[0], z, 0.7) @ weights)(logits)  # noqa: E731
        return hard, relaxed, slope(generative.straight_through_gumbel_softmax), slope(generative.gumbel_softmax)

    hard, relaxed, ours, theirs = run(jax.random.split(jax.random.key(0), 4000), logits)
    assert set(np.unique(hard)) == {0.0, 1.0}
    np.testing.assert_array_equal(hard.argmax(-1), relaxed.argmax(-1))
    np.testing.assert_allclose(relaxed.sum(-1), 1, rtol=1e-5)
    expected = 4000 * np.exp(logits) / np.exp(logits).sum()
    assert (
        stats.chisquare(np.asarray(hard.sum(0), np.float64), expected * 4000 / expected.sum(), sum_check=False).pvalue
        > 1e-3
    )
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    with pytest.raises(ValueError, match=r"got 0\.0"):
        generative.gumbel_softmax(jax.random.key(0), logits, 0.0)


def test_the_divergence_from_the_uniform_distribution(float64):
    logits = np.random.default_rng(0).normal(size=(2, 4))
    q = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    np.testing.assert_allclose(generative.categorical_kl_terms(logits), stats.entropy(q.T, np.full((4, 2), 0.25)))
    sure = np.array([[-np.inf, 0.0]])
    value, slope = jax.value_and_grad(lambda z: generative.categorical_kl_terms(z).sum())(jnp.array([[-1e5, 0.0]]))
    assert value == pytest.approx(np.log(2))
    assert np.isfinite(slope).all()
    assert generative.categorical_kl_terms(sure).tolist() == pytest.approx([np.log(2)])


def test_vectors_are_replaced_by_the_nearest_and_gradients_go_where_they_should(float64):
    rng = np.random.default_rng(0)
    z, codebook = rng.normal(size=(3, 4, 2)), rng.normal(size=(5, 2))
    found = jax.jit(generative.quantize_vectors)(z, codebook)
    indices = np.array([[np.argmin(((v - codebook) ** 2).sum(1)) for v in row] for row in z])
    np.testing.assert_array_equal(found.indices, indices)
    np.testing.assert_allclose(found.vectors, codebook[indices], rtol=1e-12)

    def total(z, codebook):
        found = generative.quantize_vectors(z, codebook)
        return jnp.sum(3 * found.vectors) + jnp.sum(found.codebook_loss) + 0.25 * jnp.sum(found.commitment_loss)

    to_z, to_codebook = jax.jit(jax.grad(total, (0, 1)))(z, codebook)
    difference = z - codebook[indices]
    np.testing.assert_allclose(to_z, 3 + 0.5 * difference, rtol=1e-10)
    expected = np.zeros_like(codebook)
    np.add.at(expected, indices, -2 * difference)
    np.testing.assert_allclose(to_codebook, expected, atol=1e-10)
    with pytest.raises(ValueError, match=r"\(5, 3\)"):
        generative.quantize_vectors(z, np.zeros((5, 3)))


def test_the_perplexity_counts_the_vectors_in_use():
    indices, mask = np.array([[0, 1], [2, 2]]), np.array([[1, 1], [0, 0]])
    assert generative.codebook_perplexity(indices, 9) == pytest.approx(np.exp(stats.entropy([1, 1, 2])), rel=1e-5)
    assert generative.codebook_perplexity(indices, 9, mask=mask) == pytest.approx(2.0)
    assert np.isfinite(generative.codebook_perplexity(indices, 9, mask=0 * mask))


def test_the_nearest_vector_is_found_far_from_the_origin():
    rng = np.random.default_rng(0)
    codebook, z = rng.normal(size=(6, 3)) + 3000, rng.normal(size=(50, 3)) + 3000
    codebook, z = codebook.astype(np.float32), z.astype(np.float32)
    distances = np.square(z[:, None].astype(np.float64) - codebook[None]).sum(axis=-1)
    np.testing.assert_array_equal(generative.quantize_vectors(z, codebook).indices, distances.argmin(axis=1))
