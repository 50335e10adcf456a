"""The bytes behind a table: gzip, encodings, bounds, and files that change while they are read."""

from __future__ import annotations

import codecs
import gzip
import io
import os
import stat
import tempfile
import zlib
from collections.abc import Iterator
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


class _Bytes(io.RawIOBase):
    """Bytes that are counted while they are read; those of gzip are refused where they are torn or a bomb.

    packed: the bytes of the gzip data, where `file` unpacks them.
    """

    def __init__(self, file: IO[bytes], name: str, packed: _Bytes | None = None) -> None:
        self.file, self.name, self.packed = file, name, packed
        self.total = self.newlines = 0
        self.ahead = b""

    def readable(self) -> bool:
        return True

    def peek(self, size: int) -> bytes:
        """Return so many of the bytes to come, fewer only at the end.

        What is there is read in large pieces: an error about a wrong byte shows the decoder's piece to the guess.
        """
        while len(self.ahead) < size and (more := self._take(_CHUNK)):
            self.ahead += more
        return self.ahead[:size]

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer).cast("B")
        data, self.ahead = self.ahead[: len(view)], self.ahead[len(view) :]
        data = data or self._take(len(view))
        view[: len(data)] = data
        self.total += len(data)
        self.newlines += data.count(b"\n")
        return len(data)

    def _take(self, size: int) -> bytes:
        try:
            data = cast(bytes, getattr(self.file, "read1", self.file.read)(size))
        except EOFError:
            raise DataError(f"{self.name}: the gzip data is cut off; fetch or pack the file again") from None
        except (gzip.BadGzipFile, zlib.error) as error:
            raise DataError(f"{self.name}: the gzip data is damaged ({error}); fetch or pack the file again") from None
        if self.packed and self.total > max(_RATIO_FROM, _RATIO_LIMIT * self.packed.total):
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
            self._bytes = _Bytes(self._file, self.name)
            if self._bytes.peek(2) == _GZIP:
                unpacked = gzip.GzipFile(fileobj=io.BufferedReader(self._bytes, _CHUNK))
                self._bytes = _Bytes(cast(IO[bytes], unpacked), self.name, self._bytes)
            self.head = self._bytes.peek(4)
        except BaseException:
            self.close()
            raise

    def lines(self, encoding: str, limit: int = RECORD_LIMIT) -> Iterator[str]:
        """Yield the lines with their ends, decoded strictly; a DataError for a wrong byte or a line over the limit."""
        codec = self._codec(encoding)
        text = io.TextIOWrapper(io.BufferedReader(self._bytes, _CHUNK), encoding=codec, newline="")
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
            # The stream belongs to its caller and must outlive this reader.
            with suppress(ValueError):
                text.detach()

    def seekable(self) -> BinaryIO:
        """Return the bytes as a file that can be read in any order, copied to a temporary one where they must be."""
        if self.regular and self._bytes.packed is None:
            self._file.seek(0)
            return cast(BinaryIO, self._file)
        self._copy = copy = cast(BinaryIO, tempfile.TemporaryFile())  # noqa: SIM115 - `close` closes it
        reader = io.BufferedReader(self._bytes, _CHUNK)
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
        return min(1.0, (self._bytes.packed or self._bytes).total / self._stat.st_size)

    def close(self) -> None:
        if self._copy is not None:
            self._copy.close()
        if self.path is not None:
            self._file.close()

    def _codec(self, encoding: str) -> str:
        try:
            codec = codecs.lookup(encoding)
            known = getattr(codec, "_is_text_encoding", True)
        except (LookupError, ValueError):
            known = False
        if not known:
            raise DataError(f"{self.name}: no encoding is called '{encoding}' (for example: utf-8, cp1252, utf-16)")
        if codec.name != "utf-8":
            return codec.name
        if kind := _OTHER.get(self.head):
            raise DataError(f"{self.name}: is {kind}")
        if self.head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raise DataError(f"{self.name}: is written in UTF-16, not in UTF-8; set `encoding: utf-16`")
        return "utf-8-sig"

    def _wrong_byte(self, error: UnicodeDecodeError, encoding: str) -> str:
        """Name the byte that cannot be decoded, and the encoding that the bytes around it look like."""
        seen = error.object
        offset = self._bytes.total - len(seen) + error.start
        line = self._bytes.newlines - seen.count(b"\n", error.start) + 1
        place = f"{self.name}:{line}: byte {offset} of the file (0x{seen[error.start]:02X}) is no {encoding}"
        # A western text has few letters beyond ASCII; of a text full of them no guess is safe.
        sample = seen[max(0, error.start - 200) : error.start + 200]
        if encoding == "utf-8" and sum(byte >= 0x80 for byte in sample) <= 0.3 * len(sample):
            return f"{place}; it looks like cp1252: set `encoding: cp1252`"
        program = "set `encoding` to that of the program that wrote it, for example cp1251, gb18030 or shift_jis"
        return f"{place}; {program}"


def _open(path: Path, name: str) -> IO[bytes]:
    try:
        return path.open("rb", buffering=0)
    except FileNotFoundError:
        raise DataError(f"{name}: no such file") from None
    except IsADirectoryError:
        raise DataError(f"{name}: is a folder, not a file") from None
    except OSError as error:
        raise DataError(f"{name}: cannot be read: {error.strerror}") from None


def _size(limit: int) -> str:
    return f"{limit // 2**20} MiB" if limit >= 2**20 else f"{limit:,} characters"
