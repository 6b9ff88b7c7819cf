"""Extraction of untrusted tar and zip archives.

Every member is checked before the first byte is written. Only regular files and folders with plain relative names are
accepted: no absolute path, no ``..``, no link, no device, no duplicate name, and a limited number of files and bytes.
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
MAX_NAME_LENGTH = 1024
MAX_DEPTH = 64
ZIP_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}  # lzma allocates as much as its header requests
ZIP_MAGIC = (b"PK\x03\x04", b"PK\x05\x06")
# RecursionError: tarfile recurses along a chain of extended headers.
READ_ERRORS = (tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, EOFError, RecursionError)
COMPRESSIONS: dict[bytes, Callable[[IO[bytes]], Any]] = {
    b"\x1f\x8b": lambda file: gzip.GzipFile(fileobj=file),
    b"BZh": bz2.BZ2File,
}


class Member(NamedTuple):
    """The header of a member of an archive; ``kind`` is "file", "folder", or a description of a rejected kind."""

    name: str
    kind: str
    size: int


def extract(
    archive: str | Path, directory: str | Path, *, max_files: int = 100_000, max_bytes: int = 4 << 30
) -> list[Path]:
    """Extract a tar (plain, gzip, bzip2) or zip archive into a new directory; return its files, sorted.

    The extraction is atomic: files are written to a temporary directory, which is then renamed. ``directory`` must be
    empty or not exist, so that no existing link in it can lead outside.

    Args:
        archive: the archive.
        directory: a directory that is empty or does not exist.
        max_files: maximum number of members.
        max_bytes: maximum number of extracted bytes.

    Raises:
        ValueError: the archive is damaged, or a member is rejected; nothing is written.
        FileExistsError: the directory is not empty.
    """
    archive, directory = Path(archive), Path(directory)
    if directory.is_symlink() or (directory.exists() and (not directory.is_dir() or any(directory.iterdir()))):
        raise FileExistsError(f"expected a directory that is empty or does not exist, got {directory}")
    with _read_errors_as_value_errors(archive), archive.open("rb") as file:
        read = read_zip if file.read(4) in ZIP_MAGIC else read_tar
        members = list(_limited(archive, (member for member, _ in read(file)), max_files, max_bytes))
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
    """Yield the members of a tar archive, each with a function that opens it."""
    file.seek(0)
    start = file.read(3)
    file.seek(0)
    unpack = next((unpack for magic, unpack in COMPRESSIONS.items() if start.startswith(magic)), None)
    source: Any = _BoundedReader(unpack(file) if unpack else file)
    with tarfile.open(fileobj=source, mode="r:") as tar:
        for info in tar:
            yield Member(info.name, _kind_in_tar(info), info.size), partial(tar.extractfile, info)
        source.seek(tar.offset)  # tarfile treats a damaged header as the end, but the end is a block of zeros
        if source.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise tarfile.ReadError(f"expected a header or the end of the archive at byte {tar.offset}")


def read_zip(file: IO[bytes]) -> Iterator[tuple[Member, Callable[[], Any]]]:
    """Yield the members of a zip archive, each with a function that opens it."""
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            yield Member(info.orig_filename, _kind_in_zip(info), info.file_size), partial(archive.open, info)


def check_members(archive: str | Path, members: list[Member]) -> None:
    """Check that all members may be extracted.

    Raises:
        ValueError: a member is rejected.
    """
    seen = {"": "folder"}
    for member in members:
        fault = _fault_of_kind(member.kind) or _fault_of_name(member.name) or _conflict(member, seen)
        if fault:
            raise ValueError(f"{archive}: rejected member {member.name!r}: {fault}")


class _BoundedReader:
    """A file that rejects huge reads, which a damaged tar header would cause."""

    def __init__(self, file: IO[bytes]):
        self.tell, self.seek = file.tell, file.seek
        self._read = file.read

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= CHUNK:
            raise tarfile.ReadError(f"a header of {size} bytes")
        return self._read(size)


@contextmanager
def _read_errors_as_value_errors(archive: Path) -> Iterator[None]:
    try:
        yield
    except READ_ERRORS as error:
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
    return kinds.get(info.type, f"a member of unknown type {info.type!r}")


def _kind_in_zip(info: zipfile.ZipInfo) -> str:
    if info.flag_bits & 0x1:
        return "an encrypted file"
    if info.compress_type not in ZIP_METHODS:
        return f"a file compressed by method {info.compress_type}"
    mode = info.external_attr >> 16  # the Unix file mode; 0 if another system wrote the archive
    kinds = {stat.S_IFLNK: "a symbolic link", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
    kinds |= {stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}
    ordinary = "folder" if info.orig_filename.endswith("/") else "file"
    return kinds.get(stat.S_IFMT(mode), ordinary)


def _fault_of_kind(kind: str) -> str:
    return "" if kind in {"file", "folder"} else f"expected a regular file or folder, got {kind}"


def _fault_of_name(name: str) -> str:
    """Describe what is wrong with the name of a member; "" if it is valid."""
    parts = name.split("/")
    faults = {
        "empty name": not name,
        "absolute path": name.startswith("/"),
        "path outside of the directory": ".." in parts,
        "backslash or colon in the name": "\\" in name or ":" in name,
        "control characters in the name": any(unicodedata.category(c) in {"Cc", "Cs"} for c in name),
        f"name longer than {MAX_NAME_LENGTH} characters": len(name) > MAX_NAME_LENGTH,
        f"path deeper than {MAX_DEPTH} folders": len(parts) > MAX_DEPTH,
    }
    return next((fault for fault, found in faults.items() if found), "")


def _conflict(member: Member, seen: dict[str, str]) -> str:
    """Add the path of a member to those seen; describe a conflict with them, "" if there is none."""
    parts = _folded(_plain(member.name)).split("/")
    for depth in range(1, len(parts)):
        if seen.setdefault("/".join(parts[:depth]), "folder") == "file":
            return f"{'/'.join(parts[:depth])!r} is a file, not a folder"
    path = "/".join(parts)
    if path in seen and not seen[path] == member.kind == "folder":
        return "duplicate name"
    seen[path] = member.kind
    return ""


def _plain(name: str) -> str:
    """Normalize a path: ``./a//b/`` is ``a/b``."""
    return "/".join(part for part in name.split("/") if part not in {"", "."})


def _folded(name: str) -> str:
    """Fold case and Unicode normalization, which a file system may ignore."""
    return unicodedata.normalize("NFC", name).casefold()


def _limited(archive: Path, members: Iterable[Member], max_files: int, max_bytes: int) -> Iterator[Member]:
    total = 0
    for number, member in enumerate(members, 1):
        total += member.size
        if number > max_files:
            raise ValueError(f"{archive}: expected at most {max_files} members, got {member.name!r} beyond them")
        if member.size < 0 or total > max_bytes:
            raise ValueError(
                f"{archive}: expected at most {max_bytes} bytes, got {total} up to member {member.name!r} of "
                f"{member.size} bytes"
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
        raise ValueError(f"expected {member.size} bytes in {member.name!r}, got {path.stat().st_size}")
