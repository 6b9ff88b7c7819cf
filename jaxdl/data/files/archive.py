"""Unpacking of tar and zip archives that nobody vouches for.

Every member is looked at before the first byte is written. Only plain files and folders with plain relative names
pass: no absolute path, no ``..``, no link, no device, no name given twice, and no more files or bytes than allowed.
"""

import bz2
import gzip
import os
import shutil
import stat
import tarfile
import tempfile
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any, NamedTuple

CHUNK = 1 << 20
LONGEST_NAME = 1024
DEEPEST_PATH = 64
ZIP_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}  # lzma would allocate whatever its header asks for
ZIP_MAGIC = (b"PK\x03\x04", b"PK\x05\x06")
# RecursionError: tarfile calls itself for each of a chain of extended headers.
DAMAGE = (tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, EOFError, RecursionError)
COMPRESSIONS: dict[bytes, Callable[[IO[bytes]], Any]] = {
    b"\x1f\x8b": lambda file: gzip.GzipFile(fileobj=file),
    b"BZh": bz2.BZ2File,
}


class Member(NamedTuple):
    """What an archive says of one of its members; ``kind`` is "file", "folder", or the name of what is refused."""

    name: str
    kind: str
    size: int


def extract(
    archive: str | Path, directory: str | Path, *, most_files: int = 100_000, most_bytes: int = 4 << 30
) -> list[Path]:
    """Unpack a tar (plain, gzip, bzip2) or zip archive into a new directory; return its files, sorted.

    The directory appears complete or not at all: the files are written beside it and moved into place at the end.
    ``directory`` must not exist or be empty, so no link that lies there can lead outside.

    Raises ValueError with the name of the member, before anything is written, for what this module refuses;
    FileExistsError if the directory holds something.
    """
    archive, directory = Path(archive), Path(directory)
    if directory.is_symlink() or (directory.exists() and (not directory.is_dir() or any(directory.iterdir()))):
        raise FileExistsError(f"{directory} is in the way: give a directory that does not exist or is empty")
    with _reported(archive), archive.open("rb") as file:
        read = read_zip if file.read(4) in ZIP_MAGIC else read_tar
        members = list(_limited(archive, (member for member, _ in read(file)), most_files, most_bytes))
        check_members(archive, members)
        directory.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=directory.parent, prefix=f".{directory.name}-") as temporary:
            content = Path(temporary) / "content"
            content.mkdir()
            for member, (_, opened) in zip(members, read(file), strict=True):
                _write(content / _plain(member.name), member, opened)
            if directory.exists():
                directory.rmdir()
            os.replace(content, directory)
    return sorted(path for path in directory.rglob("*") if path.is_file())


def read_tar(file: IO[bytes]) -> Iterator[tuple[Member, Callable[[], Any]]]:
    """Yield the members of a tar archive, each with a function that opens its content."""
    file.seek(0)
    start = file.read(3)
    file.seek(0)
    unpack = next((unpack for magic, unpack in COMPRESSIONS.items() if start.startswith(magic)), None)
    source: Any = _Careful(unpack(file) if unpack else file)
    with tarfile.open(fileobj=source, mode="r:") as tar:
        for info in tar:
            yield Member(info.name, _kind_in_tar(info), info.size), partial(tar.extractfile, info)
        source.seek(tar.offset)  # tarfile takes a damaged header for the end; the end is a block of zeros
        if source.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise tarfile.ReadError(f"no header and no end of archive at byte {tar.offset}")


def read_zip(file: IO[bytes]) -> Iterator[tuple[Member, Callable[[], Any]]]:
    """Yield the members of a zip archive, each with a function that opens its content."""
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            yield Member(info.orig_filename, _kind_in_zip(info), info.file_size), partial(archive.open, info)


def check_members(archive: str | Path, members: list[Member]) -> None:
    """Raise ValueError, by name, for the first member that must not be unpacked."""
    seen = {"": "folder"}
    for member in members:
        fault = _fault_of_kind(member.kind) or _fault_of_name(member.name) or _conflict(member, seen)
        if fault:
            raise ValueError(f"{archive}: refused member {member.name!r}: {fault}")


class _Careful:
    """A file that refuses reads of absurd length, as a damaged header of tar would make them."""

    def __init__(self, file: IO[bytes]):
        self.tell, self.seek = file.tell, file.seek
        self._read = file.read

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= CHUNK:
            raise tarfile.ReadError(f"a header of {size} bytes")
        return self._read(size)


@contextmanager
def _reported(archive: Path) -> Iterator[None]:
    try:
        yield
    except DAMAGE as error:
        raise ValueError(f"{archive}: damaged archive: {error}") from error


def _kind_in_tar(info: tarfile.TarInfo) -> str:
    if info.sparse is not None or info.type == tarfile.GNUTYPE_SPARSE:
        return "a sparse file"
    if info.issym():
        return f"a symbolic link to {info.linkname!r}"
    if info.islnk():
        return f"a hard link to {info.linkname!r}"
    kinds = {tarfile.CHRTYPE: "a device", tarfile.BLKTYPE: "a device", tarfile.FIFOTYPE: "a pipe"}
    kinds |= {tarfile.REGTYPE: "file", tarfile.AREGTYPE: "file", tarfile.DIRTYPE: "folder"}
    return kinds.get(info.type, f"of the unknown type {info.type!r}")


def _kind_in_zip(info: zipfile.ZipInfo) -> str:
    if info.flag_bits & 0x1:
        return "encrypted"
    if info.compress_type not in ZIP_METHODS:
        return f"compressed by method {info.compress_type}"
    mode = info.external_attr >> 16  # what Unix notes there: 0 where another system packed
    kinds = {stat.S_IFLNK: "a symbolic link", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
    kinds |= {stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}
    ordinary = "folder" if info.orig_filename.endswith("/") else "file"
    return kinds.get(stat.S_IFMT(mode), ordinary)


def _fault_of_kind(kind: str) -> str:
    return "" if kind in {"file", "folder"} else f"it is {kind}; only plain files and folders are unpacked"


def _fault_of_name(name: str) -> str:
    """Say what is wrong with the name of a member, "" where nothing is."""
    parts = name.split("/")
    faults = {
        "its name is empty": not name,
        "its path is absolute": name.startswith("/"),
        "it leads out of the directory": ".." in parts,
        "a backslash or colon may lead elsewhere": "\\" in name or ":" in name,
        "its name holds control characters": any(unicodedata.category(c) in {"Cc", "Cs"} for c in name),
        f"its name is longer than {LONGEST_NAME} characters": len(name) > LONGEST_NAME,
        f"its path is deeper than {DEEPEST_PATH} folders": len(parts) > DEEPEST_PATH,
    }
    return next((fault for fault, found in faults.items() if found), "")


def _conflict(member: Member, seen: dict[str, str]) -> str:
    """Enter the path of a member among those seen; say with which of them it cannot be, "" where it can."""
    parts = _folded(_plain(member.name)).split("/")
    for depth in range(1, len(parts)):
        if seen.setdefault("/".join(parts[:depth]), "folder") == "file":
            return f"{'/'.join(parts[:depth])!r} is a file and cannot hold others"
    path = "/".join(parts)
    if path in seen and not seen[path] == member.kind == "folder":
        return "another member has this name"
    seen[path] = member.kind
    return ""


def _plain(name: str) -> str:
    """Write a path without the parts that mean nothing: ``./a//b/`` is ``a/b``."""
    return "/".join(part for part in name.split("/") if part not in {"", "."})


def _folded(name: str) -> str:
    """Write names alike that a file system may take for one: it may ignore case and the form of accents."""
    return unicodedata.normalize("NFC", name).casefold()


def _limited(archive: Path, members: Iterable[Member], most_files: int, most_bytes: int) -> Iterator[Member]:
    total = 0
    for number, member in enumerate(members, 1):
        total += member.size
        if number > most_files:
            raise ValueError(f"{archive}: refused at member {member.name!r}: more than {most_files} members")
        if member.size < 0 or total > most_bytes:
            raise ValueError(
                f"{archive}: refused at member {member.name!r} of {member.size} bytes: "
                f"together {total}, and {most_bytes} are allowed"
            )
        yield member


def _write(path: Path, member: Member, opened: Callable[[], Any]) -> None:
    if member.kind == "folder":
        path.mkdir(parents=True, exist_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with opened() as source, path.open("xb") as target:
        shutil.copyfileobj(source, target, CHUNK)
    if path.stat().st_size != member.size:
        raise ValueError(f"{member.name!r} should hold {member.size} bytes, but {path.stat().st_size} came out")
