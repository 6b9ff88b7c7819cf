"""Scores of translations, by the reference implementations."""

from collections.abc import Sequence


def bleu(hypotheses: Sequence[str], references: Sequence[str], *, tokenize: str = "13a") -> float:
    """Return the BLEU of a corpus, 0 to 100 (Papineni et al., 2002), as sacrebleu computes it (Post, 2018).

    ``tokenize`` is sacrebleu's: "13a" for text, "none" for words between spaces, "char" for characters.

    >>> bleu(["the cat sat on the mat"], ["the cat sat on the mat"])
    100.0...
    """
    import sacrebleu

    return float(sacrebleu.corpus_bleu(list(hypotheses), [list(references)], tokenize=tokenize, force=True).score)


def chrf(hypotheses: Sequence[str], references: Sequence[str]) -> float:
    """Return the character F-score of a corpus, 0 to 100 (Popovic, 2015), as sacrebleu computes it.

    >>> chrf(["2021-03-03"], ["2021-03-03"])
    100.0
    """
    import sacrebleu

    return float(sacrebleu.corpus_chrf(list(hypotheses), [list(references)]).score)


def rouge(hypotheses: Sequence[str], references: Sequence[str], *, kind: str = "rougeL") -> float:
    """Return the mean F-score of ROUGE, 0 to 1 (Lin, 2004), as rouge-score computes it; "rouge1", "rouge2", "rougeL".

    >>> rouge(["a cat sat"], ["a cat sat"])
    1.0
    """
    from rouge_score import rouge_scorer

    scorer = rouge_scorer.RougeScorer([kind])
    scores = [scorer.score(true, own)[kind].fmeasure for own, true in zip(hypotheses, references, strict=True)]
    return float(sum(scores) / len(scores))
