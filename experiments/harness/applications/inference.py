"""Pairs of sentences, of which one may entail or contradict the other, with known semantics."""

import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from flax import linen

from experiments.harness.errors import UsageError, preparing
from jaxdl import data
from jaxdl.data.files.opening import read_plain_text
from jaxdl.data.vocabulary import Vocabulary
from jaxdl.models import DecomposableAttention, Encoder
from jaxdl.nn.recurrent.cells import LSTM
from jaxdl.typing import Array, ArrayLike

LABELS = ("entailment", "neutral", "contradiction")
NOUNS = {
    "poodle": {"poodle"},
    "beagle": {"beagle"},
    "siamese": {"siamese"},
    "dog": {"poodle", "beagle"},
    "cat": {"siamese", "persian"},
    "animal": {"poodle", "beagle", "siamese", "persian"},
}
"""The kinds of things that are in the extension of a noun."""
ADJECTIVES = {"": {"old", "young"}, "old": {"old"}, "young": {"young"}}
VERBS = {"runs": {"runs"}, "moves": {"runs", "walks"}, "rests": {"sits", "sleeps"}, "sleeps": {"sleeps"}}
QUANTIFIERS = ("every", "some", "no")

Sentence = tuple[str, str, str, str]
"""Quantifier, adjective or "", noun and verb."""
Kinds = frozenset[tuple[str, ...]]


def subject(sentence: Sentence) -> Kinds:
    """Return the kinds of things (noun, age, action) of which a sentence speaks."""
    _, adjective, noun, _ = sentence
    return frozenset(itertools.product(NOUNS[noun], ADJECTIVES[adjective], set().union(*VERBS.values())))


def conditions(sentence: Sentence, holds: bool) -> tuple[list[Kinds], Kinds]:
    """Return sets of which each must have a thing, and a set without any, where a sentence ``holds`` or does not."""
    quantifier, _, _, verb = sentence
    kinds = subject(sentence)
    acting = frozenset(kind for kind in kinds if kind[2] in VERBS[verb])
    others = kinds - acting
    none: Kinds = frozenset()
    if quantifier == "every":
        return ([], others) if holds else ([others], none)
    return ([acting], none) if (quantifier == "some") == holds else ([], acting)


def is_possible(*facts: tuple[Sentence, bool]) -> bool:
    """Decide whether sentences can hold, or not, in one world in which all that they speak of exists.

    A world is a set of kinds of things. Each set that must have a thing needs one outside of those without any.

    >>> is_possible((("every", "", "dog", "runs"), True), (("no", "", "poodle", "moves"), True))
    False
    """
    required, forbidden = [subject(sentence) for sentence, _ in facts], frozenset()
    for sentence, holds in facts:
        needed, none = conditions(sentence, holds)
        required, forbidden = required + needed, forbidden | none
    return all(kinds - forbidden for kinds in required)


def relation(premise: Sentence, hypothesis: Sentence) -> str:
    """Return the label of a pair.

    >>> relation(("every", "", "dog", "runs"), ("some", "old", "poodle", "moves"))
    'entailment'
    """
    if not is_possible((premise, True), (hypothesis, False)):
        return "entailment"
    return "neutral" if is_possible((premise, True), (hypothesis, True)) else "contradiction"


def draw_pairs(seed: int, count: int) -> list[tuple[str, str, str]]:
    """Draw different pairs of sentences with their label, the labels equally frequent."""
    generator = np.random.default_rng(seed)
    sentences = list(itertools.product(QUANTIFIERS, ADJECTIVES, NOUNS, VERBS))
    order = generator.permutation(len(sentences) ** 2)
    wanted = dict.fromkeys(LABELS, -(-count // 3))
    pairs = []
    for number in order:
        premise, hypothesis = (sentences[n] for n in divmod(int(number), len(sentences)))
        label = relation(premise, hypothesis)
        if wanted[label] and premise != hypothesis:
            wanted[label] -= 1
            pairs.append((write(premise), write(hypothesis), label))
        if len(pairs) >= count:
            break
    return pairs


def write(sentence: Iterable[str]) -> str:
    """Write a sentence.

    >>> write(("no", "", "cat", "sleeps"))
    'no cat sleeps'
    """
    return " ".join(word for word in sentence if word)


def read_pairs(path: Path) -> list[tuple[str, str, str]]:
    """Read premise, hypothesis and label from a TSV file of three columns.

    Raises:
        UsageError: a row has another number of columns.
    """
    with preparing():
        rows = [line.split("\t") for line in read_plain_text(path).split("\n") if line.strip()]
    for number, row in enumerate(rows, 1):
        if len(row) != 3:
            raise UsageError(f"{path}: expected 3 columns in row {number}, got {len(row)}")
    return [(a.strip().lower(), b.strip().lower(), label.strip()) for a, b, label in rows]


class EncoderPair(linen.Module):
    """A classifier of pairs: one encoder reads both, and a layer the vectors, their difference and their product.

    The tokens of both are in one row, told apart by the segment (Conneau et al., 2017).
    """

    vocab_size: int
    num_classes: int
    hidden_size: int = 64

    @linen.compact
    def __call__(self, x: Array, lengths: ArrayLike, segment: Array, train: bool = False) -> Array:
        """Compute the logits of tokens ``[B, T]`` whose segments ``[B, T]`` are 0 and then 1."""
        del train
        (first, second), counts = split_pair(x, jnp.asarray(lengths), segment)
        encoder = Encoder(self.vocab_size, self.hidden_size, LSTM(self.hidden_size), name="encoder")
        a, b = encoder(first, counts[0]).summary, encoder(second, counts[1]).summary
        both = jnp.concatenate([a, b, jnp.abs(a - b), a * b], axis=-1)
        hidden = linen.relu(linen.Dense(self.hidden_size, name="hidden")(both))
        return linen.Dense(self.num_classes, name="output")(hidden)


class DecomposablePair(linen.Module):
    """`DecomposableAttention` between the sentences of a row (Parikh et al., 2016)."""

    vocab_size: int
    num_classes: int
    hidden_size: int = 64

    @linen.compact
    def __call__(self, x: Array, lengths: ArrayLike, segment: Array, train: bool = False) -> Array:
        """Compute the logits of tokens ``[B, T]`` whose segments ``[B, T]`` are 0 and then 1."""
        sentences, counts = split_pair(x, jnp.asarray(lengths), segment)
        network = DecomposableAttention(
            self.vocab_size, self.num_classes, self.hidden_size, self.hidden_size, dropout_rate=0.1, name="network"
        )
        return network(*sentences, *counts, train=train)


def split_pair(x: Array, lengths: Array, segment: Array) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """Split rows ``[B, T]`` of two sentences, told apart by the segment, into both and their lengths.

    >>> rows, lengths = split_pair(jnp.array([[5, 6, 7, 0]]), jnp.array([3]), jnp.array([[0, 1, 1, 1]]))
    >>> rows[1][:, :2].tolist(), [each.tolist() for each in lengths]
    ([[6, 7]], [[1], [2]])
    """
    places = jnp.arange(x.shape[1])[None]
    first = jnp.sum((places < lengths[:, None]) & (segment == 0), axis=1)
    second = jnp.take_along_axis(x, (places + first[:, None]) % x.shape[1], axis=1)
    return (x, second), (first, lengths - first)


def encode_pairs(
    pairs: Sequence[tuple[str, str, str]], vocabulary: Vocabulary, labels: Sequence[str], separator: str, longest: int
) -> dict[str, np.ndarray]:
    """Encode pairs in rows ``premise separator hypothesis``, with their segments, lengths and labels."""
    rows = [vocabulary.encode([*a.split(), separator, *b.split()]) for a, b, _ in pairs]
    token, length = data.pad(rows, longest)
    counts = np.array([len(a.split()) + 1 for a, _, _ in pairs])
    segment = (np.arange(longest) >= counts[:, None]).astype(np.int32)
    label = np.array([labels.index(label) for _, _, label in pairs], np.int32)
    return {"token": token, "length": length, "segment": segment, "label": label}
