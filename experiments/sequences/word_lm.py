"""A recurrent network as a language model of words.

    python -m experiments run word_lm [--text FILE_OR_FOLDER]

The text is from Python's standard library by default, split into words, punctuation and line ends, the last tenth held
out. Infrequent words are one unknown word, for the network and for the baselines: the perplexity of interpolated
Kneser-Ney n-grams of one, two and three words on the same tokens. The output shares the weights of the embedding.
"""

from dataclasses import dataclass, field

import numpy as np

from experiments.harness.configuration import require
from experiments.harness.run_folder import Run
from experiments.harness.sequences import ngrams
from experiments.harness.sequences.language import LanguageModeling, curve, generate, learn, read, save_sample
from experiments.harness.supervised import Optimizer
from jaxdl.data.text import words
from jaxdl.data.vocabulary import UNK, Vocabulary

GOAL = {"gain_over_bigram": 0.1}
ORDERS = {"unigram": 1, "bigram": 2, "trigram": 3}


@dataclass(frozen=True)
class Config(LanguageModeling):
    """A language model of words."""

    SMOKE = {**LanguageModeling.SMOKE, "vocab_size": 50}
    FORMER = {**LanguageModeling.FORMER, "vocabulary": "vocab_size"}

    hidden_size: int = 128
    """Size of the state of a layer."""
    embedding_dim: int = 128
    """Size of the embeddings."""
    dropout_rate: float = 0.3
    """Share of units that dropout drops."""
    tied: bool = True
    """Whether output and embedding share their weights; both must then have the size of a layer."""
    streams: int = 16
    """Streams of the text that are read in parallel."""
    window: int = 35
    """Words of each stream per update, the length of truncated backpropagation."""
    epochs: float = 5.0
    """Passes over the text."""
    optimizer: Optimizer = field(default_factory=lambda: Optimizer("adam", learning_rate=4e-3, clip_norm=1.0))
    sample: int = 120
    """Words to generate."""
    vocab_size: int = 3000
    """Size of the vocabulary, the unknown word included."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.vocab_size >= 2, "vocab-size", ">= 2", self.vocab_size)


def run(config: Config, run: Run) -> dict[str, float]:
    """Train, compare with the baselines, generate."""
    parts = [words(part, newlines=True) for part in read(config)]
    vocabulary = Vocabulary.build(parts[0], max_size=config.vocab_size, special_tokens=(UNK,))
    tokens = vocabulary.encode(parts[0]), vocabulary.encode(parts[1])
    baselines = ngrams.bits_by_order(*tokens, ORDERS, len(vocabulary))
    model, state, result = learn(config, run, vocabulary, tokens, "word")
    run.figure("curve", curve(run, "word", baselines))
    prompt = tokens[1][:20]
    sample = vocabulary.decode(np.concatenate([prompt, generate(config, model, state.params, prompt)]))
    save_sample(run, " ".join(sample).replace(" \n ", "\n"))
    return {
        **result,
        **{f"{name}_perplexity": 2**value for name, value in baselines.items()},
        "unknown_share": float(np.mean(tokens[1] == vocabulary.unk_id)),
        "gain_over_bigram": baselines["bigram"] - result["bits_per_word"],
    }
