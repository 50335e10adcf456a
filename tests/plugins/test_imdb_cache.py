"""What happens to the copy in the cache: shared, checked, damaged, killed, full."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from textclf_imdb import ImdbOptions, build

from textclf import Dataset, DownloadError, ResourceError, Stopped
from textclf.testing import LocalContext

from ..drive import FILE_ID, Asked, Reply, drive, reviews_csv, serving, until

SMALL = reviews_csv(40)
DIGEST = hashlib.sha256(SMALL).hexdigest()
FROM = f"cannot fetch the IMDB reviews from Google Drive (file {FILE_ID}): "

CHILD = """
import json, os, sys
from pathlib import Path
from textclf import TextclfError
from textclf.testing import LocalContext
from textclf_imdb import ImdbOptions, build

folder, options, limit = Path(sys.argv[1]), json.loads(sys.argv[2]), int(sys.argv[3])
if limit:
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
(folder / f"ready-{os.getpid()}").touch()
try:
    dataset = build(ImdbOptions(**options)).load(LocalContext(folder / "run", cache=folder / "cache", offline=False))
except TextclfError as error:
    print(error)
    sys.exit(error.exit_code)
print(len(dataset.train))
"""


def load(context: LocalContext, **options: object) -> Dataset:
    return build(ImdbOptions(**{"rows": 40, "timeout": 1.0, "tries": 2, **options})).load(context)


def child(folder: Path, environment: dict[str, str], *, limit: int = 0, **options: object) -> subprocess.Popen[str]:
    """Start a process that loads the dataset, with its own run and the folder's cache."""
    values = json.dumps({"rows": 40, "timeout": 5, **options})
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, str(folder), values, str(limit)],
        env={**os.environ, **environment}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def left(context: LocalContext) -> list[str]:
    assert context.cache is not None
    return sorted(p.name for p in context.cache.rglob("*") if p.is_file() and p.suffix != ".lock")


@pytest.fixture
def context(tmp_path: Path) -> LocalContext:
    return LocalContext(tmp_path / "run", cache=tmp_path / "cache", offline=False)


@pytest.fixture
def copy(context: LocalContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file in the cache, fetched a while ago; fetching from now on fails at once."""
    with drive(tmp_path, serving(SMALL), monkeypatch):
        load(context)
    return tmp_path / "cache" / "imdb" / f"{FILE_ID}.csv"


def test_the_second_run_reads_the_copy_and_opens_no_connection(context: LocalContext, copy: Path) -> None:
    context.offline = True
    dataset = load(context)
    assert copy.read_bytes() == SMALL
    assert dataset.source == f"Google Drive (file {FILE_ID}) (sha256 {DIGEST})"
    assert json.loads(copy.with_suffix(".json").read_text()) == {
        "sha256": DIGEST, "size": len(SMALL), "rows": 40, "source": f"Google Drive (file {FILE_ID})",
    }  # fmt: skip
    assert context.warnings == []


def test_without_a_shared_cache_the_file_goes_into_the_component_s_own_corner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = LocalContext(tmp_path / "run", cache=None, offline=False)
    with drive(tmp_path, serving(SMALL), monkeypatch):
        load(context)
    assert (context.work / "imdb" / f"{FILE_ID}.csv").read_bytes() == SMALL


def test_offline_with_a_cold_cache_fails_at_once_without_a_socket(
    context: LocalContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """W12: opening one would fail the test."""

    def refuse(*args: object, **kwargs: object) -> None:
        pytest.fail("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    context.offline = True
    with pytest.raises(DownloadError) as caught:
        load(context)
    assert str(caught.value) == (
        f"cannot fetch the IMDB reviews offline, and there is no copy in the cache ({context.cache}/imdb); run once "
        f"without --offline, or download it by hand from https://drive.google.com/file/d/{FILE_ID}/view and give it as "
        "dataset.path (--set dataset.path=FILE), or name a mirror as dataset.url"
    )
    assert not (context.cache or Path()).exists()


@pytest.mark.parametrize("damaged", [SMALL[:-7], SMALL[:50] + b"#" + SMALL[51:], b""], ids=["cut", "changed", "empty"])
def test_a_damaged_copy_is_fetched_again(
    damaged: bytes, context: LocalContext, copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """W13: cut, one byte changed, emptied."""
    copy.write_bytes(damaged)
    with drive(tmp_path, serving(SMALL), monkeypatch):
        assert len(load(context).train) == 40
    assert context.warnings == [
        f"the copy of the IMDB reviews in the cache ({copy}) has changed since it was fetched; it is fetched again"
    ]
    assert copy.read_bytes() == SMALL


def test_a_damaged_note_is_made_anew(
    context: LocalContext, copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """W13: without the digest nothing says that the copy is whole."""
    copy.with_suffix(".json").write_text('{"sha256": ')
    with drive(tmp_path, serving(SMALL), monkeypatch):
        load(context)
    (warning,) = context.warnings
    assert warning.endswith(" has no readable note of its digest; it is fetched again")
    assert json.loads(copy.with_suffix(".json").read_text())["sha256"] == DIGEST


def test_a_damaged_copy_is_no_use_offline(context: LocalContext, copy: Path) -> None:
    """W12: and it is not passed off as whole."""
    copy.write_bytes(SMALL[:-7])
    context.offline = True
    with pytest.raises(DownloadError, match="offline, and the copy in the cache has changed since"):
        load(context)


def test_a_file_of_another_digest_than_the_recipe_asks_for_is_removed(
    context: LocalContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """W05: its size is right."""
    changed = SMALL.replace(b"the", b"teh", 1)
    other = hashlib.sha256(changed).hexdigest()
    with drive(tmp_path, serving(changed), monkeypatch), pytest.raises(DownloadError) as caught:
        load(context, sha256=DIGEST)
    assert str(caught.value).startswith(f"{FROM}what came has the sha256 {other}, not {DIGEST}, and was removed; ")
    assert left(context) == []


def test_a_file_of_another_digest_than_the_first_one_is_removed(
    context: LocalContext, copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """W05: the digest recorded beside the copy outlives the copy; giving the new one accepts the new file."""
    copy.unlink()
    changed = SMALL.replace(b"the", b"teh", 1)
    other = hashlib.sha256(changed).hexdigest()
    with drive(tmp_path, serving(changed), monkeypatch):
        with pytest.raises(DownloadError) as caught:
            load(context)
        assert str(caught.value).startswith(
            f"{FROM}what came is not the file that came before (sha256 {DIGEST}) and was removed; "
            f"if it was replaced on purpose, set dataset.sha256 to {other}; "
        )
        assert left(context) == [f"{FILE_ID}.json"]
        assert len(load(context, sha256=other).train) == 40


def test_two_processes_fetch_the_file_once(tmp_path: Path) -> None:
    """W09: one fetches, the other waits and reads the same copy."""
    answer = serving(SMALL)

    def scenario(asked: Asked, reply: Reply) -> None:
        if asked.query.get("confirm"):
            until(lambda: len(list(tmp_path.glob("ready-*"))) == 2)
            google.ended.wait(0.5)
        answer(asked, reply)

    with drive(tmp_path, scenario) as google:
        both = [child(tmp_path, google.environment) for _ in range(2)]
        assert [process.communicate(timeout=60)[0] for process in both] == ["40\n", "40\n"]
    assert [asked.query.get("confirm") for asked in google.asked].count("t") == 1


def test_waiting_for_another_process_can_be_stopped_and_ends(
    context: LocalContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """W09: one that never finishes does not hold up the others for ever."""
    with drive(tmp_path, lambda asked, reply: reply.silence(), monkeypatch) as google:
        holder = child(tmp_path, google.environment, timeout=60)
        try:
            until(lambda: bool(google.asked))
            lock = tmp_path / "cache" / "imdb" / f"{FILE_ID}.lock"
            with pytest.raises(DownloadError) as caught:
                load(context, deadline=0.1)
            assert str(caught.value) == (
                f"another process has held {lock} for 0.1 seconds; end it, or wait and run again"
            )
            context.stop_after = 1
            with pytest.raises(Stopped, match=r"^stopped while waiting for another process to fetch the reviews$"):
                load(context)
        finally:
            holder.kill()
            holder.communicate()


def test_after_a_kill_in_the_middle_the_next_run_fetches_the_file(
    context: LocalContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """W10: what the killed process left is gone, and its lock holds nobody up."""
    body = reviews_csv(4000)

    def scenario(asked: Asked, reply: Reply) -> None:
        reply.download(len(body))
        reply.write(body[:2_000_000])
        reply.silence()

    with drive(tmp_path, scenario) as google:
        victim = child(tmp_path, google.environment, rows=4000)
        until(lambda: any(p.stat().st_size > 1_000_000 for p in (tmp_path / "cache").rglob("*.part") if p.is_file()))
        victim.send_signal(signal.SIGKILL)
        victim.communicate()
    assert left(context) != []
    with drive(tmp_path, serving(body), monkeypatch):
        assert len(load(context, rows=4000).train) == 4000
    assert left(context) == [f"{FILE_ID}.csv", f"{FILE_ID}.json"]


def test_a_full_disk_is_named_and_nothing_is_left_on_it(context: LocalContext, tmp_path: Path) -> None:
    """W11: the process may write no file over a megabyte, which is the same to it as a full disk."""
    with drive(tmp_path, serving(reviews_csv(4000))) as google:
        process = child(tmp_path, google.environment, limit=2**20, rows=4000)
        said = process.communicate(timeout=60)[0]
    assert process.returncode == 7
    assert said == (
        f"the disk is full: the IMDB reviews do not fit into {context.cache}/imdb; free 200 MB, or name another folder "
        "in TEXTCLF_CACHE\n"
    )
    assert left(context) == []


def test_a_cache_that_cannot_be_made_is_named(context: LocalContext, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    with pytest.raises(ResourceError) as caught:
        load(context)
    assert str(caught.value) == (
        f"cannot use {context.cache}/imdb: Not a directory; name another folder in TEXTCLF_CACHE"
    )
