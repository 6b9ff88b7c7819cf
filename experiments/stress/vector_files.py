"""Damaged and hostile files of word vectors."""

import gzip
import io
import struct
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from experiments.stress.attack import Attack, Trial, damaged, forged
from jaxdl import embeddings

MATRIX = np.eye(3, 4)


def trials(folder: Path, generator: np.random.Generator, times: int) -> Iterator[Trial]:
    """Read damaged files of word vectors in every format, then those whose headers promise more than they hold."""
    vectors = embeddings.Vectors(["one", "zw\N{LATIN SMALL LETTER O WITH DIAERESIS}i", "tri"], MATRIX)
    attacks = []
    for form, suffix in (("word2vec", ".txt"), ("word2vec_binary", ".bin"), ("glove", ".txt"), ("npy", ".npy")):
        path = folder / f"vectors{suffix}"
        embeddings.save(vectors, path, form)
        read = _vectors if form == "npy" else lambda path, form=form: _vectors(path, form)
        attacks.append(Attack(form, path.read_bytes(), read, filename=path.name))
    packed = gzip.compress(attacks[0].original)
    attacks.append(Attack("word2vec, gzip", packed, _vectors, True, "vectors.txt.gz"))
    attacks.append(Attack("detected", attacks[1].original, _vectors, filename="vectors"))
    words = folder / "vectors.npy.words"
    attacks.append(Attack("words of npy", words.read_bytes(), _with_words, filename=words.name))
    yield from damaged(attacks, times, folder, generator)
    header = str({"descr": "<f4", "fortran_order": False, "shape": (10**12, 300)}).ljust(117).encode() + b"\n"
    hostile = {
        "a terabyte of text": b"1000000000 300\na 1 2\n",
        "binary of a terabyte": b"1000000000 300\na " + bytes(1200),
        "an endless number": b"1" * 5000 + b" 3\na 1 2 3\n",
        "an endless word": b"2 1\n" + b"n" * 900_000 + b" x\n",
        "a negative size": b"3 -2\n",
    }
    for form in ("word2vec", "word2vec_binary"):
        yield from forged(hostile, partial(_vectors, form=form), folder, "vectors.txt")
    npy = {"npy of a terabyte": b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(100)}
    npy["npy of objects"] = _npy(np.array([{}], object))
    yield from forged(npy, _vectors, folder, "vectors.npy")


def _vectors(path: Path, form: str | None = None) -> Any:
    vectors = embeddings.load(path, form)
    return list(vectors.words), vectors.vectors.tobytes()


def _with_words(path: Path) -> Any:
    """Read a matrix whose words are in ``path``."""
    matrix = path.with_suffix("")
    np.save(matrix, MATRIX)
    return _vectors(matrix)


def _npy(array: np.ndarray) -> bytes:
    content = io.BytesIO()
    np.save(content, array, allow_pickle=True)
    return content.getvalue()
