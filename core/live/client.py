"""Client of the live 3D process, which is separate so that it cannot delay the recording."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.config import to_mapping
from core.errors import CoreError
from core.live.config import LiveConfig
from core.progress import Reporter
from core.session import Session

_END_S = 20.0
_NO_FACTS = {"ring": "", "fps": 0.0, "latency_ms": 0, "people": 0, "problem": "", "body_problem": "", "disagreeing": ()}


class LiveSwitch:
    """Switch for live 3D during a recording.

    Args:
        session: Folder of the session.
        reporter: Receives notes.
    """

    def __init__(self, session: Path, reporter: Reporter) -> None:
        self._session, self._reporter = session, reporter
        self._process: LiveProcess | None = None
        self._ended: list[LiveProcess] = []
        self.last: dict[str, Any] = {}
        """Facts of the last process that has ended."""

    @property
    def on(self) -> bool:
        """True if live 3D runs, or has failed since it was switched on."""
        return self._process is not None

    @property
    def facts(self) -> dict[str, Any]:
        """State of live 3D.

        Keys: `ring`, `fps`, `latency_ms`, `people` (number), `problem` (why live 3D has ended), `body_problem` (why no
        bodies are fitted) and `disagreeing` (cameras that disagree with the others).
        """
        return dict(_NO_FACTS) if self._process is None else self._process.facts

    @property
    def text(self) -> str:
        """Rate, latency and number of people for a progress line; empty while there are none."""
        facts = self.facts
        people = "1 person" if facts["people"] == 1 else f"{facts['people']} people"
        return f" · {facts['fps']:.1f} fps, {facts['latency_ms']} ms, {people}" if facts["fps"] else ""

    def switch(self, config: LiveConfig | None) -> None:
        """Run live 3D with these settings; None ends it.

        A running process adopts a changed body model or receiver without a restart. Failures are noted, and the
        recording continues.
        """
        if config is not None and self._process is not None and not self.facts["problem"]:
            self._process.configure(config)
            return
        self._stop()
        if config is None:
            return
        try:
            Session.open(self._session).require_rig()
            self._process = LiveProcess(self._session, config, self._reporter)
        except CoreError as error:
            self._reporter.note(f"{error.message} {error.hint}", "warning")

    def attach(self, rings: Mapping[str, str]) -> None:
        """Set the ring of each camera."""
        if self._process is not None:
            self._process.attach(rings)

    def close(self) -> None:
        """End live 3D, and wait for all ended processes."""
        self._stop()
        for process in self._ended:
            process.join()

    def _stop(self) -> None:
        """End live 3D without waiting, so that the cameras stay visible."""
        if self._process is not None:
            self.last = self._process.facts
            self._process.stop()
            self._ended.append(self._process)
        self._process = None


class LiveProcess:
    """Running live 3D process.

    Args:
        session: Folder of the session.
        config: Settings.
        reporter: Receives notes.

    Raises:
        CoreError: The process could not be started.
    """

    def __init__(self, session: Path, config: LiveConfig, reporter: Reporter) -> None:
        self._reporter, self._config = reporter, config
        self._rings: dict[str, str] = {}
        self._stopping = False
        self._facts: dict[str, Any] = dict(_NO_FACTS)
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "core.live"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                encoding="utf-8",
                process_group=None if sys.platform == "win32" else 0,  # Ctrl-C is handled by the recording
            )
        except OSError as error:
            raise CoreError(f"Live 3D could not be started: {error}.", "Close other programs.") from error
        self._write({"session": str(session), "config": to_mapping(config)})
        self._reader = threading.Thread(target=self._read, name="live 3D", daemon=True)
        self._reader.start()
        self._ending = threading.Thread(target=self._end, name="live 3D ends", daemon=True)

    @property
    def facts(self) -> dict[str, Any]:
        """State of live 3D; see `LiveSwitch.facts`."""
        return dict(self._facts)

    def attach(self, rings: Mapping[str, str]) -> None:
        """Set the ring of each camera."""
        if rings != self._rings:
            self._rings = dict(rings)
            self._write({"rings": self._rings})

    def configure(self, config: LiveConfig) -> None:
        """Adopt the body model and the receiver of new settings."""
        if config != self._config:
            self._config = config
            self._write({"config": to_mapping(config)})

    def stop(self) -> None:
        """Ask the process to end; `join` waits for it."""
        if not self._stopping:
            self._stopping = True
            with contextlib.suppress(OSError):
                if self._process.stdin is not None:
                    self._process.stdin.close()
            self._ending.start()

    def join(self) -> None:
        """Wait for the process to end after `stop`."""
        self._ending.join()

    def _end(self) -> None:
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _write(self, values: Mapping[str, Any]) -> None:
        with contextlib.suppress(OSError, ValueError):  # the process has ended, which `_read` reports
            if self._process.stdin is not None:
                self._process.stdin.write(json.dumps(values) + "\n")
                self._process.stdin.flush()

    def _read(self) -> None:
        """Read the output of the process until it ends."""
        for line in self._process.stdout or ():
            with contextlib.suppress(ValueError, AttributeError):
                facts = json.loads(line)
                note = facts.pop("note", "")
                if note:
                    self._reporter.note(note, "warning")
                self._facts |= facts
        code = self._process.wait()
        if code and not self._facts["problem"] and not self._stopping:
            self._facts["problem"] = "Live 3D has ended unexpectedly. The log of the job has the details."
        if self._facts["problem"]:
            self._reporter.note(f"{self._facts['problem']} The cameras keep running.", "warning")
