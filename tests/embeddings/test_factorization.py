"""Factorization of counts against scikit-learn, and counting by streams against the dense counts."""

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxdl import embeddings

COUNTS = np.random.default_rng(0).poisson(1.0, (9, 7))


@pytest.mark.parametrize("wrap", [np.asarray, scipy.sparse.csr_array, scipy.sparse.coo_matrix])
def test_truncated_svd_agrees_with_scikit_learn(wrap):
    decomposition = pytest.importorskip("sklearn.decomposition", reason="compares with scikit-learn")
    peer = decomposition.TruncatedSVD(4, algorithm="arpack", random_state=0)
    expected = peer.fit_transform(COUNTS.astype(float))
    words, contexts = embeddings.truncated_svd(wrap(COUNTS), 4, power=1.0)
    signs = np.sign(np.sum(words * expected, axis=0))
    np.testing.assert_allclose(words, expected * signs, atol=1e-10)
    np.testing.assert_allclose(contexts, peer.components_.T * signs, atol=1e-10)
    for power in (0.0, 0.5):
        words, contexts = embeddings.truncated_svd(wrap(COUNTS), 4, power=power)
        np.testing.assert_allclose(np.linalg.norm(words, axis=0), peer.singular_values_**power, rtol=1e-10)
        np.testing.assert_allclose(words @ contexts.T, expected @ peer.components_, atol=1e-10)
    assert (words[np.argmax(np.abs(words), axis=0), range(4)] > 0).all()


def test_smoothed_and_shifted_information_agree_with_the_formula(float64):
    with np.errstate(divide="ignore"):
        share = COUNTS.sum(axis=0) ** 0.75 / np.sum(COUNTS.sum(axis=0) ** 0.75)
        expected = np.log(COUNTS / COUNTS.sum(axis=1, keepdims=True) / share)
    np.testing.assert_allclose(embeddings.pmi(COUNTS, smoothing=0.75), expected, rtol=1e-12)
    shifted = np.maximum(expected - np.log(3), 0)
    np.testing.assert_allclose(embeddings.shifted_ppmi(COUNTS, 3, smoothing=0.75), shifted, atol=1e-12)
    sparse = embeddings.sparse_shifted_ppmi(scipy.sparse.csr_array(COUNTS), negatives=3)
    np.testing.assert_allclose(sparse.todense(), shifted, atol=1e-12)
    assert sparse.nnz == np.sum(shifted > 0)


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.lists(st.sampled_from("abcde"), max_size=9), max_size=4),
    st.integers(1, 10),
    st.sampled_from([1, 3, 99]),
)
def test_streamed_counts_agree_with_dense_ones(sentences, window, max_pairs):
    words = {word: index for index, word in enumerate("abcd")}
    counts = embeddings.cooccurrence(sentences, words, window=window)
    streamed = embeddings.stream_cooccurrence(
        iter(sentences), words, window=window, weights=embeddings.uniform, max_pairs=max_pairs
    )
    np.testing.assert_array_equal(streamed.todense(), counts)


@pytest.mark.parametrize("weights", [embeddings.harmonic, embeddings.dynamic(4)])
def test_weights_depend_on_the_distance(weights, tmp_path):
    sentences = [list("abcadcb"), list("ab")]
    words = {word: index for index, word in enumerate("abcd")}
    parts = [embeddings.cooccurrence(sentences, words, window=k) for k in range(1, 5)]
    expected = sum(weights(k + 1) * (parts[k] - (parts[k - 1] if k else 0)) for k in range(4))
    streamed = embeddings.stream_cooccurrence(sentences, words, window=4, weights=weights, max_pairs=2, folder=tmp_path)
    np.testing.assert_allclose(streamed.todense(), expected, rtol=1e-12)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("call", "got"),
    [
        (lambda: embeddings.truncated_svd(COUNTS, 8), r"shape \(9, 7\)"),
        (lambda: embeddings.truncated_svd(scipy.sparse.csr_array(COUNTS), 7), r"shape \(9, 7\)"),
        (lambda: embeddings.truncated_svd(COUNTS, 2, power=2.0), "2.0"),
        (lambda: embeddings.shifted_ppmi(COUNTS, 0.5), "0.5"),
        (lambda: embeddings.stream_cooccurrence([], {}, window=0), "0"),
    ],
)
def test_arguments_are_checked(call, got):
    with pytest.raises(ValueError, match=f"got {got}"):
        call()


@pytest.mark.parametrize("sparse", [False, True])
def test_a_matrix_with_nan_is_refused(sparse):
    matrix = np.eye(4)
    matrix[0, 0] = np.nan
    with pytest.raises(ValueError, match="finite"):
        embeddings.truncated_svd(scipy.sparse.csr_array(matrix) if sparse else matrix, 2)
