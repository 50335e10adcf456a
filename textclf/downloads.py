"""Files from the web: bounded downloads over https into one cache that all processes share."""

from __future__ import annotations

import hashlib
import ipaddress
import json
import os
import re
import shutil
import socket
import ssl
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import filelock

from .errors import DataError, DownloadError, ResourceError, Stopped
from .files import digest, is_full
from .plugin.events import Progress
from .plugin.protocols import Context

if TYPE_CHECKING:
    import requests

HINT = "check the URL, try again later, or download the file by hand and set its path"
_CHUNK, _HEAD = 2**16, 2**16
_TICK, _PROGRESS_EVERY = 0.05, 0.25
_LONGEST_PAUSE, _MOST_REDIRECTS = 120.0, 20
_TRANSIENT = {408, 425, 429}
_SUFFIX = re.compile(r"(\.[a-z]{2,8})?(\.gz)?$")
# What may stand before the first tag of a page: blanks, comments, processing instructions other than <?xml.
_PREAMBLE = re.compile(r"(?:\s|<!--.*?-->|<\?(?!xml\b).*?\?>)*", re.DOTALL)
_PAGE = re.compile(r"<(?:!doctype|\?xml|html|head|body|meta|title|script)\b", re.IGNORECASE)
_ERROR_KEYS = {"error", "errors", "fault", "detail", "status", "code"}


@dataclass(frozen=True, slots=True)
class DownloadLimits:
    """What a download may take.

    timeout: seconds of silence that end one request. deadline: seconds for the whole download, and for another process
    that downloads the same file. tries: requests in all, with growing pauses. size: bytes.
    """

    timeout: float = 20.0
    deadline: float = 1800.0
    tries: int = 3
    size: int = 2**31


@dataclass(slots=True)
class Transfer:
    """A download in progress, as a fetcher sees it.

    A fetcher fills the file `target`, reports to `received` and stops soon after `cancel` is set. It raises
    ConnectionError where another try may help, and DownloadError where none will; exceptions of requests are sorted
    into the two for it. complete: the body is proven to be complete, though its length is unknown. explain: says what a
    web page that came in place of the file means. pause: seconds that the server wants before the next try.
    """

    target: Path
    limits: DownloadLimits
    explain: Callable[[str], str | None] = lambda page: "does it ask for a log-in?"
    cancel: threading.Event = field(default_factory=threading.Event)
    done: int = 0
    total: int | None = None
    complete: bool = False
    pause: float = 0.0
    began: float = field(default_factory=time.monotonic)
    heard: float = field(default_factory=time.monotonic)

    def received(self, done: int, total: int | None) -> None:
        """Note how many bytes there are so far, and in all; a DownloadError where that is too many."""
        self.done, self.total, self.heard = done, total, time.monotonic()
        if max(done, total or 0) > self.limits.size:
            raise DownloadError(f"it is larger than the size limit of {self.limits.size / 2**20:,.0f} MiB")

    def overdue(self) -> str | None:
        """Say which limit of time has passed, or return None."""
        now, silence = time.monotonic(), self.limits.timeout * self.limits.tries
        if now - self.began > self.limits.deadline:
            return f"not complete after {self.limits.deadline:g} seconds ({self.done:,} bytes)"
        # A fetcher that asks for one page after the other without an end would not run into a request's timeout.
        return f"no data for {silence:g} seconds" if now - self.heard > silence else None


Fetch = Callable[[str, Transfer], None]


def fetch_https(url: str, transfer: Transfer) -> None:
    """Fetch a file over https, from the start at each try; redirects never lead into the user's own network."""
    import requests

    if urlsplit(url).scheme != "https":
        raise DownloadError("it is no https URL")
    with requests.Session() as session, _response(session, url, transfer) as response:
        _write_body(response, transfer)


def download(
    url: str,
    context: Context,
    limits: DownloadLimits | None = None,
    *,
    sha256: str | None = None,
    refresh: bool = False,
    fetch: Fetch = fetch_https,
    hint: str = HINT,
) -> Path:
    """Return the file behind a URL: the copy in the cache, or a new one.

    A copy is used as long as its digest is the recorded one. Of several processes one downloads, the others wait. A
    body that ends without a proof that it is complete is put into `context.work`, with a warning.

    sha256: hex digits that the file must have; without it, a copy that is replaced must have the digest of the first
    download. refresh: download again, whatever the digest was. fetch: fills the file, for sources other than https.
    hint: what to do about a failure, the end of the message. Raises DownloadError; ResourceError where the disk refuses
    the file; Stopped where `context.stopping()` says so.
    """
    limits = limits or DownloadLimits()
    folder = (context.cache or context.work) / "downloads"
    # No other word of the URL, and none of the server's, gets into a path.
    suffix = _SUFFIX.search(urlsplit(url).path.lower())
    target = folder / (hashlib.sha256(url.encode()).hexdigest()[:20] + (suffix.group() if suffix else ""))
    try:
        reason = _unusable(target, sha256, refresh)
        if not reason:
            return target
        if context.offline:
            raise DownloadError(f"--offline is set, and {reason}")
        folder.mkdir(parents=True, exist_ok=True)
        with _lock(target, limits, context):
            reason = _unusable(target, sha256, refresh)
            if not reason:
                return target  # another process has downloaded it meanwhile
            if target.exists() and not refresh:
                context.warn(f"{url}: {reason}; downloading it again")
            return _download(url, target, limits, context, sha256, refresh, fetch)
    except DownloadError as error:
        raise DownloadError(f"cannot download {url}: {error}; {hint}") from error
    except OSError as error:
        why = "the disk is full" if is_full(error) else error.strerror or str(error)
        raise ResourceError(
            f"cannot write to {folder}: {why}; free space, or name another folder in TEXTCLF_CACHE"
        ) from error


@contextmanager
def drop_unreadable(path: Path, context: Context) -> Iterator[None]:
    """Read a downloaded file in here: a DataError removes the copy, so that the next run downloads it again."""
    try:
        yield
    except DataError as error:
        if context.offline:  # it could not come back
            raise DataError(f"{error}; the copy in the cache is {path}") from error
        path.unlink(missing_ok=True)
        _record(path).unlink(missing_ok=True)
        raise DataError(f"{error}; the copy {path} is removed, and the next run downloads it again") from error


def _download(
    url: str, target: Path, limits: DownloadLimits, context: Context, sha256: str | None, refresh: bool, fetch: Fetch
) -> Path:
    for old in target.parent.glob(f"{target.name}.*.part"):
        shutil.rmtree(old, ignore_errors=True)  # a killed process left it: only the holder of the lock is at work
    part = Path(tempfile.mkdtemp(prefix=f"{target.name}.", suffix=".part", dir=target.parent))
    try:
        transfer = Transfer(part / target.name, limits)
        _run(lambda: _try_often(url, transfer, fetch), transfer, context)
        found = digest(transfer.target)
        _check_digest(found, sha256, None if refresh else _recorded(target))
        if transfer.total is None and not transfer.complete and not sha256:
            context.warn(
                f"{url}: the server tells neither the length nor the end of the file; this run uses it as it came, "
                "and it is not kept in the cache"
            )
            return Path(shutil.move(transfer.target, context.work / target.name))
        # A record without a copy does no harm, a copy without a record would be downloaded again.
        _record(target).write_text(json.dumps({"url": url, "sha256": found}) + "\n", encoding="utf-8")
        return transfer.target.replace(target)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _check_digest(found: str, sha256: str | None, recorded: str | None) -> None:
    if sha256 and found != sha256:
        raise DownloadError(f"the file has the sha256 {found}, not {sha256}, and was removed")
    if not sha256 and recorded and found != recorded:
        raise DownloadError(
            f"the file is no longer the one that came first (sha256 {found}, then {recorded}) and was removed; "
            "`refresh: true` accepts the new one"
        )


def _run(work: Callable[[], None], transfer: Transfer, context: Context) -> None:
    """Do the work in a thread, which is left behind where a look-up or a silent server holds it past a limit."""
    failures: list[BaseException] = []
    finished = threading.Event()

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits
            failures.append(error)
        finally:
            finished.set()

    threading.Thread(target=run, name="textclf-download", daemon=True).start()
    shown = time.monotonic()
    try:
        while not finished.wait(_TICK):
            if context.stopping():
                raise Stopped("the download was stopped; run again to download the file")
            if reason := transfer.overdue():
                raise DownloadError(reason)
            if transfer.done and time.monotonic() - shown >= _PROGRESS_EVERY:
                shown = time.monotonic()
                _show(transfer, context)
    finally:
        transfer.cancel.set()
        finished.wait(10 * _TICK)  # time to close its file
    if failures:
        raise failures[0]
    _show(transfer, context)


def _show(transfer: Transfer, context: Context) -> None:
    context.emit(Progress(stage="download", done=transfer.done, total=transfer.total or 0, unit="bytes"))


def _try_often(url: str, transfer: Transfer, fetch: Fetch) -> None:
    """Fetch with pauses that grow, or as long as the server asks.

    One loop for all that can fail: urllib3's own retries end where the body begins, and cannot be interrupted.
    """
    reason = ""
    for attempt in range(transfer.limits.tries):
        if attempt:
            pause = max(min(2.0 ** (attempt - 1), transfer.limits.timeout), transfer.pause)
            transfer.heard = time.monotonic() + pause
            if transfer.cancel.wait(pause):
                return
        for rest in transfer.target.parent.iterdir():
            rest.unlink()
        transfer.done, transfer.total, transfer.pause = 0, None, 0.0
        try:
            fetch(url, transfer)
            return _check_body(transfer)
        except (OSError, ValueError) as error:
            reason = _transient(error, transfer)
        if transfer.pause > _LONGEST_PAUSE:
            raise DownloadError(f"{reason} and asks to wait {transfer.pause:,.0f} seconds")
    raise DownloadError(f"{reason} ({transfer.limits.tries} tries)" if transfer.limits.tries > 1 else reason)


def _check_body(transfer: Transfer) -> None:
    """Refuse what a server sends with status 200 in place of a file."""
    with transfer.target.open("rb") as file:
        head = file.read(_HEAD)
    if not head:
        raise DownloadError("the body is empty")
    text = head.decode("utf-16" if head[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8", "replace").lstrip("\ufeff")
    if _PAGE.match(text, _PREAMBLE.match(text).end()):  # type: ignore[union-attr]
        meaning = transfer.explain(text)
        raise DownloadError("a web page came in place of the file" + (f": {meaning}" if meaning else ""))
    if text.lstrip().startswith("{") and len(head) < _HEAD:
        try:
            document = json.loads(text)
        except (ValueError, RecursionError):
            return
        if _ERROR_KEYS & document.keys() or document.keys() <= {"message"}:
            raise DownloadError(f"a JSON error document came in place of the file: {' '.join(text.split())[:200]}")


def _response(session: requests.Session, url: str, transfer: Transfer) -> requests.Response:
    """Return the answer to a GET, behind the redirects, each of which is checked before it is followed."""
    session.verify = os.environ.get("SSL_CERT_FILE") or True  # REQUESTS_CA_BUNDLE goes before it
    # Packed bytes would make the length that of another file.
    session.headers.update({"User-Agent": "textclf", "Accept-Encoding": "identity"})
    origin = url
    for _ in range(_MOST_REDIRECTS):
        response = session.get(
            url, timeout=transfer.limits.timeout, stream=True, allow_redirects=False, hooks={"response": _drop_body}
        )
        if response.next is None:
            return response
        url = str(response.next.url)
        if reason := _refusal(origin, url):
            raise DownloadError(f"it redirects to '{url[:200]}', {reason}")
    raise DownloadError(f"it redirects more than {_MOST_REDIRECTS} times")


def _drop_body(response: requests.Response, **settings: object) -> None:
    """Close a redirect, whose body requests would read, however long it is."""
    if response.is_redirect:
        response.close()


def _write_body(response: requests.Response, transfer: Transfer) -> None:
    response.raise_for_status()
    if response.status_code != 200:  # no content, or a part of a file of which the whole was requested
        raise DownloadError(f"the server answers {response.status_code} {response.reason}".rstrip())
    length, encoding, coding = (
        response.headers.get(name, "").lower() for name in ("Content-Length", "Content-Encoding", "Transfer-Encoding")
    )
    announced = length.isascii() and length.isdigit() and "chunked" not in coding
    transfer.complete = announced or "chunked" in coding
    total = int(length) if announced and encoding in ("", "identity") else None
    done = 0
    with transfer.target.open("wb") as file:
        # A body that is shorter than announced, or without its last chunk, raises here.
        for data in response.iter_content(_CHUNK):
            if transfer.cancel.is_set():
                return
            done += len(data)
            transfer.received(done, total)
            file.write(data)


def _refusal(origin: str, target: str) -> str | None:
    """Say why a redirect is not followed, or return None."""
    if not target.startswith("https://"):
        return "which is no https URL"
    reach = _reach(target)
    return None if reach in ("public", _reach(origin)) else f"which is a {reach} address"


def _reach(url: str) -> str:
    """Tell how far away a URL's host is: public, private or loopback; of several addresses the nearest counts."""
    from requests.utils import get_environ_proxies, select_proxy
    from urllib3.util import parse_url  # what requests connects to is what this makes of it

    host = (parse_url(url).host or "").strip("[]")
    if select_proxy(url, get_environ_proxies(url)):
        # The proxy looks names up, and they cannot always be looked up here.
        if host == "localhost" or host.endswith(".localhost"):
            return "loopback"
        found = [host]
    else:
        try:
            found = [str(entry[4][0]) for entry in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]
        except OSError as error:
            raise ConnectionError(f"cannot find the host {host} ({error.strerror or error})") from error
    reaches = {_reach_of(address) for address in found}
    return next((reach for reach in ("loopback", "private") if reach in reaches), "public")


def _reach_of(host: str) -> str:
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return "public"
    address = getattr(address, "ipv4_mapped", None) or address
    return "loopback" if address.is_loopback else "public" if address.is_global else "private"


def _transient(error: OSError | ValueError, transfer: Transfer) -> str:
    """Return what failed, where another try may help; else raise what the user is to read."""
    import requests

    if isinstance(error, requests.HTTPError) and error.response is not None:
        status = error.response.status_code
        reason = f"the server answers {status} {error.response.reason or ''}".rstrip()
        if status < 500 and status not in _TRANSIENT:
            raise DownloadError(reason) from error
        transfer.pause = _retry_after(error.response)
        return reason
    if isinstance(error, (ConnectionError, TimeoutError)):
        return _described(error)
    cause = _cause(error)
    if isinstance(cause, ssl.SSLCertVerificationError):
        raise DownloadError(
            f"its certificate is not trusted ({cause.verify_message}); "
            "set REQUESTS_CA_BUNDLE to the certificates to trust"
        ) from error
    if isinstance(error, ValueError):  # an address or a header that requests refuses
        raise DownloadError(_described(cause)) from error
    if isinstance(error, requests.RequestException):
        via = "the proxy does not answer: " if isinstance(error, requests.exceptions.ProxyError) else ""
        return via + _described(cause)
    if isinstance(error, OSError) and error.errno is None:  # requests finds no certificates where it is told to look
        raise DownloadError(_described(error)) from error
    raise error


def _retry_after(response: requests.Response) -> float:
    from urllib3 import Retry
    from urllib3.exceptions import InvalidHeader

    try:
        return Retry().get_retry_after(response.raw) or 0.0
    except InvalidHeader:
        return 0.0


def _cause(error: BaseException) -> BaseException:
    """Return what requests and urllib3 have wrapped, several times: 'connection refused', not three class names."""
    for inner in (getattr(error, "reason", None), *error.args, error.__cause__):
        if isinstance(inner, BaseException):
            return _cause(inner)
    return error


def _described(error: BaseException) -> str:
    if isinstance(error, TimeoutError) or "timed out" in str(error):
        return "no answer in time"
    if isinstance(error, (HTTPException, ConnectionResetError, BrokenPipeError)):
        return "the connection was cut"
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return f"{text[:1].lower()}{text[1:]}"


def _record(target: Path) -> Path:
    return target.with_name(f"{target.name}.json")


def _recorded(target: Path) -> str | None:
    """Return the sha256 of the download that is, or was, in the cache, or None."""
    try:
        return str(json.loads(_record(target).read_text(encoding="utf-8"))["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _unusable(target: Path, sha256: str | None, refresh: bool) -> str | None:
    """Say why the copy in the cache is not used, or return None."""
    if refresh:
        return "a new copy is requested (`refresh: true`)"
    if not target.is_file():
        return f"there is no copy in the cache ({target.parent})"
    found = digest(target)
    if found != _recorded(target):
        return f"the copy in the cache ({target}) has changed since it was downloaded"
    if sha256 not in (None, found):
        return f"the copy in the cache ({target}) does not have the sha256 {sha256}"
    return None


@contextmanager
def _lock(target: Path, limits: DownloadLimits, context: Context) -> Iterator[None]:
    """Hold the lock that one process at a time has for this file, and wait for it as long as a download may take."""
    lock = filelock.FileLock(f"{target}.lock")
    until = time.monotonic() + limits.deadline
    while not lock.is_locked:
        try:
            lock.acquire(timeout=0.2)
        except filelock.Timeout:
            if context.stopping():
                raise Stopped("stopped while waiting for another process to download the file") from None
            if time.monotonic() > until:
                raise DownloadError(
                    f"another process has held {lock.lock_file} for {limits.deadline:g} seconds; end it"
                ) from None
    try:
        yield
    finally:
        lock.release()
