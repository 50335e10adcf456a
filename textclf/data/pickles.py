"""Owns which saved files are pickles, told by how they begin and never by loading them or by what they are called."""

from __future__ import annotations

import io
import pickletools
import zipfile
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import IO, Any

# Of what is no pickle hardly anything begins like one and has so many opcodes; joblib puts raw arrays between them.
_ENOUGH = 8
_STARTS = tuple(bytes([0x80, version]) for version in range(2, 6))
_COMPRESSED: Mapping[bytes, Callable[[IO[bytes]], IO[bytes]]] = {
    b"\x1f\x8b": lambda file: _opened("gzip", file),
    b"BZh": lambda file: _opened("bz2", file),
    b"\xfd7zXZ\x00": lambda file: _opened("lzma", file),
    **{bytes([0x78, level]): lambda file: _inflated(file) for level in (0x01, 0x5E, 0x9C, 0xDA)},
}
_TOO_DEEP = 4
# So many bytes are looked at; what is longer, and all opcodes of a pickle without a number so far, is none by chance.
_LOOKED_AT, _CERTAIN = 1 << 18, 1000


def pickle_in(path: Path) -> str:
    """Return what makes a file a pickle, in words to follow its name, as ", a pickle"; nothing where it is none."""
    with path.open("rb") as file:
        return _found(file, 0)


def _found(file: IO[bytes], depth: int) -> str:
    start = file.read(9)
    file.seek(0)
    if depth > _TOO_DEEP or _is_safetensors(start):
        return ""
    if start.startswith(b"\x93NUMPY"):
        return ", an array of objects, which is a pickle" if _has_objects(file) else ""
    if start.startswith(b"PK\x03\x04"):
        return _in_zip(file, depth)
    for magic, opened in _COMPRESSED.items():
        if start.startswith(magic):
            # What only looks compressed, or is cut short, is no pickle that anyone could load.
            with suppress(Exception), opened(file) as inner:
                what = _found(inner, depth + 1)
                return f"{what}, compressed" if what else ""
            return ""
    return ", a pickle" if _is_pickle(file, start) else ""


def _in_zip(file: IO[bytes], depth: int) -> str:
    """Return what is found in the first such file of an archive, as torch.save and numpy.savez make them."""
    with suppress(Exception), zipfile.ZipFile(file) as archive:  # as of what is compressed
        for member in archive.infolist():
            with archive.open(member) as inner:
                if what := _found(inner, depth + 1):
                    return f", which holds '{member.filename}'{what}"
    return ""


def _has_objects(file: IO[bytes]) -> bool:
    import numpy as np

    reading: Any = np.lib.format
    with suppress(Exception):  # a header that cannot be read is none that numpy would take
        version = reading.read_magic(file)
        read = reading.read_array_header_1_0 if version == (1, 0) else reading.read_array_header_2_0
        return bool(read(file)[2].hasobject)
    return False


def _is_safetensors(start: bytes) -> bool:
    """Tell whether a file begins with the length of a JSON object, and with that object."""
    return start[8:] == b"{" and start[4:8] == bytes(4)


def _is_pickle(file: IO[bytes], start: bytes) -> bool:
    """Tell whether the file holds opcodes of a pickle; a text may hold some by chance, so its are followed."""
    beginning = file.read(_LOOKED_AT)
    longer = bool(file.read(1))
    if start[:2] in _STARTS:
        return _has_opcodes(beginning, longer)
    if not start or start[:1] not in {opcode.code.encode("latin-1") for opcode in pickletools.opcodes} - {b"."}:
        return False
    looked_at, said = io.BytesIO(beginning), _Counted()
    with suppress(Exception):  # it raises ValueError, and whatever a text makes its readers of arguments raise
        pickletools.dis(looked_at, out=said)
        return not longer and not looked_at.read(1)
    return longer and not looked_at.read(1) and said.lines >= _CERTAIN


def _has_opcodes(beginning: bytes, longer: bool) -> bool:
    looked_at = io.BytesIO(beginning)
    with suppress(Exception):  # as above
        for number, (opcode, _, _) in enumerate(pickletools.genops(looked_at), 1):
            if opcode.name == "STOP" or number == _ENOUGH:
                return True
    # An argument may be longer than all that is looked at.
    return longer and not looked_at.read(1)


def _opened(library: str, file: IO[bytes]) -> IO[bytes]:
    opened: IO[bytes] = import_module(library).open(file)
    return opened


def _inflated(file: IO[bytes]) -> IO[bytes]:
    """Return the beginning of what was compressed without a header of its own, as joblib does."""
    return io.BytesIO(zlib.decompressobj().decompress(file.read(1 << 16), 1 << 16))


class _Counted(io.StringIO):
    """Keeps nothing of what is written but the number of its lines."""

    lines = 0

    def write(self, text: str, /) -> int:
        self.lines += text.count("\n")
        return len(text)
