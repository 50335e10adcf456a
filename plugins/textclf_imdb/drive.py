"""Files from Google Drive through gdown, and the error pages that come instead.

Redirects are gdown's to follow. Its requests know http and https alone, so `file:` is refused; that none leads into a
private network rests on the certificates of Google's hosts, which are the only ones that gdown asks for a redirect.
"""

from __future__ import annotations

import html
import re
from http.client import HTTPException

import gdown
import requests
from gdown.exceptions import DownloadCancelled, FileURLRetrievalError

from textclf import DownloadError, TextclfError

from .transfer import Passing, Transfer

_MARKS = ("<!doctype html", "<html", "<head", "<?xml")
_KNOWN = (
    (
        r"too many users have viewed or downloaded|download quota|quota (?:for this file )?(?:has been |is )?exceeded",
        "its download quota is used up for now, which passes within about a day",
    ),
    (
        r"virus|can.t scan this file",
        "it asks to confirm that the file was not scanned for viruses, and no confirmation was accepted",
    ),
    (
        r"you need (?:access|permission)|request access|access denied|sign.in|permission",
        "the file is not open to everyone, or not any more",
    ),
    (r"unusual traffic|captcha|not a robot", "it takes this address for a robot, which passes after a while"),
)


def is_page(head: bytes) -> bool:
    """Tell whether a file that begins so is a web page."""
    text = head.decode("utf-8", "replace").lstrip("\ufeff \t\r\n").lower()
    return text.startswith(_MARKS)


def explain(text: str) -> str | None:
    """Say what a page means, by the words on it, or return None where none is known."""
    visible = " ".join(re.sub(r"<(script|style)\b.*?</\1>", " ", text, flags=re.IGNORECASE | re.DOTALL).split())
    return next((meaning for words, meaning in _KNOWN if re.search(words, visible, re.IGNORECASE)), None)


# What gdown says of every page on which it finds no link, whatever the page says.
_ANY_PAGE = "Cannot retrieve the public link"


def fetch(file_id: str, transfer: Transfer) -> None:
    """Fill the transfer's target; gdown resumes what is cut, and what it gives up is tried again from the start."""
    transfer.persist(lambda: _once(file_id, transfer))


def _once(file_id: str, transfer: Transfer) -> None:
    for begun in transfer.target.parent.glob(f"{transfer.target.name}*.part"):
        begun.unlink()  # gdown keeps what it gave up
    try:
        gdown.download(
            id=file_id,
            output=str(transfer.target),  # a file's own place, so that no name from the server is used
            quiet=True,
            use_cookies=False,
            timeout=transfer.limits.timeout,
            retries=transfer.limits.tries - 1,
            progress=transfer.received,
            cancel=transfer.cancel,
        )
    except (TextclfError, MemoryError):
        raise
    except DownloadCancelled:
        raise DownloadError("the download was stopped") from None
    except FileURLRetrievalError as error:
        raise _page(str(error)) from error
    except gdown.exceptions.DownloadError as error:
        raise _given_up(error) from error
    except requests.HTTPError as error:
        raise _status(error) from error
    except (requests.exceptions.InvalidSchema, requests.exceptions.InvalidURL) as error:
        raise DownloadError("it leads to an address that no download may use") from error
    except requests.RequestException as error:
        raise Passing(cause(error)) from error
    except OSError as error:
        if error.errno is None:  # of requests itself: no CA bundle where REQUESTS_CA_BUNDLE says
            raise DownloadError(cause(error)) from error
        raise  # the disk's, and the caller's to explain
    except Exception as error:  # gdown takes pages apart without checks: a strange one gives any error
        raise DownloadError(f"gdown cannot read the answer ({type(error).__name__}: {error})") from error


def _page(message: str) -> Exception:
    """Take the page's own words out of gdown's, which speak of permissions whatever has happened."""
    said = re.search(r"Failed to retrieve file url: (.*?) You may still be able", " ".join(message.split()))
    words = html.unescape(said[1]) if said else _ANY_PAGE
    if _ANY_PAGE in words:
        return Passing("a web page came in place of the file: it is not open to everyone, or Drive is out of order")
    return DownloadError(explain(words) or f"Drive says '{words}'")


def _given_up(error: Exception) -> Exception:
    """Tell an exhausted network, which gdown has tried often enough, from a file that must be begun anew."""
    if isinstance(error.__cause__, requests.RequestException):
        return DownloadError(cause(error.__cause__))
    return Passing("the connection was cut")


def _status(error: requests.HTTPError) -> Exception:
    code = 0 if error.response is None else error.response.status_code
    kind = Passing if code >= 500 or code in {408, 429} else DownloadError
    return kind(f"the server answers with status {code}")


def cause(error: BaseException) -> str:
    """Name the cause inside the wrappings of requests and urllib3: 'connection refused', not three class names."""
    via = "the proxy does not answer: " if isinstance(error, requests.exceptions.ProxyError) else ""
    inner: BaseException | None = error
    while inner is not None:
        error, inner = inner, _inside(inner)
    if isinstance(error, TimeoutError) or "timed out" in str(error):
        return f"{via}no answer in time"
    if isinstance(error, (HTTPException, ConnectionResetError, BrokenPipeError)):
        return f"{via}the connection was cut"
    text = getattr(error, "verify_message", "") or getattr(error, "strerror", "") or str(error) or type(error).__name__
    return f"{via}{text[:1].lower()}{text[1:]}"


def _inside(error: BaseException) -> BaseException | None:
    candidates = (getattr(error, "reason", None), *error.args, error.__cause__)
    return next((c for c in candidates if isinstance(c, BaseException)), None)
