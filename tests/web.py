"""A web server of tests: https on a loopback port, with a certificate of a test authority."""

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
    """A running server: its answers by path, and the paths of the requests, in order."""

    address: str
    answers: dict[str, Answer] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)

    def url(self, path: str) -> str:
        return f"{self.address}{path}"

    def serve(self, path: str, *answers: Answer) -> str:
        """Answer a path in turn, the last answer again and again; return the URL."""
        left = list(answers)
        self.answers[path] = lambda request: (left.pop(0) if len(left) > 1 else left[0])(request)
        return self.url(path)


def whole(body: bytes, *, length: int | None = None, status: int = 200, **headers: str) -> Answer:
    """Answer with a body; `length` is announced in place of the real one."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        head(request, status, **{"Content-Length": str(len(body) if length is None else length), **headers})
        request.wfile.write(body)

    return answer


def chunks(*bodies: bytes, end: bytes = b"0\r\n\r\n") -> Answer:
    """Answer in chunks."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        head(request, 200, **{"Transfer-Encoding": "chunked"})
        request.wfile.write(b"".join(b"%x\r\n%s\r\n" % (len(body), body) for body in bodies) + end)

    return answer


def bare(body: bytes) -> Answer:
    """Answer with neither a length nor chunks."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        head(request, 200)
        request.wfile.write(body)

    return answer


def status(code: int, **headers: str) -> Answer:
    return lambda request: head(request, code, **{name.replace("_", "-"): value for name, value in headers.items()})


def redirect(location: str) -> Answer:
    return status(302, Location=location)


def head(request: BaseHTTPRequestHandler, status: int, **headers: str) -> None:
    request.send_response(status)
    for name, value in headers.items():
        request.send_header(name, value)
    request.end_headers()


@contextmanager
def https_server(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    """Serve on a loopback port, with a certificate that this process trusts."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "authority.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(folder / "authority.pem"))
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            web.requests.append(self.path)
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
        web.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()
