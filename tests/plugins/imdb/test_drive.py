"""The imdb dataset from Google Drive, whatever Drive answers; gdown is the real one."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from textclf_imdb import ImdbOptions, build

from tests.drive import (
    CONFIRMATION_PAGE,
    FILE_ID,
    PERMISSION_PAGE,
    QUOTA_PAGE,
    ROWS,
    Reply,
    Request,
    closed_port,
    drive,
    reviews_csv,
    serving,
)
from tests.tiny import tiny_bert
from textclf import Dataset, DownloadError, Progress, Stopped
from textclf.testing import LocalContext

SMALL = reviews_csv(40)
SAYING = '<html><p class="uc-error-caption">Sorry</p>\n<p class="uc-error-subcaption">{}</p></html>'
URL = f"https://drive.google.com/file/d/{FILE_ID}/view"
FROM = f"cannot download {URL}: "
HINT = (
    "; download the file by hand and set dataset.path to it (--set dataset.path=FILE), "
    "or name a mirror as dataset.url"
)


def load(context: LocalContext, **options: object) -> Dataset:
    return build(ImdbOptions(**{"rows": 40, "timeout": 1.0, "tries": 2, **options})).load(context)


def refusal(context: LocalContext, **options: object) -> str:
    """Return why a download fails; nothing of it is cached."""
    with pytest.raises(DownloadError) as caught:
        load(context, **options)
    message = str(caught.value)
    assert message.startswith(FROM)
    assert message.endswith(HINT)
    assert cached(context) == []
    return message.removeprefix(FROM).removesuffix(HINT)


def cached(context: LocalContext) -> list[str]:
    assert context.cache is not None
    return sorted(p.name for p in context.cache.rglob("*") if p.is_file() and p.suffix != ".lock")


@pytest.fixture
def context(tmp_path: Path) -> LocalContext:
    return LocalContext(tmp_path / "run", cache=tmp_path / "cache", offline=False)


def test_the_whole_file_comes_through_the_confirmation_page(
    context: LocalContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    body = reviews_csv()
    with drive(tmp_path, serving(body), monkeypatch) as google:
        dataset = build(ImdbOptions()).load(context)
    assert len(set(dataset.train.texts.first)) == len(dataset.train) == ROWS
    assert dataset.train.labels.tolist() == [0] * (ROWS // 2) + [1] * (ROWS - ROWS // 2)
    assert dataset.source == f"{URL} (sha256 {hashlib.sha256(body).hexdigest()})"
    assert [request.host for request in google.requests] == ["drive.google.com"] + ["drive.usercontent.google.com"] * 2
    last = [event for event in context.events if isinstance(event, Progress)][-1]
    assert last.done == last.total == len(body)
    assert capfd.readouterr() == ("", "")


def test_the_second_run_opens_no_connection(
    context: LocalContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with drive(tmp_path, serving(SMALL), monkeypatch) as google:
        load(context)
        count = len(google.requests)
        assert len(load(context).train) == 40
        assert len(google.requests) == count
    context.offline = True
    assert len(load(context).train) == 40


def test_no_cookies_are_sent_or_stored(context: LocalContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    with drive(tmp_path, serving(SMALL), monkeypatch) as google:
        load(context)
    assert not any("cookie" in request.headers for request in google.requests)
    assert not (tmp_path / "home").exists()


NO_LINK = "a web page came in place of the file: it is not open to everyone, or Drive is out of order (2 tries)"


@pytest.mark.parametrize(("page", "reason"), [
    (QUOTA_PAGE, "its download quota is used up for now, which passes within about a day"),
    (PERMISSION_PAGE, NO_LINK),
    (SAYING.format("Sorry, the owner hasn&#39;t given you permission to download this file."),
     "the file is not open to everyone, or not any more"),
    (SAYING.format("The file you&#39;re after has moved."), "Drive says 'The file you're after has moved.'"),
    ("<html>can't scan this file for viruses</html>", NO_LINK),
])  # fmt: skip
def test_a_page_in_place_of_the_file_is_recognised(
    page: str, reason: str, context: LocalContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """W02: quota, permission and virus-scan pages, with status 200 as Drive sends them."""
    with drive(tmp_path, lambda request, reply: reply.page(page), monkeypatch):
        assert refusal(context) == reason


@pytest.mark.parametrize(("page", "reason"), [
    (QUOTA_PAGE, ": its download quota is used up for now, which passes within about a day"),
    (PERMISSION_PAGE, ": the file is not open to everyone, or not any more"),
    (CONFIRMATION_PAGE,
     ": it asks to confirm that the file was not scanned for viruses, and no confirmation was accepted"),
    ("<html>hello</html>", ""),
])  # fmt: skip
def test_a_page_sent_as_the_file_itself_is_recognised_by_its_words(
    page: str, reason: str, context: LocalContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """W02: the page has the headers of a download, so that gdown saves it."""
    with drive(tmp_path, serving(page.encode()), monkeypatch):
        assert refusal(context) == f"a web page came in place of the file{reason}"


def test_a_confirmation_that_leads_back_to_itself_ends(
    context: LocalContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """W02: gdown alone would follow the page for ever."""
    page = CONFIRMATION_PAGE.format(id=FILE_ID)
    with drive(tmp_path, lambda request, reply: reply.page(page), monkeypatch):
        assert refusal(context, timeout=0.5) == "no data for 1 seconds"


def test_without_a_network_it_fails_soon_and_says_how_to_download_by_hand(
    context: LocalContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """W01: the options are the defaults."""
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{closed_port()}")
    for name in ("https_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    began = time.monotonic()
    with pytest.raises(DownloadError) as caught:
        build(ImdbOptions()).load(context)
    assert str(caught.value) == f"{FROM}the proxy does not answer: connection refused (3 tries){HINT}"
    assert 3 <= time.monotonic() - began < 30, "three tries, with pauses of one and two seconds"


def test_a_server_that_is_out_of_order_is_tried_again(
    context: LocalContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """W01: gdown itself takes the page of a 503 for a missing permission, and fails."""
    working = serving(SMALL)

    def scenario(request: Request, reply: Reply) -> None:
        first = len(google.requests) == 1
        reply.page("<html>Service Unavailable</html>", 503) if first else working(request, reply)

    with drive(tmp_path, scenario, monkeypatch) as google:
        assert len(load(context).train) == 40


SILENT = (
    "no data for 1 seconds",
    "no answer in time (2 tries)",
    "the proxy does not answer: no answer in time (2 tries)",
)


def test_a_proxy_that_accepts_and_sends_nothing_ends_the_download(
    context: LocalContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """W03: gdown cannot be interrupted there."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        for name in ("HTTPS_PROXY", "https_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{mute.getsockname()[1]}")
        monkeypatch.setenv("no_proxy", "")
        assert refusal(context, timeout=0.5) in SILENT


@pytest.mark.parametrize("begun", [False, True])
def test_silence_ends_the_download(
    begun: bool, context: LocalContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """W03: before the answer, and after every beginning of it."""
    working = serving(SMALL)

    def scenario(request: Request, reply: Reply) -> None:
        if begun and not request.query.get("confirm"):
            return working(request, reply)
        if begun:
            reply.download(9999)
            reply.write(b"review,label\n")
        reply.silence()

    with drive(tmp_path, scenario, monkeypatch):
        assert refusal(context, timeout=0.5) in SILENT


def test_silence_in_the_middle_is_bridged_by_resuming(
    context: LocalContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """W03: the second request asks for what is missing only."""
    body = reviews_csv(4000)
    working = serving(body)

    def scenario(request: Request, reply: Reply) -> None:
        if request.query.get("confirm") and "range" not in request.headers:
            reply.download(len(body))
            reply.write(body[:2_000_000])
            reply.silence()
        else:
            working(request, reply)

    with drive(tmp_path, scenario, monkeypatch) as google:
        assert len(load(context, rows=4000).train) == 4000
    assert google.requests[-1].headers["range"] == "bytes=1572864-"


def drip(request: Request, reply: Reply) -> None:
    """Send for ever what looks like the file, half a megabyte at a time."""
    reply.download(None)
    reply.write(b"review,label\n")
    while True:
        reply.write(b"endless,1\n" * 50_000)
        time.sleep(0.02)


def test_the_whole_download_has_a_deadline(
    context: LocalContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """W03: data that keep coming do not help."""
    with drive(tmp_path, drip, monkeypatch):
        assert refusal(context, deadline=1.0).startswith("not complete after 1 seconds (")


def test_a_length_that_is_too_much_is_refused_at_once(
    context: LocalContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """W06: two gigabytes are announced."""

    def scenario(request: Request, reply: Reply) -> None:
        reply.download(2**31)
        for _ in range(20):
            reply.write(b"endless,1\n" * 50_000)

    with drive(tmp_path, scenario, monkeypatch):
        assert refusal(context) == "it is larger than the size limit of 1,024 MiB"


@pytest.mark.parametrize("cuts", [1, 2])
def test_a_connection_that_is_cut_is_resumed(
    cuts: int, context: LocalContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """W04: what has come is not fetched again."""
    body = reviews_csv(4000)
    with drive(tmp_path, serving(body, cuts=cuts, at=1_000_000), monkeypatch) as google:
        assert len(load(context, rows=4000, tries=3).train) == 4000
    # gdown writes in pieces of 512 KiB, and one of them was complete.
    ranges = [request.headers["range"] for request in google.requests if "range" in request.headers]
    assert ranges[0] == "bytes=524288-"


def test_a_connection_that_is_always_cut_ends_the_download(
    context: LocalContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """W04: and nothing of it stays."""
    with drive(tmp_path, serving(SMALL, cuts=99, at=100), monkeypatch):
        assert refusal(context) == "the connection was cut (2 tries)"


def test_a_name_that_the_server_sends_is_ignored(
    context: LocalContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """W07: the file lies where the cache puts it, and nowhere else."""
    before = set(tmp_path.parent.iterdir())

    def scenario(request: Request, reply: Reply) -> None:
        reply.file(SMALL, request, name="../../../../outside.csv")

    with drive(tmp_path, scenario, monkeypatch):
        load(context)
    assert len(cached(context)) == 2
    assert not list(tmp_path.rglob("*outside*"))
    assert set(tmp_path.parent.iterdir()) == before


def test_a_redirect_to_a_file_is_refused(
    context: LocalContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """W08: the file is there and would pass every check."""
    inside = tmp_path / "inside.csv"
    inside.write_bytes(SMALL)
    with drive(tmp_path, lambda request, reply: reply.redirect(inside.as_uri()), monkeypatch):
        assert refusal(context) == f"no connection adapters were found for '{inside.as_uri()}'"


def test_a_run_that_is_to_stop_stops_downloading(
    context: LocalContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context.stop_after = 10
    with drive(tmp_path, drip, monkeypatch), pytest.raises(Stopped, match=r"^the download was stopped; run again"):
        load(context)
    assert cached(context) == []
    assert not [thread for thread in threading.enumerate() if thread.name == "textclf-download"]


# Whole runs by the command


def textclf(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a user would, in the current folder."""
    return subprocess.run(
        [sys.executable, "-m", "textclf", *arguments],
        env={**os.environ, **environment}, capture_output=True, text=True, timeout=240,
    )  # fmt: skip


SMALL_RUN = {
    "split.limit": "200", "split.test": "0.3", "encoder.revision": "null", "encoder.max_length": "32",
    "trainer.epochs": "1", "trainer.device": "cpu",
}  # fmt: skip


def test_the_reference_recipe_runs_from_google_drive_to_the_report(tmp_path: Path) -> None:
    """W04: a file of the real size and a small BERT; the connection is cut at 30 MB, and resumed."""
    settings = {**SMALL_RUN, "encoder.checkpoint": str(tiny_bert(tmp_path / "bert", [reviews_csv(20).decode()]))}
    overrides = [part for name, value in settings.items() for part in ("--set", f"{name}={value}")]
    with drive(tmp_path, serving(reviews_csv(), cuts=1, at=30_000_000)) as google:
        done = textclf("run", "recipes/imdb_bert.yaml", *overrides, "--json", **google.environment)
    assert done.returncode == 0, done.stderr
    json.loads(done.stdout)
    (run,) = (tmp_path / "runs" / "imdb_bert").iterdir()
    metrics = json.loads((run / "metrics.json").read_text())
    assert {"accuracy", "f1"} <= set(metrics["metrics"])
    assert (run / "predictions.csv").read_text().count("\n") == 61
    assert FILE_ID in (run / "record.json").read_text()
    assert (run / "model" / "model.safetensors").exists()
    assert google.requests[-1].headers["range"].startswith("bytes=29")


@pytest.mark.parametrize(("page", "reason"), [
    (QUOTA_PAGE, "its download quota is used up for now"),
    (PERMISSION_PAGE, "a web page came in place of the file"),
])  # fmt: skip
def test_a_page_in_place_of_the_file_ends_the_command_with_4(page: str, reason: str, tmp_path: Path) -> None:
    """W02: from the outside."""
    with drive(tmp_path, lambda request, reply: reply.page(page)) as google:
        done = textclf("run", "imdb_tfidf", **google.environment)
    assert done.returncode == 4
    message = " ".join(done.stderr.split())
    assert f"{FROM}{reason}" in message
    assert "--set dataset.path=FILE" in message
    assert "Traceback" not in message


def test_silence_ends_the_command_with_4(tmp_path: Path) -> None:
    """W03: from the outside."""
    with drive(tmp_path, lambda request, reply: reply.silence()) as google:
        short = ("--set", "dataset.timeout=0.5", "--set", "dataset.tries=2")
        done = textclf("run", "imdb_tfidf", *short, **google.environment)
    assert done.returncode == 4
    message = " ".join(done.stderr.split())
    assert any(f"{FROM}{reason}" in message for reason in SILENT)


def test_without_a_network_the_command_ends_with_4_within_30_seconds(tmp_path: Path) -> None:
    """W01: from the outside, with the time it takes to start."""
    began = time.monotonic()
    done = textclf("run", "imdb_tfidf", HTTPS_PROXY=f"http://127.0.0.1:{closed_port()}", NO_PROXY="", no_proxy="")
    assert done.returncode == 4
    assert time.monotonic() - began < 30
    assert FROM in " ".join(done.stderr.split())
    assert done.stdout == ""


def test_offline_the_command_ends_with_4_at_once(tmp_path: Path) -> None:
    """W12: from the outside."""
    done = textclf("run", "imdb_tfidf", "--offline")
    assert done.returncode == 4
    assert f"{FROM}--offline is set, and there is no copy in the cache" in " ".join(done.stderr.split())
