"""Remote control: other programs start, stop and mark takes by HTTP or OSC on one port.

HTTP: `GET /status`; `POST /start`, `/stop` and `/marker` with the fields of `core.jobs.commands` as a JSON object,
such as `curl -H "Content-Type: application/json" -d '{"name": "walk"}' http://127.0.0.1:PORT/start`. OSC (UDP):
`/start` with the name of the take, `/stop`, and `/marker` with a text. Requests of web pages are refused, because any
site could make a browser send them.
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

_COMMANDS = ("start", "stop", "marker")
_OSC_FIELD = {"start": "name", "stop": "", "marker": "text"}
_MAX_BYTES = 1 << 14
_TIMEOUT_S, _POLL_S = 5.0, 0.1
_LOOPBACK = "127.0.0.1"


class RemoteControl:
    """HTTP and OSC servers that turn requests into commands to the camera job, until closed.

    Args:
        folder: Folder of the job.
        port: TCP port of HTTP and UDP port of OSC.
        reporter: Receives a note on each accepted or refused command.
        all_interfaces: Listen on all network interfaces, not only for programs of this computer.

    Raises:
        CoreError: The port is in use.
    """

    def __init__(self, folder: Path, port: int, reporter: Reporter, *, all_interfaces: bool = False) -> None:
        self._folder, self._reporter = folder, reporter
        self.status: Mapping[str, Any] = {}
        """Response to a status request."""
        host = "0.0.0.0" if all_interfaces else _LOOPBACK
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

    def execute(self, command: str, values: Mapping[str, Any]) -> None:
        """Send a command to the camera job.

        Raises:
            CoreError: The command is unknown, or its values are invalid.
        """
        if command not in _COMMANDS:
            raise CoreError(f"Not a command: {command[:80]!r}.", f"Commands: {', '.join(_COMMANDS)}.")
        send_command(self._folder, parse_command(json.dumps({**values, "command": command})))
        self._reporter.note(f"Remote command: {command}.")

    def note_refused(self, error: CoreError) -> None:
        """Note a refused command whose sender gets no response."""
        self._reporter.note(f"A remote command was refused. {error}", "warning")

    def close(self) -> None:
        """Stop the servers."""
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
                remote.execute(self.path.strip("/"), values)
            except ValueError:
                self._answer(400, {"error": f"Send a JSON object of up to {_MAX_BYTES} bytes."})
            except CoreError as error:
                self._answer(400, {"error": str(error)})
            except OSError:
                self.close_connection = True  # the body was shorter than announced
            else:
                self._answer(200, {"ok": True})

        def _is_refused(self) -> bool:
            """Refuse a request that a web page made a browser send; return whether it is one."""
            host = self.headers.get("Host", "").rpartition(":")[0].strip("[]") or self.headers.get("Host", "")
            if self.headers.get("Origin") is None and self.headers.get("Sec-Fetch-Site") is None and _is_number(host):
                return False
            self._answer(403, {"error": "Web pages may not control cameras. Use the computer's IP address."})
            return True

        def _answer(self, code: int, values: Mapping[str, Any]) -> None:
            data = json.dumps(values).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *arguments: object) -> None:
            """Do nothing: commands are noted, and other requests are not logged."""

    return Handler


def _osc_handler(remote: RemoteControl) -> type[socketserver.BaseRequestHandler]:
    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            try:
                command, texts = read_osc(self.request[0])
                field = _OSC_FIELD.get(command, "")
                remote.execute(command, {field: texts[0]} if field and texts else {})
            except CoreError as error:
                remote.note_refused(error)

    return Handler


def read_osc(data: bytes) -> tuple[str, list[str]]:
    """Return the last part of an OSC 1.0 message's address, and its string arguments.

    Args:
        data: The message.

    Raises:
        CoreError: The data is not an OSC message with string arguments.
    """
    address, rest = _osc_text(data)
    tags, rest = _osc_text(rest) if rest else (",", b"")
    if not address.startswith("/") or not tags.startswith(","):
        raise CoreError("This is not an OSC message.", "Send /start with a name, /stop, or /marker with a text.")
    texts = []
    for tag in tags[1:]:
        if tag == "s":
            text, rest = _osc_text(rest)
            texts.append(text)
        elif tag in "if" and len(rest) >= 4:
            rest = rest[4:]
        elif tag not in "TFNI":
            raise CoreError(f"OSC arguments of the type {tag!r} are not supported.", "Send strings only.")
    return address.rpartition("/")[2], texts


def _osc_text(data: bytes) -> tuple[str, bytes]:
    """Split a zero-padded string, whose length is a multiple of four bytes, from the rest."""
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
    """Return the public part of a camera job's status."""
    shown = {key: status[key] for key in ("state", "take", "takes", "saving", "seconds", "countdown_s", "disk_minutes")}
    cameras = {name: {key: c[key] for key in ("state", "fps", "problem")} for name, c in status["cameras"].items()}
    return {**shown, "cameras": cameras}
