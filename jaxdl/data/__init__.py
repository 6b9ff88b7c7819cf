"""Data: sources, batches, augmentation, synthetic tasks."""

from jaxdl.data import archive, augmentation, cifar, idx, synthetic
from jaxdl.data.batching import Loader, count_examples, padded_batches, prefetch, split
from jaxdl.data.dataset import Dataset, resize, standardize, statistics
from jaxdl.data.folder import image_folder
from jaxdl.data.images import cifar10, digits, fashion_mnist, mnist
from jaxdl.data.registry import load, sources

__all__ = [
    "Dataset",
    "Loader",
    "archive",
    "augmentation",
    "cifar",
    "cifar10",
    "count_examples",
    "digits",
    "fashion_mnist",
    "idx",
    "image_folder",
    "load",
    "mnist",
    "padded_batches",
    "prefetch",
    "resize",
    "sources",
    "split",
    "standardize",
    "statistics",
    "synthetic",
]
