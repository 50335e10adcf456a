"""A headless Chromium, driven over its debugging pipe, and what a page did in it: requests, messages, scripts."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
_FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-extensions", "--disable-sync",
    "--remote-debugging-pipe", "about:blank",
)  # fmt: skip
_REPORTS = ("Network", "Log", "Runtime", "Page", "Security")


@dataclass
class Page:
    """A page that was loaded.

    requests: all but the page's own; those that its own policy stopped are in `blocked`. messages: console,
    log and exceptions.
    """

    browser: Browser
    session: str
    asked: dict[str, str] = field(default_factory=dict)
    blocked: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)

    @property
    def requests(self) -> list[str]:
        return list(self.asked.values())

    def ask(self, expression: str) -> Any:
        """Return what a JavaScript expression gives; the page's own policy does not bind the debugger."""
        told = self.browser.call("Runtime.evaluate", self.session, expression=expression, returnByValue=True)
        assert "exceptionDetails" not in told, told
        return told["result"].get("value")

    def picture(self, path: Path) -> None:
        told = self.browser.call("Page.captureScreenshot", self.session, captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(told["data"]))

    def notice(self, method: str, told: dict[str, Any]) -> None:
        if method == "Network.requestWillBeSent":
            self.asked[told["requestId"]] = told["request"]["url"]
        elif method == "Network.loadingFailed" and told.get("blockedReason") == "csp":
            self.blocked.append(self.asked.pop(told["requestId"]))
        elif method == "Log.entryAdded":
            self.messages.append(f"{told['entry']['level']}: {told['entry']['text']}")
        elif method == "Runtime.consoleAPICalled":
            self.messages.append(f"console: {[argument.get('value') for argument in told['args']]}")
        elif method == "Runtime.exceptionThrown":
            self.messages.append(f"exception: {told['exceptionDetails']['text']}")
        elif method == "Page.javascriptDialogOpening":
            self.dialogs.append(told["message"])
            self.browser.send("Page.handleJavaScriptDialog", self.session, accept=True)


class Browser:
    def __init__(self, requests: int, answers: int) -> None:
        self._requests, self._answers = requests, answers
        self._number, self._rest = 0, b""
        self._page: Page | None = None
        self._seen: list[str] = []

    def open(self, path: Path, *, width: int = 390, height: int = 844, dark: bool = False) -> Page:
        """Load a file as a phone or a desktop would, and wait until it is at rest."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = self._page = Page(self, session)
        for domain in _REPORTS:
            self.call(f"{domain}.enable", session)
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.call("Emulation.setDeviceMetricsOverride", session, **size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", session, features=[scheme])
        page.asked.clear()
        self._seen.clear()
        self.call("Page.navigate", session, url=path.resolve().as_uri())
        while "Page.loadEventFired" not in self._seen:
            self._read()
        # Whatever a page starts when it is loaded is started within two frames.
        waiting = "new Promise(done => requestAnimationFrame(() => setTimeout(done, 300)))"
        self.call("Runtime.evaluate", session, expression=waiting, awaitPromise=True)
        page.asked = {number: url for number, url in page.asked.items() if url != path.resolve().as_uri()}
        return page

    def call(self, method: str, session: str = "", **values: Any) -> dict[str, Any]:
        number = self.send(method, session, **values)
        while True:
            told = self._read()
            if told.get("id") == number:
                assert "error" not in told, (method, told["error"])
                return told["result"]

    def send(self, method: str, session: str = "", **values: Any) -> int:
        self._number += 1
        to = {"sessionId": session} if session else {}
        message = {"id": self._number, "method": method, "params": values, **to}
        os.write(self._requests, json.dumps(message).encode() + b"\0")
        return self._number

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            more = os.read(self._answers, 1 << 20)
            assert more, "the browser has ended"
            self._rest += more
        line, self._rest = self._rest.split(b"\0", 1)
        told: dict[str, Any] = json.loads(line)
        if "method" in told:
            self._seen.append(told["method"])
            if self._page is not None and told.get("sessionId") == self._page.session:
                self._page.notice(told["method"], told["params"])
        return told


@contextlib.contextmanager
def chromium(profile: Path) -> Iterator[Browser]:
    """Start the browser with its debugging pipe at descriptors 3 and 4, where it looks for it."""
    assert CHROMIUM is not None
    (reads, requests), (answers, writes) = os.pipe(), os.pipe()
    high = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 20) for end in (reads, writes)]

    def place() -> None:
        os.dup2(high[0], 3)
        os.dup2(high[1], 4)

    process = subprocess.Popen(
        [CHROMIUM, f"--user-data-dir={profile}", *_FLAGS], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        pass_fds=(3, 4), preexec_fn=place, env={**os.environ, "HOME": str(profile)},
    )  # fmt: skip
    for end in (reads, writes, *high):
        os.close(end)
    try:
        yield Browser(requests, answers)
    finally:
        process.terminate()
        process.wait(20)
        os.close(requests)
        os.close(answers)
