"""Word vectors from counts and their comparison, against loops and scikit-learn."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxdl import embeddings

CORPUS = [
    ["human", "machine", "interface", "for", "computer", "applications"],
    ["user", "opinion", "of", "computer", "system", "response", "time"],
    ["user", "interface", "management", "system"],
    ["system", "engineering", "for", "improved", "response", "time"],
]
VOCABULARY = embeddings.build_vocabulary(CORPUS)


def cooccurrence_by_loop(sentences, words, window):
    counts = np.zeros((len(words), len(words)), int)
    for sentence in sentences:
        for i, word in enumerate(sentence):
            for j, context in enumerate(sentence):
                if i != j and abs(i - j) <= window and word in words and context in words:
                    counts[words[word], words[context]] += 1
    return counts


@settings(deadline=None, max_examples=50)
@given(st.lists(st.lists(st.sampled_from("abcde"), max_size=9), max_size=4), st.integers(1, 10))
def test_cooccurrence_agrees_with_a_loop(sentences, window):
    words = {word: index for index, word in enumerate("abcd")}  # e is not counted, but keeps its position
    counts = embeddings.cooccurrence(sentences, words, window=window)
    np.testing.assert_array_equal(counts, cooccurrence_by_loop(sentences, words, window))
    np.testing.assert_array_equal(counts, counts.T)


def test_a_window_over_whole_sentences_agrees_with_documents_of_scikit_learn():
    text = pytest.importorskip("sklearn.feature_extraction.text", reason="compares with scikit-learn")
    vectorizer = text.CountVectorizer(vocabulary=VOCABULARY)
    present = vectorizer.transform(" ".join(sentence) for sentence in CORPUS).toarray()
    expected = present.T @ present
    np.fill_diagonal(expected, 0)  # no word of this corpus appears twice in a sentence
    np.testing.assert_array_equal(embeddings.cooccurrence(CORPUS, VOCABULARY, window=10), expected)
    np.testing.assert_array_equal(embeddings.token_counts(CORPUS, VOCABULARY), present.sum(axis=0))


def test_stop_words_and_rare_words_are_left_out_but_keep_their_position():
    words = embeddings.build_vocabulary(CORPUS, stop_words=["for", "of"], min_count=2)
    assert list(words) == ["interface", "computer", "user", "system", "response", "time"]
    counts = embeddings.cooccurrence(CORPUS, words, window=2)
    assert counts[words["interface"], words["computer"]] == 1  # "interface for computer"
    assert embeddings.cooccurrence(CORPUS, words, window=1)[words["interface"], words["computer"]] == 0


def test_contexts_may_have_another_vocabulary_and_counts_a_threshold():
    contexts = {"time": 0, "response": 1}
    counts = embeddings.cooccurrence(CORPUS, VOCABULARY, contexts, window=1)
    whole = embeddings.cooccurrence(CORPUS, VOCABULARY, window=1)
    np.testing.assert_array_equal(counts, whole[:, [VOCABULARY["time"], VOCABULARY["response"]]])
    assert counts[VOCABULARY["time"], 1] == 2
    assert embeddings.cooccurrence(CORPUS, VOCABULARY, contexts, window=1, threshold=1)[VOCABULARY["time"], 1] == 1


def test_the_mean_of_pmi_agrees_with_the_mutual_information_of_scikit_learn(float64):
    metrics = pytest.importorskip("sklearn.metrics", reason="compares with scikit-learn")
    counts = np.random.default_rng(0).integers(0, 5, (6, 7))
    mean = jnp.sum(counts * embeddings.pmi0(counts)) / counts.sum()
    assert float(mean) == pytest.approx(metrics.mutual_info_score(None, None, contingency=counts), rel=1e-12)


def test_pmi_of_given_totals_agrees_with_the_formula(float64):
    counts = embeddings.cooccurrence(CORPUS, VOCABULARY, window=4)
    totals = embeddings.token_counts(CORPUS, VOCABULARY)
    given = {"word_counts": totals, "context_counts": totals, "total": totals.sum()}
    with np.errstate(divide="ignore"):
        expected = np.log(counts * totals.sum() / (totals[:, None] * totals[None, :]))
    np.testing.assert_allclose(embeddings.pmi(counts, **given), expected, rtol=1e-12)
    np.testing.assert_allclose(embeddings.pmi0(counts, **given), np.where(counts > 0, expected, 0), rtol=1e-12)
    np.testing.assert_allclose(embeddings.ppmi(counts, **given), np.maximum(expected, 0), rtol=1e-12)


def test_a_word_without_occurrences_has_no_information():
    counts = jnp.zeros((2, 3)).at[0, 0].set(2.0)
    assert not bool(jnp.any(jnp.isnan(embeddings.pmi(counts))))
    assert bool(jnp.all(embeddings.ppmi(counts) == 0))


def test_one_hot_vectors_are_equidistant_and_orthogonal():
    vectors = embeddings.one_hot(jnp.arange(len(VOCABULARY)), len(VOCABULARY))
    first, second = np.triu_indices(len(VOCABULARY), 1)
    distances = embeddings.euclidean_distance(vectors[first], vectors[second])
    np.testing.assert_array_equal(distances, np.full(len(first), np.sqrt(2), np.float32))
    np.testing.assert_array_equal(embeddings.cosine_similarity(vectors[first], vectors[second]), np.zeros(len(first)))


def test_lookup_and_its_gradient_agree_with_one_hot_multiplication():
    table = np.random.default_rng(0).standard_normal((5, 3), np.float32)
    tokens = np.array([[0, 4], [4, 2]])

    def by_product(table):
        return embeddings.one_hot(tokens, 5) @ table

    np.testing.assert_array_equal(embeddings.lookup(table, tokens), by_product(table))
    gradients = [
        jax.jit(jax.grad(lambda table, f=f: jnp.sum(f(table) ** 3)))(table)
        for f in (by_product, lambda table: embeddings.lookup(table, tokens))
    ]
    np.testing.assert_allclose(*gradients, rtol=1e-6)
    assert bool(jnp.all(jnp.isnan(jax.jit(embeddings.lookup)(table, jnp.array([5, -1])))))


def test_cosine_similarity_agrees_with_scikit_learn_and_is_0_for_the_zero_vector():
    pairwise = pytest.importorskip("sklearn.metrics.pairwise", reason="compares with scikit-learn")
    a, b = np.random.default_rng(0).standard_normal((2, 4, 3), np.float32)
    ours = embeddings.cosine_similarity(a, b)
    np.testing.assert_allclose(ours, np.diag(pairwise.cosine_similarity(a, b)), rtol=1e-6)
    assert float(embeddings.cosine_similarity(np.zeros(3), b[0])) == 0


def test_frequent_words_are_discarded_and_rare_words_kept(float64):
    frequencies = jnp.array([1e-3, 1e-5, 1e-7])
    paper = embeddings.discard_probability(frequencies, 1e-5)
    np.testing.assert_allclose(paper, [0.9, 0.0, 0.0], atol=1e-12)
    program = embeddings.word2vec_discard_probability(frequencies, 1e-5)
    np.testing.assert_allclose(program, [0.89, 0.0, 0.0], atol=1e-12)


@pytest.mark.parametrize(
    ("call", "got"),
    [
        (lambda: embeddings.cooccurrence(CORPUS, VOCABULARY, window=0), "0"),
        (lambda: embeddings.cooccurrence(CORPUS, VOCABULARY, threshold=-1), "-1"),
        (lambda: embeddings.pmi(np.ones(3)), r"shape \(3,\)"),
        (lambda: embeddings.pmi(np.ones((2, 3)), word_counts=np.ones(3)), r"shapes \(3,\) and \(3,\)"),
    ],
)
def test_arguments_are_checked(call, got):
    with pytest.raises(ValueError, match=f"got {got}"):
        call()


def test_tokens_outside_of_a_table_raise_or_give_nan():
    table, tokens = np.array([[1, 2], [3, 4]], np.uint8), np.array([-1, 0, 2])
    for function in (lambda tokens: embeddings.lookup(table, tokens), lambda tokens: embeddings.one_hot(tokens, 2)):
        with pytest.raises(ValueError, match="got -1"):
            function(tokens)
        assert np.isnan(jax.jit(function)(tokens)).all(axis=1).tolist() == [True, False, True]
    assert embeddings.lookup(table, 1).tolist() == [3, 4]
