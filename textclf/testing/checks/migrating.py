"""Owns the clause of options that were saved: the plugin's own version reads what it wrote."""

from __future__ import annotations

import inspect
from importlib import metadata

from ...errors import kind_of, said
from ...plugin.component import Options
from ...plugin.discovery import GROUP
from ...plugin.options import options_as_json
from ..clauses import Broken, Check, Clause, NotApplicable, line_of, raised
from .alternatives import difference
from .subject import Subject, read_options


def _leaves_its_own_alone(subject: Subject) -> None:
    options = subject.component.options
    own = inspect.getattr_static(options, "migrate")
    if own is inspect.getattr_static(Options, "migrate"):
        raise NotApplicable("it has no migrate of its own")
    if not isinstance(own, (classmethod, staticmethod)):
        raise Broken(f"migrate is no class method; write @classmethod above it{line_of(own, subject.component)}")
    version = _version(options)
    asked = f"asked about options of its own version, '{version}'," if version else "asked with '' for no version,"
    line = line_of(own.__func__, subject.component)
    try:
        values = options.migrate(version, options_as_json(subject.options))
    except Exception as error:  # noqa: BLE001 - a plugin may raise anything
        raise Broken(f"{asked} migrate() raises {raised(error, subject.component)}") from None
    if not isinstance(values, dict):
        raise Broken(f"migrate() returns {kind_of(values)}, not a dict of the values{line}")
    try:
        read = read_options(subject.component, values)
    except Exception as error:  # noqa: BLE001 - as above
        raise Broken(f"{asked} migrate() returns what the options refuse: {said(error)}{line}") from None
    if read != subject.options:
        raise Broken(f"{asked} migrate() changes them: {difference(subject, read)}{line}")


def _version(options: type[Options]) -> str:
    """Return the version of the distribution whose plugin the options are of; "" where it is no installed package."""
    package = options.__module__.partition(".")[0]
    entries = metadata.entry_points(group=GROUP)
    found = (entry.dist for entry in entries if entry.module.partition(".")[0] == package)
    return next((dist.version for dist in found if dist is not None), "")


MIGRATE: Check[Subject] = Check(
    Clause(
        "options.migrate",
        "what its own version saved, a migrate of its own leaves as it is",
        "every model is loaded through it",
    ),
    _leaves_its_own_alone,
    after=("options.json",),
)
