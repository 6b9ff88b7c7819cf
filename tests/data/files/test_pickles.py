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
        (b"(K\x01K\x01\x85cnumpy\ndtype\n(]tR(K\x03]tbI00\nC\x01atb", "got 'list'"),  # lists as type and byte order
    ],
)
def test_an_incomplete_or_wrong_array_is_an_error(state, message):
    spec = pickles.loads(b"\x80\x03" + RECONSTRUCT + b"R" + state + b".")
    with pytest.raises(ValueError, match=message):
        spec.array({"u1"})


def test_a_small_pickle_that_describes_endless_objects_is_refused():
    def check(content, message):
        with pytest.raises(pickle.UnpicklingError, match=message):
            pickles.loads(content)

    shared, nested, within = {}, [], []
    for _ in range(60):
        shared, nested = {"a": shared, "b": shared}, [nested]
    within.append(within)
    check(pickle.dumps(shared), "expected at most .* objects")
    check(pickle.dumps([[[[[nested]]]]]), "64 deep")
    check(pickle.dumps(within), "an object within itself")
    check(pickle.dumps({1: 2}), "a key that is no text but a number")
    doubled = b")" + b"".join(b"q%ch%c\x86" % (i, i) for i in range(60))  # a pair of a pair of a pair ...
    check(b"\x80\x02}" + doubled + b"K\x01s.", "expected at most .* objects")
    check(b"\x80\x02cnumpy\ndtype\n" + doubled + b"K\x00K\x01\x87R.", "expected at most .* objects")
    text = b"X" + (50_000).to_bytes(4, "little") + b"x" * 50_000
    encode = b"\x80\x02(c_codecs\nencode\nq\x00" + text + b"q\x010X\x06\x00\x00\x00latin1q\x020"
    check(encode + b"h\x00h\x01h\x02\x86R" * 20_000 + b"l.", "bytes of texts")
    array = np.zeros(1 << 20)
    check(pickle.dumps({str(i): array for i in range(99)}), "expected at most")
    assert len(pickles.loads(pickle.dumps({"a": array, "b": array}))) == 2
