"""CIFAR-10: both formats give the same arrays, and malicious or damaged pickles are rejected."""

import datetime
import io
import os
import pickle
import struct
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxdl.data.files import cifar
from tests.data.writers import cifar_batch, python2_pickle, write_cifar

IMAGE = np.arange(2 * 3072).astype(np.uint8).reshape(2, 3072)
VALID = cifar_batch(IMAGE, [3, 9])


def written(folder, content):
    path = folder / "data_batch_1"
    path.write_bytes(content)
    return path


def test_both_formats_give_the_same_arrays(tmp_path):
    images, labels = write_cifar(tmp_path / "py", count=3)
    write_cifar(tmp_path / "bin", count=3, binary=True)
    for number in range(5):
        part = slice(3 * number, 3 * number + 3)
        for image, label in (
            cifar.read_pickle(tmp_path / "py" / f"data_batch_{number + 1}"),
            cifar.read_binary(tmp_path / "bin" / f"data_batch_{number + 1}.bin"),
        ):
            assert image.shape == (3, 32, 32, 3)
            assert image.dtype == label.dtype == np.uint8
            np.testing.assert_array_equal(image[1, 5, 7, 2], images[part][1, 2, 5, 7])
            np.testing.assert_array_equal(image.transpose(0, 3, 1, 2), images[part])
            np.testing.assert_array_equal(label, labels[part])


def test_NumPy_reads_the_pickle_of_the_fixture():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the deprecated name numpy.core
        batch = pickle.loads(python2_pickle(VALID), encoding="bytes")
    np.testing.assert_array_equal(batch[b"data"], IMAGE)
    assert batch[b"labels"] == [3, 9]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_batches_pickled_by_Python_3_are_read(tmp_path, protocol):
    image, label = cifar.read_pickle(written(tmp_path, pickle.dumps(VALID, protocol)))
    np.testing.assert_array_equal(image.transpose(0, 3, 1, 2).reshape(2, 3072), IMAGE)
    assert label.tolist() == [3, 9]


@pytest.mark.parametrize("protocol", [3, 5])
def test_an_array_in_Fortran_order_gives_the_same_images(tmp_path, protocol):
    batch = VALID | {b"data": np.asfortranarray(IMAGE)}
    image, _ = cifar.read_pickle(written(tmp_path, pickle.dumps(batch, protocol)))
    np.testing.assert_array_equal(image.transpose(0, 3, 1, 2).reshape(2, 3072), IMAGE)


class Calls:
    """An object that is pickled as a call."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


MALICIOUS = {
    "system": Calls(os.system, "true"),
    "eval": Calls(eval, "1"),
    "getattr": Calls(getattr, b"", "join"),
    "import": Calls(__import__, "os"),
    "open": Calls(io.open, "x", "w"),
    "a class": datetime.date(2000, 1, 1),
    "a numpy function": Calls(np.fromfile, "/dev/zero"),
    "a numpy scalar": np.float64(1.0),
    "a set": {1},
    "complex": 1j,
}


@pytest.mark.parametrize("name", MALICIOUS)
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_with_other_names_is_rejected(tmp_path, name, protocol):
    content = pickle.dumps(VALID | {b"extra": MALICIOUS[name]}, protocol)
    with pytest.raises(ValueError, match=r"data_batch_1: .*is not allowed"):
        cifar.read_pickle(written(tmp_path, content))


GLOBAL = {
    "array": b"cnumpy\nndarray\n",
    "dtype": b"cnumpy\ndtype\n",
    "make": b"cnumpy.core.multiarray\n_reconstruct\n",
    "wrap": b"cnumpy.core.numeric\n_frombuffer\n",
}
HANDWRITTEN = {
    "a persistent name": b"\x80\x02U\x01xQ.",
    "INST": b"\x80\x02(ios\nsystem\n.",
    "OBJ": b"\x80\x02(" + GLOBAL["dtype"] + b"o.",
    "NEWOBJ": b"\x80\x02" + GLOBAL["dtype"] + b")\x81.",
    "an extension": b"\x80\x02\x82\x01.",
    "a memo of gigabytes": b"\x80\x02]r\xff\xff\xff\x7f.",
    "a string of gigabytes": b"\x80\x02T\xff\xff\xff\x7fabc.",
    "a long of gigabytes": b"\x80\x02\x8b\xff\xff\xff\x7fabc.",
    "a nested name": b"\x80\x02cnumpy\ndtype.__class__\n.",
    "a list for a batch": b"\x80\x02].",
    "the name alone": b"\x80\x02" + GLOBAL["array"] + b".",
    "an empty batch": b"\x80\x02}.",
    "no end": b"\x80\x02}",
    "nothing": b"",
    "noise": bytes(range(255, 0, -1)),
}


@pytest.mark.parametrize("name", HANDWRITTEN)
def test_a_handwritten_pickle_is_rejected(tmp_path, name):
    with pytest.raises(ValueError, match=r"expected a batch of CIFAR-10, got .+"):
        cifar.read_pickle(written(tmp_path, HANDWRITTEN[name]))


@pytest.mark.parametrize("target", GLOBAL)
def test_a_pickle_cannot_modify_the_reader(tmp_path, target):
    # BUILD with (None, {...}) sets attributes on the top of the stack: here on the stand-in of a name.
    attack = b"\x80\x02" + GLOBAL[target] + b"(N}U\x0c__setstate__K\x01stb."
    with pytest.raises(ValueError):
        cifar.read_pickle(written(tmp_path, attack))
    assert cifar.read_pickle(written(tmp_path, python2_pickle(VALID)))[1].tolist() == [3, 9]


@pytest.mark.parametrize(
    ("change", "got"),
    [
        ({b"data": IMAGE[:, :-1]}, r"\[2, 3071\]"),
        ({b"data": IMAGE.reshape(2, 3, 1024)}, r"\[2, 3, 1024\]"),
        ({b"data": IMAGE.astype(np.int16)}, "'i2'"),
        ({b"data": IMAGE[:0], b"labels": []}, "none"),
        ({b"data": 5}, "AttributeError"),
        ({b"labels": [1, 2, 3]}, r"shape \[3\]"),
        ({b"labels": [1, 10]}, "10 at position 1"),
        ({b"labels": [1, -1]}, "-1 at position 1"),
        ({b"labels": [1, b"x"]}, "ValueError"),
        ({b"labels": None}, "TypeError"),
    ],
)
def test_arrays_that_are_not_a_batch_are_an_error(tmp_path, change, got):
    with pytest.raises(ValueError, match=f"got {got}"):
        cifar.read_pickle(written(tmp_path, python2_pickle(VALID | change)))


def test_an_array_with_fewer_bytes_than_its_shape_is_an_error(tmp_path):
    content = python2_pickle(VALID).replace(
        b"(J" + struct.pack("<i", 2) + b"J" + struct.pack("<i", 3072),
        b"(J" + struct.pack("<i", 2**31 - 1) + b"J" + struct.pack("<i", 3072),
    )
    with pytest.raises(ValueError, match=r"\[2147483647, 3072\], got 6144 bytes"):
        cifar.read_pickle(written(tmp_path, content))


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_damaged_pickle_gives_arrays_or_a_ValueError(tmp_path_factory, data):
    content = bytearray(python2_pickle(VALID))
    content[data.draw(st.integers(0, 200) | st.integers(len(content) - 200, len(content) - 1))] = data.draw(
        st.integers(0, 255)
    )
    try:
        image, label = cifar.read_pickle(written(tmp_path_factory.mktemp("cifar"), bytes(content)))
    except ValueError:
        return
    assert image.shape == (2, 32, 32, 3)
    assert label.shape == (2,)


@pytest.mark.parametrize(
    ("content", "got"),
    [
        (bytes(3073 + 7), "3080, 7 too many"),
        (b"", "none"),
        (b"\x0a" + bytes(3072), "10 at position 0"),
    ],
)
def test_a_damaged_binary_file_is_an_error(tmp_path, content, got):
    with pytest.raises(ValueError, match=f"got {got}"):
        cifar.read_binary(written(tmp_path, content))


def test_a_huge_file_is_not_read(tmp_path):
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(10**12)  # a sparse file takes no space
    for read in (cifar.read_binary, cifar.read_pickle):
        with pytest.raises(ValueError, match="got 1000000000000"):
            read(path)
