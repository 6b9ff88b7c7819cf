"""The IDX format of MNIST: a magic number, the sizes, then the numbers, all big-endian.

    byte 0, 1   zero
    byte 2      the type of the numbers (0x08 = unsigned byte, ... 0x0E = double)
    byte 3      R, the number of dimensions
    4 R bytes   the size of each dimension, unsigned
    the rest    the numbers, the last dimension varying fastest

Source: LeCun, Cortes, Burges, "The MNIST database of handwritten digits" (1998).
"""

import gzip
import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np

TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
HIGHEST_RANK = 8
GZIP_MAGIC = b"\x1f\x8b"
GZIP_RATIO = 1032  # deflate cannot shrink anything further than this, so no honest file claims more
CHUNK = 1 << 20
Stream = IO[bytes] | gzip.GzipFile


def read(path: str | Path, *, trailing: tuple[int, ...] | None = None) -> np.ndarray:
    """Read the array of an IDX file, plain or gzip, in the byte order of this machine.

    ``trailing`` demands the sizes after the first: (28, 28) for the images of MNIST, () for its labels.

    Nothing is allocated before the header agrees with the length of the file, or, for a gzip file, with what its
    length can hold; from a gzip file never more is unpacked than its header asks for.

    Raises ValueError with the numbers if magic, type, rank or sizes are damaged, and if the payload is shorter or
    longer than they say.
    """
    path = Path(path)
    with _opened(path) as (file, compressed):
        dtype, shape = _read_header(file, path)
        if trailing is not None and shape[1:] != trailing:
            raise ValueError(f"{path}: expected sizes {['N', *trailing]}, the header says {list(shape)}")
        expected = math.prod(shape) * dtype.itemsize
        _check_length(path, expected, compressed, header=4 + 4 * len(shape))
        payload = _read_exactly(file, path, expected)
    array = np.frombuffer(payload, dtype).reshape(shape)
    return array.astype(dtype.newbyteorder("="), copy=False)


def read_pair(
    images: str | Path, labels: str | Path, *, classes: int, size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Read images uint8 ``[N, *size]`` and their labels uint8 ``[N]``, and check one against the other.

    Raises ValueError with the numbers if the counts differ, if there are none, or if a label is not in
    ``0 .. classes - 1``.
    """
    image, label = read(images, trailing=size), read(labels, trailing=())
    for path, array in ((images, image), (labels, label)):
        if array.dtype != np.uint8:
            raise ValueError(f"{path}: expected unsigned bytes (type 0x08), got {array.dtype}")
    if len(image) != len(label):
        raise ValueError(f"{images} holds {len(image)} images, but {labels} holds {len(label)} labels")
    if len(image) == 0:
        raise ValueError(f"{images} holds no images")
    check_labels(labels, label, classes)
    return image, label


def check_labels(path: str | Path, label: np.ndarray, classes: int) -> None:
    """Raise ValueError, with the first offender, unless every label lies in ``0 .. classes - 1``."""
    outside = np.flatnonzero((label < 0) | (label >= classes))
    if len(outside):
        first = outside[0]
        raise ValueError(
            f"{path}: labels must lie in 0 .. {classes - 1}, but {len(outside)} of {len(label)} do not; "
            f"the first is {label[first]}, at position {first}"
        )


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Stream, bool]]:
    """Open a file that may be gzip, and report damage of the compression as ValueError."""
    with path.open("rb") as file:
        compressed = file.read(2) == GZIP_MAGIC
        file.seek(0)
        try:
            yield (gzip.GzipFile(fileobj=file) if compressed else file), compressed
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise ValueError(f"{path}: damaged gzip file: {error}") from error


def _read_header(file: Stream, path: Path) -> tuple[np.dtype, tuple[int, ...]]:
    magic = file.read(4)
    if len(magic) < 4:
        raise ValueError(f"{path}: {len(magic)} bytes are no IDX header, which has at least 8")
    zero, code, rank = int.from_bytes(magic[:2], "big"), magic[2], magic[3]
    if zero != 0:
        raise ValueError(f"{path}: not an IDX file: it must start with bytes 00 00, got {magic[:2].hex(' ')}")
    if code not in TYPES:
        known = ", ".join(f"0x{known:02X}" for known in TYPES)
        raise ValueError(f"{path}: unknown IDX type 0x{code:02X}, expected one of {known}")
    if not 1 <= rank <= HIGHEST_RANK:
        raise ValueError(f"{path}: expected 1 to {HIGHEST_RANK} dimensions, the header says {rank}")
    sizes = file.read(4 * rank)
    if len(sizes) < 4 * rank:
        raise ValueError(f"{path}: the header ends after {len(sizes)} of the {4 * rank} bytes of its {rank} sizes")
    return np.dtype(TYPES[code]), tuple(int.from_bytes(sizes[i : i + 4], "big") for i in range(0, 4 * rank, 4))


def _check_length(path: Path, expected: int, compressed: bool, header: int) -> None:
    length = path.stat().st_size
    if compressed and expected + header > GZIP_RATIO * length:
        raise ValueError(
            f"{path}: the header asks for {expected} bytes, but a gzip file of {length} bytes "
            f"cannot hold more than {GZIP_RATIO * length}"
        )
    if not compressed and expected != length - header:
        raise ValueError(f"{path}: the header asks for {expected} bytes, but {length - header} follow it")


def _read_exactly(file: Stream, path: Path, expected: int) -> bytearray:
    payload = bytearray()
    while len(payload) < expected:
        chunk = file.read(min(CHUNK, expected - len(payload)))
        if not chunk:
            raise ValueError(f"{path}: the header asks for {expected} bytes, but only {len(payload)} follow it")
        payload += chunk
    if file.read(1):  # reading past the end also makes gzip compare its checksum
        raise ValueError(f"{path}: more bytes follow the {expected} that the header asks for")
    return payload
