"""Owns what a recipe may say of the IMDB reviews, and what can be wrong with it before anything runs."""

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
    path: Path | None = Field(None, description="a CSV fetched by hand, read in place; nothing is downloaded then")
    url: str | None = Field(
        None,
        pattern=r"^https://[^\s/]+\S*$",
        max_length=2048,
        description="a mirror of the file on the web (https), fetched in place of Google Drive",
    )
    rows: int = Field(ROWS, ge=0, le=100_000_000, description="how many rows the file must have; 0 accepts any number")
    sha256: str | None = Field(
        None,
        pattern=r"^[0-9a-f]{64}$",
        description="the file's sha256 in hex digits; without it the first download is trusted, later ones compared",
    )
    timeout: float = Field(
        8.0,
        gt=0,
        le=600,
        description="seconds of silence after which a request is given up; `tries` times as long without any data "
        "ends the download, so raise it on a very slow line",
    )
    deadline: float = Field(1800.0, gt=0, le=86_400, description="seconds after which the whole download is given up")
    tries: int = Field(3, ge=1, le=10, description="how often to try, with growing pauses")


def problems(options: ImdbOptions) -> Iterator[Problem]:
    """Find what is wrong here and now: two places at once, no file, no gdown."""
    if options.path and options.url:
        yield Problem("give either a path or a url, not both", ("url",))
    if options.url and not _is_address(options.url):
        yield Problem(f"'{options.url}' is no address to download from", ("url",))
    if options.path and not options.path.is_file():
        what = "is a folder, not a file" if options.path.is_dir() else "no such file"
        yield Problem(f"'{options.path}': {what}", ("path",))
    if not options.path and not options.url and (message := _gdown_problem()):
        yield Problem(message, exit_code=5)


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.port != 0 and parts.username is None
    except ValueError:
        return False


def _gdown_problem() -> str | None:
    way = f"pip install '{INSTALL}', or give the file as `path`, or a mirror as `url`"
    if find_spec("gdown") is None:
        return f"dataset 'imdb' needs gdown, which is not installed: {way}"
    try:
        version = metadata.version("gdown")
    except metadata.PackageNotFoundError:
        return None  # a copy that nobody installed; whoever put it there knows which it is
    if _numbers(version) < _numbers(INSTALL):
        return f"dataset 'imdb' needs {INSTALL}, but gdown {version} is installed: {way}"
    return None


def _numbers(version: str) -> list[int]:
    return [int(digits) for digits in re.findall(r"\d+", version)[:2]]
