"""Translation of tests, and the scores of translations by the reference implementations."""

import re
import unicodedata
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl import decode
from jaxdl.data.text import combining_marks
from jaxdl.data.vocabulary import Vocabulary
from jaxdl.models import EncoderDecoder, step_function
from jaxdl.typing import PyTree

UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
"""Letters of scripts without spaces: Thai, Lao, Burmese, Khmer, Japanese, Chinese."""


class WordTokenizer:
    """A tokenizer of rouge-score for every script, equal to its own on English.

    Words are sequences of letters and digits with their combining marks, in lower case. In scripts without spaces every
    letter is a word.
    """

    def __init__(self) -> None:
        marks = combining_marks()
        self._word = re.compile(
            rf"[{UNSPACED}][{marks}]*|(?:(?![{UNSPACED}])[^\W_])(?:(?![{UNSPACED}])[^\W_]|[{marks}])*"
        )

    def tokenize(self, text: str) -> list[str]:
        """Return the words of a text.

        >>> WordTokenizer().tokenize("Don't say «привет»")
        ['don', 't', 'say', 'привет']
        """
        return self._word.findall(unicodedata.normalize("NFC", text).lower())


def bleu(hypotheses: Sequence[str], references: Sequence[str], *, tokenize: str = "13a") -> float:
    """Return the BLEU of a corpus, 0 to 100 (Papineni et al., 2002), as sacrebleu computes it (Post, 2018).

    ``tokenize`` is sacrebleu's: "13a" for text, "none" for words between spaces, "char" for characters.

    >>> bleu(["the cat sat on the mat"], ["the cat sat on the mat"])
    100.0...
    """
    import sacrebleu

    _check_pairs(hypotheses, references)
    return float(sacrebleu.corpus_bleu(list(hypotheses), [list(references)], tokenize=tokenize, force=True).score)


def chrf(hypotheses: Sequence[str], references: Sequence[str]) -> float:
    """Return the character F-score of a corpus, 0 to 100 (Popovic, 2015), as sacrebleu computes it.

    >>> chrf(["2021-03-03"], ["2021-03-03"])
    100.0
    """
    import sacrebleu

    _check_pairs(hypotheses, references)
    return float(sacrebleu.corpus_chrf(list(hypotheses), [list(references)]).score)


def rouge(hypotheses: Sequence[str], references: Sequence[str], *, kind: str = "rougeL") -> float:
    """Return the mean F-score of ROUGE, 0 to 1 (Lin, 2004), as rouge-score computes it; "rouge1", "rouge2", "rougeL".

    The words are those of `WordTokenizer`: rouge-score's own drops all letters but those of English.

    >>> rouge(["a cat sat"], ["a cat sat"])
    1.0
    """
    from rouge_score import rouge_scorer

    _check_pairs(hypotheses, references)
    scorer = rouge_scorer.RougeScorer([kind], tokenizer=WordTokenizer())
    scores = [scorer.score(true, own)[kind].fmeasure for own, true in zip(hypotheses, references, strict=True)]
    return float(sum(scores) / len(scores))


def exact_share(hypotheses: Sequence[object], references: Sequence[object]) -> float:
    """Return the share of hypotheses that are equal to their references.

    >>> exact_share(["a cat", "a dog"], ["a cat", "the dog"])
    0.5
    """
    return float(np.mean([own == true for own, true in zip(hypotheses, references, strict=True)]))


def translate(
    model: EncoderDecoder, variables: PyTree, test: dict[str, np.ndarray], vocabulary: Vocabulary, *, beams: int
) -> dict[str, dict[str, Any]]:
    """Translate greedily and by beam search; return the ``text`` and the ``log_probability`` of both, by method."""
    options = {
        "max_length": test["target"].shape[1] + 4,
        "eos_id": vocabulary.eos_id,
        "pad_id": vocabulary.pad_id,
    }

    @jax.jit
    def both(source: jax.Array, lengths: jax.Array) -> dict[str, tuple[jax.Array, jax.Array]]:
        carry, step = model.apply(variables, source, lengths, method="init_carry"), step_function(model, variables)
        first = jnp.full(len(source), vocabulary.bos_id)
        found = decode.greedy(step, carry, first, **options)
        best = decode.beam_search(step, carry, first, num_beams=beams, length_penalty=0.0, **options)
        return {
            "greedy": (found.tokens, found.log_probability),
            "beam": (best.tokens[:, 0], best.log_probability[:, 0]),
        }

    found = jax.device_get(both(test["source"], test["source_length"]))
    return {
        method: {
            "text": ["".join(vocabulary.decode(row, skip_special_tokens=True)) for row in tokens],
            "log_probability": log_p,
        }
        for method, (tokens, log_p) in found.items()
    }


def word_accuracy(outputs: np.ndarray, test: dict[str, np.ndarray]) -> np.ndarray:
    """Return the share of correct words, the end included, for every run of outputs ``[runs, N, T]``."""
    mask = np.arange(outputs.shape[-1]) < test["target_length"][:, None]
    return np.array([np.mean((row == test["target"])[mask]) for row in outputs])


def _check_pairs(hypotheses: Sequence[str], references: Sequence[str]) -> None:
    if isinstance(hypotheses, str) or isinstance(references, str):
        raise TypeError("expected sequences of texts, got one text; give [text]")
    if len(hypotheses) != len(references) or not len(hypotheses):
        raise ValueError(
            f"expected a reference for each hypothesis, at least one, got {len(hypotheses)} hypotheses and "
            f"{len(references)} references"
        )
