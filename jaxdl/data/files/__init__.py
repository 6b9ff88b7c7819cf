"""Formats that are read, and where files come from."""

from jaxdl.data.files import archive, cifar, download, idx, pickles

__all__ = [
    "archive",
    "cifar",
    "download",
    "idx",
    "pickles",
]
