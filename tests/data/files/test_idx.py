"""IDX files: read exactly as written, refused when damaged, never trusted with memory."""

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
def test_what_was_written_is_read(tmp_path_factory, array, compressed):
    path = written(tmp_path_factory.mktemp("idx"), idx_bytes(array), compressed=compressed)
    result = idx.read(path)
    assert result.dtype == array.dtype
    assert result.dtype.isnative
    np.testing.assert_array_equal(result, array)


@settings(max_examples=60, deadline=None)
@given(position=st.integers(0, 15), value=st.integers(0, 255), compressed=st.booleans())
def test_a_changed_byte_of_the_header_is_refused(tmp_path_factory, position, value, compressed):
    data = bytearray(idx_bytes(IMAGES))
    unchanged = data[position] == value
    data[position] = value
    path = written(tmp_path_factory.mktemp("idx"), bytes(data), compressed=compressed)
    if unchanged:
        assert idx.read(path, trailing=(28, 28)).shape == (3, 28, 28)
        return
    # 0x09 is as wide as 0x08, so only a reader that wants images can tell.
    label = written(tmp_path_factory.mktemp("idx"), idx_bytes(np.zeros(3, np.uint8)))
    with pytest.raises(ValueError):
        idx.read_pair(path, label, classes=10, size=(28, 28))


def header(*sizes, code=0x08):
    return bytes([0, 0, code, len(sizes)]) + struct.pack(f">{len(sizes)}I", *sizes)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "0 bytes are no IDX header"),
        (b"\x00\x00\x08", "3 bytes are no IDX header"),
        (b"\x89PNG" + bytes(20), "must start with bytes 00 00, got 89 50"),
        (header(3, code=0x0A) + bytes(3), "unknown IDX type 0x0A, expected one of 0x08, 0x09"),
        (b"\x00\x00\x08\x00", "1 to 8 dimensions, the header says 0"),
        (b"\x00\x00\x08\xff" + bytes(2000), "1 to 8 dimensions, the header says 255"),
        (header(3, 28, 28)[:-2], "after 10 of the 12 bytes of its 3 sizes"),
        (header(3) + b"\x01\x02", "asks for 3 bytes, but (only )?2 follow"),
        (header(3) + bytes(4), "asks for 3 bytes, but 4 follow|more bytes follow the 3"),
        (header(10**6, 1000, 1000) + bytes(99), "asks for 1000000000000 bytes"),
        (header(*[2**32 - 1] * 8, code=0x0E) + bytes(99), f"asks for {8 * (2**32 - 1) ** 8} bytes"),
    ],
)
def test_a_damaged_file_is_refused_with_the_numbers(tmp_path, data, words, compressed):
    path = written(tmp_path, data, compressed=compressed)
    with pytest.raises(ValueError, match=words):
        idx.read(path)


def test_an_absurd_header_is_refused_before_anything_is_allocated(tmp_path):
    path = written(tmp_path, header(10**6, 1000, 1000) + bytes(10**6), compressed=True)
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"asks for 1000000000000 bytes, but a gzip file of .* cannot hold"):
        idx.read(path)
    assert tracemalloc.get_traced_memory()[1] < 10**6
    tracemalloc.stop()


def test_a_gzip_bomb_is_unpacked_no_further_than_its_header(tmp_path):
    path = written(tmp_path, header(100) + bytes(50_000_000), compressed=True)
    tracemalloc.start()
    with pytest.raises(ValueError, match="more bytes follow the 100"):
        idx.read(path)
    assert tracemalloc.get_traced_memory()[1] < 2_000_000
    tracemalloc.stop()


@pytest.mark.parametrize("damage", ["cut", "checksum", "body"])
def test_a_damaged_gzip_file_is_refused(tmp_path, damage):
    data = bytearray(gzip.compress(idx_bytes(np.random.default_rng(0).integers(0, 256, 500).astype(np.uint8))))
    if damage == "cut":
        del data[-100:]
    else:
        data[-6 if damage == "checksum" else 30] ^= 0xFF
    path = tmp_path / "file.gz"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"file\.gz: "):
        idx.read(path)


def test_other_sizes_than_the_expected_are_refused(tmp_path):
    path = written(tmp_path, idx_bytes(IMAGES))
    with pytest.raises(ValueError, match=r"expected sizes \['N', 32, 32\], the header says \[3, 28, 28\]"):
        idx.read(path, trailing=(32, 32))


@pytest.mark.parametrize(
    ("image", "label", "words"),
    [
        (IMAGES, np.zeros(4, np.uint8), "3 images, but .* 4 labels"),
        (IMAGES[:0], np.zeros(0, np.uint8), "no images"),
        (IMAGES, np.array([1, 10, 255], np.uint8), r"0 \.\. 9, but 2 of 3 do not; the first is 10, at position 1"),
        (IMAGES, np.zeros(3, np.float32), "labels: expected unsigned bytes .* got float32"),
        (IMAGES.astype(np.int8), np.zeros(3, np.uint8), "images: expected unsigned bytes .* got int8"),
    ],
)
def test_images_and_labels_that_do_not_agree_are_refused(tmp_path, image, label, words):
    (tmp_path / "images").write_bytes(idx_bytes(image))
    (tmp_path / "labels").write_bytes(idx_bytes(label))
    with pytest.raises(ValueError, match=words):
        idx.read_pair(tmp_path / "images", tmp_path / "labels", classes=10, size=(28, 28))
