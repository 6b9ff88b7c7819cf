"""Extraction of untrusted tar and zip archives.

Every member is checked before the first byte is written. Only regular files and folders with plain relative names are
accepted: no absolute path, no ``..``, no link, no device, no duplicate name, and a limited number of files and bytes.
Compressed archives are read to their checksum, since damage may hide behind the last member.
"""

import errno
import os
import re
import shutil
import stat
import struct
import tarfile
import tempfile
import unicodedata
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any, NamedTuple

from jaxdl.checks import shorten
from jaxdl.data.files.opening import open_regular
from jaxdl.data.files.streams import DamagedStreamError, decompressed

CHUNK = 1 << 20
MAX_RECORDS = 256  # of an extended header; tar writes about ten
HEADER_BYTES_PER_FILE = 1 << 13
RECORD = re.compile(rb"(\d{1,10}) [^=\n]{1,1024}=")
EXTENDED = {tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE}
MAX_NAME_LENGTH = 1024
MAX_DEPTH = 64
MAX_PART_BYTES = 255  # of file systems
ZIP_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}  # lzma allocates as much as its header requests
ZIP_MAGIC = (b"PK\x03\x04", b"PK\x05\x06")
ZIP_COUNTS = {b"PK\x05\x06": (10, "<H"), b"PK\x06\x06": (32, "<Q")}  # the number of members in the end, small or large
ZIP_ENTRY_SIZE = 46  # without name, extra fields and comment
UTF_8 = 0x800  # the flag of names that are not in code page 437


class Member(NamedTuple):
    """The header of a member of an archive; ``kind`` is "file", "folder", or a description of a rejected kind."""

    name: str
    kind: str
    size: int


def extract(
    archive: str | Path, directory: str | Path, *, max_files: int = 100_000, max_bytes: int = 4 << 30
) -> list[Path]:
    """Extract a tar (plain, gzip, bzip2, xz) or zip archive into a new directory; return its files, sorted.

    The extraction is atomic: files are written to a temporary directory, which is then renamed. ``directory`` must be
    empty or not exist, so that no existing link in it can lead outside.

    Args:
        archive: the archive.
        directory: a directory that is empty or does not exist.
        max_files: maximum number of members.
        max_bytes: maximum number of extracted bytes.

    Raises:
        ValueError: the archive is damaged or no regular file, or a member is rejected; nothing is written.
        FileExistsError: the directory is not empty.
    """
    archive, directory = Path(archive), Path(directory)
    if directory.is_symlink() or (directory.exists() and (not directory.is_dir() or any(directory.iterdir()))):
        raise FileExistsError(f"expected a directory that is empty or does not exist, got {directory}")
    with open_regular(archive) as file, _errors_as_value_errors(archive):
        is_zip = file.read(4) in ZIP_MAGIC
        read = read_zip if is_zip else partial(read_tar, max_files=max_files, max_bytes=max_bytes)
        members = list(_limited((member for member, _ in read(file)), max_files, max_bytes))
        check_members(members)
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


def read_tar(
    file: IO[bytes], *, max_files: int = 100_000, max_bytes: int = 4 << 30
) -> Iterator[tuple[Member, Callable[[], Any]]]:
    """Yield the members of a tar archive, each with a function that opens it; then read to the end of the file."""
    source: Any = _BoundedReader(decompressed(file), max_files * HEADER_BYTES_PER_FILE)
    with tarfile.open(fileobj=source, mode="r:") as tar:

        def opened(info: tarfile.TarInfo) -> Any:
            source.in_member = True
            return tar.extractfile(info)

        for info in tar:
            yield Member(info.name, _kind_in_tar(info), info.size), partial(opened, info)
            source.in_member = False
        source.seek(tar.offset)  # tarfile treats a damaged header as the end, but the end is a block of zeros
        if source.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise tarfile.ReadError(f"expected a header or the end of the archive at byte {tar.offset}")
        source.check_rest(max_bytes)


def read_zip(file: IO[bytes]) -> Iterator[tuple[Member, Callable[[], Any]]]:
    """Yield the members of a zip archive, each with a function that opens it."""
    with zipfile.ZipFile(file) as archive:
        check_directory(archive)
        for info in archive.infolist():
            yield Member(info.orig_filename, _kind_in_zip(info), info.file_size), partial(archive.open, info)


def check_directory(archive: zipfile.ZipFile) -> None:
    """Check that a zip archive lists as many members as its end states; a damaged length would hide some.

    Raises:
        BadZipFile: it does not.
    """
    members, size = archive.infolist(), 0
    for info in members:
        name = info.orig_filename.encode("utf-8" if info.flag_bits & UTF_8 else "cp437")
        size += ZIP_ENTRY_SIZE + len(name) + len(info.extra) + len(info.comment)
    file: Any = archive.fp
    file.seek(archive.start_dir + size)
    end = file.read(40)
    place, form = ZIP_COUNTS.get(end[:4], (0, "<H"))
    if place == 0 or struct.unpack_from(form, end, place)[0] != len(members):
        raise zipfile.BadZipFile("the directory of members is damaged")


def check_members(members: list[Member]) -> None:
    """Check that all members may be extracted.

    Raises:
        ValueError: a member is rejected.
    """
    seen = {"": "folder"}
    for member in members:
        fault = _fault_of_kind(member.kind) or _fault_of_name(member.name) or _conflict(member, seen)
        if fault:
            raise ValueError(f"rejected member {shorten(repr(member.name))}: {fault}")


class _BoundedReader:
    """A file that rejects what a damaged tar header would cause: huge reads, and long or costly extended headers."""

    def __init__(self, file: IO[bytes], max_header_bytes: int):
        self.tell, self.seek = file.tell, file.seek
        self._read = file.read
        self._allowed = max_header_bytes
        self._extended = False
        self.in_member = False

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= CHUNK:
            raise tarfile.ReadError(f"a header of {size} bytes")
        data = self._read(size)
        if self.in_member:
            return data
        self._allowed -= len(data)
        if self._allowed < 0:
            raise tarfile.ReadError("headers too long for the number of files")
        if self._extended:
            _check_records(data)
        self._extended = not self._extended and size == tarfile.BLOCKSIZE and data[156:157] in EXTENDED
        return data

    def check_rest(self, max_bytes: int) -> None:
        """Read to the end of the file, which verifies its checksum; nothing but zeros may be there."""
        read = 0
        while rest := self._read(CHUNK):
            read += len(rest)
            if rest.strip(b"\0") or read > max(max_bytes, CHUNK):
                raise tarfile.ReadError("other data after the end of the archive")


def _check_records(data: bytes) -> None:
    """Check the records of an extended header, each ``length name=value`` and a newline, in linear time."""
    position, count = 0, 0
    while position < len(data) and data[position] != 0:
        match = RECORD.match(data, position)
        length = int(match[1]) if match else 0
        count += 1
        if length < 5 or position + length > len(data) or count > MAX_RECORDS:
            raise tarfile.ReadError(f"a damaged extended header, at byte {position} of {len(data)}")
        position += length


@contextmanager
def _errors_as_value_errors(archive: Path) -> Iterator[None]:
    """Turn the errors of damaged archives, which can be of any type, into a ValueError; those of the disk stay."""
    try:
        yield
    except Exception as error:
        forged_position = isinstance(error, OSError) and error.errno == errno.EINVAL
        if isinstance(error, OSError) and error.errno is not None and not forged_position:
            raise
        rejected = isinstance(error, ValueError) and not isinstance(error, DamagedStreamError)
        fault = "" if rejected else "damaged archive: "
        raise ValueError(f"{archive}: {fault}{shorten(error, 500) or type(error).__name__}") from error


def _kind_in_tar(info: tarfile.TarInfo) -> str:
    if info.sparse is not None or info.type == tarfile.GNUTYPE_SPARSE:
        return "a sparse file"
    if info.issym():
        return f"a symbolic link to {shorten(repr(info.linkname))}"
    if info.islnk():
        return f"a hard link to {shorten(repr(info.linkname))}"
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
        f"name of a file or folder longer than {MAX_PART_BYTES} bytes": any(
            len(part.encode(errors="replace")) > MAX_PART_BYTES for part in parts
        ),
    }
    return next((fault for fault, found in faults.items() if found), "")


def _conflict(member: Member, seen: dict[str, str]) -> str:
    """Add the path of a member to those seen; describe a conflict with them, "" if there is none."""
    parts = _folded(_plain(member.name)).split("/")
    for depth in range(1, len(parts)):
        if seen.setdefault("/".join(parts[:depth]), "folder") == "file":
            return f"{shorten('/'.join(parts[:depth]))!r} is a file, not a folder"
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


def _limited(members: Iterable[Member], max_files: int, max_bytes: int) -> Iterator[Member]:
    total = 0
    for number, member in enumerate(members, 1):
        total += member.size
        if number > max_files:
            raise ValueError(f"expected at most {max_files} members, got {shorten(repr(member.name))} beyond them")
        if member.size < 0 or total > max_bytes:
            raise ValueError(
                f"expected at most {max_bytes} bytes, got {total} up to member {shorten(repr(member.name))} of "
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
        raise ValueError(f"expected {member.size} bytes in {shorten(repr(member.name))}, got {path.stat().st_size}")
