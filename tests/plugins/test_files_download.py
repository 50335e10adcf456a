"""Files from the web: a real https server on a loopback port, the real client, and everything that goes wrong."""

from __future__ import annotations

import errno
import gzip
import http.client
import io
import json
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import textclf_files
from textclf_files.download import Limits, _disk_error, fetch
from textclf_files.options import FilesOptions
from textclf_files.transport import Passing, _Redirects, reach_of

from tests.web import Web, head, https_server
from textclf import DataError, DownloadError, ResourceError, Stopped
from textclf.testing import LocalContext

BODY = b"text,label\n" + b"fine,x\nbad,y\n" * 20_000
LIMITS = Limits(timeout=5, deadline=30, tries=2, size=2**20)


@pytest.fixture
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    with https_server(tmp_path, monkeypatch) as server:
        yield server


@pytest.fixture
def context(tmp_path: Path) -> LocalContext:
    return LocalContext(tmp_path, cache=tmp_path / "cache", offline=False)


def fault(url: str, context: LocalContext, limits: Limits = LIMITS) -> str:
    with pytest.raises(DownloadError) as caught:
        fetch(url, limits, context)
    assert left(context) == []
    return str(caught.value)


def left(context: LocalContext) -> list[str]:
    """Return what lies in the cache, beside locks: nothing half-written may."""
    return sorted(p.name for p in (context.cache / "files").glob("*") if p.suffix != ".lock")


@pytest.mark.parametrize("packed", [False, True])
def test_a_url_is_fetched_once_and_read_like_a_file(web, context, packed):
    url = web.gives("/a.csv.gz" if packed else "/a.csv", gzip.compress(BODY) if packed else BODY)
    provider = textclf_files.build(FilesOptions.model_validate_json(json.dumps({"path": url})))
    first, second = provider.load(context), provider.load(context)
    assert (len(first.train), first.source, second.train.ids) == (40_000, url, first.train.ids)
    assert len(web.asked) == 1


def test_a_fault_in_a_fetched_file_names_the_url(web, context):
    url = web.gives("/a.csv", b"text,label\nfine\n")
    provider = textclf_files.build(FilesOptions.model_validate_json(json.dumps({"path": url})))
    with pytest.raises(DataError) as caught:
        provider.load(context)
    assert str(caught.value) == f"{url}:2: 1 field where the header has 2; a field or a line end is missing"


def test_no_network_ends_after_a_few_tries_with_the_way_out(context):
    """W01: nobody answers."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"https://127.0.0.1:{taken.getsockname()[1]}/a.csv"
        began = time.monotonic()
        assert fault(url, context) == (
            f"{url}: cannot be reached (Connection refused) (2 tries); try later, or fetch it by hand and give its path"
        )
    assert 1 <= time.monotonic() - began < 10


def test_a_server_that_recovers_is_asked_again(web, context):
    """W01: tries with pauses."""
    url = web.gives("/a.csv", BODY, first_fails=1)
    assert fetch(url, LIMITS, context).read_bytes() == BODY
    assert len(web.asked) == 2


def test_a_refusal_is_not_asked_again(web, context):
    url = web.url("/missing.csv")
    assert fault(url, context) == (
        f"{url}: the server answers 404 Not Found; check the URL, or fetch it by hand and give its path"
    )
    assert len(web.asked) == 1


def test_a_web_page_is_never_taken_for_a_table(web, context):
    """W02: a log-in page with status 200."""
    url = web.gives("/a.csv", b"\n<!DOCTYPE html><html>Log in</html>")
    assert fault(url, context) == f"{url}: is a web page, not a table; does it ask for a log-in?"


@pytest.mark.parametrize("begun", [False, True])
def test_silence_ends_at_the_time_out_of_each_try(web, context, begun):
    """W03: silence before and during the body."""

    def answer(request):
        if begun:
            head(request, 200, **{"Content-Length": "1000"})
            request.wfile.write(b"text,")
            request.wfile.flush()
        web.leaving.wait(20)

    web.answers["/a.csv"] = answer
    assert fault(web.url("/a.csv"), context, Limits(timeout=0.3, deadline=30, tries=2, size=2**20)) == (
        f"{web.url('/a.csv')}: nothing came within the time-out (2 tries); "
        "try later, or fetch it by hand and give its path"
    )


def test_a_trickle_ends_at_the_deadline(web, context):
    """W03: a server that never falls silent and never finishes."""

    def answer(request):
        head(request, 200)
        while not web.leaving.wait(0.05):
            request.wfile.write(b"x")
            request.wfile.flush()

    web.answers["/a.csv"] = answer
    began = time.monotonic()
    assert fault(web.url("/a.csv"), context, Limits(timeout=5, deadline=0.6, tries=9, size=2**20)) == (
        f"{web.url('/a.csv')}: is not complete after 0.6 seconds; try later, or fetch it by hand and give its path"
    )
    assert time.monotonic() - began < 5


def test_a_cut_connection_is_tried_again(web, context):
    """W04: cut half way."""
    whole = iter([False, True])

    def answer(request):
        head(request, 200, **{"Content-Length": str(len(BODY))})
        request.wfile.write(BODY if next(whole) else BODY[:1000])

    web.answers["/a.csv"] = answer
    assert fetch(web.url("/a.csv"), LIMITS, context).read_bytes() == BODY
    url = web.gives("/b.csv", BODY[:1000], length=len(BODY))
    with pytest.raises(DownloadError) as caught:
        fetch(url, LIMITS, context)
    assert str(caught.value) == (
        f"{url}: was cut off after 1,000 of {len(BODY):,} bytes (2 tries); "
        "try later, or fetch it by hand and give its path"
    )


@pytest.mark.parametrize("announced", [True, False])
def test_a_body_without_end_is_capped(web, context, announced):
    """W06: more than the limit, announced or not."""

    def answer(request):
        head(request, 200, **({"Content-Length": str(2**40)} if announced else {}))
        while not web.leaving.is_set():
            request.wfile.write(b"a,b\n" * 10_000)

    web.answers["/a.csv"] = answer
    assert fault(web.url("/a.csv"), context) == (
        f"{web.url('/a.csv')}: brings more than 1 MiB; raise `size_limit` if it is meant so"
    )


def test_no_word_of_a_url_or_an_answer_gets_into_a_path(web, context):
    """W07: names with paths, from the URL and from the server."""

    def answer(request):
        head(request, 200, **{"Content-Disposition": 'attachment; filename="../../evil.csv"'})
        request.wfile.write(BODY)

    web.answers["/..%2f..%2fevil.csv"] = answer
    path = fetch(web.url("/..%2f..%2fevil.csv"), LIMITS, context)
    assert path.parent == context.cache / "files"
    assert (len(path.stem), path.suffix) == (20, ".csv")


def test_a_redirect_within_the_same_reach_is_followed(web, context):
    """W08: what a redirect may do."""
    web.gives("/a.csv", BODY)
    assert fetch(web.redirects("/old.csv", "/a.csv"), LIMITS, context).read_bytes() == BODY


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("http://127.0.0.1/a.csv", "redirects to http://127.0.0.1/a.csv, which is not https; it is not followed"),
        ("https://10.0.0.1/a.csv", "redirects to https://10.0.0.1/a.csv, a private address; it is not followed"),
        ("https://169.254.169.254/a", "redirects to https://169.254.169.254/a, a private address; it is not followed"),
        ("file:///etc/passwd", "the server answers 302 Found - Redirection to url 'file:///etc/passwd' is not allowed; "
         "check the URL, or fetch it by hand and give its path"),
    ],
)  # fmt: skip
def test_a_redirect_to_a_file_or_a_private_address_is_not_followed(web, context, location, reason):
    """W08: `file:`, plain http, the reader's own network, a cloud's metadata."""
    url = web.redirects("/a.csv", location)
    assert fault(url, context) == f"{url}: {reason}"
    assert len(web.asked) == 1


@pytest.mark.parametrize(
    ("target", "reach"), [("https://127.0.0.1/a", "loopback"), ("https://[::1]/a", "loopback"),
                          ("https://[::ffff:192.168.0.1]/a", "private"), ("https://0.0.0.0/a", "private")],
)  # fmt: skip
def test_the_open_web_never_redirects_into_the_readers_network(target, reach):
    """W08: from a public address to a near one."""
    handler = _Redirects("https://93.184.216.34/a.csv")
    request = urllib.request.Request(handler.url)
    with pytest.raises(DownloadError) as caught:
        handler.redirect_request(request, io.BytesIO(), 302, "Found", http.client.HTTPMessage(), target)
    assert str(caught.value) == (
        f"https://93.184.216.34/a.csv: redirects to {target}, a {reach} address; it is not followed"
    )
    further = "https://93.184.216.35/b"
    onward = handler.redirect_request(request, io.BytesIO(), 302, "Found", http.client.HTTPMessage(), further)
    assert onward.full_url == further


def test_behind_a_proxy_names_are_left_to_the_proxy(monkeypatch):
    """W08: no look-up that the proxy would have to do."""
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    reaches = [reach_of(host) for host in ("somewhere.invalid", "localhost", "10.0.0.1")]
    assert reaches == ["public", "loopback", "private"]
    monkeypatch.delenv("HTTPS_PROXY")
    with pytest.raises(Passing):
        reach_of("somewhere.invalid")


def test_only_https_is_ever_opened(context):
    """W08: a URL that went past the plan."""
    for url in ("file:///etc/passwd", "http://127.0.0.1/a.csv", "ftp://127.0.0.1/a.csv"):
        assert fault(url, context) == f"{url}: is no https URL; only https is fetched"


def test_a_certificate_that_nobody_vouches_for_is_refused(web, context, monkeypatch):
    url = web.gives("/a.csv", BODY)
    monkeypatch.delenv("SSL_CERT_FILE")
    assert fault(url, context).startswith(f"{url}: the server's certificate is not trusted (")
    assert web.asked == []


FETCH = """
import sys
from pathlib import Path
from textclf.testing import LocalContext
from textclf_files.download import Limits, fetch
folder = Path(sys.argv[2])
context = LocalContext(folder / "other", cache=folder / "cache", offline=False)
print(fetch(sys.argv[1], Limits(5, 30, 2, 2**20), context))
"""


def test_of_two_processes_one_fetches_and_the_other_waits(web, context, tmp_path):
    """W09: a shared cache."""
    url = web.url("/a.csv")
    asked = threading.Event()

    def answer(request):
        asked.set()
        head(request, 200, **{"Content-Length": str(len(BODY))})
        time.sleep(1.0)
        request.wfile.write(BODY)

    web.answers["/a.csv"] = answer
    other = subprocess.Popen([sys.executable, "-c", FETCH, url, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert asked.wait(20)
    path = fetch(url, LIMITS, context)
    assert other.communicate(timeout=20)[0].strip() == str(path)
    assert path.read_bytes() == BODY
    assert len(web.asked) == 1


def test_what_a_killed_process_left_is_swept_away(web, context):
    """W10: a part file of yesterday."""
    url = web.gives("/a.csv", BODY)
    path = fetch(url, LIMITS, context)
    path.unlink()
    path.with_name(f"{path.name}.12345.part").write_bytes(BODY[:100])
    assert fetch(url, LIMITS, context).read_bytes() == BODY
    assert left(context) == [path.name, f"{path.name}.json"]


def test_a_full_disk_is_a_matter_of_resources(web, context):
    """W11: the cache cannot take the file."""
    (context.folder / "cache").write_text("no folder")
    with pytest.raises(ResourceError) as caught:
        fetch(web.gives("/a.csv", BODY), LIMITS, context)
    assert str(caught.value).startswith(f"cannot write to {context.cache / 'files'}: ")
    full = _disk_error(OSError(errno.ENOSPC, "No space left on device"), Path("c"))
    assert str(full) == "cannot write to c: No space left on device; free some space"


def test_offline_with_a_cold_cache_opens_no_socket(web, context):
    """W12: at once, with the rule of the cached copy."""
    url = web.gives("/a.csv", BODY)
    context.offline = True
    assert fault(url, context) == (
        f"{url}: nothing is fetched offline, and there is no cached copy yet; run once without --offline, after which "
        f"the copy in {context.cache / 'files'} is used, or fetch it by hand and give its path"
    )
    assert web.asked == []
    context.offline = False
    fetch(url, LIMITS, context)
    context.offline = True
    assert fetch(url, LIMITS, context).read_bytes() == BODY


def test_a_corrupted_copy_is_fetched_again(web, context):
    """W13: a changed byte in the cache."""
    url = web.gives("/a.csv", BODY)
    path = fetch(url, LIMITS, context)
    path.write_bytes(BODY[:-1] + b"?")
    assert fetch(url, LIMITS, context).read_bytes() == BODY
    assert context.warnings == [f"{url}: the cached copy {path} has changed since it was fetched; fetching it again"]


def test_a_download_stops_when_the_run_is_asked_to(web, context):
    web.answers["/a.csv"] = lambda request: web.leaving.wait(20)
    context.stop_after = 3
    with pytest.raises(Stopped) as caught:
        fetch(web.url("/a.csv"), LIMITS, context)
    assert str(caught.value) == f"stopped while {web.url('/a.csv')} was fetched"
    assert left(context) == []
