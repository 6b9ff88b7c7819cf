"""Pickles: arrays in every protocol, and incomplete descriptions of arrays."""

import pickle

import numpy as np
import pytest

from jaxdl.data.files import pickles

RECONSTRUCT = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85U\x01bt"


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_are_read_in_every_protocol(protocol):
    content = {"a": np.arange(250, 256, dtype=np.uint8), "b": [np.asfortranarray(np.float64([[1, 2], [3, 4]]))]}
    loaded = pickles.loads(pickle.dumps(content, protocol))
    np.testing.assert_array_equal(loaded["a"].array({"u1"}), content["a"], strict=True)
    np.testing.assert_array_equal(loaded["b"][0].array({"f8"}), content["b"][0], strict=True)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (b"", "got an incomplete one"),
        (b"(K\x01K\x02\x85NI00\nU\x02abtb", "got an incomplete one"),  # type None
        (b"(K\x01U\x01xcnumpy\ndtype\n(U\x02u1tRI00\nU\x01atb", "got an incomplete one"),  # shape 'x'
        (b"(K\x01K\x01\x85cnumpy\ndtype\n(U\x02u1tRI00\nC\x01atb", "type u1, got"),  # no byte order
        (b"(K\x01K\x01\x85cnumpy\ndtype\n(]tR(K\x03]tbI00\nC\x01atb", r"got '\[\]'"),  # lists as type and byte order
    ],
)
def test_an_incomplete_or_wrong_array_is_an_error(state, message):
    spec = pickles.loads(b"\x80\x03" + RECONSTRUCT + b"R" + state + b".")
    with pytest.raises(ValueError, match=message):
        spec.array({"u1"})
