"""Fast training of word vectors by negative sampling: skip-gram, CBOW, and skip-gram with subwords.

A batch is a row of ``R`` words of running text. A step, ``step(state, batch) -> (state, metrics)``, is a compiled loop
over it, and `jaxdl.train.fit` runs the steps, with progress, checkpoints and resumption:

1. Frequent words are discarded at random; the others move together.
2. The text is cut into groups of ``S`` words. The contexts of a group are the ``S + 2 k`` words in and around it, and
   its words share ``N`` negatives, so that all scores of a group are one product of matrices.
3. Each word draws its window from ``1 .. k``; a sentence ends it. For a word with ``m`` contexts a negative has the
   weight ``m negatives / N``: the expectation is that of ``negatives`` draws for every pair.
4. The gradients of ``G`` groups from distant parts of the row are added to the rows of the tables in place.

Memory is that of the tables and a row of text: there is no dense gradient of a table and no state of an optimizer.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from jaxdl.checks import check_in_range, check_positive_integer
from jaxdl.embeddings.counts import Sentences, word2vec_discard_probability
from jaxdl.embeddings.sampling import alias_table, draw_words, noise_distribution
from jaxdl.embeddings.subwords import Subwords
from jaxdl.embeddings.word2vec import Tables, init_tables
from jaxdl.typing import Array, ArrayLike, Batch, Key, Schedule

GROUP_SIZE = 32
"""``S``: of 16, 32 and 64 the fastest on a CPU."""
ROW_SIZE = 2**17


@struct.dataclass
class Word2VecState:
    """The state of training.

    Attributes:
        step: number of rows of text read so far, ``int32 []``.
        tables: the vectors; with subwords, the table of words has the buckets behind the words.
        key: the run's random key, which never changes: a step uses ``fold_in(key, step)``.
    """

    step: Array
    tables: Tables
    key: Key


@dataclass(frozen=True)
class Sampling:
    """How pairs are drawn; the defaults are those of gensim.

    Attributes:
        window: ``k``, the largest distance of a context.
        negatives: negatives of a pair, in expectation.
        shared: ``N``, negatives of a group.
        threshold: ``t`` of `jaxdl.embeddings.word2vec_discard_probability`, None to keep all words.
        groups: ``G``, groups whose gradients are computed at the same tables; more of them suit accelerators.
        max_repeats: largest sum of a row in one update, in units of the mean over its occurrences: frequent words occur
            many times in large updates, and the sum of their gradients would diverge. None for the sum.

    Raises:
        ValueError: a number is not positive.
    """

    window: int = 5
    negatives: int = 5
    shared: int = 32
    threshold: float | None = 1e-3
    groups: int = 8
    max_repeats: float | None = 16

    def __post_init__(self):
        for name in ("window", "negatives", "shared", "groups"):
            check_positive_integer(name, getattr(self, name))
        for name in ("threshold", "max_repeats"):
            if getattr(self, name) is not None:
                check_in_range(name, getattr(self, name), includes_low=False)


class _Groups(NamedTuple):
    """The words of ``G`` groups.

    Attributes:
        words: ids, ``[G, S]``.
        contexts: ids, ``[G, S + 2 k]``.
        negatives: ids, ``[G, N]``.
        window: 1 for the contexts of each word and 0 for others, ``[G, S, S + 2 k]``.
    """

    words: Array
    contexts: Array
    negatives: Array
    window: Array


Step = Callable[[Word2VecState, Batch], tuple[Word2VecState, dict[str, Array]]]
Update = Callable[[Tables, _Groups, ArrayLike], tuple[Tables, Array]]
"""Maps tables, groups and the learning rate to the updated tables and the mean loss before the update."""


def init_word2vec(key: Key, vocab_size: int, size: int, *, buckets: int = 0) -> Word2VecState:
    """Initialize the state, with `init_tables`; ``buckets`` are those of subwords.

    >>> init_word2vec(jax.random.key(0), vocab_size=5, size=3).tables.words.shape
    (5, 3)
    """
    check_positive_integer("vocab_size", vocab_size)
    check_positive_integer("size", size)
    words = init_tables(key, vocab_size + buckets, size).words
    return Word2VecState(jnp.zeros((), jnp.int32), Tables(words, jnp.zeros((vocab_size, size))), key)


def text_rows(sentences: Sentences, vocabulary: Mapping[str, int], row_size: int = ROW_SIZE) -> dict[str, np.ndarray]:
    """Cut a corpus into rows for training: ``"token"`` and ``"sentence"``, int32 ``[rows, R]``.

    Words outside of the vocabulary are left out, as in word2vec. ``"sentence"`` numbers the sentences, and is -1 in the
    padding. ``R`` is ``row_size``, or less for a short text; a window does not reach into the next row.

    Raises:
        ValueError: no word of the corpus is in the vocabulary, or the size is not positive.

    >>> {name: rows.tolist() for name, rows in text_rows([["a", "b"], ["a"]], {"a": 0, "b": 1}, 2).items()}
    {'token': [[0, 1], [0, 0]], 'sentence': [[0, 0], [1, -1]]}
    """
    check_positive_integer("row_size", row_size)
    parts = [np.array([vocabulary[w] for w in sentence if w in vocabulary], np.int32) for sentence in sentences]
    token = np.concatenate([np.empty(0, np.int32), *parts])
    if not len(token):
        raise ValueError(f"expected a corpus with words of the vocabulary, got {len(parts)} sentences without any")
    sentence = np.repeat(np.arange(len(parts), dtype=np.int32), list(map(len, parts)))
    size = min(row_size, len(token))
    padding = (0, -len(token) % size)
    rows = {"token": np.pad(token, padding), "sentence": np.pad(sentence, padding, constant_values=-1)}
    return {name: array.reshape(-1, size) for name, array in rows.items()}


def make_skip_gram_step(counts: ArrayLike, learning_rate: float | Schedule, sampling: Sampling = Sampling()) -> Step:
    """Make a step of skip-gram with negative sampling.

    Args:
        counts: occurrences of each word, ``[V]``.
        learning_rate: a number, or a function of the number of rows read, fractions included.
        sampling: how pairs are drawn.

    Returns:
        ``step(state, batch)`` for batches of `text_rows`. Its metric is ``"loss"``: the mean of
        `negative_sampling_loss` over the pairs of the first groups of the batch, before their update.

    Raises:
        ValueError: the counts are negative or all 0.

    >>> rows = text_rows([["time", "flies", "like", "time"]], {"time": 0, "flies": 1, "like": 2})
    >>> step = make_skip_gram_step([2, 1, 1], 0.025, Sampling(window=1, threshold=None))
    >>> state, metrics = jax.jit(step)(init_word2vec(jax.random.key(0), 3, 4), rows)
    >>> round(float(metrics["loss"]), 4)  # 6 ln 2, as long as the scores are 0
    4.1589
    """

    def update(tables: Tables, groups: _Groups, rate: ArrayLike) -> tuple[Tables, Array]:
        h = tables.words[groups.words]
        contexts, d_h, loss = _skip_gram(tables.contexts, h, groups, rate, sampling)
        return Tables(_add(tables.words, groups.words, d_h, sampling), contexts), loss

    return _make_step(update, counts, learning_rate, sampling)


def make_subword_step(
    subwords: Subwords, counts: ArrayLike, learning_rate: float | Schedule, sampling: Sampling = Sampling()
) -> Step:
    """Make a step of skip-gram in which a word is the mean of its subwords; otherwise as `make_skip_gram_step`.

    As in fastText every subword has the whole gradient of the mean, not its share of it.
    """
    rows, mask = jnp.asarray(subwords.rows), jnp.asarray(subwords.mask)

    def update(tables: Tables, groups: _Groups, rate: ArrayLike) -> tuple[Tables, Array]:
        own, weight = rows[groups.words], mask[groups.words][..., None]
        h = jnp.sum(tables.words[own] * weight, axis=2) / jnp.sum(weight, axis=2)
        contexts, d_h, loss = _skip_gram(tables.contexts, h, groups, rate, sampling)
        return Tables(_add(tables.words, own, d_h[:, :, None] * weight, sampling), contexts), loss

    return _make_step(update, counts, learning_rate, sampling)


def make_cbow_step(counts: ArrayLike, learning_rate: float | Schedule, sampling: Sampling = Sampling()) -> Step:
    """Make a step of CBOW with negative sampling; arguments, result and errors as for `make_skip_gram_step`.

    A context has its share ``1 / m`` of the gradient of the mean. word2vec and gensim forget this factor (Irsoy,
    Benton and Stratos, 2021), so that the learning rate here is larger, 0.075 for instance.
    """

    def update(tables: Tables, groups: _Groups, rate: ArrayLike) -> tuple[Tables, Array]:
        count = jnp.sum(groups.window, axis=2, keepdims=True)
        valid = count[..., 0] > 0
        share = groups.window / jnp.maximum(count, 1)
        h = jnp.einsum("gsc,gcd->gsd", share, tables.words[groups.contexts])
        others = jnp.concatenate([groups.words, groups.negatives], axis=1)
        c, n = jnp.split(tables.contexts[others], [groups.words.shape[1]], axis=1)
        right, wrong = jnp.sum(h * c, axis=2), jnp.einsum("gsd,gnd->gsn", h, n)
        weight = jnp.where(valid, sampling.negatives / sampling.shared, 0)[..., None]
        d_right = jnp.where(valid, rate * jax.nn.sigmoid(-right), 0)[..., None]
        d_wrong = -rate * weight * jax.nn.sigmoid(wrong)
        d_h = d_right * c + jnp.einsum("gsn,gnd->gsd", d_wrong, n)
        d_others = jnp.concatenate([d_right * h, jnp.einsum("gsn,gsd->gnd", d_wrong, h)], axis=1)
        words = _add(tables.words, groups.contexts, jnp.einsum("gsc,gsd->gcd", share, d_h), sampling)
        losses = jnp.where(valid, jax.nn.softplus(-right), 0) + jnp.sum(weight * jax.nn.softplus(wrong), axis=2)
        loss = jnp.sum(losses) / jnp.maximum(jnp.sum(valid), 1)
        return Tables(words, _add(tables.contexts, others, d_others, sampling)), loss

    return _make_step(update, counts, learning_rate, sampling)


def _skip_gram(
    table: Array, h: Array, groups: _Groups, rate: ArrayLike, sampling: Sampling
) -> tuple[Array, Array, Array]:
    """Update the contexts of hidden vectors ``[G, S, D]``; return them, the update of ``h``, and the mean loss."""
    others = jnp.concatenate([groups.contexts, groups.negatives], axis=1)
    c = table[others]
    scores = jnp.einsum("gsd,gcd->gsc", h, c)
    right, wrong = jnp.split(scores, [groups.window.shape[2]], axis=2)
    count = jnp.sum(groups.window, axis=2, keepdims=True)
    weight = count * (sampling.negatives / sampling.shared)
    error = jnp.concatenate([groups.window * jax.nn.sigmoid(-right), -weight * jax.nn.sigmoid(wrong)], axis=2) * rate
    d_h, d_c = jnp.einsum("gsc,gcd->gsd", error, c), jnp.einsum("gsc,gsd->gcd", error, h)
    loss = jnp.sum(groups.window * jax.nn.softplus(-right)) + jnp.sum(weight * jax.nn.softplus(wrong))
    return _add(table, others, d_c, sampling), d_h, loss / jnp.maximum(jnp.sum(count), 1)


def _add(table: Array, ids: Array, updates: Array, sampling: Sampling) -> Array:
    """Add updates ``[..., D]`` to the rows ``ids`` ``[...]`` of a table, those of repeated rows limited."""
    ids, updates = ids.reshape(-1), updates.reshape(-1, table.shape[1])
    if sampling.max_repeats is not None:
        repeats = jnp.zeros(len(table)).at[ids].add(1)[ids]
        updates = updates * jnp.minimum(1, sampling.max_repeats / repeats)[:, None]
    return table.at[ids].add(updates)


def _make_step(update: Update, counts: ArrayLike, learning_rate: float | Schedule, sampling: Sampling) -> Step:
    counts = np.asarray(counts, np.float64)
    noise = alias_table(np.asarray(noise_distribution(counts)))
    share = counts / counts.sum()
    discard = jnp.zeros(len(counts))
    if sampling.threshold is not None:
        discard = word2vec_discard_probability(np.where(share > 0, share, 1), sampling.threshold)
    schedule = learning_rate if callable(learning_rate) else lambda step: learning_rate

    def step(state: Word2VecState, batch: Batch) -> tuple[Word2VecState, dict[str, Array]]:
        keys = jax.random.split(jax.random.fold_in(state.key, state.step), 3)
        token, sentence = (jnp.reshape(batch[name], -1) for name in ("token", "sentence"))
        keep = (jax.random.uniform(keys[0], token.shape) >= discard[token]) & (sentence >= 0)
        pace = sampling.groups * GROUP_SIZE
        most = -(-len(token) // pace)
        turns = (jnp.sum(keep) + pace - 1) // pace
        text = _compact(token, sentence, keep, (most + 1) * pace, sampling.window)
        reach = jax.random.randint(keys[1], text[0].shape, 1, sampling.window + 1)
        negatives = draw_words(keys[2], noise, (most, sampling.groups, sampling.shared))

        def turn(t: Array, tables: Tables) -> Tables:
            groups = _groups(text, reach, negatives[t], t, turns, sampling.window)
            return update(tables, groups, schedule(state.step + t / turns))[0]

        _, loss = update(state.tables, _groups(text, reach, negatives[0], jnp.array(0), turns, sampling.window), 0.0)
        tables = jax.lax.fori_loop(0, turns, turn, state.tables)
        return Word2VecState(state.step + 1, tables, state.key), {"loss": loss}

    return step


def _compact(token: Array, sentence: Array, keep: Array, size: int, window: int) -> tuple[Array, Array]:
    """Move the kept words together, behind ``window`` words of padding and before more; their sentence is -1."""
    place = jnp.where(keep, jnp.cumsum(keep) - 1 + window, size + 2 * window)
    token = jnp.zeros(size + 2 * window, jnp.int32).at[place].set(token, mode="drop")
    sentence = jnp.full(size + 2 * window, -1).at[place].set(sentence, mode="drop")
    return token, sentence


def _groups(text: tuple[Array, Array], reach: Array, negatives: Array, t: Array, turns: Array, window: int) -> _Groups:
    """Gather the groups of a turn; group ``g`` is in the ``g``-th part of the text, which has ``turns`` groups."""
    offset = jnp.arange(GROUP_SIZE + 2 * window)
    place = ((jnp.arange(len(negatives)) * turns + t) * GROUP_SIZE)[:, None] + offset[None, :]
    inner = place[:, window : window + GROUP_SIZE]
    token, sentence = text[0][place], text[1][place]
    own = text[1][inner][:, :, None]
    distance = jnp.abs(offset[None, :] - offset[window : window + GROUP_SIZE, None])[None]
    is_context = (distance > 0) & (distance <= reach[inner][:, :, None]) & (own == sentence[:, None, :]) & (own >= 0)
    words = token[:, window : window + GROUP_SIZE]
    return _Groups(words, token, negatives, is_context.astype(jnp.float32))
