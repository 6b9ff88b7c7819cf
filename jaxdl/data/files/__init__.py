"""File formats and downloads.

- `archive`: tar and zip archives, `extract`.
- `cifar`: the two formats of CIFAR-10.
- `downloads`: data folders, downloads with checksums, optional dependencies.
- `idx`: the format of MNIST.
- `pickles`: pickles of arrays, read without executing them.
"""

from jaxdl.data.files import archive, cifar, downloads, idx, pickles

__all__ = [
    "archive",
    "cifar",
    "downloads",
    "idx",
    "pickles",
]
