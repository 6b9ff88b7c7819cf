"""Texts of characters, with the baselines of n-grams and of compression."""

from typing import NamedTuple

import numpy as np

from experiments.harness.errors import preparing
from experiments.harness.sequences import ngrams
from experiments.harness.sequences.language import TextGeneration, read
from jaxdl.data.vocabulary import UNK, Vocabulary

ORDERS = {"unigram": 1, "bigram": 2, "trigram": 3, "five_gram": 5}


class Characters(NamedTuple):
    """The vocabulary, the training and the held-out tokens, and the bits per character of the baselines."""

    vocabulary: Vocabulary
    tokens: tuple[np.ndarray, np.ndarray]
    baselines: dict[str, float]


def read_characters(config: TextGeneration, min_count: int) -> Characters:
    """Read a text, encode its characters and measure the baselines; rarer ones than ``min_count`` are unknown."""
    parts = read(config)
    with preparing():
        vocabulary = Vocabulary.build(parts[0], min_count=min_count, special_tokens=(UNK,))
        tokens = vocabulary.encode(parts[0]), vocabulary.encode(parts[1])
        baselines = ngrams.bits_by_order(*tokens, ORDERS, len(vocabulary))
    return Characters(vocabulary, tokens, baselines | ngrams.compressed_bits(*parts))


def beside_baselines(result: dict[str, float], characters: Characters) -> dict[str, float]:
    """Add the baselines to the result of a model, and its gain over trigrams."""
    vocabulary, tokens, baselines = characters
    return {
        **result,
        **{f"{name}_bits": value for name, value in baselines.items()},
        "unknown_share": float(np.mean(tokens[1] == vocabulary.unk_id)),
        "gain_over_trigram": baselines["trigram"] - result["bits_per_character"],
    }
