"""Remote start: other programs start, stop and mark takes, by HTTP or OSC on one port.

HTTP: `GET /status`; `POST /start`, `/stop` and `/marker` with the fields of `core.jobs.commands` as a JSON object,
such as `curl -H "Content-Type: application/json" -d '{"name": "walk"}' http://127.0.0.1:PORT/start`. OSC (UDP):
`/start` with the name of the take, `/stop`, and `/marker` with a text. Web pages are refused, since any of them
could send to this computer.
"""

from __future__ import annotations

import http.server
import ipaddress
import json
import socketserver
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.documents.syntax import parse_json
from core.errors import CoreError
from core.jobs.commands import parse_command, send_command
from core.progress import Reporter

_WORDS = ("start", "stop", "marker")
_OSC_FIELD = {"start": "name", "stop": "", "marker": "text"}
_MAX_BYTES = 1 << 14
_TIMEOUT_S, _POLL_S = 5.0, 0.1
_LOOPBACK = "127.0.0.1"


class RemoteControl:
    """Servers that turn requests into commands to the camera job; they run until closed.

    Args:
        folder: Folder of the job.
        port: TCP port of HTTP and UDP port of OSC.
        reporter: Receives a note on each command, and on what is refused.
        anyone: Listen on all network interfaces rather than for programs of this computer only.

    Raises:
        CoreError: The port is in use.
    """

    def __init__(self, folder: Path, port: int, reporter: Reporter, *, anyone: bool = False) -> None:
        self._folder, self._reporter = folder, reporter
        self.status: Mapping[str, Any] = {}
        """Answer to a request for the status."""
        host = "0.0.0.0" if anyone else _LOOPBACK
        try:
            web = http.server.ThreadingHTTPServer((host, port), _handler(self))
            web.daemon_threads = True
            self._servers: list[socketserver.BaseServer] = [web]
            self.port = int(web.server_address[1])
            self._servers.append(socketserver.UDPServer((host, self.port), _osc_handler(self)))
        except (OSError, OverflowError) as error:
            for server in getattr(self, "_servers", ()):
                server.server_close()
            raise CoreError(f"Port {port} cannot be used for remote start: {error}.", "Choose another port.") from error
        for server in self._servers:
            threading.Thread(target=server.serve_forever, args=(_POLL_S,), name="remote", daemon=True).start()

    def carry_out(self, word: str, values: Mapping[str, Any]) -> None:
        """Pass a command on.

        Raises:
            CoreError: It is none, or has wrong values.
        """
        if word not in _WORDS:
            raise CoreError(f"Not a command: {word[:80]!r}.", f"Commands: {', '.join(_WORDS)}.")
        send_command(self._folder, parse_command(json.dumps({**values, "command": word})))
        self._reporter.note(f"Remote command: {word}.")

    def refuse(self, error: CoreError) -> None:
        """Note that a command was refused which has nobody to tell."""
        self._reporter.note(f"A remote command was refused. {error}", "warning")

    def close(self) -> None:
        """End the servers."""
        for server in self._servers:
            server.shutdown()
            server.server_close()


def _handler(remote: RemoteControl) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        timeout = _TIMEOUT_S

        def do_GET(self) -> None:
            if self._is_refused():
                return
            if self.path == "/status":
                self._answer(200, remote.status)
            else:
                self._answer(404, {"error": "Ask for /status."})

        def do_POST(self) -> None:
            if self._is_refused():
                return
            if self.headers.get_content_type() != "application/json":
                self._answer(415, {"error": "Send JSON, as Content-Type: application/json."})
                return
            try:
                size = int(self.headers.get("Content-Length", ""))
                if not 0 <= size <= _MAX_BYTES:
                    raise ValueError
                values = parse_json(self.rfile.read(size).decode() or "{}", "The request")
                if not isinstance(values, dict):
                    raise ValueError
                remote.carry_out(self.path.strip("/"), values)
            except ValueError:
                self._answer(400, {"error": f"Send a JSON object of up to {_MAX_BYTES} bytes."})
            except CoreError as error:
                self._answer(400, {"error": str(error)})
            except OSError:
                self.close_connection = True  # it did not send what it had announced
            else:
                self._answer(200, {"ok": True})

        def _is_refused(self) -> bool:
            """Answer a request of a web page, which any site could make a browser send; return whether it is one."""
            host = self.headers.get("Host", "").rpartition(":")[0].strip("[]") or self.headers.get("Host", "")
            if self.headers.get("Origin") is None and self.headers.get("Sec-Fetch-Site") is None and _is_number(host):
                return False
            self._answer(403, {"error": "Web pages may not command cameras. Use the computer's number as its address."})
            return True

        def _answer(self, code: int, values: Mapping[str, Any]) -> None:
            data = json.dumps(values).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *arguments: object) -> None:
            """Keep requests out of the log; commands are noted."""

    return Handler


def _osc_handler(remote: RemoteControl) -> type[socketserver.BaseRequestHandler]:
    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            try:
                word, texts = read_osc(self.request[0])
                field = _OSC_FIELD.get(word, "")
                remote.carry_out(word, {field: texts[0]} if field and texts else {})
            except CoreError as error:
                remote.refuse(error)

    return Handler


def read_osc(data: bytes) -> tuple[str, list[str]]:
    """Return the last part of the address of an OSC 1.0 message, and its text arguments.

    Args:
        data: The message.

    Raises:
        CoreError: It is no message.
    """
    address, rest = _osc_text(data)
    tags, rest = _osc_text(rest) if rest else (",", b"")
    if not address.startswith("/") or not tags.startswith(","):
        raise CoreError("That is no OSC message.", "Send /start with a name, /stop, or /marker with a text.")
    texts = []
    for tag in tags[1:]:
        if tag == "s":
            text, rest = _osc_text(rest)
            texts.append(text)
        elif tag in "if" and len(rest) >= 4:
            rest = rest[4:]
        elif tag not in "TFNI":
            raise CoreError(f"OSC arguments of the type {tag!r} are not used here.", "Send texts only.")
    return address.rpartition("/")[2], texts


def _osc_text(data: bytes) -> tuple[str, bytes]:
    """Split a text, which zeros fill up to a multiple of four bytes, from the rest."""
    end = data.find(b"\0")
    try:
        if end < 0:
            raise ValueError
        return data[:end].decode(), data[(end // 4 + 1) * 4 :]
    except ValueError as error:
        raise CoreError("An OSC message is damaged.", "Send it again.") from error


def _is_number(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost"
    return True


def remote_status(status: Mapping[str, Any]) -> dict[str, Any]:
    """Return what other programs may know of a camera job's status."""
    shown = {key: status[key] for key in ("state", "take", "takes", "saving", "seconds", "countdown_s", "disk_minutes")}
    cameras = {name: {key: c[key] for key in ("state", "fps", "problem")} for name, c in status["cameras"].items()}
    return {**shown, "cameras": cameras}
