"""Losses of word vectors and their trees and samples, against gensim, loops and gradients by hand in float64."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import backprop, embeddings
from jaxdl.embeddings import Tables

RNG = np.random.default_rng(0)
V, D, K = 7, 3, 4
TABLES = Tables(RNG.normal(size=(V, D)), RNG.normal(size=(V, D)))
COUNTS = [90, 50, 50, 12, 7, 7, 1, 1, 1, 0]


@pytest.mark.parametrize("counts", [COUNTS, RNG.integers(1, 9, 40).tolist(), [3, 5], [1] * 16], ids=len)
def test_huffman_trees_agree_with_gensim(counts):
    class Words(types.SimpleNamespace):
        def __len__(self):
            return len(counts)

    word2vec = pytest.importorskip("gensim.models.word2vec", reason="parity with gensim")
    found = [{"count": count} for count in counts]
    words = Words(
        index_to_key=list(range(len(counts))),
        get_vecattr=lambda word, name: found[word][name],
        set_vecattr=lambda word, name, value: found[word].update({name: value}),
    )
    word2vec._assign_binary_codes(words)
    tree, codes = embeddings.huffman_tree(counts), embeddings.huffman_codes(counts)
    for row, theirs in enumerate(found):
        length = int(tree.mask[row].sum())
        assert codes[row] == theirs["code"].tolist()
        assert tree.nodes[row, :length].tolist() == theirs["point"].tolist()
        assert not tree.mask[row, length:].any()


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 13])
def test_random_trees_are_balanced_and_complete(size):
    tree = embeddings.random_tree(size, seed=size)
    lengths = tree.mask.sum(axis=1)
    assert np.ptp(lengths) <= 1
    assert np.sum(0.5**lengths) == 1
    codes = {tuple(code[: int(length)]) for code, length in zip(tree.codes, lengths, strict=True)}
    assert len(codes) == size


def test_the_order_of_a_random_tree_depends_on_the_seed():
    assert (embeddings.random_tree(13, seed=0).codes != embeddings.random_tree(13, seed=1).codes).any()


def test_probabilities_of_a_tree_sum_to_1(float64):
    for tree in (embeddings.huffman_tree(COUNTS), embeddings.random_tree(10)):
        nodes = RNG.normal(size=(9, D))
        log_p = embeddings.hierarchical_log_probability(
            RNG.normal(size=(1, D)), nodes[tree.nodes], tree.codes, tree.mask
        )
        assert float(jnp.sum(jnp.exp(log_p))) == pytest.approx(1, rel=1e-12)


def softmax_by_loop(h, target):
    scores = [float(h @ c) for c in TABLES.contexts]
    return -scores[target] + np.log(sum(np.exp(scores)))


def test_full_softmax_losses_agree_with_loops(float64):
    words, contexts = np.array([0, 3]), np.array([[1, 2, 4], [6, 6, 5]])
    mask = np.array([[1, 1, 0], [1, 1, 1]])

    @jax.jit
    def losses(tables):
        return (
            embeddings.bigram_loss(tables, words, contexts[:, 0]),
            embeddings.skip_gram_loss(tables, words, contexts, mask),
            embeddings.cbow_loss(tables, words, contexts, mask),
        )

    valid = [[1, 2], [6, 6, 5]]
    expected = (
        [softmax_by_loop(TABLES.words[w], c[0]) for w, c in zip(words, valid, strict=True)],
        [sum(softmax_by_loop(TABLES.words[w], j) for j in c) for w, c in zip(words, valid, strict=True)],
        [softmax_by_loop(TABLES.words[c].mean(axis=0), w) for w, c in zip(words, valid, strict=True)],
    )
    for ours, loop in zip(losses(TABLES), expected, strict=True):
        np.testing.assert_allclose(ours, loop, rtol=1e-12)


HAND = {
    "softmax_loss": (
        lambda h, c, n: embeddings.softmax_loss(h, n, jnp.array(2)),
        lambda h, c, n: backprop.embeddings.softmax_loss(h, n, jnp.array(2)),
        (0, 2),
    ),
    "skip_gram_loss": (
        lambda h, c, n: embeddings.skip_gram_loss(Tables(h[None], n), jnp.array(0), jnp.array([1, 3, 3]), jnp.ones(3)),
        lambda h, c, n: backprop.embeddings.skip_gram_loss(h, n, jnp.array([1, 3, 3])),
        (0, 2),
    ),
    "negative_sampling_loss": (
        embeddings.negative_sampling_loss,
        backprop.embeddings.negative_sampling_loss,
        (0, 1, 2),
    ),
    "margin_loss": (embeddings.margin_loss, backprop.embeddings.margin_loss, (0, 1, 2)),
    "hierarchical": (
        lambda h, c, n: -embeddings.hierarchical_log_probability(h, n, jnp.arange(K) % 2, jnp.ones(K)),
        lambda h, c, n: backprop.embeddings.hierarchical_softmax_loss(h, n, jnp.arange(K) % 2),
        (0, 2),
    ),
}


@pytest.mark.parametrize("name", HAND)
def test_gradients_by_hand_agree_with_jax(name, float64):
    loss, by_hand, places = HAND[name]
    arguments = RNG.normal(size=D), RNG.normal(size=D), RNG.normal(size=(K, D))
    value, gradients = jax.jit(jax.value_and_grad(loss, places))(*arguments)
    hand, *hands = by_hand(*map(jnp.asarray, arguments))
    np.testing.assert_allclose(hand, value, rtol=1e-12)
    for ours, theirs in zip(hands, gradients, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-12)


def test_the_gradient_of_cbow_by_hand(float64):
    around, contexts = RNG.normal(size=(2, D)), RNG.normal(size=(V, D))

    def loss(around, contexts):
        return embeddings.softmax_loss(jnp.mean(around, axis=0), contexts, jnp.array(5))

    value, gradients = jax.jit(jax.value_and_grad(loss, (0, 1)))(around, contexts)
    hand, *hands = backprop.embeddings.cbow_loss(*map(jnp.asarray, (around, contexts, 5)))
    np.testing.assert_allclose(hand, value, rtol=1e-12)
    for ours, theirs in zip(hands, gradients, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-12)


def test_noise_agrees_with_the_table_of_gensim():
    gensim = pytest.importorskip("gensim.models", reason="parity with gensim")
    model = gensim.Word2Vec(vector_size=2, min_count=1, sample=1e-2)
    model.build_vocab_from_freq({str(i): count for i, count in enumerate(COUNTS[:-1])})
    noise = embeddings.noise_distribution(np.array(COUNTS[:-1]))
    np.testing.assert_allclose(np.cumsum(noise), model.cum_table / model.cum_table[-1], rtol=1e-6)
    share = np.array(COUNTS[:-1]) / sum(COUNTS)
    kept = [model.wv.get_vecattr(str(i), "sample_int") / (2**32 - 1) for i in range(len(share))]
    np.testing.assert_allclose(1 - embeddings.word2vec_discard_probability(share, 1e-2), kept, rtol=1e-5)


def test_draws_have_the_distribution_of_the_table():
    p = np.array([0.5, 0.0, 0.2, 0.299, 0.001])
    table = embeddings.alias_table(p)
    exact = np.bincount(table.alias, 1 - table.keep, 5) / 5 + np.asarray(table.keep) / 5
    np.testing.assert_allclose(exact, p, atol=1e-7)
    drawn = np.bincount(embeddings.draw_words(jax.random.key(0), table, (20_000,)), minlength=5) / 20_000
    np.testing.assert_allclose(drawn, p, atol=0.015)
    assert drawn[1] == 0


def test_unseen_words_alone_are_drawn():
    counts, pairs = np.array([16, 16, 1]), np.array([[0, 1, 0], [1, 0, 0], [3, 3, 3]])
    np.testing.assert_allclose(
        embeddings.unseen_distribution(counts, pairs),
        [[8 / 9, 0, 1 / 9], [0, 8 / 9, 1 / 9], [8 / 17, 8 / 17, 1 / 17]],
        rtol=1e-6,
    )


@pytest.mark.parametrize(
    ("call", "got"),
    [
        (lambda: embeddings.huffman_codes([]), "array"),
        (lambda: embeddings.huffman_codes([1, -1]), "array"),
        (lambda: embeddings.random_tree(0), "0"),
        (lambda: embeddings.alias_table([0.0, 0.0]), "array"),
        (lambda: embeddings.alias_table([0.5, np.nan]), "array"),
        (lambda: embeddings.unseen_distribution(np.ones(2), np.ones((2, 3))), r"shape \(2, 3\)"),
    ],
)
def test_arguments_are_checked(call, got):
    with pytest.raises(ValueError, match=f"got {got}"):
        call()
