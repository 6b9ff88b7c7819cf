"""Labelled image data sets by name."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jaxdl.checks import did_you_mean, shorten
from jaxdl.data.dataset import Dataset
from jaxdl.data.sources.folder import image_folder
from jaxdl.data.sources.images import cifar10, digits, fashion_mnist, mnist


def load(name: str, data_dir: str | Path | None = None, **options: Any) -> Dataset:
    """Load a data set by name; see `list_datasets`.

    Args:
        name: name of the data set.
        data_dir: folder of its files; None for the default.
        **options: arguments of the function of that name.

    Raises:
        ValueError: the name is unknown.

    >>> load("digits").classes[7]
    '7'
    """
    if name not in _DATASETS:
        raise ValueError(f"expected the name of a data set, got {shorten(repr(name))}; {did_you_mean(name, _DATASETS)}")
    return _DATASETS[name](data_dir, **options)


def list_datasets() -> tuple[str, ...]:
    """List the names that `load` accepts.

    >>> list_datasets()
    ('cifar10', 'digits', 'fashion_mnist', 'image_folder', 'mnist')
    """
    return tuple(sorted(_DATASETS))


def _digits(data_dir: str | Path | None, **options: Any) -> Dataset:
    return digits(**options)


def _image_folder(data_dir: str | Path | None, **options: Any) -> Dataset:
    if data_dir is None:
        raise ValueError("expected data_dir with a folder of images for each class, got None")
    return image_folder(data_dir, **options)


_DATASETS: Mapping[str, Callable[..., Dataset]] = {
    "cifar10": cifar10,
    "digits": _digits,
    "fashion_mnist": fashion_mnist,
    "image_folder": _image_folder,
    "mnist": mnist,
}
