"""Subwords against fastText as gensim has it, and vectors in the embedding of a model."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import embeddings, models, optim, tree
from jaxdl.embeddings import SubwordVectors, Vectors

WORDS = ["a", "is", "cat", "naïve", "日本語", "internationalization", "e\u0301", "🙂"]


@pytest.mark.parametrize(("shortest", "longest"), [(3, 6), (1, 2), (5, 4)])
def test_ngrams_and_buckets_agree_with_gensim(shortest, longest):
    fasttext = pytest.importorskip("gensim.models.fasttext", reason="parity with gensim")
    for word in WORDS:
        found = embeddings.ngrams(word, shortest, longest)
        assert [ngram.encode() for ngram in found] == fasttext.compute_ngrams_bytes(word, shortest, longest)
        ours = embeddings.bucket_ids(word, 1000, shortest=shortest, longest=longest)
        assert ours == fasttext.ft_ngram_hashes(word, shortest, longest, 1000)


def test_vectors_of_known_and_unknown_words_agree_with_gensim():
    gensim = pytest.importorskip("gensim.models", reason="parity with gensim")
    model = gensim.FastText(vector_size=4, min_count=1, bucket=50, seed=1, workers=1)
    model.build_vocab([WORDS])
    words = model.wv.index_to_key
    subwords = embeddings.find_subwords(words, 50)
    table = np.concatenate([model.wv.vectors_vocab, model.wv.vectors_ngrams])
    ours = SubwordVectors.from_table(words, table, subwords)
    model.wv.adjust_vectors()
    for word in [*words, "cats", "nation"]:
        np.testing.assert_allclose(ours[word], model.wv.get_vector(word), rtol=1e-5, atol=1e-7)
    assert "cats" not in ours
    assert ours.most_similar("cats", 1)[0][0] in words
    assert ours.similarity("cats", "cats") == pytest.approx(1)
    with pytest.raises(ValueError, match="got 0"):
        embeddings.find_subwords(words, 0)


def test_vectors_fill_the_embedding_of_a_model():
    model = models.AveragingNetwork(3, embedding_dim=2, hidden_sizes=())
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), jnp.zeros((1, 2), jnp.int32), jnp.ones(1, jnp.int32)))
    variables = jax.tree.map(lambda leaf: np.full(leaf.shape, 7, leaf.dtype), shapes)
    vectors = Vectors(["dog", "cat"], np.array([[1.0, 2.0], [3.0, 4.0]]))
    filled = embeddings.fill_embedding(variables, vectors, {"<unknown>": 0, "cat": 1, "dog": 2})
    changed = {name: leaf for name, leaf in tree.flatten(filled).items() if not (np.asarray(leaf) == 7).all()}
    assert [leaf.tolist() for leaf in changed.values()] == [[[7, 7], [3, 4], [1, 2]]]
    optimizer = optim.freeze(optim.sgd(1.0), embeddings.placement.EMBEDDING)
    params = filled["params"]
    updates, _ = optimizer.update(params, optimizer.init(params), params)
    still = [name for name, leaf in tree.flatten(updates).items() if not np.asarray(leaf).any()]
    assert still == [name.removeprefix("params/") for name in changed]
    for vocabulary, got in ((["cat"], r"\(3, 2\)"), (["x", "y", "z"], "none")):
        with pytest.raises(ValueError, match=got):
            embeddings.fill_embedding(variables, vectors, vocabulary)
    with pytest.raises(ValueError, match="nothing"):
        embeddings.fill_embedding(variables, vectors, ["a", "b", "c"], "nothing")
