"""A text as characters, what counting and compressing make of it, and a model's result beside them."""

from typing import NamedTuple

import numpy as np

from experiments.harness import ngrams
from experiments.harness.language import ReadingAndWriting, read
from experiments.harness.run_folder import Run
from jaxdl.data.vocabulary import UNK, Vocabulary

ORDERS = {"unigram": 1, "bigram": 2, "trigram": 3, "five_gram": 5}


class Characters(NamedTuple):
    """The vocabulary, the text to learn and the one held out as its numbers, and the bits per character of others."""

    vocabulary: Vocabulary
    tokens: tuple[np.ndarray, np.ndarray]
    baselines: dict[str, float]


def read_characters(config: ReadingAndWriting, run: Run, min_count: int) -> Characters:
    """Read a text, number the characters that are seen often enough, and measure the baselines."""
    parts = read(config, run)
    vocabulary = Vocabulary.build(parts[0], min_count=min_count, special_tokens=(UNK,))
    tokens = tuple(vocabulary.encode(part) for part in parts)
    baselines = ngrams.bits_by_order(*tokens, ORDERS, len(vocabulary))
    return Characters(vocabulary, tokens, baselines | ngrams.compressed_bits(*parts))


def beside_baselines(result: dict[str, float], characters: Characters) -> dict[str, float]:
    """Add to the result of a model those of the others, and by how much it is better than counts of three."""
    vocabulary, tokens, baselines = characters
    return {
        **result,
        **{f"{name}_bits": value for name, value in baselines.items()},
        "unknown_share": float(np.mean(tokens[1] == vocabulary.unk_id)),
        "gain_over_trigram": baselines["trigram"] - result["bits_per_character"],
    }
