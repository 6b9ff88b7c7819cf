"""IDX files: round trips, damage, and bounded memory."""

import gzip
import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from jaxdl.data.files import idx
from tests.data.writers import IDX_CODES, idx_bytes

IMAGES = np.arange(3 * 28 * 28, dtype=np.uint32).astype(np.uint8).reshape(3, 28, 28)


def written(folder, data, *, compressed=False):
    path = folder / "file"
    path.write_bytes(gzip.compress(data) if compressed else data)
    return path


@settings(max_examples=40, deadline=None)
@given(
    array=st.sampled_from(sorted(IDX_CODES)).flatmap(
        lambda name: arrays.arrays(name, arrays.array_shapes(max_dims=4, max_side=4))
    ),
    compressed=st.booleans(),
)
def test_read_inverts_write(tmp_path_factory, array, compressed):
    path = written(tmp_path_factory.mktemp("idx"), idx_bytes(array), compressed=compressed)
    result = idx.read(path)
    assert result.dtype == array.dtype
    assert result.dtype.isnative
    np.testing.assert_array_equal(result, array)


@settings(max_examples=60, deadline=None)
@given(position=st.integers(0, 15), value=st.integers(0, 255), compressed=st.booleans())
def test_a_changed_byte_of_the_header_is_an_error(tmp_path_factory, position, value, compressed):
    data = bytearray(idx_bytes(IMAGES))
    unchanged = data[position] == value
    data[position] = value
    path = written(tmp_path_factory.mktemp("idx"), bytes(data), compressed=compressed)
    if unchanged:
        assert idx.read(path, trailing=(28, 28)).shape == (3, 28, 28)
        return
    # 0x09 is as wide as 0x08, so that only read_pair rejects it.
    label = written(tmp_path_factory.mktemp("idx"), idx_bytes(np.zeros(3, np.uint8)))
    with pytest.raises(ValueError):
        idx.read_pair(path, label, num_classes=10, size=(28, 28))


def header(*sizes, code=0x08):
    return bytes([0, 0, code, len(sizes)]) + struct.pack(f">{len(sizes)}I", *sizes)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize(
    ("data", "got"),
    [
        (b"", "0"),
        (b"\x00\x00\x08", "3"),
        (b"\x89PNG" + bytes(20), "89 50"),
        (header(3, code=0x0A) + bytes(3), "0x0A"),
        (b"\x00\x00\x08\x00", "0"),
        (b"\x00\x00\x08\xff" + bytes(2000), "255"),
        (header(3, 28, 28)[:-2], "10"),
        (header(3) + b"\x01\x02", "2"),
        (header(3) + bytes(4), "(4|more)"),
        (header(10**6, 1000, 1000) + bytes(99), "(99|a gzip file)"),
        (header(*[2**32 - 1] * 8, code=0x0E) + bytes(99), "(99|a gzip file)"),
    ],
)
def test_a_damaged_file_is_an_error(tmp_path, data, got, compressed):
    path = written(tmp_path, data, compressed=compressed)
    with pytest.raises(ValueError, match=f"got {got}"):
        idx.read(path)


def test_a_huge_header_is_rejected_before_allocation(tmp_path):
    path = written(tmp_path, header(10**6, 1000, 1000) + bytes(10**6), compressed=True)
    tracemalloc.start()
    with pytest.raises(ValueError, match="expected 1000000000000 bytes, got a gzip file"):
        idx.read(path)
    assert tracemalloc.get_traced_memory()[1] < 10**6
    tracemalloc.stop()


def test_a_gzip_bomb_is_decompressed_no_further_than_its_header(tmp_path):
    path = written(tmp_path, header(100) + bytes(50_000_000), compressed=True)
    tracemalloc.start()
    with pytest.raises(ValueError, match="expected 100 bytes after the header, got more"):
        idx.read(path)
    assert tracemalloc.get_traced_memory()[1] < 2_000_000
    tracemalloc.stop()


@pytest.mark.parametrize("damage", ["cut", "checksum", "body"])
def test_a_damaged_gzip_file_is_an_error(tmp_path, damage):
    data = bytearray(gzip.compress(idx_bytes(np.random.default_rng(0).integers(0, 256, 500).astype(np.uint8))))
    if damage == "cut":
        del data[-100:]
    else:
        data[-6 if damage == "checksum" else 30] ^= 0xFF
    path = tmp_path / "file.gz"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"file\.gz: "):
        idx.read(path)


def test_another_shape_is_an_error(tmp_path):
    path = written(tmp_path, idx_bytes(IMAGES))
    with pytest.raises(ValueError, match=r"got \[3, 28, 28\]"):
        idx.read(path, trailing=(32, 32))


@pytest.mark.parametrize(
    ("image", "label", "got"),
    [
        (IMAGES, np.zeros(4, np.uint8), "4 in"),
        (IMAGES[:0], np.zeros(0, np.uint8), "none"),
        (IMAGES, np.array([1, 10, 255], np.uint8), "10 at position 1 .2 of 3"),
        (IMAGES, np.zeros(3, np.float32), "float32"),
        (IMAGES.astype(np.int8), np.zeros(3, np.uint8), "int8"),
    ],
)
def test_images_and_labels_that_do_not_match_are_an_error(tmp_path, image, label, got):
    (tmp_path / "images").write_bytes(idx_bytes(image))
    (tmp_path / "labels").write_bytes(idx_bytes(label))
    with pytest.raises(ValueError, match=f"got {got}"):
        idx.read_pair(tmp_path / "images", tmp_path / "labels", num_classes=10, size=(28, 28))
