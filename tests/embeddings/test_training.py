"""Fast training of word vectors: one update against gradients by hand, then text, resumption and what is learned."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import backprop, data, embeddings, train
from jaxdl.embeddings import Sampling, Subwords, Tables, Word2VecState
from jaxdl.embeddings import training as internals

RNG = np.random.default_rng(0)
V, D, RATE, NEGATIVE = 6, 3, 0.1, 5
SENTENCES = [[0, 1, 2, 1], [3], [2, 4, 0, 0, 1]]
BATCH = {
    "token": np.array([[word for sentence in SENTENCES for word in sentence] + [0, 0]], np.int32),
    "sentence": np.array([[0, 0, 0, 0, 1, 2, 2, 2, 2, 2, -1, -1]], np.int32),
}
NOISE = np.eye(V)[NEGATIVE]  # all negatives are one word, and a window of 1 is not random: the update has no chance
ONE_UPDATE = Sampling(window=1, negatives=2, threshold=None, groups=1, max_repeats=None)
NEIGHBOURS = [(s, i, [j for j in (i - 1, i + 1) if 0 <= j < len(s)]) for s in SENTENCES for i in range(len(s))]


def start(rows=V):
    tables = Tables(RNG.normal(size=(rows, D)), RNG.normal(size=(V, D)))
    state = Word2VecState(jnp.zeros((), jnp.int32), Tables(*map(jnp.asarray, tables)), jax.random.key(0))
    return state, tables


def check_update(step, state, expected, loss):
    after, metrics = jax.jit(step)(state, BATCH)
    for ours, by_hand in zip(after.tables, expected, strict=True):
        np.testing.assert_allclose(ours, by_hand, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(metrics["loss"], loss, rtol=1e-6)
    assert int(after.step) == 1


def pair_by_hand(h, contexts, target):
    loss, *gradients = backprop.embeddings.negative_sampling_loss(
        *map(np.asarray, (h, contexts[target], contexts[[NEGATIVE] * 2]))
    )
    return float(loss), *map(np.asarray, gradients)


def test_an_update_of_skip_gram_is_the_sum_over_all_pairs(float64):
    state, (words, contexts) = start()
    expected, losses = (words.copy(), contexts.copy()), []
    for sentence, i, others in NEIGHBOURS:
        for j in others:
            loss, d_h, d_c, d_n = pair_by_hand(words[sentence[i]], contexts, sentence[j])
            losses.append(loss)
            expected[0][sentence[i]] -= RATE * d_h
            expected[1][sentence[j]] -= RATE * d_c
            expected[1][NEGATIVE] -= RATE * d_n.sum(axis=0)
    check_update(embeddings.make_skip_gram_step(NOISE, RATE, ONE_UPDATE), state, expected, np.mean(losses))


def test_an_update_of_cbow_is_the_sum_over_all_words(float64):
    state, (words, contexts) = start()
    expected, losses = (words.copy(), contexts.copy()), []
    for sentence, i, others in NEIGHBOURS:
        if others:
            around = [sentence[j] for j in others]
            loss, d_h, d_c, d_n = pair_by_hand(words[around].mean(axis=0), contexts, sentence[i])
            losses.append(loss)
            for word in around:
                expected[0][word] -= RATE * d_h / len(around)
            expected[1][sentence[i]] -= RATE * d_c
            expected[1][NEGATIVE] -= RATE * d_n.sum(axis=0)
    check_update(embeddings.make_cbow_step(NOISE, RATE, ONE_UPDATE), state, expected, np.mean(losses))


def test_an_update_of_subwords_goes_to_all_of_them(float64):
    rows, mask = ([[w, V + w % 2, V + 2] for w in range(V)], [[1.0, 1.0, w % 2] for w in range(V)])
    subwords = Subwords(np.array(rows), np.array(mask), 3)
    state, (words, contexts) = start(V + 3)
    expected, losses = (words.copy(), contexts.copy()), []
    for sentence, i, others in NEIGHBOURS:
        own = subwords.rows[sentence[i]][subwords.mask[sentence[i]] > 0]
        for j in others:
            loss, d_h, d_c, d_n = pair_by_hand(words[own].mean(axis=0), contexts, sentence[j])
            losses.append(loss)
            expected[0][own] -= RATE * d_h
            expected[1][sentence[j]] -= RATE * d_c
            expected[1][NEGATIVE] -= RATE * d_n.sum(axis=0)
    check_update(embeddings.make_subword_step(subwords, NOISE, RATE, ONE_UPDATE), state, expected, np.mean(losses))


def test_repeated_rows_are_limited():
    state, _ = start()
    repeated = {"token": np.zeros((1, 32), np.int32), "sentence": np.zeros((1, 32), np.int32)}
    moved = []
    for limit in (None, 2):
        sampling = Sampling(window=1, threshold=None, groups=1, max_repeats=limit)
        after, _ = jax.jit(embeddings.make_skip_gram_step(NOISE, RATE, sampling))(state, repeated)
        moved.append(np.asarray(after.tables.words - state.tables.words)[0])
    np.testing.assert_allclose(moved[1], moved[0] * 2 / 32, rtol=1e-4)


def test_kept_words_move_together():
    token, sentence, keep = RNG.integers(1, 9, 20), np.arange(20) // 3, RNG.random(20) < 0.5
    moved, where = jax.jit(internals._compact, static_argnums=(3, 4))(token, sentence, keep, 32, 2)
    count = keep.sum()
    assert moved[2 : 2 + count].tolist() == token[keep].tolist()
    assert where.tolist() == [-1, -1, *sentence[keep], *[-1] * (36 - 2 - count)]


def test_windows_are_uniform_and_end_with_the_sentence():
    """A pair at a distance of ``d`` words is a pair with the probability ``(k + 1 - d) / k``."""
    size, k = 8 * 1024, 4
    text = jnp.arange(size), jnp.repeat(jnp.arange(size // 8), 8)
    reach = jax.random.randint(jax.random.key(0), (size,), 1, k + 1)
    turns = (size - 64) // 32
    groups = jax.jit(lambda: internals._groups(text, reach, jnp.zeros((turns, 1)), jnp.array(0), jnp.array(1), k))()
    first, second = np.asarray(groups.words)[:, :, None], np.asarray(groups.contexts)[:, None, :]
    window = np.asarray(groups.window) > 0
    assert not window[(first == second) | (first // 8 != second // 8)].any()
    for distance in range(1, k + 2):
        pairs = (np.abs(first - second) == distance) & (first // 8 == second // 8)
        assert window[pairs].mean() == pytest.approx(max(0, k + 1 - distance) / k, abs=0.03)


def test_text_is_cut_into_rows_without_unknown_words():
    rows = embeddings.text_rows([["a", "x", "b"], [], ["x"], ["b"]], {"a": 0, "b": 1}, 2)
    assert {name: array.tolist() for name, array in rows.items()} == {
        "token": [[0, 1], [1, 0]],
        "sentence": [[0, 0], [3, -1]],
    }
    with pytest.raises(ValueError, match="got 1 sentences"):
        embeddings.text_rows([["x"]], {"a": 0})


TOPICS = [["cat", "dog", "horse", "cow"], ["red", "green", "blue", "grey"]]


def two_topics(count):
    return [RNG.choice(TOPICS[RNG.integers(2)], 6).tolist() for _ in range(count)]


def test_training_resumes_with_the_same_bits_and_finds_the_topics():
    sentences = two_topics(300)
    vocabulary = embeddings.build_vocabulary(sentences)
    counts = embeddings.token_counts(sentences, vocabulary)
    loader = data.Loader(embeddings.text_rows(sentences, vocabulary, 600), batch_size=1)
    step = embeddings.make_skip_gram_step(counts, 0.05, Sampling(window=3, threshold=None, groups=2, max_repeats=4))

    def learn(state, epochs):
        return train.fit(step, state, loader, epochs=epochs)

    def fresh():
        return embeddings.init_word2vec(jax.random.key(0), len(vocabulary), 8)

    whole, history = learn(fresh(), 12)
    resumed, _ = learn(learn(fresh(), 4)[0], 12)
    for a, b in zip(whole.tables, resumed.tables, strict=True):
        np.testing.assert_array_equal(a, b)
    assert history[-1]["train/loss"] < history[0]["train/loss"]
    vectors = embeddings.Vectors(list(vocabulary), whole.tables.words)
    for topic in TOPICS:
        for word in topic:
            assert {near for near, _ in vectors.most_similar(word, 3)} == set(topic) - {word}


@pytest.mark.parametrize(
    ("changes", "got"),
    [({"window": 0}, "0"), ({"negatives": -1}, "-1"), ({"threshold": 0.0}, "0.0"), ({"max_repeats": 0}, "0")],
)
def test_settings_are_checked(changes, got):
    with pytest.raises(ValueError, match=f"got {got}"):
        Sampling(**changes)
