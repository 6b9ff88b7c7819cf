"""The two formats of CIFAR-10, read as untrusted files: Python pickles and fixed-length binary records.

Source: Krizhevsky, "Learning multiple layers of features from tiny images" (2009).
"""

import os
from pathlib import Path

import einops
import numpy as np

from jaxdl.checks import shorten
from jaxdl.data.files import pickles
from jaxdl.data.files.idx import check_labels
from jaxdl.data.files.opening import open_regular

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
PIXELS = 3 * 32 * 32
RECORD = 1 + PIXELS
MAX_FILE_SIZE = 1 << 28  # an official batch has 31 MB


def read_pickle(path: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """Read a batch of the Python format: images uint8 ``[N, 32, 32, 3]``, labels uint8 ``[N]``.

    The pickle is read without executing it, see `pickles.loads`.

    Raises:
        ValueError: the pickle contains more than arrays, lists and labels, or is not a batch.
    """
    path = Path(path)
    content = _read_bounded(path)
    try:
        batch = pickles.loads(content, encoding="bytes")
        image, label = batch[b"data"].array({"u1"}), np.asarray(batch[b"labels"], np.int64)
    except Exception as error:  # a damaged pickle can raise anything
        raise ValueError(
            f"{path}: expected a batch of CIFAR-10, got {type(error).__name__}: {shorten(error)}"
        ) from error
    if image.shape[1:] != (PIXELS,):
        raise ValueError(f"{path}: expected data of shape [N, {PIXELS}], got {list(image.shape)}")
    if label.shape != (len(image),):
        raise ValueError(f"{path}: expected a label for each of {len(image)} images, got shape {list(label.shape)}")
    return _checked(path, image, label)


def read_binary(path: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """Read a batch of the binary format: images uint8 ``[N, 32, 32, 3]``, labels uint8 ``[N]``.

    A record has one byte for the label and 3,072 for the pixels.

    Raises:
        ValueError: the size of the file is not a multiple of a record's, or a label is above 9.
    """
    path = Path(path)
    content = _read_bounded(path)
    if len(content) % RECORD:
        raise ValueError(
            f"{path}: expected a multiple of {RECORD} bytes, got {len(content)}, {len(content) % RECORD} too many"
        )
    records = np.frombuffer(content, np.uint8).reshape(-1, RECORD)
    return _checked(path, records[:, 1:], records[:, 0])


def _read_bounded(path: Path) -> bytes:
    with open_regular(path) as file:
        size = file.seek(0, os.SEEK_END)
        if size > MAX_FILE_SIZE:
            raise ValueError(f"{path}: expected at most {MAX_FILE_SIZE} bytes, got {size}")
        file.seek(0)
        return file.read(size)


def _checked(path: Path, image: np.ndarray, label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if len(image) == 0:
        raise ValueError(f"{path}: expected at least one image, got none")
    check_labels(path, label, len(CLASSES))
    return einops.rearrange(image, "n (c h w) -> n h w c", c=3, h=32), label.astype(np.uint8)
