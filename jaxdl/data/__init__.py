"""Data: sources, batches, augmentation, synthetic tasks."""

from jaxdl.data import augmentation, companding, text
from jaxdl.data.batching import Loader, count_examples, padded_batches, prefetch, split
from jaxdl.data.bucketing import BucketLoader, pad
from jaxdl.data.dataset import Dataset, resize, standardize, statistics
from jaxdl.data.files import archive, cifar, idx, pickles
from jaxdl.data.sources import corpora, python_code, sequences, strokes, synthetic, translation
from jaxdl.data.sources.folder import image_folder
from jaxdl.data.sources.images import cifar10, digits, fashion_mnist, mnist
from jaxdl.data.sources.registry import load, sources
from jaxdl.data.sources.reviews import movie_reviews
from jaxdl.data.vocabulary import Vocabulary

__all__ = [
    "BucketLoader",
    "Dataset",
    "Loader",
    "Vocabulary",
    "archive",
    "augmentation",
    "cifar",
    "cifar10",
    "companding",
    "corpora",
    "count_examples",
    "digits",
    "fashion_mnist",
    "idx",
    "image_folder",
    "load",
    "mnist",
    "movie_reviews",
    "pad",
    "padded_batches",
    "pickles",
    "prefetch",
    "python_code",
    "resize",
    "sequences",
    "sources",
    "split",
    "standardize",
    "statistics",
    "strokes",
    "synthetic",
    "text",
    "translation",
]
