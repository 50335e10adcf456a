"""What the imdb dataset makes of a mirror on the web: the same file, the same guards, no detours."""

from __future__ import annotations

import ssl
import time
from pathlib import Path

import pytest
from textclf_imdb import ImdbOptions, build
from textclf_imdb.mirror import _Connection

from textclf import DownloadError
from textclf.testing import LocalContext

from ..drive import MIRROR, PERMISSION_PAGE, QUOTA_PAGE, Asked, Reply, closed_port, drive, reviews_csv

SMALL = reviews_csv(40)
URL = f"https://{MIRROR}/data/imdb.csv"


def load(context: LocalContext, **options: object) -> int:
    wanted = {"rows": 40, "timeout": 0.5, "tries": 2, "url": URL, **options}
    return len(build(ImdbOptions(**wanted)).load(context).train)


def refusal(context: LocalContext, **options: object) -> str:
    """Return why nothing was fetched, having seen that nothing was kept and that the message says what to do."""
    with pytest.raises(DownloadError) as caught:
        load(context, **options)
    start = f"cannot fetch the IMDB reviews from {options.get('url', URL)}: "
    end = (
        "; check dataset.url, or download the file by hand and give it as dataset.path (--set dataset.path=FILE)"
    )
    message = str(caught.value)
    assert message.startswith(start)
    assert message.endswith(end)
    assert context.cache is not None
    assert [p for p in context.cache.rglob("*") if p.is_file() and p.suffix != ".lock"] == []
    return message.removeprefix(start).removesuffix(end)


def whole(asked: Asked, reply: Reply) -> None:
    reply.file(SMALL, asked)


@pytest.fixture
def context(tmp_path: Path) -> LocalContext:
    return LocalContext(tmp_path / "run", cache=tmp_path / "cache", offline=False)


def direct(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the way to the proxy away: what listens there is then met as a server."""
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.delenv(name)


def test_the_file_comes_from_the_mirror_once(
    context: LocalContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with drive(tmp_path, whole, monkeypatch) as mirror:
        assert [load(context), load(context)] == [40, 40]
    assert [(asked.host, asked.path) for asked in mirror.asked] == [(MIRROR, "/data/imdb.csv")]


def test_a_redirect_to_another_public_address_is_followed(
    context: LocalContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def scenario(asked: Asked, reply: Reply) -> None:
        whole(asked, reply) if asked.host == "docs.google.com" else reply.redirect("https://docs.google.com/elsewhere")

    with drive(tmp_path, scenario, monkeypatch):
        assert load(context) == 40


@pytest.mark.parametrize(("target", "reason"), [
    ("file:///etc/hostname", "no https address"),
    ("http://docs.google.com/imdb.csv", "no https address"),
    ("ftp://docs.google.com/imdb.csv", "no https address"),
    ("https://127.0.0.1/imdb.csv", "a private address"),
    ("https://10.1.2.3/imdb.csv", "a private address"),
    ("https://169.254.169.254/latest/meta-data", "a private address"),
    ("https://[::1]/imdb.csv", "a private address"),
    ("https://[::ffff:192.168.0.1]/imdb.csv", "a private address"),
    ("https://localhost/imdb.csv", "a private address"),
])  # fmt: skip
def test_a_redirect_out_of_the_open_web_is_refused(
    target: str, reason: str, context: LocalContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """W08: a file, another protocol, this machine or its neighbours; nobody is asked there."""
    with drive(tmp_path, lambda asked, reply: reply.redirect(target), monkeypatch) as mirror:
        assert refusal(context) == f"it redirects to '{target}', which is {reason}"
    assert mirror.tunnels == [MIRROR]


def test_a_mirror_in_one_s_own_network_may_be_named_but_not_lead_to_its_neighbours(
    context: LocalContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """W08: the recipe's own address is the user's choice, a redirect is not."""
    inner = f"https://127.0.0.1:{closed_port()}/imdb.csv"

    def scenario(asked: Asked, reply: Reply) -> None:
        if asked.path == "/moved":
            reply.redirect("/here")
        elif asked.path == "/astray":
            reply.redirect(inner)
        else:
            whole(asked, reply)

    with drive(tmp_path, scenario, monkeypatch) as mirror:
        direct(monkeypatch)
        assert refusal(context, url=f"https://localhost:{mirror.port}/astray") == (
            f"it redirects to '{inner}', which is a private address"
        )
        assert load(context, url=f"https://localhost:{mirror.port}/moved") == 40
    assert set(mirror.tunnels) == {"direct"}


def test_a_public_name_of_a_private_address_is_found_out_before_anything_is_asked(tmp_path: Path) -> None:
    """W08: a redirect's name tells nothing, the address it leads to does."""
    with drive(tmp_path, whole) as mirror:
        trusting = ssl.create_default_context(cafile=str(mirror.authority))
        connection = _Connection("localhost", mirror.port, guarded=True, context=trusting)
        with pytest.raises(DownloadError, match=r"^it redirects to 'localhost', which is a private address$"):
            connection.request("GET", "/imdb.csv")
    assert mirror.asked == []


@pytest.mark.parametrize(("page", "reason"), [
    (QUOTA_PAGE, "its download quota is used up for now, which passes within about a day"),
    (PERMISSION_PAGE, "the file is not open to everyone, or not any more"),
])  # fmt: skip
def test_a_page_in_place_of_the_file_is_never_kept(
    page: str, reason: str, context: LocalContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """W02: a page with status 200."""
    with drive(tmp_path, lambda asked, reply: reply.page(page), monkeypatch):
        assert refusal(context) == f"what came: is a web page, not a CSV file: {reason}"


@pytest.mark.parametrize(("status", "asked_for"), [(404, 1), (403, 1), (503, 2), (429, 2)])
def test_a_refusal_is_named_and_a_passing_one_asked_again(
    status: int, asked_for: int, context: LocalContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """W01: what may pass is tried again."""
    with drive(tmp_path, lambda asked, reply: reply.page("no", status), monkeypatch) as mirror:
        assert refusal(context) == f"the server answers with status {status}"
    assert len(mirror.asked) == asked_for


def test_a_mirror_that_cannot_be_reached_is_named(context: LocalContext, monkeypatch: pytest.MonkeyPatch) -> None:
    """W01: nobody listens there."""
    monkeypatch.setenv("no_proxy", "*")
    assert refusal(context, url=f"https://127.0.0.1:{closed_port()}/imdb.csv") == "connection refused"


def test_a_certificate_of_an_unknown_authority_is_refused_at_once(
    context: LocalContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with drive(tmp_path, whole, monkeypatch) as mirror:
        monkeypatch.delenv("SSL_CERT_FILE")
        reason = refusal(context)
    assert reason.startswith("its certificate cannot be trusted: ")
    assert (len(mirror.tunnels), mirror.asked) == (1, [])


def test_silence_is_given_up(context: LocalContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """W03: before an answer, and in the middle of one."""

    def scenario(asked: Asked, reply: Reply) -> None:
        if asked.path == "/middle":
            reply.download(9999)
            reply.write(b"review,label\n")
        reply.silence()

    with drive(tmp_path, scenario, monkeypatch):
        for path in ("/before", "/middle"):
            reason = refusal(context, url=f"https://{MIRROR}{path}")
            assert reason in ("nothing came for 1 seconds", "no answer in time")


def test_a_connection_that_is_cut_is_begun_again(
    context: LocalContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """W04: and given up when it is always cut."""

    def scenario(asked: Asked, reply: Reply) -> None:
        reply.file(SMALL, asked, cut=None if len(mirror.asked) > 3 else 1000)

    with drive(tmp_path, scenario, monkeypatch) as mirror:
        always = refusal(context, url=f"https://{MIRROR}/always")
        assert always in (f"the connection was cut after 1,000 of {len(SMALL):,} bytes", "the connection was cut")
        assert load(context) == 40
    assert [asked.path for asked in mirror.asked] == ["/always"] * 2 + ["/data/imdb.csv"] * 2


def test_an_endless_body_is_cut_off(context: LocalContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """W06: by the length it announces, or by the deadline."""

    def scenario(asked: Asked, reply: Reply) -> None:
        reply.download(None if asked.path == "/drip" else 2**31)
        while True:
            reply.write(b"endless,1\n" * 1000)
            time.sleep(0.02)

    with drive(tmp_path, scenario, monkeypatch):
        assert refusal(context) == "more than 1,024 MiB would come, which is not this file"
        reason = refusal(context, url=f"https://{MIRROR}/drip", deadline=0.5)
    assert reason.startswith("not complete after 0.5 seconds (")
