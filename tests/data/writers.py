"""Writers of file formats, for fixtures of any size."""

import gzip
import io
import pickle
import struct
from pathlib import Path

import numpy as np

IDX_CODES = {"uint8": 0x08, "int8": 0x09, "int16": 0x0B, "int32": 0x0C, "float32": 0x0D, "float64": 0x0E}


def idx_bytes(array):
    """Write an array in the IDX format."""
    header = bytes([0, 0, IDX_CODES[array.dtype.name], array.ndim])
    return header + struct.pack(f">{array.ndim}I", *array.shape) + array.astype(array.dtype.newbyteorder(">")).tobytes()


def write_mnist(folder: Path, train=20, test=10, *, compressed=True):
    """Write the four files of MNIST with random images; return the arrays by file name."""
    rng = np.random.default_rng(0)
    arrays = {}
    for part, count in (("train", train), ("t10k", test)):
        arrays[f"{part}-images-idx3-ubyte"] = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        arrays[f"{part}-labels-idx1-ubyte"] = (np.arange(count) % 10).astype(np.uint8)
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in arrays.items():
        data = idx_bytes(array)
        (folder / (name + ".gz" * compressed)).write_bytes(gzip.compress(data) if compressed else data)
    return arrays


def python2_pickle(value) -> bytes:
    """Pickle bytes, integers, arrays, lists and dicts in protocol 2 as Python 2 did: bytes are its ``str``."""
    stream = io.BytesIO()
    stream.write(pickle.PROTO + b"\x02")
    _write_python2(stream, value)
    stream.write(pickle.STOP)
    return stream.getvalue()


def _write_python2(stream, value):
    def write(*values):
        for each in values:
            _write_python2(stream, each)

    match value:
        case bool():
            stream.write(pickle.NEWTRUE if value else pickle.NEWFALSE)
        case int():
            stream.write(pickle.BININT + struct.pack("<i", value))
        case None:
            stream.write(pickle.NONE)
        case bytes():
            stream.write(pickle.BINSTRING + struct.pack("<i", len(value)) + value)
        case tuple():
            stream.write(pickle.MARK)
            write(*value)
            stream.write(pickle.TUPLE)
        case list():
            stream.write(pickle.EMPTY_LIST + pickle.MARK)
            write(*value)
            stream.write(pickle.APPENDS)
        case dict():
            stream.write(pickle.EMPTY_DICT + pickle.MARK)
            write(*(part for item in value.items() for part in item))
            stream.write(pickle.SETITEMS)
        case np.ndarray():
            stream.write(b"cnumpy.core.multiarray\n_reconstruct\n" + pickle.MARK + b"cnumpy\nndarray\n")
            write((0,), b"b")
            stream.write(pickle.TUPLE + pickle.REDUCE + pickle.MARK)
            write(1, value.shape)
            stream.write(b"cnumpy\ndtype\n")
            write((value.dtype.str[1:].encode(), 0, 1))
            stream.write(pickle.REDUCE)
            write((3, b"|", None, None, None, -1, -1, 0))
            stream.write(pickle.BUILD)
            write(False, value.tobytes())
            stream.write(pickle.TUPLE + pickle.BUILD)
        case _:
            raise TypeError(type(value))


def write_cifar(folder: Path, count=4, *, binary=False):
    """Write the six batches of CIFAR-10 with random images; return images ``[6 N, 3, 32, 32]`` and labels."""
    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, (6 * count, 3072), dtype=np.uint8)
    labels = rng.integers(0, 10, 6 * count).astype(np.uint8)
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(6):
        name = "test_batch" if number == 5 else f"data_batch_{number + 1}"
        image, label = (array[number * count : (number + 1) * count] for array in (images, labels))
        if binary:
            (folder / f"{name}.bin").write_bytes(np.concatenate([label[:, None], image], axis=1).tobytes())
        else:
            (folder / name).write_bytes(python2_pickle(cifar_batch(image, label)))
    return images.reshape(-1, 3, 32, 32), labels


def cifar_batch(image, label):
    """Return the content of a file of the Python format."""
    return {
        b"batch_label": b"training batch 1 of 5",
        b"labels": [int(each) for each in label],
        b"data": image,
        b"filenames": [b"image_%d.png" % i for i in range(len(label))],
    }
