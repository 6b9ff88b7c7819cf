"""The IDX format of MNIST: a magic number, the sizes, then the elements, all big-endian.

    byte 0, 1   zero
    byte 2      the type of the elements (0x08 = unsigned byte, ... 0x0E = double)
    byte 3      R, the number of dimensions
    4 R bytes   the size of each dimension, unsigned
    the rest    the elements, the last dimension varying fastest

Source: LeCun, Cortes, Burges, "The MNIST database of handwritten digits" (1998).
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np

from jaxdl.data.files.opening import open_regular
from jaxdl.data.files.streams import DamagedStreamError, decompressed

TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
MAX_RANK = 8
GZIP_MAGIC = b"\x1f\x8b"
MAX_GZIP_RATIO = 1032  # the largest compression ratio of deflate
CHUNK = 1 << 20


def read(path: str | Path, *, trailing: tuple[int, ...] | None = None) -> np.ndarray:
    """Read the array of an IDX file, plain or gzip, in native byte order.

    Memory is allocated only after the header is checked against the length of the file, or, for a gzip file, against
    the most that this length can hold. A gzip file is decompressed no further than its header requires.

    Args:
        path: the file.
        trailing: expected sizes after the first: (28, 28) for the images of MNIST, () for its labels; None for any.

    Raises:
        ValueError: the header is damaged, or the payload is shorter or longer than it requires.
    """
    path = Path(path)
    with _opened(path) as (file, compressed):
        dtype, shape = _read_header(file, path)
        if trailing is not None and shape[1:] != trailing:
            raise ValueError(f"{path}: expected shape {['N', *trailing]}, got {list(shape)}")
        expected = math.prod(shape) * dtype.itemsize
        _check_length(path, expected, compressed, header=4 + 4 * len(shape))
        payload = _read_exactly(file, path, expected)
    array = np.frombuffer(payload, dtype).reshape(shape)
    return array.astype(dtype.newbyteorder("="), copy=False)


def read_pair(
    images: str | Path, labels: str | Path, *, num_classes: int, size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Read images uint8 ``[N, *size]`` and their labels uint8 ``[N]``.

    Raises:
        ValueError: the numbers of images and labels differ or are 0, or a label is not in ``0 .. num_classes - 1``.
    """
    image, label = read(images, trailing=size), read(labels, trailing=())
    for path, array in ((images, image), (labels, label)):
        if array.dtype != np.uint8:
            raise ValueError(f"{path}: expected unsigned bytes (type 0x08), got {array.dtype}")
    if len(image) != len(label):
        raise ValueError(f"expected a label for each of {len(image)} images of {images}, got {len(label)} in {labels}")
    if len(image) == 0:
        raise ValueError(f"{images}: expected at least one image, got none")
    check_labels(labels, label, num_classes)
    return image, label


def check_labels(path: str | Path, label: np.ndarray, num_classes: int) -> None:
    """Check that every label lies in ``0 .. num_classes - 1``.

    Raises:
        ValueError: a label does not.
    """
    outside = np.flatnonzero((label < 0) | (label >= num_classes))
    if len(outside):
        first = outside[0]
        raise ValueError(
            f"{path}: expected labels in 0 .. {num_classes - 1}, got {label[first]} at position {first} "
            f"({len(outside)} of {len(label)} are outside)"
        )


@contextmanager
def _opened(path: Path) -> Iterator[tuple[IO[bytes], bool]]:
    """Open a file that may be compressed by gzip; errors of the compression become ValueError."""
    with open_regular(path) as file:
        compressed = file.read(2) == GZIP_MAGIC
        file.seek(0)
        try:
            yield (decompressed(file) if compressed else file), compressed
        except DamagedStreamError as error:
            raise ValueError(f"{path}: damaged gzip file: {error}") from error


def _read_header(file: IO[bytes], path: Path) -> tuple[np.dtype, tuple[int, ...]]:
    magic = file.read(4)
    if len(magic) < 4:
        raise ValueError(f"{path}: expected an IDX header of at least 8 bytes, got {len(magic)}")
    zero, code, rank = int.from_bytes(magic[:2], "big"), magic[2], magic[3]
    if zero != 0:
        raise ValueError(f"{path}: expected an IDX file, which starts with bytes 00 00, got {magic[:2].hex(' ')}")
    if code not in TYPES:
        known = ", ".join(f"0x{known:02X}" for known in TYPES)
        raise ValueError(f"{path}: expected an IDX type among {known}, got 0x{code:02X}")
    if not 1 <= rank <= MAX_RANK:
        raise ValueError(f"{path}: expected 1 to {MAX_RANK} dimensions, got {rank}")
    sizes = file.read(4 * rank)
    if len(sizes) < 4 * rank:
        raise ValueError(f"{path}: expected {4 * rank} bytes for {rank} sizes, got {len(sizes)}")
    return np.dtype(TYPES[code]), tuple(int.from_bytes(sizes[i : i + 4], "big") for i in range(0, 4 * rank, 4))


def _check_length(path: Path, expected: int, compressed: bool, header: int) -> None:
    length = path.stat().st_size
    if compressed and expected + header > MAX_GZIP_RATIO * length:
        raise ValueError(
            f"{path}: expected {expected} bytes, got a gzip file of {length}, which can hold at most "
            f"{MAX_GZIP_RATIO * length}"
        )
    if not compressed and expected != length - header:
        raise ValueError(f"{path}: expected {expected} bytes after the header, got {length - header}")


def _read_exactly(file: IO[bytes], path: Path, expected: int) -> bytearray:
    payload = bytearray()
    while len(payload) < expected:
        chunk = file.read(min(CHUNK, expected - len(payload)))
        if not chunk:
            raise ValueError(f"{path}: expected {expected} bytes after the header, got {len(payload)}")
        payload += chunk
    if file.read(1):  # reading past the end also makes gzip verify its checksum
        raise ValueError(f"{path}: expected {expected} bytes after the header, got more")
    return payload
