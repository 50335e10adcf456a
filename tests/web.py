"""Owns the stand-in for a web server: https on a loopback port, with a certificate of a test authority."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import trustme

Answer = Callable[[BaseHTTPRequestHandler], None]


@dataclass
class Web:
    """A running server: what it answers for each path, and which paths were asked for, in order."""

    address: str
    answers: dict[str, Answer] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    leaving: threading.Event = field(default_factory=threading.Event)

    def url(self, path: str) -> str:
        return f"{self.address}{path}"

    def gives(self, path: str, body: bytes, *, length: int | None = None, first_fails: int = 0) -> str:
        """Answer with a body, after the server failed so many times; `length` is announced in place of the real one."""
        failures = iter(range(first_fails))

        def answer(request: BaseHTTPRequestHandler) -> None:
            if next(failures, None) is not None:
                return head(request, 503)
            head(request, 200, **{"Content-Length": str(len(body) if length is None else length)})
            request.wfile.write(body)

        self.answers[path] = answer
        return self.url(path)

    def redirects(self, path: str, location: str) -> str:
        self.answers[path] = lambda request: head(request, 302, Location=location)
        return self.url(path)


def head(request: BaseHTTPRequestHandler, status: int, **headers: str) -> None:
    request.send_response(status)
    for name, value in headers.items():
        request.send_header(name, value)
    request.end_headers()


@contextmanager
def https_server(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    """Serve on a loopback port, with a certificate that urllib is told to trust."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "authority.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(folder / "authority.pem"))
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            web.asked.append(self.path)
            with suppress(OSError):
                web.answers.get(self.path, lambda request: head(request, 404))(self)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    web = Web(f"https://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield web
    finally:
        web.leaving.set()
        server.shutdown()
        server.server_close()
        thread.join()
