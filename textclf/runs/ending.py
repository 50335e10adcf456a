"""Owns the end of a run as observers see it: what they take of the run's own files is put back, and they are named."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

from .outputs import OURS, Keeping, named

Around = Callable[[str], AbstractContextManager[object]]
_ANYONE = 0  # what is not the run's own, observers may share


@contextmanager
def kept(folder: Path, warn: Callable[[str, str], None], *anew: Callable[[], object]) -> Iterator[Around]:
    """Yield what to call each observer in, by its name, while the run's own files must stay as they are.

    warn: told the name of one that takes some, and what is said of that. anew: as in `write_outputs`.
    """
    try:
        copies = tempfile.TemporaryDirectory(prefix="textclf-", ignore_cleanup_errors=True)
    except OSError:  # a run that is whole does not fail for want of room for copies
        yield nullcontext
        return
    with copies as place:
        keeping = Keeping(folder, Path(place), anew)

        @contextmanager
        def around(name: str) -> Iterator[None]:
            keeping.copy()
            try:
                yield
            finally:
                taken = keeping.mend(_ANYONE).get(OURS, [])
                if taken:
                    gone = "what it did there is undone; write under other names"
                    warn(name, f"observer {name} takes {named(taken)}, which textclf keeps for itself; {gone}")

        yield around
