"""The data and the measures of the experiments with attention."""

import numpy as np

from experiments.attention import attention_vs_context, planted_words
from jaxdl.data.sources import translation


def test_find_compares_the_largest_weights():
    test = {"place": np.array([[1, 2, 0], [0, 1, 3]]), "label": np.array([3, 1])}
    word, sentence = np.zeros((1, 2, 2, 4)), np.array([[[0.2, 0.8], [0.4, 0.6]]])
    word[0, 0, 1, 2] = word[0, 1, 0, 3] = 1.0
    found = planted_words.find({"predicted": np.array([[3, 3]]), "word": word, "sentence": sentence}, test)
    assert {name: share.tolist() for name, share in found.items()} == {
        "accuracy": [0.5],
        "sentence": [0.5],
        "key": [0.5],
        "key_or_cue": [1.0],
    }


def test_accuracy_ignores_positions_after_the_end():
    test = translation.two_rules(0, 3, (3, 3), max_length=5)
    outputs = np.stack([test["target"]] * 2)
    outputs[0, :, 4:] = 9
    outputs[1, 0, 0] = translation.EOS_ID
    np.testing.assert_allclose(attention_vs_context.accuracy(outputs, test), [1, 11 / 12])
    assert attention_vs_context.texts(np.array([[5, 4, 2, 0]])) == ["w5 w4"]


def test_training_and_test_sentences_are_disjoint():
    tested = {2: translation.two_rules(2, 2, (2, 2), num_words=2, max_length=4)}
    drawn = translation.two_rules(0, 60, (2, 4), num_words=2)
    learned = attention_vs_context.leave_out(tested, drawn, 40)
    known, kept = ({tuple(row) for row in part["source"].tolist()} for part in (tested[2], learned))
    assert known <= {tuple(row) for row in drawn["source"].tolist()}
    assert not known & kept
    assert {name: len(rows) for name, rows in learned.items()} == dict.fromkeys(drawn, 40)
    assert any(length == 2 for length in learned["source_length"])
