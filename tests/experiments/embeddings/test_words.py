"""The corpus and the pairs of the experiments with word vectors, and the file that word2vec writes."""

import numpy as np
import pytest

from experiments.embeddings.hierarchical_softmax import alphabetical
from experiments.harness.command_line import main
from experiments.harness.embeddings.words import Corpus, OnText, draw_pairs, read_corpus


def test_sentences_end_with_punctuation_and_empty_lines(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("The cat's tail. The_Dog 2 x\nran!\n\nthe END")
    corpus = read_corpus(OnText(text=str(path), min_count=1))
    assert corpus.sentences == [["the", "cat's", "tail"], ["the", "dog", "x", "ran"], ["the", "end"]]
    assert (corpus.vocabulary["the"], corpus.counts[0]) == (0, 3)
    assert len(corpus.vocabulary) == len(corpus.counts) == 7


def test_pairs_are_all_within_the_window():
    corpus = Corpus([["a", "b", "x", "c"], ["c"]], {"a": 0, "b": 1, "c": 2}, np.ones(3))
    assert sorted(map(tuple, draw_pairs(corpus, 1).tolist())) == [(0, 1), (1, 0), (1, 2), (2, 1)]
    assert len(draw_pairs(corpus, 9)) == 6


def test_alphabetical_trees_have_the_words_in_order():
    words = ["pear", "apple", "fig", "kiwi", "date"]
    tree = alphabetical(words)
    order = sorted(range(5), key=lambda word: tuple(tree.codes[word]))
    assert [words[i] for i in order] == sorted(words)


def test_gensim_loads_the_vectors_of_a_text(tmp_path, capsys):
    models = pytest.importorskip("gensim.models", reason="parity with gensim")
    text, judged = tmp_path / "text.txt", tmp_path / "judged.tsv"
    text.write_text("alpha beta gamma delta. beta gamma omega\n\n" * 30, encoding="utf-8")
    judged.write_text("alpha\tbeta\t1\nbeta\tgamma\t2\nbeta\tunknown\t3\nomega\tdelta\t2.5\n")
    out = tmp_path / "run"
    given = ["--text", str(text), "--out", str(out), "--size", "4", "--epochs", "2", "--row-size", "64", "--shown", "5"]
    assert main(["run", "word2vec", *given, "--pairs", str(judged)]) == 0
    assert "coverage_judged" in capsys.readouterr().out
    vectors = models.KeyedVectors.load_word2vec_format(out / "vectors.txt")
    assert sorted(vectors.index_to_key) == ["alpha", "beta", "delta", "gamma", "omega"]
    assert vectors.vectors.shape == (5, 4)
    assert len((out / "neighbours.txt").read_text().splitlines()) == 5
