"""Names in other scripts, letter by letter.

    python -m experiments run transliteration [--language ru]

Romanized Japanese words become katakana: digraphs, doubled consonants, the sign for n and the bar of long vowels have
rules that look at the neighbours. With a language, the English names of territories, languages, scripts and currencies
become those of the locale (Babel has hundreds), most of them transliterated and some translated. LSTMs with Luong's
attention, beam search; the scores of generated names are chrF and the share of exact ones. Goals, for katakana: 1 % of
signs and 5 % of words wrong.
"""

from dataclasses import dataclass

from experiments.harness.applications.spellings import katakana_words, locale_names
from experiments.harness.applications.transduction import Transduction, split_pairs, transduce
from experiments.harness.applications.translations import chrf
from experiments.harness.run_folder import Run

GOAL = {"sign_error": 0.01, "word_error": 0.05}


@dataclass(frozen=True)
class Config(Transduction):
    """Names in two scripts."""

    SMOKE = Transduction.SMOKE

    language: str | None = None
    """Locale of Babel, such as ru, el, hi or ja; None for romanized words in katakana."""


def run(config: Config, run: Run) -> dict[str, float]:
    """Train, transliterate the test, draw which letters each sign attended to."""
    if config.language is None:
        pairs = katakana_words(config.seed, config.pairs + config.tested)
    else:
        pairs = locale_names(config.language)
    learned, test = split_pairs(pairs, config)
    result, outputs = transduce(config, run, learned, test)
    result["chrf"] = chrf(["".join(own) for own in outputs], ["".join(true) for _, true in test])
    result["sign_error"], result["word_error"] = result.pop("token_error"), result.pop("sequence_error")
    return {**result, "names": len(learned)}
