"""What there is to learn from: images, texts, drawings, synthetic tasks."""

from jaxdl.data.sources import corpora, python_code, sequences, strokes, synthetic, translation
from jaxdl.data.sources.folder import image_folder
from jaxdl.data.sources.images import cifar10, digits, fashion_mnist, mnist
from jaxdl.data.sources.registry import load, sources
from jaxdl.data.sources.reviews import movie_reviews

__all__ = [
    "cifar10",
    "corpora",
    "digits",
    "fashion_mnist",
    "image_folder",
    "load",
    "mnist",
    "movie_reviews",
    "python_code",
    "sequences",
    "sources",
    "strokes",
    "synthetic",
    "translation",
]
