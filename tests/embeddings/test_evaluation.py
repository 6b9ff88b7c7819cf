"""Evaluation of word vectors on the published files, against gensim with the same vectors."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import embeddings
from jaxdl.embeddings import Vectors


def lines_of(path):
    return Path(path).read_text().splitlines()


def some_questions(datapath):
    lines = lines_of(datapath("questions-words.txt"))
    return [line for number, line in enumerate(lines) if line.startswith(":") or number % 40 == 0]


@pytest.fixture(scope="module")
def both():
    """Vectors of most words of the published files, some in upper case, with structure; ours and gensim's."""
    keyed = pytest.importorskip("gensim.models.keyedvectors", reason="parity with gensim")
    datapath = pytest.importorskip("gensim.test.utils", reason="word pairs of gensim").datapath
    rng = np.random.default_rng(0)
    fields = [line.split() for line in some_questions(datapath) if not line.startswith(":")]
    pairs = [line.split("\t")[:2] for name in ("wordsim353.tsv", "simlex999.txt") for line in lines_of(datapath(name))]
    words = [*dict.fromkeys(word for row in fields + pairs for word in row if len(word) != 7 and " " not in word)]
    words += [word.upper() for word in words[:50] if word.upper() not in words]
    known = {word: rng.normal(size=16) for word in words}
    moved = set()
    for a, b, c, answer in fields:  # some analogies are nearly true
        if {a, b, c, answer} <= known.keys() and not moved & {a, b, c, answer}:
            known[answer] = known[b] - known[a] + known[c] + 0.3 * rng.normal(size=16)
            moved |= {a, b, c, answer}
    vectors = np.array(list(known.values()), np.float32)
    theirs = keyed.KeyedVectors(16)
    theirs.add_vectors(words, vectors)
    return Vectors(words, vectors), theirs, datapath


@pytest.mark.parametrize("name", ["wordsim353.tsv", "simlex999.txt"])
@pytest.mark.parametrize("ignore_case", [True, False])
def test_pairs_agree_with_gensim(both, name, ignore_case):
    ours, theirs, datapath = both
    _, spearman, unknown = theirs.evaluate_word_pairs(datapath(name), case_insensitive=ignore_case)
    score, coverage = embeddings.evaluate_pairs(ours, datapath(name), ignore_case=ignore_case)
    assert score == pytest.approx(spearman.statistic, abs=1e-6)
    assert coverage == pytest.approx(1 - unknown / 100)
    assert 0 < coverage < 1


@pytest.mark.filterwarnings("ignore:.*init_sims:DeprecationWarning")
@pytest.mark.parametrize("score", [embeddings.cos_add, embeddings.cos_mul])
def test_analogies_agree_with_gensim(both, score, tmp_path):
    ours, theirs, datapath = both
    path = tmp_path / "questions.txt"
    path.write_text("\n".join(some_questions(datapath)))
    chosen = theirs.most_similar
    if score is embeddings.cos_mul:
        theirs.most_similar = lambda positive, negative, topn, restrict_vocab: theirs.most_similar_cosmul(
            positive, negative, topn=topn
        )
    try:
        total, expected = theirs.evaluate_word_analogies(str(path))
    finally:
        theirs.most_similar = chosen
    accuracy = embeddings.evaluate_analogies(ours, path, score=score)
    coverage = embeddings.analogy_coverage(ours, path)
    assert 0.05 < accuracy["total"] < 0.95
    assert accuracy["total"] == pytest.approx(total)
    for section in expected[:-1]:
        count = len(section["correct"]) + len(section["incorrect"])
        assert (coverage[section["section"]] == 0) == (count == 0)
        share = len(section["correct"]) / count if count else np.nan
        np.testing.assert_allclose(accuracy[section["section"]], share)


def test_the_words_of_a_question_are_excluded(tmp_path):
    vectors = Vectors(["man", "woman", "king", "Queen", "x"], np.array([[1, 0], [1, 0.1], [0, 1], [0.2, 1], [-1, -1]]))
    path = tmp_path / "questions"
    path.write_text(": royal\nman woman king queen\nman woman king unknown\n: none\na b c d\n")
    assert embeddings.evaluate_analogies(vectors, path) == {
        "royal": 1.0,
        "none": pytest.approx(np.nan, nan_ok=True),
        "total": 1.0,
    }
    assert embeddings.analogy_coverage(vectors, path) == {"royal": 0.5, "none": 0.0, "total": pytest.approx(1 / 3)}
    assert embeddings.evaluate_analogies(vectors, path, ignore_case=False)["total"] != 1.0


def test_constant_scores_have_no_correlation_and_bad_files_are_errors(tmp_path):
    vectors = Vectors(["a", "b", "c"], np.ones((3, 2)))
    path = tmp_path / "pairs"
    path.write_text("a\tb\t1\nb\tc\t2\n")
    assert np.isnan(embeddings.evaluate_pairs(vectors, path).spearman)
    path.write_text("a b 1\n# a\tb\t1\n")
    with pytest.raises(ValueError, match="got none"):
        embeddings.evaluate_pairs(vectors, path)
    path.write_text("a b 1\n")
    with pytest.raises(ValueError, match="got none"):
        embeddings.evaluate_analogies(vectors, path)
    path.write_text("a b c d\n")
    with pytest.raises(ValueError, match="line 1"):
        embeddings.evaluate_analogies(vectors, path)


def test_synonyms_are_chosen_among_known_words():
    vectors = Vectors(["big", "large", "red"], np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]]))
    questions = [("big", ["red", "large"], "large"), ("big", ["red", "large"], "red"), ("big", ["huge", "red"], "huge")]
    assert embeddings.evaluate_synonyms(vectors, questions) == (0.5, pytest.approx(2 / 3))
    assert embeddings.choose_synonym(vectors, "big", ["huge"]) is None


def test_a_vector_of_nan_is_no_answer(tmp_path):
    words = ["big", "broken", "large", "red", "huge"]
    vectors = Vectors(words, np.array([[1.0, 0], [np.nan, 0], [0.9, 0.1], [0, 1], [1, 0.2]]))
    for choices in (["broken", "red", "large"], ["red", "large", "broken"]):
        assert embeddings.choose_synonym(vectors, "big", choices) == "large"
    assert embeddings.choose_synonym(vectors, "big", ["broken"]) is None
    (tmp_path / "questions.txt").write_text(": some\nbig large big huge\nred large red broken\n")
    found = embeddings.evaluate_analogies(vectors, tmp_path / "questions.txt")
    assert found["total"] == 0.5


def test_distances_of_zero_vectors_have_a_gradient():
    zero, one = jnp.zeros(2), jnp.ones(2)
    assert jax.grad(embeddings.cosine_similarity)(zero, one).tolist() == [0, 0]
    assert jax.grad(embeddings.euclidean_distance)(one, one).tolist() == [0, 0]
    found, expected = jax.grad(embeddings.euclidean_distance)(3 * one, zero), np.full(2, 0.5**0.5)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
