"""A client of the YAML language server: documents opened as an editor opens them, and what the server answers."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

NODE, NPM = shutil.which("node"), shutil.which("npm")
# The catalogue of schemas and Kubernetes' are fetched; what is tested here is what the recipe itself names.
_SETTINGS = {"schemaStore": {"enable": False}, "kubernetesCRDStore": {"enable": False}, "completion": True}
_PATIENCE = 60.0  # seconds for an answer; a busy machine takes one or two


@dataclass(frozen=True)
class Squiggle:
    """What is underlined, and what is said about it; lines and characters are counted from 0."""

    line: int
    start: int
    text: str
    message: str


@dataclass
class Server:
    """A running language server that is spoken to over its standard streams."""

    process: subprocess.Popen[bytes]
    root: Path
    _said: queue.Queue[dict[str, Any] | None] = field(default_factory=queue.Queue)
    _squiggles: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    _number: int = 0

    def __post_init__(self) -> None:
        assert self.process.stdout is not None
        threading.Thread(target=_listen, args=(self.process.stdout, self._said), daemon=True).start()

    def start(self) -> None:
        root = {"rootUri": self.root.as_uri(), "workspaceFolders": [{"uri": self.root.as_uri(), "name": "root"}]}
        able = {
            "workspace": {"configuration": True, "workspaceFolders": True},
            "textDocument": {"completion": {"completionItem": {"snippetSupport": True}}, "hover": {}},
        }
        self.ask("initialize", {"processId": os.getpid(), "capabilities": able, **root})
        self._send({"method": "initialized", "params": {}})

    def open(self, text: str) -> str:
        """Open an unsaved document in the root, and return its address, which no other document had."""
        self._number += 1
        uri = (self.root / f"document{self._number}.yaml").as_uri()
        document = {"uri": uri, "languageId": "yaml", "version": 1, "text": text}
        self._send({"method": "textDocument/didOpen", "params": {"textDocument": document}})
        return uri

    def squiggles(self, text: str) -> list[Squiggle]:
        """Open a document and wait for what is wrong with it."""
        uri = self.open(text)
        ends = time.monotonic() + _PATIENCE
        while uri not in self._squiggles:
            self._read(ends)
        found = [_squiggle(told, text.splitlines()) for told in self._squiggles[uri]]
        return sorted(found, key=lambda each: (each.line, each.start, each.message))

    def completions(self, text: str) -> dict[str, dict[str, Any]]:
        """Open a document whose `|` is the cursor, and return what may be typed there by its label."""
        answer = self._at_cursor("textDocument/completion", text)
        items = answer["items"] if isinstance(answer, dict) else answer or []
        return {item["label"]: item for item in items}

    def hover(self, text: str) -> str:
        """Open a document whose `|` is the pointer, and return what is shown there."""
        answer = self._at_cursor("textDocument/hover", text)
        return _as_text(answer["contents"]) if answer else ""

    def ask(self, method: str, values: Any) -> Any:
        self._number += 1
        number = self._number
        self._send({"id": number, "method": method, "params": values})
        ends = time.monotonic() + _PATIENCE
        while True:
            told = self._read(ends)
            if told.get("id") == number and "method" not in told:
                assert "error" not in told, (method, told["error"])
                return told["result"]

    def _at_cursor(self, method: str, text: str) -> Any:
        before, cursor, after = text.partition("|")
        assert cursor, "no cursor in the document"
        uri = self.open(before + after)
        place = {"line": before.count("\n"), "character": len(before) - before.rfind("\n") - 1}
        return self.ask(method, {"textDocument": {"uri": uri}, "position": place})

    def _send(self, message: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        self.process.stdin.flush()

    def _read(self, ends: float) -> dict[str, Any]:
        """Return the next thing the server says; what it wants of an editor is answered on the way."""
        try:
            told = self._said.get(timeout=max(ends - time.monotonic(), 0.01))
        except queue.Empty:
            raise AssertionError("the language server does not answer") from None
        assert told is not None, "the language server has ended"
        if told.get("method") == "textDocument/publishDiagnostics":
            self._squiggles[told["params"]["uri"]] = told["params"]["diagnostics"]
        elif "method" in told and "id" in told:
            self._send({"id": told["id"], "result": _wanted(told)})
        return told


@contextlib.contextmanager
def language_server(script: Path, root: Path) -> Iterator[Server]:
    """Start the server, whose script is given, as an editor does that has a folder open."""
    assert NODE is not None
    process = subprocess.Popen(
        [NODE, str(script), "--stdio"], cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        server = Server(process, root)
        server.start()
        yield server
    finally:
        process.kill()
        process.wait(20)
        for stream in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):
                stream.close()


def _listen(stream: IO[bytes], said: queue.Queue[dict[str, Any] | None]) -> None:
    """Pass on each message: headers that end with an empty line, and as many bytes as they say."""
    with contextlib.suppress(ValueError, OSError):  # the stream is closed while it is read
        while True:
            length = 0
            while (line := stream.readline()).strip():
                name, _, value = line.decode("ascii").partition(":")
                length = int(value) if name.lower() == "content-length" else length
            if not line:
                break
            said.put(json.loads(stream.read(length)))
    said.put(None)


def _wanted(told: dict[str, Any]) -> Any:
    if told["method"] != "workspace/configuration":
        return None
    return [_SETTINGS if item.get("section") == "yaml" else None for item in told["params"]["items"]]


def _squiggle(told: dict[str, Any], lines: list[str]) -> Squiggle:
    start, end = told["range"]["start"], told["range"]["end"]
    line = lines[start["line"]] if start["line"] < len(lines) else ""
    until = end["character"] if end["line"] == start["line"] else len(line)
    return Squiggle(start["line"], start["character"], line[start["character"] : until], told["message"])


def _as_text(contents: Any) -> str:
    if isinstance(contents, list):
        return "\n".join(map(_as_text, contents))
    return contents if isinstance(contents, str) else str(contents["value"])
