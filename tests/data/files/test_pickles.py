"""Pickles: arrays of every protocol as NumPy reads them, and notes that are no array refused."""

import pickle

import numpy as np
import pytest

from jaxdl.data.files import pickles

RECONSTRUCT = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85U\x01bt"


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_are_read_in_every_protocol(protocol):
    content = {"a": np.arange(250, 256, dtype=np.uint8), "b": [np.asfortranarray(np.float64([[1, 2], [3, 4]]))]}
    holds = pickles.loads(pickle.dumps(content, protocol))
    np.testing.assert_array_equal(holds["a"].array({"u1"}), content["a"], strict=True)
    np.testing.assert_array_equal(holds["b"][0].array({"f8"}), content["b"][0], strict=True)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (b"", "without its shape, its type or its bytes"),
        (b"(K\x01K\x02\x85NI00\nU\x02abtb", "without its shape, its type or its bytes"),  # None for a type
        (b"(K\x01U\x01xcnumpy\ndtype\n(U\x02u1tRI00\nU\x01atb", "without its shape"),  # 'x' for a shape
        (b"(K\x01K\x01\x85cnumpy\ndtype\n(U\x02u1tRI00\nC\x01atb", "expected numbers of type u1"),  # no order
        (b"(K\x01K\x01\x85cnumpy\ndtype\n(]tR(K\x03]tbI00\nC\x01atb", r"got '\[\]'"),  # lists for type and order
    ],
)
def test_notes_that_make_no_array_are_refused(state, message):
    notes = pickles.loads(b"\x80\x03" + RECONSTRUCT + b"R" + state + b".")
    with pytest.raises(ValueError, match=message):
        notes.array({"u1"})
