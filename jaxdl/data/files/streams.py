"""Decompression of untrusted streams: read to the checksum, in bounded memory."""

import bz2
import io
import lzma
import zlib
from collections.abc import Callable
from typing import IO, Any

BLOCK = 1 << 16
MAX_XZ_MEMORY = 1 << 28  # xz allocates as much as its header requests; the highest preset needs 65 MiB


class DamagedStreamError(ValueError):
    """A compressed stream is damaged, ends early, or has other data after its end."""


class _Gzip:
    """A decompressor of gzip with the interface of those of `bz2` and `lzma`."""

    def __init__(self):
        self._inner = zlib.decompressobj(16 + zlib.MAX_WBITS)

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, max_length)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def needs_input(self) -> bool:
        return not self._inner.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data


DECOMPRESSORS: dict[bytes, Callable[[], Any]] = {
    b"\x1f\x8b": _Gzip,
    b"BZh": bz2.BZ2Decompressor,
    b"\xfd7zXZ": lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, MAX_XZ_MEMORY),
}
"""By the first bytes of a file."""


def decompressed(file: IO[bytes]) -> IO[bytes]:
    """Return the content of a file that may be compressed by gzip, bzip2 or xz, recognized by its first bytes.

    At the end the checksum is verified and what follows must be another stream or zeros.

    Raises:
        DamagedStreamError: while it is read, if the stream is damaged, truncated, or followed by other data.

    >>> import gzip
    >>> decompressed(io.BytesIO(gzip.compress(b"text"))).read()
    b'text'
    """
    file.seek(0)
    start = file.read(6)
    file.seek(0)
    make = next((make for magic, make in DECOMPRESSORS.items() if start.startswith(magic)), None)
    return file if make is None else io.BufferedReader(_Decompressed(file, make), BLOCK)


class _Decompressed(io.RawIOBase):
    """The content of a compressed file; to seek backwards restarts."""

    def __init__(self, file: IO[bytes], make: Callable[[], Any]):
        self._file, self._make = file, make
        self._restart()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence == io.SEEK_END:
            raise io.UnsupportedOperation("the end of a compressed stream is unknown")
        target = offset + (self._position if whence == io.SEEK_CUR else 0)
        if target < self._position:
            self._restart()
        while self._position < target and self.readinto(bytearray(min(BLOCK, target - self._position))):
            pass
        return self._position

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._next(len(buffer)) if len(buffer) else b""
        except (zlib.error, lzma.LZMAError, OSError, EOFError) as error:
            raise DamagedStreamError(f"damaged compressed stream: {error}") from error
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)

    def _restart(self) -> None:
        self._file.seek(0)
        self._position, self._inner, self._pending = 0, self._make(), b""

    def _next(self, size: int) -> bytes:
        """Return 1 to ``size`` bytes; none at the end of the last stream."""
        while not self._inner.eof or self._start_next():
            hungry = self._inner.needs_input
            data = (self._pending or self._file.read(BLOCK)) if hungry else b""
            self._pending = b"" if hungry else self._pending
            result = self._inner.decompress(data, size)
            if result:
                return result
            if hungry and not data and not self._inner.eof:
                raise EOFError("it ends before its checksum")
        return b""

    def _start_next(self) -> bool:
        """Start with the stream after this one; False if nothing but zeros follows."""
        rest = self._inner.unused_data.lstrip(b"\0")
        while not rest and (block := self._file.read(BLOCK)):
            rest = block.lstrip(b"\0")
        if rest:
            self._inner, self._pending = self._make(), rest
        return bool(rest)
