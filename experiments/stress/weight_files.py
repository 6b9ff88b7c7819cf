"""Damaged and hostile files of weights."""

import importlib.util
import io
import json
import pickle
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from experiments.stress.attack import Attack, Trial, damaged, forged
from jaxdl import pretrained, train
from jaxdl.data.files import cifar

ENTRIES = {"conv.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2), "conv.bias": np.float32([1, 2])}
CONFIG = {
    "model_type": "bert",
    "architectures": ["BertModel"],
    "hidden_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "hidden_act": "gelu",
    "id2label": {"0": "a"},
}


def trials(folder: Path, generator: np.random.Generator, times: int) -> Iterator[Trial]:
    """Read damaged files of every format, then small ones that describe endless objects or could run code."""
    path = folder / "original"
    yield from damaged([*weights(path), *torch_files(path), *settings(folder)], times, folder, generator)
    yield from forged(hostile_pickles(), pretrained.read, folder, "attacked")
    yield from forged(hostile_pickles(), cifar.read_pickle, folder, "attacked")
    yield from forged(hostile_files(), pretrained.read, folder, "attacked")


def weights(path: Path) -> list[Attack]:
    """Return files of weights that NumPy and our own library write."""
    pretrained.save(path, ENTRIES)
    theirs = path.read_bytes()
    train.weights.save(path, {"params": ENTRIES})
    ours = path.read_bytes()
    archive = io.BytesIO()
    np.savez(archive, **ENTRIES)
    return [
        Attack("safetensors", theirs, _weights),
        Attack("safetensors with digests", ours, lambda path: _plain(train.weights.load(path)["params"]), True),
        Attack("npz", archive.getvalue(), _weights, True),
        Attack("pickle, protocol 2", pickle.dumps(ENTRIES, 2), _weights),
        Attack("pickle, protocol 5", pickle.dumps(ENTRIES, 5), _weights),
    ]


def torch_files(path: Path) -> Iterator[Attack]:
    """Yield files of torch in its new and in its old format, if it is installed."""
    if importlib.util.find_spec("torch") is None:
        return
    import torch

    tensors = {name: torch.tensor(array) for name, array in ENTRIES.items()}
    for new in (True, False):
        torch.save(tensors, path, _use_new_zipfile_serialization=new)
        yield Attack(f"torch, {'new' if new else 'old'}", path.read_bytes(), _weights, new)


def settings(folder: Path) -> list[Attack]:
    """Return the settings of a model of transformers, and the index of several files of weights."""
    shards = folder / "shards"
    shards.mkdir(exist_ok=True)
    pretrained.save(shards / "a.safetensors", {"a": np.zeros(1, np.float32)})
    index = {"weight_map": {"a": "a.safetensors"}}

    def read_index(path: Path) -> Any:
        (shards / path.name).write_bytes(path.read_bytes())
        return _plain(pretrained.read(shards / path.name))

    return [
        Attack("config.json", json.dumps(CONFIG).encode(), pretrained.configs.describe, filename="config.json"),
        Attack("index", json.dumps(index).encode(), read_index, filename="model.safetensors.index.json"),
    ]


def hostile_pickles() -> dict[str, bytes]:
    """Return small pickles that describe endless objects, or could run code."""
    shared, nested, within = {}, [], []
    for _ in range(60):
        shared, nested = {"a": shared, "b": shared}, [nested]
    within.append(within)
    doubled = b")" + b"".join(b"q%ch%c\x86" % (i, i) for i in range(60))  # a pair of a pair of a pair ...
    text = b"X" + (50_000).to_bytes(4, "little") + b"x" * 50_000
    encode = b"\x80\x02(c_codecs\nencode\nq\x00" + text + b"q\x010X\x06\x00\x00\x00latin1q\x020"
    return {
        "dictionaries that share": pickle.dumps(shared),
        "deep lists": pickle.dumps([[[[[nested]]]]]),
        "a list within itself": pickle.dumps(within),
        "a key of nested tuples": b"\x80\x02}" + doubled + b"K\x01s.",
        "a type of nested tuples": b"\x80\x02cnumpy\ndtype\n" + doubled + b"K\x00K\x01\x87R.",
        "a text encoded often": encode + b"h\x00h\x01h\x02\x86R" * 20_000 + b"l.",
        "a huge memo": b"\x80\x02}r\xff\xff\xff\x7f.",
        "a long number": b"\x80\x02}X\x01\x00\x00\x00a\x8b\xff\xff\xff\x7f.",
        "the system's shell": b"\x80\x02cos\nsystem\nX\x04\x00\x00\x00exit\x85R.",
        "eval": b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93\x8c\x011\x85R.",
        "a persistent name": b"\x80\x02}X\x01\x00\x00\x00ah\x00Qs.",
    }


def hostile_files() -> dict[str, bytes]:
    """Return files with forged headers."""
    files = {}
    for shape in ("(2000000000000,)", "(-1,)", "(1000000, 1000000)"):
        text = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w") as archive:
            archive.writestr("conv.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode() + bytes(8))
        files[f"npz of shape {shape}"] = content.getvalue()
    twice = b'{"a": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}, '
    twice += b'"a": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}}'
    files["safetensors with an entry twice"] = struct.pack("<Q", len(twice)) + twice + b"x"
    files["safetensors with a long header"] = struct.pack("<Q", 1 << 60) + b"{}"
    files["safetensors with a deep header"] = struct.pack("<Q", 200_000) + b'{"a":' + b"[" * 199_995
    files["npz of objects"] = _npz(a=np.array([{}], object))
    return files


def _npz(**arrays: np.ndarray) -> bytes:
    content = io.BytesIO()
    np.savez(content, **arrays)
    return content.getvalue()


def _plain(arrays: dict[str, Any]) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    named = {name: np.asarray(array) for name, array in arrays.items()}
    return {name: (str(array.dtype), array.shape, array.tobytes()) for name, array in named.items()}


def _weights(path: Path) -> Any:
    return _plain(pretrained.read(path))
