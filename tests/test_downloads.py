"""Downloads from a real https server on a loopback port, by the real client, into a cache."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.web import Web, bare, chunks, head, https_server, redirect, status, whole
from textclf import (
    DataError,
    DownloadError,
    DownloadLimits,
    Progress,
    ResourceError,
    Stopped,
    Transfer,
    drop_unreadable,
)
from textclf import download as textclf_download
from textclf.downloads import HINT, _reach, _refusal
from textclf.testing import LocalContext

BODY = b"text,label\n" + b"fine,x\nbad,y\n" * 20_000
CHANGED = BODY.replace(b"fine", b"good")
DIGEST = hashlib.sha256(BODY).hexdigest()
LIMITS = DownloadLimits(timeout=5, deadline=30, tries=2, size=2**20)


@pytest.fixture
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    with https_server(tmp_path, monkeypatch) as server:
        yield server


@pytest.fixture
def context(tmp_path: Path) -> LocalContext:
    return LocalContext(tmp_path, cache=tmp_path / "cache", offline=False)


def download(url: str, context: LocalContext, limits: DownloadLimits = LIMITS, **options) -> Path:
    return textclf_download(url, context, limits, **options)


def refusal(url: str, context: LocalContext, limits: DownloadLimits = LIMITS, **options) -> str:
    """Return why a download fails; nothing of it is left in the cache."""
    before = cached(context)
    with pytest.raises(DownloadError) as caught:
        download(url, context, limits, **options)
    assert cached(context) == before
    message = str(caught.value)
    assert message.startswith(f"cannot download {url}: ")
    assert message.endswith(f"; {HINT}")
    return message.removeprefix(f"cannot download {url}: ").removesuffix(f"; {HINT}")


def cached(context: LocalContext) -> list[str]:
    return sorted(p.name for p in (context.cache / "downloads").glob("*") if p.suffix != ".lock")


# What comes


@pytest.mark.parametrize("answer", [whole(BODY), chunks(BODY[:999], BODY[999:])], ids=["length", "chunks"])
def test_a_file_is_downloaded_once_and_recorded_with_its_digest(web, context, answer):
    url = web.serve("/a.csv", answer)
    path = download(url, context)
    assert path.read_bytes() == BODY
    assert (path.parent, path.suffix) == (context.cache / "downloads", ".csv")
    assert json.loads(path.with_name(f"{path.name}.json").read_text()) == {"url": url, "sha256": DIGEST}
    assert cached(context) == [path.name, f"{path.name}.json"]
    assert download(url, context) == path
    assert (web.requests, context.warnings) == (["/a.csv"], [])


def test_progress_is_reported_in_bytes(web, context):
    download(web.serve("/a.csv", whole(BODY)), context)
    last = context.events[-1]
    assert isinstance(last, Progress)
    assert (last.stage, last.unit, last.done, last.total) == ("download", "bytes", len(BODY), len(BODY))


def test_without_a_shared_cache_the_file_goes_into_the_component_s_own_folder(web, tmp_path):
    context = LocalContext(tmp_path, offline=False)
    assert download(web.serve("/a.csv", whole(BODY)), context).parent == context.work / "downloads"


def test_a_body_without_a_proof_of_its_end_is_used_once_and_not_cached(web, context):
    url = web.serve("/a.csv", bare(BODY))
    path = download(url, context)
    assert (path.read_bytes(), path.parent, cached(context)) == (BODY, context.work, [])
    assert context.warnings == [
        f"{url}: the server tells neither the length nor the end of the file; this run uses it as it came, "
        "and it is not kept in the cache"
    ]
    assert download(url, context, sha256=DIGEST).parent == context.cache / "downloads", "the digest is a proof"


def test_a_body_that_the_server_packs_is_unpacked(web, context):
    url = web.serve("/a.csv", whole(gzip.compress(BODY), **{"Content-Encoding": "gzip"}))
    assert download(url, context).read_bytes() == BODY


def test_a_small_json_file_of_data_is_no_error_document(web, context):
    row = b'{"text": "fine", "label": "x"}\n'
    assert download(web.serve("/a.jsonl", whole(row)), context).read_bytes() == row


# What is tried again


@pytest.mark.parametrize("first", [
    status(503), status(429), status(408), whole(BODY[:1000], length=len(BODY)), chunks(BODY[:1000], end=b""),
], ids=["503", "429", "408", "cut", "last chunk missing"])  # fmt: skip
def test_what_may_pass_is_tried_again(web, context, first):
    """W01, W04: a server that recovers, a connection that is cut half way."""
    url = web.serve("/a.csv", first, whole(BODY))
    assert download(url, context).read_bytes() == BODY
    assert len(web.requests) == 2


def test_the_pause_is_as_long_as_the_server_asks(web, context):
    url = web.serve("/a.csv", status(503, Retry_After="2"), whole(BODY))
    began = time.monotonic()
    download(url, context)
    assert time.monotonic() - began >= 2, "without the header it would be 1 second"


def test_a_server_that_asks_for_a_long_pause_is_not_waited_for(web, context):
    url = web.serve("/a.csv", status(429, Retry_After="3600"))
    assert refusal(url, context) == "the server answers 429 Too Many Requests and asks to wait 3,600 seconds"
    assert len(web.requests) == 1


def test_a_retry_after_that_cannot_be_read_is_ignored(web, context):
    url = web.serve("/a.csv", status(503, Retry_After="soon"), whole(BODY))
    assert download(url, context).read_bytes() == BODY


def test_without_a_network_it_fails_after_a_few_tries(context):
    """W01: nobody answers."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"https://127.0.0.1:{taken.getsockname()[1]}/a.csv"
        began = time.monotonic()
        assert refusal(url, context) == "connection refused (2 tries)"
    assert time.monotonic() - began >= 1


# Limits


@pytest.mark.parametrize("begun", [False, True])
def test_silence_ends_each_request_and_the_download(web, context, begun):
    """W03: silence before and during the body."""

    def answer(request):
        if begun:
            head(request, 200, **{"Content-Length": "1000"})
            request.wfile.write(b"text,")
            request.wfile.flush()
        web.closing.wait(20)

    url = web.serve("/a.csv", answer)
    reason = refusal(url, context, DownloadLimits(timeout=0.5, deadline=30, tries=2))
    assert reason in ("no answer in time (2 tries)", "no data for 1 seconds")


def test_a_trickle_ends_at_the_deadline(web, context):
    """W03: a server that never falls silent and never finishes."""

    def answer(request):
        head(request, 200)
        while not web.closing.wait(0.05):
            request.wfile.write(b"x")
            request.wfile.flush()

    reason = refusal(web.serve("/a.csv", answer), context, DownloadLimits(timeout=5, deadline=0.6, tries=9))
    assert reason.startswith("not complete after 0.6 seconds (")


def test_a_fetcher_that_cannot_be_interrupted_is_left_behind(context):
    """W03: as a look-up of a name that nobody answers."""
    released, transfers = threading.Event(), []

    def fetch(url: str, transfer: Transfer) -> None:
        transfers.append(transfer)
        released.wait(60)

    limits = DownloadLimits(timeout=0.1, deadline=30, tries=3)
    assert refusal("https://example.org/a.csv", context, limits, fetch=fetch) == "no data for 0.3 seconds"
    assert transfers[0].cancel.is_set()
    released.set()


@pytest.mark.parametrize("announced", [True, False])
def test_a_body_without_an_end_is_cut_off(web, context, announced):
    """W06: more than the limit, announced or not."""

    def answer(request):
        head(request, 200, **({"Content-Length": str(2**40)} if announced else {}))
        while not web.closing.is_set():
            request.wfile.write(b"a,b\n" * 10_000)

    assert refusal(web.serve("/a.csv", answer), context) == "it is larger than the size limit of 1 MiB"


def test_the_body_of_a_redirect_is_not_read(web, context):
    """W06: however long it is."""

    def answer(request):
        head(request, 302, Location="/a.csv")
        while not web.closing.is_set():
            request.wfile.write(b"<p>moved</p>" * 1000)

    web.serve("/a.csv", whole(BODY))
    assert download(web.serve("/old.csv", answer), context).read_bytes() == BODY


def test_a_download_stops_when_the_run_is_to_stop(web, context):
    url = web.serve("/a.csv", lambda request: web.closing.wait(20))
    context.stop_after = 3
    with pytest.raises(Stopped, match=r"^the download was stopped; run again to download the file$"):
        download(url, context)
    assert cached(context) == []


# Names, redirects, certificates


def test_no_word_of_a_url_or_an_answer_gets_into_a_path(web, context):
    """W07: names with paths, from the URL and from the server."""
    name = {"Content-Disposition": 'attachment; filename="../../evil.csv"'}
    path = download(web.serve("/..%2F..%2Fevil.csv", whole(BODY, **name)), context)
    assert path.parent == context.cache / "downloads"
    assert (len(path.stem), path.suffix) == (20, ".csv")


def test_a_redirect_within_the_same_reach_is_followed(web, context):
    """W08: what a redirect may do."""
    web.serve("/a.csv", whole(BODY))
    assert download(web.serve("/old.csv", redirect("/a.csv")), context).read_bytes() == BODY


@pytest.mark.parametrize(("location", "reason"), [
    ("http://127.0.0.1/a.csv", "which is no https URL"),
    ("ftp://127.0.0.1/a.csv", "which is no https URL"),
    ("file:///etc/passwd", "which is no https URL"),
    ("https://10.0.0.1/a.csv", "which is a private address"),
    ("https://169.254.169.254/a", "which is a private address"),
    ("https://[::ffff:192.168.0.1]/a", "which is a private address"),
])  # fmt: skip
def test_a_redirect_to_a_file_or_a_private_address_is_not_followed(web, context, location, reason):
    """W08: `file:`, plain http, the user's own network, a cloud's metadata."""
    url = web.serve("/a.csv", redirect(location))
    assert refusal(url, context) == f"it redirects to '{location}', {reason}"
    assert len(web.requests) == 1


@pytest.mark.parametrize(("target", "reason"), [
    ("https://127.0.0.1/a", "which is a loopback address"),
    ("https://2130706433/a", "which is a loopback address"),
    ("https://localhost/a", "which is a loopback address"),
    ("https://[::1]/a", "which is a loopback address"),
    ("https://[::ffff:192.168.0.1]/a", "which is a private address"),
    ("https://93.184.216.35\\@127.0.0.1/a", None),
    ("https://127.0.0.1\\@93.184.216.35/a", "which is a loopback address"),
    ("https://93.184.216.35/b", None),
])  # fmt: skip
def test_the_open_web_never_redirects_into_the_user_s_network(target, reason):
    """W08: from a public address to a near one, by the parser that connects."""
    assert _refusal("https://93.184.216.34/a.csv", target) == reason


def test_behind_a_proxy_names_are_left_to_the_proxy(monkeypatch):
    """W08: no look-up that the proxy would have to do."""
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    urls = ("https://unknown.invalid/a", "https://localhost/a", "https://10.0.0.1/a")
    assert [_reach(url) for url in urls] == ["public", "loopback", "private"]
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConnectionError, match=r"^cannot find the host unknown\.invalid"):
        _reach("https://unknown.invalid/a")


def test_a_circle_of_redirects_ends(web, context):
    url = web.serve("/a.csv", redirect("/a.csv"))
    assert refusal(url, context) == "it redirects more than 20 times"


@pytest.mark.parametrize("url", ["file:///etc/passwd", "http://127.0.0.1/a.csv", "ftp://127.0.0.1/a.csv"])
def test_only_https_is_ever_opened(context, url):
    """W08: a URL that passed the check of the recipe."""
    assert refusal(url, context) == "it is no https URL"


def test_a_certificate_of_an_unknown_authority_is_refused(web, context, monkeypatch):
    url = web.serve("/a.csv", whole(BODY))
    monkeypatch.delenv("SSL_CERT_FILE")
    reason = refusal(url, context)
    assert reason.startswith("its certificate is not trusted (")
    assert reason.endswith("); set REQUESTS_CA_BUNDLE to the certificates to trust")
    assert web.requests == []
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "no/such/file.pem")
    assert "no/such/file.pem" in refusal(url, context)


# The cache


def test_offline_with_a_cold_cache_opens_no_socket(web, context):
    """W12: at once; a copy in the cache is used."""
    url = web.serve("/a.csv", whole(BODY))
    context.offline = True
    assert refusal(url, context) == (
        f"--offline is set, and there is no copy in the cache ({context.cache / 'downloads'})"
    )
    assert web.requests == []
    context.offline = False
    download(url, context)
    context.offline = True
    assert download(url, context).read_bytes() == BODY


@pytest.mark.parametrize("damaged", [BODY[:-7], BODY[:-1] + b"?", b""], ids=["cut", "changed", "empty"])
def test_a_damaged_copy_is_downloaded_again(web, context, damaged):
    """W13: cut, one byte changed, emptied; and it is of no use offline."""
    url = web.serve("/a.csv", whole(BODY))
    path = download(url, context)
    path.write_bytes(damaged)
    context.offline = True
    reason = f"the copy in the cache ({path}) has changed since it was downloaded"
    assert refusal(url, context) == f"--offline is set, and {reason}"
    context.offline = False
    assert download(url, context).read_bytes() == BODY
    assert context.warnings == [f"{url}: {reason}; downloading it again"]


def test_a_copy_with_a_damaged_record_is_downloaded_again(web, context):
    """W13: without the digest nothing proves that the copy is whole."""
    path = download(web.serve("/a.csv", whole(BODY)), context)
    path.with_name(f"{path.name}.json").write_text('{"sha256": ')
    download(web.url("/a.csv"), context)
    assert json.loads(path.with_name(f"{path.name}.json").read_text())["sha256"] == DIGEST
    assert len(web.requests) == 2


def test_a_file_of_another_digest_than_the_requested_one_is_removed(web, context):
    """W05: its size is right."""
    url = web.serve("/a.csv", whole(CHANGED))
    other = hashlib.sha256(CHANGED).hexdigest()
    assert refusal(url, context, sha256=DIGEST) == f"the file has the sha256 {other}, not {DIGEST}, and was removed"


def test_a_file_of_another_digest_than_the_first_one_is_removed(web, context):
    """W05: the record outlives the copy; `refresh` or the new digest accepts the new file."""
    url = web.serve("/a.csv", whole(BODY), whole(CHANGED))
    path = download(url, context)
    path.unlink()
    other = hashlib.sha256(CHANGED).hexdigest()
    assert refusal(url, context) == (
        f"the file is no longer the one that came first (sha256 {other}, then {DIGEST}) and was removed; "
        "`refresh: true` accepts the new one"
    )
    assert download(url, context, sha256=other) == path
    assert len(web.requests) == 3


def test_refresh_downloads_again_and_accepts_what_comes(web, context):
    url = web.serve("/a.csv", whole(BODY), whole(CHANGED))
    path = download(url, context)
    assert download(url, context, refresh=True).read_bytes() == CHANGED
    assert download(url, context) == path
    context.offline = True
    assert refusal(url, context, refresh=True) == (
        "--offline is set, and a new copy is requested (`refresh: true`)"
    )
    assert (len(web.requests), context.warnings) == (2, [])


def test_a_file_that_cannot_be_read_is_dropped_from_the_cache(web, context):
    path = download(web.serve("/a.csv", whole(BODY)), context)
    context.offline = True
    with pytest.raises(DataError) as caught, drop_unreadable(path, context):
        raise DataError("row 3 is torn")
    assert str(caught.value) == f"row 3 is torn; the copy in the cache is {path}", "offline it could not come back"
    context.offline = False
    with pytest.raises(DataError) as caught, drop_unreadable(path, context):
        raise DataError("row 3 is torn")
    assert str(caught.value) == f"row 3 is torn; the copy {path} is removed, and the next run downloads it again"
    assert cached(context) == []


# Processes and disks

CHILD = """
import sys
from pathlib import Path
from textclf import DownloadLimits, TextclfError, download
from textclf.testing import LocalContext
url, folder, limit = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
if limit:
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
context = LocalContext(folder / "other", cache=folder / "cache", offline=False)
try:
    print(download(url, context, DownloadLimits(timeout=60, tries=2)))
except TextclfError as error:
    print(error)
    sys.exit(error.exit_code)
"""


def child(url: str, folder: Path, limit: int = 0) -> subprocess.Popen[str]:
    """Start a process that downloads into the same cache; no file of it may be larger than the limit, if any."""
    command = [sys.executable, "-c", CHILD, url, str(folder), str(limit)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ))


def test_of_two_processes_one_downloads_and_the_other_waits(web, context, tmp_path):
    """W09: a shared cache."""
    requested = threading.Event()

    def answer(request):
        requested.set()
        time.sleep(1.0)
        whole(BODY)(request)

    url = web.serve("/a.csv", answer)
    other = child(url, tmp_path)
    assert requested.wait(60)
    path = download(url, context)
    assert other.communicate(timeout=60)[0].strip() == str(path)
    assert (path.read_bytes(), len(web.requests)) == (BODY, 1)


def test_waiting_for_another_process_can_be_stopped_and_ends(web, context, tmp_path):
    """W09: one that never finishes does not hold up the others for ever."""
    requested = threading.Event()
    url = web.serve("/a.csv", lambda request: requested.set() or web.closing.wait(60))
    holder = child(url, tmp_path)
    try:
        assert requested.wait(60)
        with pytest.raises(DownloadError, match=r"another process has held .*\.csv\.lock for 0\.1 seconds; end it; "):
            download(url, context, DownloadLimits(deadline=0.1))
        context.stop_after = 1
        with pytest.raises(Stopped, match=r"^stopped while waiting for another process to download the file$"):
            download(url, context)
    finally:
        holder.kill()
        holder.communicate()


def test_after_a_kill_in_the_middle_the_next_run_downloads_the_file(web, context, tmp_path):
    """W10: what the killed process left is gone, and its lock holds nobody up."""
    begun = threading.Event()

    def answer(request):
        head(request, 200, **{"Content-Length": str(len(BODY))})
        request.wfile.write(BODY[:200_000])
        request.wfile.flush()
        begun.set()
        web.closing.wait(60)

    url = web.serve("/a.csv", answer, whole(BODY))
    victim = child(url, tmp_path)
    assert begun.wait(60)
    victim.kill()
    victim.communicate()
    assert [name.endswith(".part") for name in cached(context)] == [True]
    path = download(url, context)
    assert path.read_bytes() == BODY
    assert cached(context) == [path.name, f"{path.name}.json"]


def test_a_full_disk_is_named_and_nothing_is_left_on_it(web, context, tmp_path):
    """W11: the process may write no file over 64 KiB, which is the same to it as a full disk."""
    process = child(web.serve("/a.csv", whole(BODY)), tmp_path, limit=2**16)
    message = process.communicate(timeout=60)[0]
    assert process.returncode == 7
    assert message == (
        f"cannot write to {context.cache / 'downloads'}: the disk is full; "
        "free space, or name another folder in TEXTCLF_CACHE\n"
    )
    assert cached(context) == []


def test_a_cache_that_cannot_be_made_is_named(web, context):
    (context.folder / "cache").write_text("a file where the folder should be")
    with pytest.raises(ResourceError) as caught:
        download(web.serve("/a.csv", whole(BODY)), context)
    assert str(caught.value) == (
        f"cannot write to {context.cache / 'downloads'}: Not a directory; "
        "free space, or name another folder in TEXTCLF_CACHE"
    )
