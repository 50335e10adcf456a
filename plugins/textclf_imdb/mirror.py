"""Owns fetching a file from a mirror on the web: https only, no redirect into a private network."""

from __future__ import annotations

import http.client
import ipaddress
import ssl
from functools import partial
from http.client import HTTPMessage
from typing import IO, Any
from urllib.error import HTTPError, URLError
from urllib.parse import SplitResult, urljoin, urlsplit
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
)

from textclf import DownloadError

from .transfer import Passing, Transfer

_CHUNK = 2**16
Origin = tuple[str | None, int]


def fetch(url: str, transfer: Transfer) -> None:
    """Fill the transfer's target, from the start at each try."""
    opener = _opener(url)
    transfer.persist(lambda: _once(opener, url, transfer))


def _once(opener: OpenerDirector, url: str, transfer: Transfer) -> None:
    # Packed bytes would make the length and the limit speak of something else than the file.
    request = Request(url, headers={"User-Agent": "textclf", "Accept-Encoding": "identity"})
    try:
        response = opener.open(request, timeout=transfer.limits.timeout)
    except HTTPError as error:
        error.close()
        kind = Passing if error.code >= 500 or error.code in {408, 429} else DownloadError
        raise kind(f"the server answers with status {error.code}") from None
    except (URLError, http.client.HTTPException, OSError) as error:
        raise _failure(error) from error
    with response:
        _copy(response, transfer)


def _copy(response: http.client.HTTPResponse, transfer: Transfer) -> None:
    length = response.headers.get("Content-Length", "")
    total = int(length) if length.isascii() and length.isdigit() else None
    done = 0
    with transfer.target.open("wb") as file:
        while chunk := _read(response):
            if transfer.cancel.is_set():
                raise DownloadError("the download was stopped")
            done += len(chunk)
            transfer.received(done, total)
            file.write(chunk)
    if total is not None and done != total:
        raise Passing(f"the connection was cut after {done:,} of {total:,} bytes")


def _read(response: http.client.HTTPResponse) -> bytes:
    """Read a piece; apart from writing, so that a broken connection is not taken for a broken disk."""
    try:
        return response.read1(_CHUNK)
    except (http.client.HTTPException, OSError) as error:
        raise _failure(error) from error


def _failure(error: BaseException) -> Exception:
    reason = error.reason if isinstance(error, URLError) else error
    if isinstance(reason, ssl.SSLCertVerificationError):
        return DownloadError(f"its certificate cannot be trusted: {reason.verify_message}")
    if isinstance(reason, TimeoutError):
        return Passing("no answer in time")
    if isinstance(reason, (http.client.HTTPException, ConnectionResetError, BrokenPipeError)):
        return Passing("the connection was cut")
    text = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
    return Passing(f"{text[:1].lower()}{text[1:]}")


def _opener(url: str) -> OpenerDirector:
    """Return an opener that knows https alone; urllib's own would also open files and FTP addresses."""
    opener = OpenerDirector()
    origin = _origin(urlsplit(url))
    https = _Https(ssl.create_default_context(), origin)
    for handler in (ProxyHandler(), https, _Redirects(origin), HTTPDefaultErrorHandler(), HTTPErrorProcessor()):
        opener.add_handler(handler)
    return opener


class _Redirects(HTTPRedirectHandler):
    """Follows redirects to other https addresses of the open internet, or of the mirror itself."""

    def __init__(self, origin: Origin) -> None:
        self.origin = origin

    def http_error_302(self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage) -> Any:
        target = urljoin(req.full_url, headers.get("location", ""))
        parts = _parts(target)
        if parts.scheme != "https" or not parts.hostname:
            raise DownloadError(f"it redirects to '{target[:200]}', which is no https address")
        if _origin(parts) != self.origin and _is_private(parts.hostname):
            raise DownloadError(f"it redirects to '{target[:200]}', which is a private address")
        return super().http_error_302(req, fp, code, msg, headers)

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


class _Https(HTTPSHandler):
    def __init__(self, context: ssl.SSLContext, origin: Origin) -> None:
        super().__init__(context=context)
        self.context, self.origin = context, origin

    def https_open(self, req: Request) -> http.client.HTTPResponse:
        # The user's own address may be a private one.
        guarded = _origin(urlsplit(req.full_url)) != self.origin
        connection = partial(_Connection, guarded=guarded)
        return self.do_open(connection, req, context=self.context)


class _Connection(http.client.HTTPSConnection):
    """Looks where it has come to before it sends anything: a public name can belong to a private address."""

    def __init__(self, *args: Any, guarded: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.guarded = guarded

    def set_tunnel(self, *args: Any, **kwargs: Any) -> None:
        # The other end is then the user's proxy, which is where the name is looked up.
        self.guarded = False
        super().set_tunnel(*args, **kwargs)

    def connect(self) -> None:
        super().connect()
        if self.guarded and _is_private(self.sock.getpeername()[0]):
            self.close()
            raise DownloadError(f"it redirects to '{self.host}', which is a private address")


def _parts(target: str) -> SplitResult:
    try:
        return urlsplit(target)
    except ValueError:
        raise DownloadError(f"it redirects to '{target[:200]}', which is no address") from None


def _origin(parts: SplitResult) -> Origin:
    return parts.hostname, parts.port or 443


def _is_private(host: str) -> bool:
    """Tell whether a host is an address, or a name, that stands for this machine or its neighbourhood."""
    if host == "localhost" or host.endswith((".localhost", ".local", ".internal")):
        return True
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return not (mapped or address).is_global
