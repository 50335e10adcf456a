"""The package of a new plugin: from a name and a kind to a folder whose tests pass."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from keyword import iskeyword
from pathlib import Path
from string import Template
from unicodedata import normalize

from .. import __version__
from ..errors import RecipeError, did_you_mean, with_article
from ..files import disk_errors

# What each kind needs beside textclf.
_NEEDS: Mapping[str, tuple[str, ...]] = {
    "dataset": (), "encoder": ("numpy>=2",), "trainer": ("numpy>=2",), "metric": ("numpy>=2",), "output": ("numpy>=2",),
    "observer": (),
}  # fmt: skip
KINDS = tuple(_NEEDS)
LICENCES = ("MIT", "BSD-3-Clause", "Apache-2.0", "none")

_TEMPLATES = Path(__file__).parent / "templates"
_NAME = re.compile(r"[a-z][a-z0-9]*([_-][a-z0-9]+)*")
_LONGEST = 40
_MARK = re.compile(r"^# FILL IN.*\ndef (\w+)", re.MULTILINE)
# What a recipe would read as something other than a name.
_YAML_WORDS = {"null", "true", "false"}


@dataclass(frozen=True, slots=True)
class Package:
    """A package of a plugin, not yet written: `files` by their paths in it; `function` is the one to fill in."""

    name: str
    kind: str
    files: Mapping[str, str]

    @property
    def distribution(self) -> str:
        return f"textclf-{self.name.replace('_', '-')}"

    @property
    def module(self) -> str:
        return f"textclf_{self.name}"

    @property
    def function(self) -> tuple[str, int]:
        """Return the name of the function to fill in, and its line in the module."""
        source = self.files[f"{self.module}.py"]
        found = _MARK.search(source)
        assert found is not None
        return found[1], source.count("\n", 0, found.start(1)) + 1

    def write(self, to: Path) -> Path:
        """Write the package into a new folder in `to`, whole or not at all, and return the folder."""
        folder = to / self.distribution
        if not to.is_dir():
            raise RecipeError(f"'{to}' is no folder; make it first, or name another one with --to")
        if os.path.lexists(folder):
            raise RecipeError(f"'{folder}' exists already and is not overwritten; name another folder with --to")
        part = to / f".{folder.name}.{os.getpid()}.part"
        with disk_errors(folder):
            try:
                for path, text in self.files.items():
                    (part / path).parent.mkdir(parents=True, exist_ok=True)
                    (part / path).write_text(text, "utf-8", newline="\n")
                # Should another process have made the folder meanwhile, this fails and changes nothing.
                part.rename(folder)
            finally:
                shutil.rmtree(part, ignore_errors=True)
        return folder


def package(name: str, kind: str, licence: str = "MIT", author: str = "") -> Package:
    """Return the package of a plugin called `name` that offers one component of that kind, or observes runs."""
    _require(kind, KINDS, "kind of plugin")
    _require(licence, LICENCES, "licence", "; for another take 'none', and add its text")
    if not author.isprintable():
        raise RecipeError("--author: a name is one line of printable characters")
    name = _plain_name(name)
    values = _values(name, kind, licence, author.strip())
    files = {**_texts(_TEMPLATES / "every", values), **_texts(_TEMPLATES / kind, values)}
    if licence != "none":
        files["LICENSE"] = values["licence_text"]
    return Package(name, kind, dict(sorted(files.items())))


def _require(word: str, known: tuple[str, ...], what: str, hint: str = "") -> None:
    if word not in known:
        raise RecipeError(f"no {what} is called '{word}'{did_you_mean(word, known)} (known: {', '.join(known)}{hint})")


def _plain_name(given: str) -> str:
    """Return `shape` for `shape`, `textclf-shape` and `textclf_shape`; refuse what cannot name a module."""
    name = given.removeprefix("textclf-").removeprefix("textclf_")
    if not _NAME.fullmatch(name) or len(name) > _LONGEST:
        plain = normalize("NFKD", name.lower()).encode("ascii", "ignore").decode()
        near = re.sub(r"[^a-z0-9]+", "_", plain).strip("_")[:_LONGEST].rstrip("_")
        meant = f"; did you mean '{near}'?" if _NAME.fullmatch(near) and near != name else ""
        raise RecipeError(
            f"'{given}' cannot name a plugin{meant} (up to {_LONGEST} lower-case letters, digits and single '_' or "
            "'-', a letter first)"
        )
    name = name.replace("-", "_")
    if iskeyword(name) or name in _YAML_WORDS:
        language = "Python" if iskeyword(name) else "YAML"
        raise RecipeError(f"'{given}' cannot name a plugin: it is a word of {language}; did you mean '{name}_text'?")
    return name


def _values(name: str, kind: str, licence: str, author: str) -> dict[str, str]:
    distribution = f"textclf-{name.replace('_', '-')}"
    major, minor = __version__.split(".")[:2]
    dependencies = (f"textclf-engine>={major}.{minor},<{int(major) + 1}", *_NEEDS[kind])
    holder = author or f"the authors of {distribution}"
    values = {
        "name": name,
        "title": "".join(part.capitalize() for part in name.split("_")),
        "module": f"textclf_{name}",
        "distribution": distribution,
        "a_kind": with_article(kind).capitalize(),
        "variable": f"TEXTCLF_{name.upper()}_DIARY",
        "dependencies": json.dumps(dependencies),
        # A JSON string is a TOML string.
        "authors": f"authors = [{{ name = {json.dumps(author, ensure_ascii=False)} }}]\n" if author else "",
        "licence": "" if licence == "none" else f'license = "{licence}"\nlicense-files = ["LICENSE"]\n',
        "terms": "None yet: until there is one, nobody may use this package."
        if licence == "none"
        else f"{licence}. Copyright {date.today().year} {holder}.",
        "year": str(date.today().year),
        "holder": holder,
    }
    values["about"] = _text(_TEMPLATES / "about" / f"{kind}.md.tmpl", values)
    if licence != "none":
        values["licence_text"] = _text(_TEMPLATES / "licences" / f"{licence}.tmpl", values)
    return values


def _texts(folder: Path, values: Mapping[str, str]) -> dict[str, str]:
    """Return the files that the templates of a folder make, by path."""
    paths = sorted(path for path in folder.rglob("*.tmpl"))
    made = {path.relative_to(folder).as_posix().removesuffix(".tmpl"): _text(path, values) for path in paths}
    return {path.replace("MODULE", values["module"]): text for path, text in made.items()}


def _text(path: Path, values: Mapping[str, str]) -> str:
    return Template(path.read_text("utf-8")).substitute(values)
