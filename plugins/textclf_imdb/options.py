"""Options of the IMDB reviews, and their check before a run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from textclf import Field, Options, Problem

FILE_ID = "1zfM5E6HvKIe7f3rEt1V2gBpw5QOSSKQz"
ROWS = 62_155
INSTALL = "gdown>=6.4"


class ImdbOptions(Options):
    file_id: str = Field(
        FILE_ID,
        pattern=r"^[A-Za-z0-9_-]{10,128}$",
        description="the file's id on Google Drive, as in https://drive.google.com/file/d/ID/view",
    )
    path: Path | None = Field(None, description="a CSV downloaded by hand, read in place; nothing is downloaded then")
    url: str | None = Field(
        None,
        pattern=r"^https://[^\s/]+\S*$",
        max_length=2048,
        description="a mirror of the file on the web (https), used in place of Google Drive",
    )
    rows: int = Field(ROWS, ge=0, le=100_000_000, description="how many rows the file must have; 0 accepts any number")
    sha256: str | None = Field(
        None,
        pattern=r"^[0-9a-f]{64}$",
        description="the file's sha256 in hex digits; without it later downloads must equal the first",
    )
    refresh: bool = Field(False, description="download the file again for this run (--set dataset.refresh=true)")
    timeout: float = Field(
        8.0,
        gt=0,
        le=600,
        description="seconds of silence after which a request fails; `tries` times as long without any data "
        "ends the download, so raise it on a very slow line",
    )
    deadline: float = Field(1800.0, gt=0, le=86_400, description="seconds after which the whole download fails")
    tries: int = Field(3, ge=1, le=10, description="how often to try, with growing pauses or the server's")


def problems(options: ImdbOptions) -> Iterator[Problem]:
    """Find what can be wrong before a run: two sources at once, no file, no gdown."""
    if options.path and options.url:
        yield Problem("set either path or url, not both", ("url",))
    if options.url and not _is_url(options.url):
        yield Problem(f"'{options.url}' is no URL to download from", ("url",))
    if options.path and not options.path.is_file():
        what = "is a folder, not a file" if options.path.is_dir() else "no such file"
        yield Problem(f"'{options.path}': {what}", ("path",))
    if not options.path and not options.url and (message := _gdown_problem()):
        yield Problem(message, exit_code=5)


def _is_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.port != 0 and parts.username is None
    except ValueError:
        return False


def _gdown_problem() -> str | None:
    hint = f"pip install '{INSTALL}', or set `path` to the file, or `url` to a mirror"
    if find_spec("gdown") is None:
        return f"dataset 'imdb' needs gdown, which is not installed: {hint}"
    try:
        version = metadata.version("gdown")
    except metadata.PackageNotFoundError:
        return None  # a copy that pip does not know, of some version
    if _numbers(version) < _numbers(INSTALL):
        return f"dataset 'imdb' needs {INSTALL}, but gdown {version} is installed: {hint}"
    return None


def _numbers(version: str) -> list[int]:
    return [int(digits) for digits in re.findall(r"\d+", version)[:2]]
