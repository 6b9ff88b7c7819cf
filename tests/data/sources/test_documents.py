"""The planted words of documents."""

import numpy as np
import pytest

from jaxdl.data.sources import documents


@pytest.mark.parametrize("cued", [False, True])
def test_only_the_planted_sentence_has_key_and_cue_of_the_class(cued):
    drawn = documents.planted_documents(0, 200, cued=cued)
    decoys = 0
    for token, length, label, (planted, key, cue) in zip(*drawn.values(), strict=True):
        for i, words in enumerate(length):
            sentence = token[i, :words]
            kinds = (sentence - documents.FIRST_KEY) // documents.KEYS_PER_CLASS
            is_key = (sentence >= documents.FIRST_KEY) & (sentence < documents.CUE)
            has_cue = (sentence == documents.CUE).any()
            assert not token[i, words:].any()
            if i == planted:
                assert np.flatnonzero(is_key).tolist() == [key]
                assert kinds[key] == label
                assert np.flatnonzero(sentence == documents.CUE).tolist() == ([cue] if cued else [])
            else:
                assert not (is_key.any() and has_cue)
                assert label not in kinds[is_key]
                decoys += is_key.sum() + has_cue
    assert (decoys > 0) == cued
