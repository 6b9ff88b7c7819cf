"""Every data set by its name."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jaxdl.checks import did_you_mean
from jaxdl.data.dataset import Dataset
from jaxdl.data.sources.folder import image_folder
from jaxdl.data.sources.images import cifar10, digits, fashion_mnist, mnist


def load(name: str, data_dir: str | Path | None = None, **options: Any) -> Dataset:
    """Return the data set of a name, one of :func:`sources`; ``options`` are those of its function.

    Raises ValueError with the nearest name for one that is unknown.

    >>> load("digits").classes[7]
    '7'
    """
    if name not in _SOURCES:
        raise ValueError(f"expected the name of a data set, got {name!r}; {did_you_mean(name, _SOURCES)}")
    return _SOURCES[name](data_dir, **options)


def sources() -> tuple[str, ...]:
    """Name the data sets that :func:`load` knows.

    >>> sources()
    ('cifar10', 'digits', 'fashion_mnist', 'image_folder', 'mnist')
    """
    return tuple(sorted(_SOURCES))


def _digits(data_dir: str | Path | None, **options: Any) -> Dataset:
    return digits(**options)


def _image_folder(data_dir: str | Path | None, **options: Any) -> Dataset:
    if data_dir is None:
        raise ValueError("image_folder needs data_dir, the directory that holds a folder of images for each class")
    return image_folder(data_dir, **options)


_SOURCES: Mapping[str, Callable[..., Dataset]] = {
    "cifar10": cifar10,
    "digits": _digits,
    "fashion_mnist": fashion_mnist,
    "image_folder": _image_folder,
    "mnist": mnist,
}
