"""The two formats of CIFAR-10, neither of which is trusted: Python pickles and fixed-length binary records.

Source: Krizhevsky, "Learning multiple layers of features from tiny images" (2009).
"""

from pathlib import Path

import numpy as np

from jaxdl.data.files import pickles
from jaxdl.data.files.idx import check_labels

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
PIXELS = 3 * 32 * 32
RECORD = 1 + PIXELS
LARGEST_FILE = 1 << 28  # an official batch has 31 MB


def read_pickle(path: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """Read a batch of the Python format: images uint8 ``[N, 32, 32, 3]``, labels uint8 ``[N]``.

    Nothing runs at the pickle's command, see `pickles.loads`. Raises ValueError for a pickle that wants more than
    arrays, lists and labels, and for what does not make a batch.
    """
    path = Path(path)
    content = _bounded(path)
    try:
        batch = pickles.loads(content, encoding="bytes")
        image, label = batch[b"data"].array({"u1"}), np.asarray(batch[b"labels"], np.int64)
    except Exception as error:  # damage can surface as any exception that an instruction of pickle knows
        raise ValueError(f"{path}: not a batch of CIFAR-10: {error or type(error).__name__}") from error
    if image.shape[1:] != (PIXELS,):
        raise ValueError(f"{path}: data must have shape [N, {PIXELS}], got {list(image.shape)}")
    if label.shape != (len(image),):
        raise ValueError(f"{path}: {len(image)} images, but labels of shape {list(label.shape)}")
    return _checked(path, image, label)


def read_binary(path: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """Read a batch of the binary format, records of one byte of label and 3,072 of pixels.

    Returns images uint8 ``[N, 32, 32, 3]`` and labels uint8 ``[N]``. Raises ValueError if the file is no whole number
    of records or a label is above 9.
    """
    path = Path(path)
    content = _bounded(path)
    if len(content) % RECORD:
        raise ValueError(
            f"{path}: {len(content)} bytes are no whole number of records of {RECORD}: "
            f"{len(content) % RECORD} are left over"
        )
    records = np.frombuffer(content, np.uint8).reshape(-1, RECORD)
    return _checked(path, records[:, 1:], records[:, 0])


def _bounded(path: Path) -> bytes:
    if path.stat().st_size > LARGEST_FILE:
        raise ValueError(f"{path}: {path.stat().st_size} bytes are no batch of CIFAR-10 (at most {LARGEST_FILE})")
    return path.read_bytes()


def _checked(path: Path, image: np.ndarray, label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if len(image) == 0:
        raise ValueError(f"{path} holds no images")
    check_labels(path, label, len(CLASSES))
    return image.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), label.astype(np.uint8)
