"""Data: sources, batches, augmentation, synthetic tasks."""

from jaxdl.data import (
    archive,
    augmentation,
    cifar,
    companding,
    corpora,
    idx,
    pickles,
    python_code,
    sequences,
    strokes,
    synthetic,
    text,
    translation,
)
from jaxdl.data.batching import Loader, count_examples, padded_batches, prefetch, split
from jaxdl.data.bucketing import BucketLoader, pad
from jaxdl.data.dataset import Dataset, resize, standardize, statistics
from jaxdl.data.folder import image_folder
from jaxdl.data.images import cifar10, digits, fashion_mnist, mnist
from jaxdl.data.movie_reviews import movie_reviews
from jaxdl.data.registry import load, sources
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
