"""Damaged and hostile archives."""

import bz2
import gzip
import io
import lzma
import shutil
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from experiments.stress.attack import Attack, Trial, damaged, forged
from jaxdl.data.files import archive


def trials(folder: Path, generator: np.random.Generator, times: int) -> Iterator[Trial]:
    """Extract damaged archives of every format, then hostile ones."""
    plain = tar_of({"a": generator.bytes(700), "f/" + "ü" * 60: generator.bytes(1200)})
    packed = {
        "tar": plain,
        "tar.gz": gzip.compress(plain),
        "tar.bz2": bz2.compress(plain),
        "tar.xz": lzma.compress(plain),
        "zip": zip_of({"a/b": b"x" * 3000, "c": generator.bytes(300)}),
    }
    attacks = [Attack(name, content, extracted, name != "tar") for name, content in packed.items()]
    yield from damaged(attacks, times, folder, generator)
    yield from forged(hostile(plain), extracted, folder, "attacked")


def extracted(path: Path) -> dict[str, bytes]:
    """Extract an archive and return the content of its files."""
    out = path.with_name("extracted")
    shutil.rmtree(out, ignore_errors=True)
    return {file.relative_to(out).as_posix(): file.read_bytes() for file in archive.extract(path, out)}


def tar_of(files: dict[str, bytes], **fields: str) -> bytes:
    """Make a tar archive; ``fields`` are those of the extended header of each file."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.pax_headers = len(text), fields
            tar.addfile(info, io.BytesIO(text))
    return content.getvalue()


def zip_of(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Make a zip archive."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", method) as file:
        for name, text in files.items():
            file.writestr(name, text)
    return content.getvalue()


def hostile(plain: bytes) -> dict[str, bytes]:
    """Return archives that would take endless time or memory, write outside of the folder, or hide damage."""
    records = "".join(f"{i}=x;" for i in range(9))
    compressed = gzip.compress(plain)
    links = {}
    for name, kind in (("symbolic", tarfile.SYMTYPE), ("hard", tarfile.LNKTYPE), ("pipe", tarfile.FIFOTYPE)):
        info = tarfile.TarInfo("link")
        info.type, info.linkname = kind, "/etc/passwd"
        links[f"tar with a {name} link"] = info.tobuf() + bytes(1024)
    huge = tarfile.TarInfo("huge")
    huge.size = 1 << 40
    return {
        "a long extended header": gzip.compress(tar_of({"a": b""}, comment="7 =" * 3_000_000)),
        "many extended headers": gzip.compress(tar_of({"a": b""}, **{f"k{i}": records for i in range(2000)})),
        "a name out of the folder": tar_of({"../outside": b"x"}),
        "an absolute name": zip_of({"/outside": b"x"}),
        "a name twice": tar_of({"a": b"1", "./a": b"2"}),
        "a file within a file": zip_of({"a": b"1", "a/b": b"2"}),
        "a long name": zip_of({"n" * 60_000: b"x"}),
        "a deep name": zip_of({"d/" * 5000 + "x": b"x"}),
        "a terabyte": huge.tobuf() + bytes(1024),
        "lzma in zip": zip_of({"a": b"x" * 100}, zipfile.ZIP_LZMA),
        "a tail behind the end": compressed + b"tail",
        "a missing tail": compressed[:-1],
        "a missing checksum": compressed[:-8],
        "another checksum": compressed[:-8] + bytes(4) + compressed[-4:],
        "an empty file": b"",
        **links,
    }
