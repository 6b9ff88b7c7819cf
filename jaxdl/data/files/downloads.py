"""Folders of data sets, downloads with checksums, and optional dependencies."""

import importlib
import os
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import NamedTuple


class Remote(NamedTuple):
    """The official address of a file, with its checksum, "sha256:..." or "md5:..."."""

    address: str
    checksum: str

    @property
    def filename(self) -> str:
        """The last part of the address."""
        return self.address.rsplit("/", 1)[1]


def folders(name: str, data_dir: str | Path | None = None) -> list[Path]:
    """List the folders that are searched for the files of a data set; downloads go to the first.

    With ``data_dir``: ``data_dir/NAME``, then ``data_dir`` itself; else ``$JAXDL_DATA/NAME`` if that variable is
    set; else ``~/.cache/jaxdl/data/NAME`` (or below ``$XDG_CACHE_HOME``).
    """
    if data_dir is not None:
        return [Path(data_dir).expanduser() / name, Path(data_dir).expanduser()]
    if os.environ.get("JAXDL_DATA"):
        return [Path(os.environ["JAXDL_DATA"]).expanduser() / name]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return [cache / "jaxdl" / "data" / name]


def find(places: Iterable[Path], *names: str) -> Path | None:
    """Return the first of the named files or folders that exists in one of the places."""
    return next((place / name for place in places for name in names if (place / name).exists()), None)


def download(title: str, remotes: Iterable[Remote], folder: Path, wanted: str) -> list[Path]:
    """Download official files into a folder; a file gets its name only after its checksum is verified.

    Raises:
        FileNotFoundError: the download failed; the error lists the files and their folder.
        ImportError: pooch is not installed.
        ValueError: a checksum differs.
    """
    remotes = list(remotes)
    by_hand = describe_missing(title, remotes, folder, wanted)
    try:
        pooch = require("pooch", f"downloading {title}")
    except ImportError as error:
        raise ImportError(f"{error}\nOr without it: {by_hand}") from error
    try:
        return [Path(pooch.retrieve(r.address, r.checksum, fname=r.filename, path=folder)) for r in remotes]
    except OSError as error:
        raise FileNotFoundError(f"{by_hand}\nThe download failed: {error}") from error


def describe_missing(title: str, remotes: Iterable[Remote], folder: Path, wanted: str) -> str:
    """Describe which files of a data set are missing, where to put them and where to find them."""
    addresses = "".join(f"\n  {remote.address}" for remote in remotes)
    return (
        f"{title}: missing files. Put {wanted} into {folder}, or give another folder as data_dir "
        f"or in the environment variable JAXDL_DATA. The official files:{addresses}"
    )


def require(module: str, purpose: str, extra: str = "experiments") -> ModuleType:
    """Import an optional dependency, a part of the extra of that name.

    Raises:
        ImportError: it is not installed; the error gives the command that installs it.

    >>> require("json", "reading").__name__
    'json'
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(f"{purpose} needs {module}: pip install -e '.[{extra}]' in the checkout") from error
