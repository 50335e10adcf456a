"""Google Drive through gdown, and what the pages mean that come in place of a file.

gdown follows redirects itself. It knows http and https alone, so `file:` is refused; that none leads into a private
network rests on the certificates of Google's hosts, the only ones that gdown asks for a redirect.
"""

from __future__ import annotations

import html
import re

import gdown
import requests
from gdown.exceptions import DownloadCancelled, FileURLRetrievalError

from textclf import DownloadError, TextclfError, Transfer

# What gdown says of every page on which it finds no link, whatever the page says.
_ANY_PAGE = "Cannot retrieve the public link"
_MEANINGS = (
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


def explain(page: str) -> str | None:
    """Say what a page of Drive means, by the words on it, or return None where none is known."""
    visible = " ".join(re.sub(r"<(script|style)\b.*?</\1>", " ", page, flags=re.IGNORECASE | re.DOTALL).split())
    return next((meaning for words, meaning in _MEANINGS if re.search(words, visible, re.IGNORECASE)), None)


def fetch(url: str, transfer: Transfer) -> None:
    """Fill the transfer's target from https://drive.google.com/file/d/ID/view; gdown resumes a cut connection."""
    transfer.explain = explain
    try:
        gdown.download(
            id=url.split("/")[-2],
            output=str(transfer.target),  # no name that the server sends is used
            quiet=True,
            use_cookies=False,
            timeout=transfer.limits.timeout,
            retries=transfer.limits.tries - 1,
            progress=transfer.received,
            cancel=transfer.cancel,
        )
    except (TextclfError, MemoryError, OSError):  # exceptions of requests are OSErrors, and `download` knows them
        raise
    except DownloadCancelled:
        raise DownloadError("the download was stopped") from None
    except FileURLRetrievalError as error:
        raise _page_error(str(error)) from error
    except gdown.exceptions.DownloadError as error:
        if isinstance(error.__cause__, requests.RequestException):
            raise error.__cause__ from None
        raise ConnectionError("the connection was cut") from error
    except Exception as error:  # gdown reads pages without checks: an unknown one may raise anything
        raise DownloadError(f"gdown cannot read the answer ({type(error).__name__}: {error})") from error


def _page_error(message: str) -> Exception:
    """Take the page's own words out of gdown's, which speak of permissions whatever has happened."""
    found = re.search(r"Failed to retrieve file url: (.*?) You may still be able", " ".join(message.split()))
    words = html.unescape(found[1]) if found else _ANY_PAGE
    if _ANY_PAGE in words:
        return ConnectionError(
            "a web page came in place of the file: it is not open to everyone, or Drive is out of order"
        )
    return DownloadError(explain(words) or f"Drive says '{words}'")
