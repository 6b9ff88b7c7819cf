"""A recurrent network as a language model of characters.

    python -m experiments run char_rnn [--text FILE_OR_FOLDER] [--cell gru] [--top-k 5]

The text is a million characters of Python's standard library by default, the last tenth of them held out. The bits per
character are compared with interpolated Kneser-Ney n-grams of one to five characters and with compressors, all on the
same held-out characters; the compressors, which have no vocabulary, also encode the rare characters that are unknown to
the others. In training, 2 of 100 windows start from the zero state, so that the network learns to start.
"""

from dataclasses import dataclass

import numpy as np

from experiments.harness.run_folder import Run
from experiments.harness.sequences.characters import beside_baselines, read_characters
from experiments.harness.sequences.language import LanguageModeling, curve, generate, learn, save_sample

GOAL = {"gain_over_trigram": 0.3}


@dataclass(frozen=True)
class Config(LanguageModeling):
    """A character model."""

    prompt: str = "\n    def "
    """Prompt of the sample."""
    min_count: int = 5
    """Occurrences below which a character is unknown."""


def run(config: Config, run: Run) -> dict[str, float]:
    """Train, compare with the baselines, generate."""
    characters = read_characters(config, config.min_count)
    vocabulary, tokens, baselines = characters
    model, state, result = learn(config, run, vocabulary, tokens, "character")
    run.figure("curve", curve(run, "character", baselines))
    prompt = vocabulary.encode(config.prompt or "\n")
    sample = vocabulary.decode(np.concatenate([prompt, generate(config, model, state.params, prompt)]))
    save_sample(run, "".join(sample))
    return beside_baselines(result, characters)
