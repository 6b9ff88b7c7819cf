"""Scores of translations against values by hand."""

import importlib

import numpy as np
import pytest

from experiments.harness.applications import translations

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
    assert translations.rouge(["привет, мир"], ["Привет мир!"]) == 1
    np.testing.assert_allclose(translations.rouge(["今天天气好"], ["今天天气很好"]), 10 / 11)
    tokenizer = importlib.import_module("rouge_score.tokenizers").DefaultTokenizer(use_stemmer=False)
    for text in ("The cat's on_the mat, 3.5%!", "A-b  c"):
        assert translations.WordTokenizer().tokenize(text) == tokenizer.tokenize(text)


@pytest.mark.parametrize("score", [translations.bleu, translations.chrf, translations.rouge])
def test_texts_without_partners_are_refused(score):
    with pytest.raises(ValueError, match="got 1 hypotheses and 2 references"):
        score(["a b"], ["a b", "c"])
    with pytest.raises(ValueError, match="got 0 hypotheses and 0 references"):
        score([], [])
    with pytest.raises(TypeError, match="got one text"):
        score("a b", "a b")
