"""Translation of English into French: LSTMs with attention, or a transformer.

    python -m experiments run translation [--model transformer] [--data-dir FOLDER] [--table FILE]

Numbers below a million in English words become French ones: "ninety-one" is "quatre-vingt-onze", and "cents" has its s
only where the number ends. Words and hyphenated parts are the tokens. With a table, the pairs are those of a TSV file;
with a folder, the messages of one to eight words of the gettext catalogues in it (fr/LC_MESSAGES/*.mo, such as those of
the Debian package blender-data), 90 % of the words known. Scores by sacrebleu. Goals, for numbers: BLEU 97, 5 % of the
translations wrong.
"""

from dataclasses import dataclass
from pathlib import Path

from experiments.harness.applications.parallel_text import read_translations
from experiments.harness.applications.transduction import Transduction, split_pairs, transduce
from experiments.harness.applications.translations import bleu, chrf
from experiments.harness.run_folder import Run

GOAL = {"bleu": 97.0, "sentence_error": 0.05}


@dataclass(frozen=True)
class Config(Transduction):
    """English and French."""

    SMOKE = Transduction.SMOKE

    data_dir: Path | None = None
    """Folder with a gettext catalogue fr/LC_MESSAGES/*.mo; None for numbers."""
    table: Path | None = None
    """TSV file of sources and targets, in the place of a folder."""
    words: int = 8
    """Largest number of words of a message of a catalogue."""


def run(config: Config, run: Run) -> dict[str, float]:
    """Train, translate the test, draw which words each word attended to."""
    count = config.pairs + config.tested
    pairs = read_translations(config.seed, count, config.data_dir, config.table, longest=config.words)
    learned, test = split_pairs(pairs, config)
    result, outputs = transduce(config, run, learned, test, join=" ")
    own, true = [" ".join(each) for each in outputs], [" ".join(target) for _, target in test]
    result |= {"bleu": bleu(own, true, tokenize="none"), "chrf": chrf(own, true)}
    result["word_error"], result["sentence_error"] = result.pop("token_error"), result.pop("sequence_error")
    return {**result, "sentences": len(learned)}
