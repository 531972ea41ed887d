"""Main loop of live 3D."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from core.capture.ring import ImageRingReader
from core.errors import CoreError
from core.live.config import ELSEWHERE, LiveConfig
from core.live.engine import LiveEngine
from core.live.stream import LivePeople, PeopleRing
from core.live.views import LiveImage, live_rig
from core.live.vmc import VmcSender
from core.session import Session

Emit = Callable[[Mapping[str, Any]], None]
_POLL_S = 0.003
_TOGETHER_S = 0.03  # for which an image waits for those of the other cameras
_SETTLE_S = 2.0  # for which the first cameras wait for the others after the start
_REPORT_S = 1.0
_RETRY_S = 2.0  # before loading a missing body model is retried


class NewestImages:
    """Newest unread image of each camera, from the rings of the recording."""

    def __init__(self) -> None:
        self._rings: dict[str, str] = {}
        self._readers: dict[str, tuple[str, ImageRingReader]] = {}
        self._images: dict[str, tuple[int, LiveImage]] = {}
        self._since_s = 0.0

    def attach(self, rings: Mapping[str, str]) -> None:
        """Set the ring of each camera; may be called from another thread."""
        self._rings = dict(rings)

    def poll(self) -> bool:
        """Read new images; return True if there is one of each camera, or the first has waited long enough."""
        for camera, ring in list(self._rings.items()):
            found = self._newest(camera, ring)
            if found is not None:
                self._images[camera] = found
        if not self._images:
            self._since_s = time.monotonic()
            return False
        one_set = len({index for index, _ in self._images.values()}) == 1
        return (one_set and self._images.keys() >= self._rings.keys()) or (
            time.monotonic() - self._since_s >= _TOGETHER_S
        )

    def take(self) -> dict[str, LiveImage]:
        """Return the unread images, and mark them as read."""
        images = {camera: image for camera, (_, image) in self._images.items()}
        self._images.clear()
        self._since_s = time.monotonic()
        return images

    def close(self) -> None:
        """Detach from all rings."""
        for _, reader in self._readers.values():
            reader.close()

    def _newest(self, camera: str, ring: str) -> tuple[int, LiveImage] | None:
        if self._readers.get(camera, ("",))[0] != ring:
            try:
                self._readers[camera] = (ring, ImageRingReader(ring))
            except CoreError:
                return None  # the camera has ended
        found = self._readers[camera][1].newest()
        if found is None:
            return None
        width, height = found.info["size_px"]
        image = LiveImage(
            camera=camera, image=found.image, size_px=(int(width), int(height)), time_ns=int(found.info["time_ns"])
        )
        return int(found.info["index"]), image


class LiveLoop:
    """Main loop: reads the newest images and publishes people until it is stopped.

    Args:
        session: Folder of the session.
        config: Settings.
        emit: Function that receives facts: once the `ring` of the people; every second `fps`, `latency_ms` and
            `people`; on changes `body_problem` (empty once solved), `disagreeing` cameras and a `note`.

    Raises:
        CoreError: The session is not calibrated.
    """

    def __init__(self, session: Path, config: LiveConfig, emit: Emit) -> None:
        self._session, self._emit = session, emit
        self._config = self._wanted = config
        self._rig = Session.open(session).require_rig()
        self._images = NewestImages()
        self.attach = self._images.attach
        self._engine: LiveEngine | None = None
        self._sizes_px: dict[str, tuple[int, int]] = {}
        self._begun_s: float | None = None
        self._latencies_s: list[float] = []
        self._reported_s = time.monotonic()
        self._sender: VmcSender | None = None
        self._unsent = False
        self._body_problem, self._tried_s = "", 0.0
        self._disagreeing: tuple[str, ...] = ()

    def configure(self, config: LiveConfig) -> None:
        """Adopt the body model and the receiver of new settings; may be called from another thread."""
        self._wanted = config

    def run(self, stopped: threading.Event) -> None:
        """Run until stopped.

        Raises:
            CoreError: The cameras do not fit the calibration, or the networks cannot be loaded.
        """
        ring = PeopleRing()
        self._emit({"ring": ring.name})
        self._open_sender()
        try:
            while not stopped.is_set():
                self._follow_settings()
                if not self._images.poll():
                    stopped.wait(_POLL_S)
                    continue
                people = self._update(self._images.take())
                if people is not None:
                    ring.put(people)
                    self._report(people)
                    self._send(people)
        finally:
            if self._engine is not None:
                self._engine.close()
            if self._sender is not None:
                self._sender.close()
            ring.close()
            self._images.close()

    def _follow_settings(self) -> None:
        """Apply new settings if there are any, and retry to load a missing body model."""
        config, before = self._wanted, self._config
        self._config = config
        if (config.vmc_host, config.vmc_port) != (before.vmc_host, before.vmc_port):
            self._open_sender()
        missing = bool(self._body_problem) and time.monotonic() - self._tried_s >= _RETRY_S
        if config.body_model != before.body_model or missing:
            self._fit_bodies()

    def _open_sender(self) -> None:
        """Open the connection to the chosen receiver, if there is one."""
        if self._sender is not None:
            self._sender.close()
        config, self._unsent = self._config, False
        self._sender = VmcSender(config.vmc_host, config.vmc_port) if config.vmc_port else None

    def _fit_bodies(self) -> None:
        """Load the chosen body model; without it, people are skeletons."""
        if self._engine is None:
            return
        problem, self._tried_s = "", time.monotonic()
        try:
            self._engine.fit_bodies(self._config.body_model)
        except CoreError as error:
            problem = f"{error.message} {error.hint}"
        if problem != self._body_problem:
            self._emit({"body_problem": problem, "note": problem})
        self._body_problem = problem

    def _update(self, images: Mapping[str, LiveImage]) -> LivePeople | None:
        """Return the people of the newest images; None until the cameras have started."""
        now_s = time.monotonic()
        self._begun_s = now_s if self._begun_s is None else self._begun_s
        sizes_px = self._sizes_px | {n: i.size_px for n, i in images.items() if n in self._rig.names}
        complete = len(sizes_px) == len(self._rig) or now_s - self._begun_s >= _SETTLE_S
        if complete and (self._engine is None or sizes_px != self._sizes_px):
            self._begin(images, sizes_px)
        self._sizes_px = sizes_px
        if self._engine is None:
            return None
        used = [image for name, image in images.items() if name in self._engine.rig.names]
        return self._engine.update(used, now_ns=time.monotonic_ns())

    def _begin(self, images: Mapping[str, LiveImage], sizes_px: Mapping[str, tuple[int, int]]) -> None:
        if self._engine is not None:
            self._engine.close()
        self._engine = LiveEngine(live_rig(self._rig, sizes_px), self._config, self._session)
        self._fit_bodies()
        unknown = sorted(images.keys() - set(self._rig.names))
        if unknown:
            self._emit({"note": f"{', '.join(unknown)}: not calibrated, and not used for live 3D."})

    def _send(self, people: LivePeople) -> None:
        if self._sender is None or self._engine is None:
            return
        try:
            self._sender.send(people, self._engine.body_model)
        except OSError as error:
            if not self._unsent:
                self._emit({"note": f"Poses cannot be sent to {self._config.vmc_host}: {error.strerror or error}."})
            self._unsent = True

    def _report(self, people: LivePeople) -> None:
        self._latencies_s.append(people.latency_s(time.monotonic_ns()))
        now_s = time.monotonic()
        if now_s - self._reported_s < _REPORT_S:
            return
        latency_ms = round(1000 * statistics.median(self._latencies_s))
        self._emit({"fps": round(people.fps, 1), "latency_ms": latency_ms, "people": len(people.ids)})
        disagreeing = self._engine.disagreeing if self._engine is not None else ()
        if disagreeing != self._disagreeing:
            note = f"{', '.join(disagreeing)}: {ELSEWHERE}" if disagreeing else ""
            self._emit({"disagreeing": disagreeing, "note": note})
        self._disagreeing = disagreeing
        self._latencies_s.clear()
        self._reported_s = now_s
