"""The generated parts of docs/plugin-reference.md: `python -m tests.house.reference` writes them from the code."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import textclf
from textclf.testing.checks import COMPONENT, CONTRACTS, PLUGIN, WORK

PAGE = Path(__file__).parents[2] / "docs" / "plugin-reference.md"
# Names that carry no docstring of their own.
_OTHERS = {
    "COLUMN_NAMES": "the usual names of the text, pair and label columns, by role, likely names first",
    "Field": "pydantic's `Field`: default, description and bounds of an option",
    "Layout": 'how a batch lies in memory: `"packed"` or `"padded"`',
    "Span": "`(part, start, end)`: a place in a text, in characters; part 1 is the second text of a pair",
    "Task": '`"single-label"` or `"multi-label"`',
    "__version__": "the version of textclf-engine",
    "hookimpl": "pluggy's marker for hooks, which textclf does not need",
}


def names() -> str:
    rows = ["| name | meaning |", "|---|---|"]
    for name in sorted(textclf.__all__, key=str.casefold):
        meaning = _OTHERS.get(name) or (getattr(textclf, name).__doc__ or "").strip().split("\n")[0]
        rows.append(f"| `{name}` | {meaning.replace('|', chr(92) + '|')} |")
    return "\n".join(rows)


def clauses() -> str:
    return "\n\n".join(_tables())


def _tables() -> Iterator[str]:
    groups = {"Plugins": PLUGIN, "Every component": COMPONENT, "Every component at work": WORK}
    for title, checks in {**groups, **{f"{kind.capitalize()}s": checks for kind, checks in CONTRACTS.items()}}.items():
        rows = [f"| `{check.clause.id}` | {check.clause.sentence} | {check.clause.why} |" for check in checks]
        yield "\n".join([f"**{title}**", "", "| clause | what holds | because |", "|---|---|---|", *rows])


def written(page: str) -> str:
    """Return the page with its generated parts."""
    for part, text in {"names": names(), "clauses": clauses()}.items():
        head, rest = page.split(f"<!-- {part}: begin -->\n")
        tail = rest.partition(f"<!-- {part}: end -->")[2]
        page = f"{head}<!-- {part}: begin -->\n{text}\n<!-- {part}: end -->{tail}"
    return page


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text("utf-8")), "utf-8")
