"""IBM model 1 against a plain loop and nltk; the likelihood never falls."""

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxdl.models.sequence import align, learn_translation, update_translation

SOURCES = np.array([[0, 1, 2, 4], [0, 2, 3, 4], [0, 1, 4, 4], [0, 3, 3, 1]])  # 4 is padding
TARGETS = np.array([[0, 1, 3], [1, 2, 3], [0, 3, 3], [2, 0, 2]])  # 3 is padding
MASKS = {"source_mask": SOURCES != 4, "target_mask": TARGETS != 3}
SIZES = (5, 4)


def by_hand(table):
    """Return the table after one step, and the log-likelihood before it."""
    counts, likelihood = np.zeros(SIZES), 0.0
    for source, target in zip(SOURCES, TARGETS, strict=True):
        words = [s for s in source if s != 4]
        for t in target[target != 3]:
            total = sum(table[s, t] for s in words)
            likelihood += np.log(total / len(words))
            for s in words:
                counts[s, t] += table[s, t] / total
    mass = counts.sum(axis=1, keepdims=True)
    return np.where(mass > 0, counts / np.where(mass > 0, mass, 1), table), likelihood


def test_learning_matches_a_plain_loop(float64):
    table, likelihoods = jax.jit(lambda s, t: learn_translation(s, t, SIZES, iterations=6, **MASKS))(SOURCES, TARGETS)
    expected = np.full(SIZES, 1 / 4)
    for step in range(6):
        expected, likelihood = by_hand(expected)
        np.testing.assert_allclose(likelihoods[step], likelihood, rtol=1e-10)
    np.testing.assert_allclose(table, expected, rtol=1e-9, atol=1e-12)


def test_probabilities_are_those_of_nltk(float64):
    translate = pytest.importorskip("nltk.translate", reason="nltk is the peer")
    targets = TARGETS.copy()
    targets[3] = 2, 0, 3  # nltk divides the counts of a word that occurs twice in a target by two
    names = [[f"s{s}" for s in line if s not in (0, 4)] for line in SOURCES]
    words = [[f"t{t}" for t in line if t != 3] for line in targets]
    corpus = [translate.AlignedSent(t, s) for t, s in zip(words, names, strict=True)]
    peer = translate.IBMModel1(corpus, 5).translation_table
    masks = {**MASKS, "target_mask": targets != 3}
    table, _ = learn_translation(SOURCES, targets, SIZES, iterations=5, **masks)
    for s in range(4):  # nltk's empty word is None, ours 0
        for t in range(3):
            assert table[s, t] == pytest.approx(peer[f"t{t}"][f"s{s}" if s else None], abs=1e-9)


step = jax.jit(update_translation)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_likelihood_never_falls(seed):
    random = np.random.default_rng(seed)
    sources, targets = random.integers(0, 5, (6, 4)), random.integers(0, 4, (6, 3))
    table = random.dirichlet(np.ones(4), 5).astype(np.float32)
    likelihoods = []
    for _ in range(6):
        table, likelihood = step(table, sources, targets)
        likelihoods.append(likelihood)
    assert np.all(np.diff(likelihoods) >= -1e-4)
    np.testing.assert_allclose(table.sum(axis=1), 1, rtol=1e-5)


def test_padding_has_no_weight_and_changes_nothing():
    table = np.random.default_rng(0).dirichlet(np.ones(4), 5).astype(np.float32)
    weights = np.asarray(align(table, SOURCES, TARGETS, MASKS["source_mask"]))
    assert np.all(weights[np.broadcast_to(SOURCES[:, None] == 4, weights.shape)] == 0)
    np.testing.assert_allclose(weights.sum(axis=-1), 1, rtol=1e-6)
    alone = align(table, SOURCES[2, :2], TARGETS[2])
    np.testing.assert_allclose(weights[2, :, :2], alone, rtol=1e-6)


@pytest.mark.parametrize(
    ("sources", "targets", "options", "match"),
    [
        (SOURCES, TARGETS[:2], {}, r"got \(5, 4\), \(4, 4\) and \(2, 3\)"),
        (SOURCES + 1, TARGETS, {}, "got 5"),
        (SOURCES, TARGETS, {"iterations": 0}, "got 0"),
        (SOURCES, TARGETS, {"source_mask": np.ones(4)}, r"got \(4,\)"),
    ],
)
def test_invalid_arguments_raise(sources, targets, options, match):
    with pytest.raises(ValueError, match=match):
        learn_translation(sources, targets, SIZES, **options)
