"""Lines on the socket: JSON-RPC 2.0, one message a line. One connection is one caller: an operator, or the
process whose token is shown. A client may be used by several threads; its calls go one after the other.
"""

from __future__ import annotations

import base64
import json
import os
import socket
import threading
from pathlib import Path
from typing import Any, Dict, Iterator, List, Literal, Mapping, Optional, TypedDict

from .calls import Calls

#: Bytes of one message; the daemon takes no more.
LINE_BYTES_MAX = 1_500_000
#: Records that are asked for at a time.
PAGE = 2_000


class Refused(Exception):
    """What Skep did not do: a code, a sentence, and what to do about it."""

    def __init__(self, error: Mapping[str, Any]) -> None:
        data = error.get("data") or {}
        #: The code's word: `Denied`, `NotFound`, `Exhausted` …
        self.code: str = str(data.get("code", ""))
        #: The code's number.
        self.number: int = int(error.get("code", 0))
        #: One sentence: what is.
        self.message: str = str(error.get("message", ""))
        #: What to do next; empty when there is nothing to say.
        self.hint: str = str(data.get("hint", ""))
        #: The argument to blame; empty when none is.
        self.argument: str = str(data.get("argument", ""))
        hint = f"\nhint: {self.hint}" if self.hint else ""
        super().__init__(f"{self.code}: {self.message}{hint}")


class Note(TypedDict, total=False):
    """What comes by itself to who follows."""

    #: `record`: durable; `preview`: early and incomplete, while a model answers.
    kind: Literal["record", "preview"]
    #: In which workspace.
    workspace: str
    #: A record of the log.
    record: Dict[str, Any]
    #: Of a preview: which process.
    pid: int
    #: Of a preview: what the model is saying.
    text: str


def default_socket() -> str:
    """Where the daemon of this user is, as `skep` itself finds it."""
    home = os.environ.get("SKEP_HOME")
    if home:
        return str(Path(home) / "sock")
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime:
        return str(Path(runtime) / "skep" / "sock")
    state = os.environ.get("XDG_STATE_HOME")
    base = Path(state) if state else Path.home() / ".local" / "state"
    return str(base / "skep" / "sock")


class Client(Calls):
    """A connection. With a token it is that token's process and nothing else, for ever."""

    def __init__(
        self,
        path: Optional[str] = None,
        *,
        workspace: Optional[str] = None,
        token: Optional[str] = None,
        timeout: Optional[float] = None,
    ) -> None:
        self._path = path or default_socket()
        self._always: Dict[str, Any] = {}
        if workspace is not None:
            self._always["workspace"] = workspace
        if token is not None:
            self._always["token"] = token.strip()
        self._timeout = timeout
        self._wire = _Wire(self._path, timeout)
        self._turn = threading.Lock()

    def call(self, method: str, params: Mapping[str, Any]) -> Any:
        """One call by its name; what is `None` is left out, and bytes go as base64."""
        with self._turn:
            return self._wire.ask(method, {**_plain(params), **self._always})

    def follow(
        self, after: int = 0, *, pid: Optional[int] = None, timeout: Optional[float] = None
    ) -> Iterator[Note]:
        """Records after this one, then what comes, without end, on a connection of its own.

        A record comes once and in order; between them come previews of what models are saying. A wait that is
        longer than `timeout` seconds raises `TimeoutError`.
        """
        wire = _Wire(self._path, self._timeout)
        try:
            params: Dict[str, Any] = {"limit": PAGE, **self._always}
            if pid is not None:
                params["pid"] = pid
            follows = False
            while not follows:
                page = wire.ask("trace", {**params, "from": after})
                if not page["records"]:
                    follows = True
                    page = wire.ask("trace", {**params, "from": after, "follow": True})
                for record in page["records"]:
                    after = record["seq"]
                    yield {"kind": "record", "workspace": self._workspace(), "record": record}
                after = max(after, page.get("next", after))
            wire.patience(timeout)
            while True:
                note = wire.note()
                if note["kind"] == "record":
                    if note["record"]["seq"] <= after:
                        continue
                    after = note["record"]["seq"]
                yield note
        finally:
            wire.close()

    def _workspace(self) -> str:
        return str(self._always.get("workspace", "home"))

    def close(self) -> None:
        """Closes the connection."""
        self._wire.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Wire:
    """One connection that asks and is answered, line by line."""

    def __init__(self, path: str, timeout: Optional[float]) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(timeout)
        try:
            self._socket.connect(path)
        except OSError:
            self._socket.close()
            raise
        self._lines = self._socket.makefile("rb")
        self._next = 0
        self._notes: List[Note] = []

    def patience(self, timeout: Optional[float]) -> None:
        self._socket.settimeout(timeout)

    def ask(self, method: str, params: Mapping[str, Any]) -> Any:
        self._next += 1
        request = {"jsonrpc": "2.0", "id": self._next, "method": method, "params": params}
        line = json.dumps(request, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
        if len(line) > LINE_BYTES_MAX:
            raise ValueError(f"a message of {len(line)} bytes is more than {LINE_BYTES_MAX}: write it in parts")
        self._socket.sendall(line)
        while True:
            message = self._read()
            if "method" in message:
                self._notes.append(_note(message))
            elif message.get("id") == self._next or message.get("id") is None:
                # An error without an id is about the connection as a whole.
                if "error" in message:
                    raise Refused(message["error"])
                return message["result"]

    def note(self) -> Note:
        while not self._notes:
            message = self._read()
            if "method" in message:
                self._notes.append(_note(message))
            elif "error" in message:
                raise Refused(message["error"])
        return self._notes.pop(0)

    def _read(self) -> Dict[str, Any]:
        line = self._lines.readline()
        if not line.endswith(b"\n"):
            raise ConnectionError("the daemon closed the connection")
        message = json.loads(line)
        if not isinstance(message, dict):
            raise ConnectionError("the daemon sent a line that is no message")
        return message

    def close(self) -> None:
        self._lines.close()
        self._socket.close()


def _note(message: Mapping[str, Any]) -> Note:
    note: Note = {"kind": message["method"]}
    note.update(message.get("params", {}))
    return note


def _plain(params: Mapping[str, Any]) -> Dict[str, Any]:
    """Arguments as the wire takes them."""
    out: Dict[str, Any] = {}
    for name, value in params.items():
        if value is None:
            continue
        if isinstance(value, (bytes, bytearray)):
            out["base64" if name == "text" else name] = _text(name, bytes(value))
        else:
            out[name] = value
    return out


def _text(name: str, value: bytes) -> str:
    # Only `text` may be bytes that are not UTF-8.
    return base64.b64encode(value).decode() if name == "text" else value.decode()
