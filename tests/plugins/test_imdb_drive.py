"""What the imdb dataset makes of everything that Google Drive may answer; gdown is the real one."""

from __future__ import annotations

import socket
import threading
import time
from functools import partial
from pathlib import Path

import pytest
from textclf_imdb import ImdbOptions, build
from textclf_imdb.drive import fetch
from textclf_imdb.transfer import Limits, Transfer, run

from textclf import Dataset, DownloadError, Stopped
from textclf.plugin.events import Progress
from textclf.testing import LocalContext

from ..drive import (
    CONFIRMATION_PAGE,
    FILE_ID,
    PERMISSION_PAGE,
    QUOTA_PAGE,
    ROWS,
    Asked,
    Reply,
    closed_port,
    drive,
    reviews_csv,
    serving,
)

SMALL = reviews_csv(40)
SAYING = '<html><p class="uc-error-caption">Sorry</p>\n<p class="uc-error-subcaption">{}</p></html>'
FROM = f"cannot fetch the IMDB reviews from Google Drive (file {FILE_ID}): "
WAY_OUT = (
    f"; download it by hand from https://drive.google.com/file/d/{FILE_ID}/view and give it as dataset.path "
    "(--set dataset.path=FILE), or name a mirror as dataset.url"
)


def load(context: LocalContext, **options: object) -> Dataset:
    return build(ImdbOptions(**{"rows": 40, "timeout": 1.0, "tries": 2, **options})).load(context)


def refusal(context: LocalContext, **options: object) -> str:
    """Return why nothing was fetched, having seen that nothing was kept and that the message says what to do."""
    with pytest.raises(DownloadError) as caught:
        load(context, **options)
    message = str(caught.value)
    assert caught.value.exit_code == 4
    assert message.startswith(FROM)
    assert message.endswith(WAY_OUT)
    assert left(context) == []
    return message.removeprefix(FROM).removesuffix(WAY_OUT)


def left(context: LocalContext) -> list[str]:
    assert context.cache is not None
    return sorted(p.name for p in context.cache.rglob("*") if p.is_file() and p.suffix != ".lock")


@pytest.fixture
def context(tmp_path: Path) -> LocalContext:
    return LocalContext(tmp_path / "run", cache=tmp_path / "cache", offline=False)


def test_the_whole_file_comes_through_the_confirmation_page(
    context: LocalContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with drive(tmp_path, serving(reviews_csv()), monkeypatch) as google:
        dataset = build(ImdbOptions()).load(context)
    assert len(set(dataset.train.texts.first)) == len(dataset.train) == ROWS
    assert dataset.labels.names == ("negative", "positive")
    assert dataset.labels.positive == "positive"
    assert dataset.train.labels.tolist() == [0] * (ROWS // 2) + [1] * (ROWS - ROWS // 2)
    assert [asked.host for asked in google.asked] == ["drive.google.com"] + ["drive.usercontent.google.com"] * 2
    progress = [event for event in context.events if isinstance(event, Progress)]
    assert progress[-1].done == progress[-1].total > 80_000_000
    assert (progress[-1].stage, progress[-1].unit) == ("load", "bytes")
    assert capfd.readouterr() == ("", "")


def test_no_cookies_are_sent_or_kept(
    context: LocalContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    with drive(tmp_path, serving(SMALL), monkeypatch) as google:
        load(context)
    assert not any("cookie" in asked.headers for asked in google.asked)
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(("page", "reason"), [
    (QUOTA_PAGE, "its download quota is used up for now, which passes within about a day"),
    (PERMISSION_PAGE, "a web page came in place of the file: it is not open to everyone, or Drive is out of order"),
    (SAYING.format("Sorry, the owner hasn&#39;t given you permission to download this file."),
     "the file is not open to everyone, or not any more"),
    (SAYING.format("The file you&#39;re after has moved."), "Drive says 'The file you're after has moved.'"),
    ("<html>can't scan this file for viruses</html>",
     "a web page came in place of the file: it is not open to everyone, or Drive is out of order"),
])  # fmt: skip
def test_a_page_in_place_of_the_file_is_recognised_and_never_kept(
    page: str, reason: str, context: LocalContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """W02: quota, permission and virus-scan pages, with status 200 as Drive sends them."""
    with drive(tmp_path, lambda asked, reply: reply.page(page), monkeypatch):
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
        assert refusal(context) == f"what came: is a web page, not a CSV file{reason}"


def test_a_confirmation_that_leads_back_to_itself_ends(
    context: LocalContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """W02: gdown alone would follow the page for ever."""
    page = CONFIRMATION_PAGE.format(id=FILE_ID)
    with drive(tmp_path, lambda asked, reply: reply.page(page), monkeypatch):
        assert refusal(context, timeout=0.5) == "nothing came for 1 seconds"


def test_without_a_network_it_gives_up_soon_and_says_how_to_fetch_by_hand(
    context: LocalContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """W01: the options are the defaults."""
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{closed_port()}")
    monkeypatch.delenv("https_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    began = time.monotonic()
    with pytest.raises(DownloadError) as caught:
        build(ImdbOptions()).load(context)
    assert str(caught.value) == f"{FROM}the proxy does not answer: connection refused{WAY_OUT}"
    assert 3 <= time.monotonic() - began < 30, "three tries, with pauses of one and two seconds"


def test_a_server_that_is_out_of_order_is_asked_again(
    context: LocalContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """W01: gdown itself takes the page of a 503 for a missing permission, and gives up."""
    working = serving(SMALL)

    def scenario(asked: Asked, reply: Reply) -> None:
        reply.page("<html>Service Unavailable</html>", 503) if len(google.asked) == 1 else working(asked, reply)

    with drive(tmp_path, scenario, monkeypatch) as google:
        assert len(load(context).train) == 40


def test_a_proxy_that_accepts_and_says_nothing_is_given_up(
    context: LocalContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """W03: gdown cannot be interrupted there."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        for name in ("HTTPS_PROXY", "https_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{mute.getsockname()[1]}")
        monkeypatch.setenv("no_proxy", "")
        reason = refusal(context, timeout=0.5)
    assert reason in ("nothing came for 1 seconds", "the proxy does not answer: no answer in time")


def test_what_cannot_be_interrupted_is_left_behind(context: LocalContext, tmp_path: Path) -> None:
    """W03: as a look-up of a name that nobody answers."""
    released = threading.Event()
    transfer = Transfer(tmp_path / "reviews.csv", Limits(timeout=0.1, deadline=30.0, tries=3))
    began = time.monotonic()
    with pytest.raises(DownloadError, match=r"^nothing came for 0\.3"):
        run(lambda _: released.wait(20) and None, transfer, context)
    assert time.monotonic() - began < 5
    assert transfer.cancel.is_set()
    released.set()


def test_silence_before_the_answer_is_given_up(
    context: LocalContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """W03: each request has its time, and all of them together have theirs."""
    with drive(tmp_path, lambda asked, reply: reply.silence(), monkeypatch) as google:
        assert refusal(context, timeout=0.5, tries=3) in ("nothing came for 1.5 seconds", "no answer in time")
        assert len(google.asked) > 1


def test_silence_in_the_middle_is_bridged_by_resuming(
    context: LocalContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """W03: the second request asks for what is missing only."""
    body = reviews_csv(4000)
    working = serving(body)

    def scenario(asked: Asked, reply: Reply) -> None:
        if asked.query.get("confirm") and "range" not in asked.headers:
            reply.download(len(body))
            reply.write(body[:2_000_000])
            reply.silence()
        else:
            working(asked, reply)

    with drive(tmp_path, scenario, monkeypatch) as google:
        assert len(load(context, rows=4000).train) == 4000
    assert google.asked[-1].headers["range"] == "bytes=1572864-"


def test_silence_after_every_beginning_is_given_up(
    context: LocalContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """W03: the body never goes on."""
    working = serving(SMALL)

    def scenario(asked: Asked, reply: Reply) -> None:
        if asked.query.get("confirm"):
            reply.download(9999)
            reply.write(b"review,label\n")
            reply.silence()
        else:
            working(asked, reply)

    with drive(tmp_path, scenario, monkeypatch):
        assert refusal(context, timeout=0.5) in ("nothing came for 1 seconds", "no answer in time")


def drip(asked: Asked, reply: Reply) -> None:
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


def test_a_body_without_an_end_is_cut_off(
    context: LocalContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """W06: the limit is 1 GiB; here it is 4 MiB, to spare the disk."""
    transfer = Transfer(tmp_path / "reviews.csv", Limits(timeout=1.0, deadline=30.0, tries=2, size=4 * 2**20))
    with (
        drive(tmp_path, drip, monkeypatch),
        pytest.raises(DownloadError, match=r"^more than 4 MiB would come, which is not this file$"),
    ):
        run(partial(fetch, FILE_ID), transfer, context)


def test_a_length_that_is_too_much_is_refused_at_once(
    context: LocalContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """W06: two gigabytes are announced."""

    def scenario(asked: Asked, reply: Reply) -> None:
        reply.download(2**31)
        for _ in range(20):
            reply.write(b"endless,1\n" * 50_000)

    with drive(tmp_path, scenario, monkeypatch):
        assert refusal(context) == "more than 1,024 MiB would come, which is not this file"


@pytest.mark.parametrize("cuts", [1, 2])
def test_a_connection_that_is_cut_is_taken_up_again(
    cuts: int, context: LocalContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """W04: what has come is not fetched again."""
    body = reviews_csv(4000)
    with drive(tmp_path, serving(body, cuts=cuts, at=1_000_000), monkeypatch) as google:
        dataset = load(context, rows=4000, tries=3)
    assert len(dataset.train) == 4000
    # gdown writes in pieces of 512 KiB, and one of them was complete.
    assert next(asked.headers["range"] for asked in google.asked if "range" in asked.headers) == "bytes=524288-"


def test_a_connection_that_is_always_cut_is_given_up(
    context: LocalContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """W04: and nothing of it stays."""
    with drive(tmp_path, serving(SMALL, cuts=99, at=100), monkeypatch):
        assert refusal(context) == "the connection was cut"


def test_a_name_that_the_server_gives_is_ignored(
    context: LocalContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """W07: the file lies where the cache puts it, and nowhere else."""
    before = set(tmp_path.parent.iterdir())

    def scenario(asked: Asked, reply: Reply) -> None:
        reply.file(SMALL, asked, name="../../../../outside.csv")

    with drive(tmp_path, scenario, monkeypatch):
        load(context)
    assert left(context) == [f"{FILE_ID}.csv", f"{FILE_ID}.json"]
    assert not list(tmp_path.rglob("*outside*"))
    assert set(tmp_path.parent.iterdir()) == before


def test_a_redirect_to_a_file_is_refused(
    context: LocalContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """W08: the file is there and would pass every check."""
    (tmp_path / "inside.csv").write_bytes(SMALL)
    with drive(tmp_path, lambda asked, reply: reply.redirect((tmp_path / "inside.csv").as_uri()), monkeypatch):
        assert refusal(context) == "it leads to an address that no download may use"


def test_a_run_that_is_to_stop_stops_downloading(
    context: LocalContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context.stop_after = 10
    with drive(tmp_path, drip, monkeypatch), pytest.raises(Stopped, match=r"^the download was stopped; run again"):
        load(context)
    assert left(context) == []
    assert not [t for t in threading.enumerate() if t.name == "textclf-imdb-download"]
