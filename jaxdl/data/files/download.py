"""Where the files of a data set lie, and how they get there."""

import importlib
import os
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import NamedTuple


class Remote(NamedTuple):
    """A file at its official address, with the checksum ("sha256:..." or "md5:...") that it must have."""

    address: str
    checksum: str

    @property
    def filename(self) -> str:
        """The last part of the address."""
        return self.address.rsplit("/", 1)[1]


def folders(name: str, data_dir: str | Path | None = None) -> list[Path]:
    """List where the files of a data set are looked for; to the first, they are downloaded.

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
    """Return the first of the named files or folders that is in one of the places."""
    return next((place / name for place in places for name in names if (place / name).exists()), None)


def download(title: str, remotes: Iterable[Remote], folder: Path, wanted: str) -> list[Path]:
    """Bring official files into a folder, each compared with its checksum before it is given its name.

    Raises FileNotFoundError, saying which files belong where, if that fails; ImportError without pooch; ValueError
    if a file that came is not the official one.
    """
    remotes = list(remotes)
    by_hand = missing(title, remotes, folder, wanted)
    try:
        pooch = require("pooch", f"downloading {title}")
    except ImportError as error:
        raise ImportError(f"{error}\nWithout it: {by_hand}") from error
    try:
        return [Path(pooch.retrieve(r.address, r.checksum, fname=r.filename, path=folder)) for r in remotes]
    except OSError as error:
        raise FileNotFoundError(f"{by_hand}\nThe download failed: {error}") from error


def missing(title: str, remotes: Iterable[Remote], folder: Path, wanted: str) -> str:
    """Say which files of a data set are missing, where they belong and where they are found."""
    addresses = "".join(f"\n  {remote.address}" for remote in remotes)
    return (
        f"{title}: files are missing. Put {wanted} into {folder}, or name another folder by data_dir= "
        f"or the environment variable JAXDL_DATA. The official files:{addresses}"
    )


def require(module: str, purpose: str) -> ModuleType:
    """Import an optional dependency.

    Raises ImportError that says how to install it.

    >>> require("json", "reading").__name__
    'json'
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(f"{purpose} needs {module}: pip install 'jaxdl[experiments]'") from error
