"""The bytes behind a table: opening, gzip, bounds, text lines in an encoding, and files that change meanwhile."""

from __future__ import annotations

import codecs
import gzip
import io
import os
import stat
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, BinaryIO, cast

from ..errors import DataError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


# One record may be this long, in characters: a text of 10 MB passes, a line of 1 GB does not.
RECORD_LIMIT = 64 * 2**20
# Text packs 2 to 20 times, very repetitive text 100 times; gzip itself ends at 1,032.
_RATIO_LIMIT = 200
_RATIO_FROM = 16 * 2**20
_GZIP = b"\x1f\x8b"
_CHUNK = 2**16
_OTHER = {
    b"PK\x03\x04": "a ZIP archive or an Excel workbook, not a text file; save it as CSV",
    b"PAR1": "Parquet, not a text file; say `format: parquet`",
}


class _Counted(io.RawIOBase):
    """A stream that counts the bytes and line ends that were read from it."""

    def __init__(self, inner: IO[bytes], head: bytes = b"") -> None:
        self.inner, self.head = inner, head
        self.total = self.newlines = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer).cast("B")
        data = self.take(len(view))
        view[: len(data)] = data
        self.total += len(data)
        self.newlines += data.count(b"\n")
        return len(data)

    def take(self, size: int) -> bytes:
        head, self.head = self.head[:size], self.head[size:]
        read = getattr(self.inner, "read1", self.inner.read)
        return head + cast(bytes, read(size - len(head)))


class _Unpacked(_Counted):
    """The contents of a gzip stream, refused where they are cut, torn or a bomb."""

    def __init__(self, packed: _Counted, name: str) -> None:
        super().__init__(cast(IO[bytes], gzip.GzipFile(fileobj=io.BufferedReader(packed, _CHUNK))))
        self.packed, self.name = packed, name

    def take(self, size: int) -> bytes:
        try:
            data = super().take(size)
        except EOFError:
            raise DataError(f"{self.name}: the gzip data is cut off; fetch or pack the file again") from None
        except (gzip.BadGzipFile, zlib.error) as error:
            raise DataError(f"{self.name}: the gzip data is damaged ({error}); fetch or pack the file again") from None
        if self.total > _RATIO_FROM and self.total > _RATIO_LIMIT * self.packed.total:
            raise DataError(
                f"{self.name}: unpacks to more than {_RATIO_LIMIT} times its size, which no file of texts does; "
                "unpack it yourself if it is meant so"
            )
        return data


class Source:
    """An open stream of bytes, unpacked where it is gzipped, with its name and its first bytes."""

    def __init__(self, source: Path | BinaryIO, name: str = "") -> None:
        self.path = source if isinstance(source, Path) else None
        self.name = name or (str(source) if isinstance(source, Path) else "stdin")
        self._file = _open(source, self.name) if isinstance(source, Path) else source
        self._copy: BinaryIO | None = None
        self._stat = os.fstat(self._file.fileno()) if self.path else None
        self.regular = self._stat is not None and stat.S_ISREG(self._stat.st_mode)
        try:
            self.raw, self.head = self._begin()
        except BaseException:
            self.close()
            raise
        self.packed = isinstance(self.raw, _Unpacked)

    def _begin(self) -> tuple[_Counted, bytes]:
        """Return the unpacked stream and its first bytes, which it will give again."""
        head = _first(self._file.read, 4)
        raw = _Counted(self._file, head)
        if head.startswith(_GZIP):
            raw = _Unpacked(raw, self.name)
            raw.head = head = _first(raw.take, 4)
        return raw, head

    def lines(self, encoding: str, limit: int = RECORD_LIMIT) -> Iterator[str]:
        """Yield the lines with their ends, decoded strictly; a DataError for a wrong byte or a line over the limit."""
        codec = self._codec(encoding)
        text = io.TextIOWrapper(io.BufferedReader(self.raw, _CHUNK), encoding=codec, newline="")
        number = 0
        try:
            while line := text.readline(limit + 1):
                number += 1
                if len(line) > limit:
                    raise DataError(f"{self.name}:{number}: a line longer than {_size(limit)} is no row of a table")
                yield line
        except UnicodeDecodeError as error:
            raise DataError(self._wrong_byte(error, encoding)) from None
        except UnicodeError as error:
            raise DataError(f"{self.name}: is not written in {encoding} ({error}); set `encoding`") from None
        finally:
            # The stream belongs to whoever opened it: it must outlive this reader.
            with suppress(ValueError):
                text.detach()

    def seekable(self) -> BinaryIO:
        """Return the bytes as a file that can be read in any order, copied to a temporary one where they must be."""
        if self.regular and not self.packed:
            self._file.seek(0)
            return cast(BinaryIO, self._file)
        self._copy = copy = cast(BinaryIO, tempfile.TemporaryFile())  # noqa: SIM115 - `close` closes it
        reader = io.BufferedReader(self.raw, _CHUNK)
        while chunk := reader.read(_CHUNK):
            copy.write(chunk)
        copy.seek(0)
        return copy

    def check_unchanged(self) -> None:
        """Raise a DataError where the file is no longer the one that was opened."""
        if self.path is None or self._stat is None or not self.regular:
            return
        try:
            now = os.stat(self.path)  # noqa: PTH116 - as for the descriptor above
        except OSError:
            raise DataError(f"{self.name}: was removed while it was read; run again when it is complete") from None
        before = self._stat
        if (now.st_ino, now.st_size, now.st_mtime_ns) != (before.st_ino, before.st_size, before.st_mtime_ns):
            raise DataError(f"{self.name}: changed while it was read; run again when nothing writes to it")

    def share(self) -> float | None:
        """Return how much of the file has been read, from 0 to 1, or None where that is not known."""
        if self._stat is None or not self.regular or not self._stat.st_size:
            return None
        read = self.raw.packed.total if isinstance(self.raw, _Unpacked) else self.raw.total
        return min(1.0, read / self._stat.st_size)

    def close(self) -> None:
        if self._copy is not None:
            self._copy.close()
        if self.path is not None:
            self._file.close()

    def _codec(self, encoding: str) -> str:
        codec = codec_name(encoding)
        if codec is None:
            raise DataError(f"{self.name}: no encoding is called '{encoding}' (for example: utf-8, cp1252, utf-16)")
        if codec != "utf-8":
            return codec
        if kind := _OTHER.get(self.head):
            raise DataError(f"{self.name}: is {kind}")
        if wide := _utf16(self.head):
            raise DataError(f"{self.name}: is written in UTF-16, not in UTF-8; set `encoding: {wide}`")
        return "utf-8-sig"

    def _wrong_byte(self, error: UnicodeDecodeError, encoding: str) -> str:
        seen = error.object
        offset = self.raw.total - len(seen) + error.start
        line = self.raw.newlines - seen.count(b"\n") + seen.count(b"\n", 0, error.start) + 1
        place = f"{self.name}:{line}: byte {offset} of the file (0x{seen[error.start]:02X}) is no {encoding}"
        return f"{place}; {_guess(seen[max(0, error.start - 200) : error.start + 200], encoding)}"


def codec_name(encoding: str) -> str | None:
    """Return the canonical name of a text encoding, or None where there is no such encoding."""
    try:
        codec = codecs.lookup(encoding)
    except (LookupError, ValueError):
        return None
    return codec.name if getattr(codec, "_is_text_encoding", True) else None


def _open(path: Path, name: str) -> IO[bytes]:
    try:
        return path.open("rb", buffering=0)
    except FileNotFoundError:
        raise DataError(f"{name}: no such file") from None
    except IsADirectoryError:
        raise DataError(f"{name}: is a folder, not a file") from None
    except OSError as error:
        raise DataError(f"{name}: cannot be read: {error.strerror}") from None


def _first(read: Callable[[int], bytes], size: int) -> bytes:
    """Read so many bytes, fewer only at the end: a pipe gives what it has."""
    head = b""
    while len(head) < size and (more := read(size - len(head))):
        head += more
    return head


def _utf16(head: bytes) -> str | None:
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    zeros = "".join("0" if byte == 0 else "x" for byte in head)
    return {"x0x0": "utf-16-le", "0x0x": "utf-16-be"}.get(zeros)


def _guess(sample: bytes, encoding: str) -> str:
    """Say which encoding the bytes around the wrong one look like, and which option mends it."""
    foreign = sum(byte >= 0x80 for byte in sample) > 0.3 * len(sample)
    if foreign or codec_name(encoding) == "cp1252":
        return "set `encoding` to that of the program that wrote it, for example cp1251, gb18030 or shift_jis"
    undefined = any(byte in sample for byte in (0x81, 0x8D, 0x8F, 0x90, 0x9D))
    likely = "latin-1" if undefined else "cp1252"
    return f"it looks like {likely}: set `encoding: {likely}`"


def _size(limit: int) -> str:
    return f"{limit // 2**20} MiB" if limit >= 2**20 else f"{limit:,} characters"
