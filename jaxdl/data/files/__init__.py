"""File formats and downloads.

- `archive`: tar and zip archives, `extract`.
- `cifar`: the two formats of CIFAR-10.
- `downloads`: data folders, downloads with checksums, optional dependencies.
- `idx`: the format of MNIST.
- `masks`: masks in PNG files, `read_mask`.
- `opening`: regular files alone, and the encodings of text.
- `pickles`: pickles of arrays, read without executing them, and `pickle_bounds` of time and memory.
- `streams`: gzip, bzip2 and xz, read to the checksum.
"""

from jaxdl.data.files import archive, cifar, downloads, idx, masks, opening, pickle_bounds, pickles, streams

__all__ = [
    "archive",
    "cifar",
    "downloads",
    "idx",
    "masks",
    "opening",
    "pickle_bounds",
    "pickles",
    "streams",
]
