"""Google Drive of tests: a loopback proxy that ends TLS for its hosts, and the file it serves.

The client is the real, unpatched gdown: HTTPS_PROXY sends it through the proxy, REQUESTS_CA_BUNDLE makes it trust the
proxy's test authority.
"""

from __future__ import annotations

import csv
import gzip
import random
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer
from urllib.parse import parse_qs, urlsplit

import pytest
import trustme

FILE_ID = "1zfM5E6HvKIe7f3rEt1V2gBpw5QOSSKQz"
ROWS = 62_155
GOOGLE = ("drive.google.com", "docs.google.com", "drive.usercontent.google.com", "accounts.google.com")
MIRROR = "mirror.example.org"
_SNIPPETS = Path(__file__).parents[1] / "plugins" / "textclf_reviews" / "data" / "movies.csv.gz"

QUOTA_PAGE = """<!DOCTYPE html><html><head><title>Google Drive - Quota exceeded</title></head><body>
<div id="uc-text"><p class="uc-error-caption">Sorry, you can&#39;t view or download this file at this time.</p>
<p class="uc-error-subcaption">Too many users have viewed or downloaded this file recently. Please try accessing the \
file again later.</p></div></body></html>"""
PERMISSION_PAGE = """<!DOCTYPE html><html><head><title>Google Drive: Sign-in</title></head><body>
<h1>You need access</h1><p>Request access, or switch to an account with access.</p></body></html>"""
CONFIRMATION_PAGE = """<!DOCTYPE html><html><head><title>Google Drive - Virus scan warning</title></head><body>
<p class="uc-warning-caption">Google Drive can't scan this file for viruses.</p>
<form id="download-form" action="https://drive.usercontent.google.com/download" method="get">\
<input type="submit" value="Download anyway"/><input type="hidden" name="id" value="{id}">\
<input type="hidden" name="export" value="download"><input type="hidden" name="confirm" value="t">\
<input type="hidden" name="uuid" value="8f3c"></form></body></html>"""


def reviews_csv(rows: int = ROWS, seed: int = 0) -> bytes:
    """Return a file like the notebook's: columns review and label, distinct texts, all 0 before all 1."""
    with gzip.open(_SNIPPETS, "rt", encoding="utf-8", newline="") as file:
        rated = [(float(row["rating"]), row["text"]) for row in csv.DictReader(file)]
    drawn = random.Random(seed)
    lines = ["review,label"]
    for label, count in enumerate((rows // 2, rows - rows // 2)):
        sentences = list(dict.fromkeys(text.replace('"', '""') for rating, text in rated if (rating > 0) == label))
        drawn.shuffle(sentences)
        twice = sentences + sentences[:20]
        # Runs of distinct sentences that differ in begin or length: no two texts are the same.
        for choice in drawn.sample(range(19 * len(sentences)), count):
            begin, length = choice // 19, choice % 19 + 2
            lines.append(f'"{"<br /><br />".join(twice[begin : begin + length])}",{label}')
    return "\n".join([*lines, ""]).encode()


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it arrived."""

    host: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]


class Reply:
    """The connection to one client, for a scenario to answer on."""

    def __init__(self, handler: BaseHTTPRequestHandler) -> None:
        self.handler = handler

    def head(self, status: int, headers: dict[str, str]) -> None:
        self.handler.send_response(status)
        for name, value in headers.items():
            self.handler.send_header(name, value)
        self.handler.end_headers()

    def page(self, text: str, status: int = 200) -> None:
        body = text.encode()
        self.head(status, {"Content-Type": "text/html; charset=utf-8", "Content-Length": str(len(body))})
        self.write(body)

    def redirect(self, location: str) -> None:
        self.head(302, {"Location": location, "Content-Length": "0"})

    def file(self, body: bytes, request: Request, *, name: str = "imdb_reviews.csv", cut: int | None = None) -> None:
        """Send a download as Drive does, from the requested byte; `cut` ends the connection after so many bytes."""
        start = int(request.headers.get("range", "bytes=0-")[6:-1])
        span = {"Content-Range": f"bytes {start}-{len(body) - 1}/{len(body)}"} if start else {}
        self.download(len(body) - start, name, status=206 if start else 200, **span)
        self.write(body[start:cut])
        if cut is not None:
            self.hang_up()

    def download(self, length: int | None, name: str = "imdb_reviews.csv", status: int = 200, **more: str) -> None:
        """Send the head of a download; without a length it ends where the connection does."""
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Disposition": f'attachment; filename="{name}"',
            "ETag": '"8f3c"',
            **more,
        }
        if length is None:
            self.handler.close_connection = True
        else:
            headers["Content-Length"] = str(length)
        self.head(status, headers)

    def write(self, data: bytes) -> None:
        self.handler.wfile.write(data)

    def hang_up(self) -> None:
        self.handler.close_connection = True
        with suppress(OSError):
            self.handler.connection.shutdown(socket.SHUT_RDWR)

    def silence(self) -> None:
        """Send nothing more until the client hangs up."""
        with suppress(OSError):
            self.handler.connection.recv(1)
        self.handler.close_connection = True


Scenario = Callable[[Request, Reply], None]


@dataclass
class Drive:
    """The proxy: `scenario` answers every request; `requests` are those that came, `tunnels` the hosts connected to."""

    scenario: Scenario
    port: int = 0
    authority: Path = Path()
    requests: list[Request] = field(default_factory=list)
    tunnels: list[str] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def environment(self) -> dict[str, str]:
        """What sends a process through the proxy and makes it trust the test authority."""
        proxy = f"http://127.0.0.1:{self.port}"
        trust = str(self.authority)
        return {
            "HTTPS_PROXY": proxy, "https_proxy": proxy, "NO_PROXY": "", "no_proxy": "",
            "REQUESTS_CA_BUNDLE": trust, "CURL_CA_BUNDLE": trust, "SSL_CERT_FILE": trust,
        }  # fmt: skip


def serving(body: bytes, *, cuts: int = 0, at: int = 0) -> Scenario:
    """Answer as Drive does for a large file: two redirects, the confirmation page, the file (cut so many times)."""
    left = [cuts]

    def scenario(request: Request, reply: Reply) -> None:
        confirmed = request.query.get("confirm") == "t"
        if request.host == "drive.google.com":
            reply.redirect(f"https://drive.usercontent.google.com/download?id={request.query['id']}&export=download")
        elif request.host != "drive.usercontent.google.com":
            reply.page("not found", 404)
        elif not confirmed:
            reply.page(CONFIRMATION_PAGE.format(id=request.query["id"]))
        else:
            left[0] -= 1
            reply.file(body, request, cut=at if left[0] >= 0 else None)

    return scenario


@contextmanager
def drive(folder: Path, scenario: Scenario, monkeypatch: pytest.MonkeyPatch | None = None) -> Iterator[Drive]:
    """Run the proxy on a free loopback port, where it is an https server as well.

    The authority's certificate is written into the folder. With `monkeypatch`, this process goes through the proxy;
    for a child process there is `Drive.environment`.
    """
    authority = trustme.CA()
    state = Drive(scenario, authority=folder / "authority.pem")
    authority.cert_pem.write_to_path(str(state.authority))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*GOOGLE, MIRROR, "127.0.0.1", "localhost").configure_cert(tls)

    class Tunnel(StreamRequestHandler):
        def handle(self) -> None:
            with suppress(OSError):
                if self.connection.recv(1, socket.MSG_PEEK) == b"\x16":
                    host = "direct"  # a TLS handshake: a client without a proxy
                else:
                    host = _connect_line(self)
                    self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                state.tunnels.append(host)
                with tls.wrap_socket(self.connection, server_side=True) as inner:
                    _Requests(inner, self.client_address, host, state)

    class Server(ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True
        block_on_close = False

    with Server(("127.0.0.1", 0), Tunnel) as server:
        state.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        for name, value in state.environment.items() if monkeypatch else ():
            monkeypatch.setenv(name, value)
        try:
            yield state
        finally:
            state.ended.set()
            server.shutdown()


def _connect_line(tunnel: StreamRequestHandler) -> str:
    words = tunnel.rfile.readline().split()
    while tunnel.rfile.readline().strip():
        pass
    return words[1].decode().rpartition(":")[0] if len(words) > 1 else ""


class _Requests(BaseHTTPRequestHandler):
    """Reads the requests inside a tunnel and passes each to the scenario."""

    protocol_version = "HTTP/1.1"

    def __init__(self, connection: ssl.SSLSocket, client: object, host: str, state: Drive) -> None:
        self.host, self.state = host, state
        super().__init__(connection, client, None)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        request = Request(self.host, parts.path, query, {name.lower(): value for name, value in self.headers.items()})
        self.state.requests.append(request)
        with suppress(OSError):
            self.state.scenario(request, Reply(self))

    def log_message(self, *args: object) -> None:
        pass


def closed_port() -> int:
    """Return a loopback port on which nobody listens."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return unused.getsockname()[1]


def until(happened: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait until something has happened; an AssertionError where it never does."""
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, f"did not happen within {seconds} seconds"
        time.sleep(0.02)
