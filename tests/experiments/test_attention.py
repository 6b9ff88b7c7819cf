"""The data and the measures of the experiments with attention."""

import numpy as np

from experiments.attention import planted_words
from experiments.harness.applications import translations
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
    np.testing.assert_allclose(translations.word_accuracy(outputs, test), [1, 11 / 12])
