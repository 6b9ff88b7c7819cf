"""Scores of translations against values by hand."""

import numpy as np
import pytest

from experiments.harness import translations

RIGHT = ["the cat sat on the mat", "a dog ran"]
SAID = ["the cat sat on a mat", "a dog ran"]


def test_bleu_is_the_geometric_mean_of_ngram_precisions():
    pytest.importorskip("sacrebleu", reason="sacrebleu computes BLEU")
    shares = [8 / 9, 5 / 7, 3 / 5, 1 / 3]  # of 1, 2, 3 and 4 words, over both sentences
    np.testing.assert_allclose(translations.bleu(SAID, RIGHT, tokenize="none"), 100 * np.prod(shares) ** 0.25)
    assert translations.bleu(SAID, SAID) == pytest.approx(100)
    assert translations.chrf(SAID, SAID) == pytest.approx(100)
    assert translations.chrf(SAID, RIGHT) < 95


def test_rouge_l_is_the_f_score_of_the_longest_common_subsequence():
    pytest.importorskip("rouge_score", reason="rouge-score computes ROUGE")
    np.testing.assert_allclose(translations.rouge(SAID, RIGHT), (5 / 6 + 1) / 2)
    np.testing.assert_allclose(translations.rouge(SAID, RIGHT, kind="rouge2"), (3 / 5 + 1) / 2)
