"""Owns one https request: how it fails, and where a redirect may lead."""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Literal
from urllib.parse import urlsplit

from textclf import DownloadError

_WAIT = {408, 425, 429, 500, 502, 503, 504}
Reach = Literal["public", "private", "loopback"]


class Passing(Exception):  # noqa: N818 - another try may not meet it; it is never shown as it is
    """A failure that may pass; the message says what failed, without the URL."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The body of a response; `length` is what the server announced."""

    response: http.client.HTTPResponse
    length: int | None

    def read(self, size: int) -> bytes:
        """Return what has arrived, at most `size` bytes; empty at the end."""
        with _naming():
            return self.response.read1(size)


@contextmanager
def open_url(url: str, timeout: float) -> Iterator[Answer]:
    """Send the request and follow redirects; Passing where another try may help, else DownloadError."""
    if urlsplit(url).scheme != "https":
        raise DownloadError(f"{url}: is no https URL; only https is fetched")
    request = urllib.request.Request(url, headers={"User-Agent": "textclf", "Accept-Encoding": "identity"})
    with _naming(url):
        response = _opener(url).open(request, timeout=timeout)
    with response:
        announced = response.headers.get("Content-Length", "")
        yield Answer(response, int(announced) if announced.isdecimal() else None)


def _opener(url: str) -> urllib.request.OpenerDirector:
    """Return an opener that knows https and nothing else, with the proxies and certificates the environment names."""
    opener = urllib.request.OpenerDirector()
    handlers: tuple[urllib.request.BaseHandler, ...] = (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPSHandler(context=ssl.create_default_context()),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
        _Redirects(url),
    )
    for handler in handlers:
        opener.add_handler(handler)
    return opener


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects to https only, and never from the open web into the reader's own network."""

    def __init__(self, url: str) -> None:
        self.url = url

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        if reason := self._refusal(newurl):
            fp.close()
            raise DownloadError(f"{self.url}: redirects to {newurl[:200]}, {reason}; it is not followed")
        return super().redirect_request(req, fp, code, msg, headers, newurl)

    def _refusal(self, target: str) -> str | None:
        parts = urlsplit(target)
        if parts.scheme != "https" or not parts.hostname:
            return "which is not https"
        reach = reach_of(parts.hostname)
        allowed = reach == "public" or reach == reach_of(urlsplit(self.url).hostname or "")
        return None if allowed else f"a {reach} address"


def reach_of(host: str) -> Reach:
    """Tell how far away a host is; of several addresses the nearest counts."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        # Behind a proxy names are looked up by the proxy, and cannot always be looked up here.
        if "https" in urllib.request.getproxies() and not urllib.request.proxy_bypass(host):
            return "loopback" if host == "localhost" or host.endswith(".localhost") else "public"
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise Passing(f"cannot find the host {host} ({error.strerror or error})") from None
    addresses = [ipaddress.ip_address(str(entry[4][0]).split("%")[0]) for entry in found]
    plain = [getattr(address, "ipv4_mapped", None) or address for address in addresses]
    if any(address.is_loopback for address in plain):
        return "loopback"
    return "public" if all(address.is_global for address in plain) else "private"


@contextmanager
def _naming(url: str = "") -> Iterator[None]:
    """Turn what urllib raises into a failure that may pass or one that will not."""
    try:
        yield
    except urllib.error.HTTPError as error:
        reason = f"the server answers {error.code} {error.reason}".rstrip()
        error.close()
        if error.code in _WAIT:
            raise Passing(reason) from None
        raise DownloadError(f"{url}: {reason}; check the URL, or fetch it by hand and give its path") from None
    except ssl.SSLCertVerificationError as error:
        raise _untrusted(url, error) from None
    except urllib.error.URLError as error:
        if isinstance(error.reason, ssl.SSLCertVerificationError):
            raise _untrusted(url, error.reason) from None
        raise Passing(_say(error.reason)) from None
    except TimeoutError:
        raise Passing("nothing came within the time-out") from None
    except (http.client.HTTPException, OSError) as error:
        raise Passing(_say(error)) from None


def _untrusted(url: str, error: ssl.SSLCertVerificationError) -> DownloadError:
    return DownloadError(
        f"{url}: the server's certificate is not trusted ({error.verify_message}); "
        "set SSL_CERT_FILE to the certificates to trust"
    )


def _say(reason: object) -> str:
    if isinstance(reason, TimeoutError):
        return "nothing came within the time-out"
    if isinstance(reason, http.client.IncompleteRead):
        return "was cut off"
    words = (reason.strerror if isinstance(reason, OSError) else None) or str(reason) or type(reason).__name__
    return f"cannot be reached ({words})"
