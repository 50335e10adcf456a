"""Answers that are not the file: each is refused with its reason, and nothing of it stays in the cache."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.test_downloads import BODY, LIMITS, refusal
from tests.web import Answer, chunks, https_server, status, whole
from textclf.testing import LocalContext

PAGE = "a web page came in place of the file: does it ask for a log-in?"
JSON = "a JSON error document came in place of the file: "

ANSWERS: dict[str, tuple[Answer, str]] = {
    # Statuses
    "no content": (status(204), "the server answers 204 No Content"),
    "a part": (
        whole(BODY[:100], status=206, **{"Content-Range": f"bytes 0-99/{len(BODY)}"}),
        "the server answers 206 Partial Content",
    ),
    "created": (whole(BODY, status=201), "the server answers 201 Created"),
    "not modified": (status(304), "the server answers 304 Not Modified"),
    "a redirect to nowhere": (status(302), "the server answers 302 Found"),
    "forbidden": (status(403), "the server answers 403 Forbidden"),
    "missing": (status(404), "the server answers 404 Not Found"),
    # Bodies
    "empty": (whole(b""), "the body is empty"),
    "no chunk": (chunks(), "the body is empty"),
    "short": (whole(BODY[:100], length=len(BODY)), "the connection was cut (2 tries)"),
    "nothing of the length": (whole(b"", length=100), "the connection was cut (2 tries)"),
    "no last chunk": (chunks(BODY[:100], end=b""), "response ended prematurely (2 tries)"),
    "a torn chunk": (chunks(end=b"64\r\nabc"), "the connection was cut (2 tries)"),
    "two lengths": (
        whole(BODY, **{"Content-Length": "10, 20"}), "content-Length contained multiple unmatching values (10, 20)"
    ),
    # Pages with status 200
    "a doctype": (whole(b"<!DOCTYPE html><html>Log in</html>"), PAGE),
    "html": (whole(b"\n\t <HTML lang='en'>Log in"), PAGE),
    "head": (whole(b"<head><title>Log in</title>"), PAGE),
    "a comment": (whole(b"<!-- " + b"-" * 9000 + b" -->\n<!-- more --><html>"), PAGE),
    "a byte-order mark": (whole(b"\xef\xbb\xbf<!doctype html>"), PAGE),
    "utf-16": (whole("\ufeff<!doctype html>".encode("utf-16-le")), PAGE),
    "xml": (whole(b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>'), PAGE),
    "xhtml": (whole(b'\xef\xbb\xbf <?xml version="1.0"?>\n<!DOCTYPE html>'), PAGE),
    "another instruction": (whole(b"<?php-cache?><html>"), PAGE),
    "a script": (whole(b"<script>location='/login'</script>"), PAGE),
    # JSON documents with status 200
    "an error": (whole(b'{"error": {"code": 401}}'), JSON + '{"error": {"code": 401}}'),
    "a message": (whole(b'\n{\n "message": "Forbidden"\n}\n'), JSON + '{ "message": "Forbidden" }'),
    "a problem": (whole(b'{"title": "Gone", "status": 410}'), JSON + '{"title": "Gone", "status": 410}'),
    "a detail": (whole(b'\xef\xbb\xbf{"detail": "Log in"}'), JSON + '{"detail": "Log in"}'),
    "nothing said": (whole(b"{}"), JSON + "{}"),
}  # fmt: skip


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_that_is_not_the_file_is_refused(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """W02, W04: error pages are recognised and never cached; what is cut is tried again, the rest is not."""
    context = LocalContext(tmp_path, cache=tmp_path / "cache", offline=False)
    answer, reason = ANSWERS[name]
    with https_server(tmp_path, monkeypatch) as web:
        assert refusal(web.serve("/a.csv", answer), context, LIMITS) == reason
        assert len(web.requests) == (2 if reason.endswith("(2 tries)") else 1)
