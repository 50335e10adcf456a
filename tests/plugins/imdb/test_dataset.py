"""The imdb dataset from a file on this machine or a mirror; Google Drive has tests of its own."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest
from textclf_imdb import ImdbOptions, build

from tests.drive import MIRROR, QUOTA_PAGE, Reply, Request, drive, reviews_csv
from textclf import DataError, Dataset, DownloadError
from textclf.testing import LocalContext

SMALL = reviews_csv(40)
URL = f"https://{MIRROR}/data/imdb.csv"
HINT = "check dataset.url, or download the file by hand and set dataset.path to it (--set dataset.path=FILE)"


def refusal(tmp_path: Path, data: bytes, **options: object) -> str:
    """Return the message about a file downloaded by hand, without its path."""
    file = tmp_path / "mine.csv"
    file.write_bytes(data)
    with pytest.raises(DataError) as caught:
        build(ImdbOptions(path=file, **options)).load(LocalContext(tmp_path))
    return str(caught.value).removeprefix(str(file))


def test_a_file_on_this_machine_is_read_in_place(tmp_path: Path) -> None:
    file = tmp_path / "mine.csv"
    file.write_bytes(b'review,label\n"Bad,<br />""bad"" film",0\nNA,0\n Good ,1\n')
    dataset = build(ImdbOptions(path=file, rows=3)).load(LocalContext(tmp_path))
    assert dataset.train.texts.first == ['Bad,<br />"bad" film', "NA", " Good "]
    assert dataset.train.labels.tolist() == [0, 0, 1]
    assert (dataset.labels.names, dataset.labels.positive) == (("negative", "positive"), "positive")
    assert (dataset.validation, dataset.test, dataset.unlabelled) == (None, None, None)
    assert dataset.source == f"{file} (sha256 {hashlib.sha256(file.read_bytes()).hexdigest()})"
    assert dataset.licence.startswith("not stated: ")


@pytest.mark.parametrize(("data", "message"), [
    (b"text,label\nx,1\n", ": has no column 'review' (columns: text, label)"),
    (b"review,labels\nx,1\n", ": has no column 'label'; did you mean 'labels'? (columns: review, labels)"),
    (b"review,label\nx,1\ny,2\n", ":3: the label is '2', neither 0 (negative) nor 1 (positive)"),
    (b"review,label\nx,\n", ":2: the label is '', neither 0 (negative) nor 1 (positive)"),
    (b"review,label\nx,1\n", ": has 1 rows, not 62,155; set dataset.rows=0 if that is meant"),
    (b"review,label\n", ": has a header (review, label) but no rows"),
])  # fmt: skip
def test_a_file_that_is_not_the_reviews_is_refused_with_the_reason(data: bytes, message: str, tmp_path: Path) -> None:
    assert refusal(tmp_path, data) == message


def test_a_file_of_another_digest_is_refused_and_left_alone(tmp_path: Path) -> None:
    data = reviews_csv(4)
    found = hashlib.sha256(data).hexdigest()
    assert refusal(tmp_path, data, rows=0, sha256="0" * 64) == (
        f": has the sha256 {found}, not {'0' * 64}; download it again, or correct dataset.sha256"
    )
    assert (tmp_path / "mine.csv").read_bytes() == data


def test_a_file_on_this_machine_needs_no_gdown(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_bytes(SMALL)
    code = (
        "import sys; sys.modules['gdown'] = None; from textclf_imdb import ImdbOptions, build\n"
        "from textclf.testing import LocalContext; from pathlib import Path\n"
        "print(len(build(ImdbOptions(path=Path('mine.csv'), rows=40)).load(LocalContext(Path('run'))).train))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.stdout == "40\n", done.stderr


def load(context: LocalContext, **options: object) -> Dataset:
    return build(ImdbOptions(**{"rows": 40, "tries": 2, "url": URL, **options})).load(context)


def whole(request: Request, reply: Reply) -> None:
    reply.file(SMALL, request)


@pytest.fixture
def context(tmp_path: Path) -> LocalContext:
    return LocalContext(tmp_path / "run", cache=tmp_path / "cache", offline=False)


def test_a_mirror_is_used_once(context: LocalContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with drive(tmp_path, whole, monkeypatch) as mirror:
        assert load(context).source == f"{URL} (sha256 {hashlib.sha256(SMALL).hexdigest()})"
        assert len(load(context).train) == 40
    assert [(request.host, request.path) for request in mirror.requests] == [(MIRROR, "/data/imdb.csv")]


@pytest.mark.parametrize(("target", "reason"), [
    ("file:///etc/hostname", "which is no https URL"),
    ("https://169.254.169.254/latest/meta-data", "which is a private address"),
    ("https://localhost/imdb.csv", "which is a loopback address"),
])  # fmt: skip
def test_a_redirect_out_of_the_open_web_is_refused(
    target: str, reason: str, context: LocalContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """W08: through a proxy, which is never asked for it."""
    with (
        drive(tmp_path, lambda request, reply: reply.redirect(target), monkeypatch) as mirror,
        pytest.raises(DownloadError) as caught,
    ):
        load(context)
    assert str(caught.value) == f"cannot download {URL}: it redirects to '{target}', {reason}; {HINT}"
    assert mirror.tunnels == [MIRROR]


def test_a_redirect_to_another_public_host_is_followed(
    context: LocalContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def scenario(request: Request, reply: Reply) -> None:
        whole(request, reply) if request.host == "docs.google.com" else reply.redirect("https://docs.google.com/b")

    with drive(tmp_path, scenario, monkeypatch):
        assert len(load(context).train) == 40


def test_a_page_of_a_mirror_is_refused(
    context: LocalContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reason = r"a web page came in place of the file: does it ask for a log-in\?; "
    with (
        drive(tmp_path, lambda request, reply: reply.page(QUOTA_PAGE), monkeypatch),
        pytest.raises(DownloadError, match=reason),
    ):
        load(context)


def test_a_downloaded_file_that_is_not_the_reviews_is_dropped_from_the_cache(
    context: LocalContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with drive(tmp_path, whole, monkeypatch) as mirror:
        with pytest.raises(DataError) as caught:
            load(context, rows=41)
        copy = str(caught.value).partition(": ")[0]
        assert str(caught.value) == (
            f"{copy}: has 40 rows, not 41; set dataset.rows=0 if that is meant; "
            f"the copy {copy} is removed, and the next run downloads it again"
        )
        assert not Path(copy).exists()
        assert len(load(context).train) == 40
    assert len(mirror.requests) == 2


def test_a_new_file_of_the_mirror_is_accepted_by_refresh(
    context: LocalContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with drive(tmp_path, lambda request, reply: reply.file(reviews_csv(42), request), monkeypatch) as mirror:
        assert len(load(context, rows=42).train) == 42
        mirror.scenario = whole
        assert len(load(context, refresh=True).train) == 40
