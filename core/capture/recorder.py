"""Recording of several cameras: a reading and a storing thread per camera, and the frame sets of all."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from core.capture.camera import CameraState, Opener, RunningCamera
from core.capture.storage.store import CameraStore, StoreState
from core.capture.synchronizer import Synchronizer
from core.clock import SYSTEM_CLOCK, Clock
from core.disk import sync
from core.session.layout import TakeLayout
from core.types.frame import Frame, FrameSet

_JOIN_S = 0.02
_MAX_FRAMES = 32  # per camera, waiting for their frame set; 100 MB of decoded 1080p images
_SYNC_EVERY_S = 0.5  # longest part of a recording that a power failure may cost


class Recorder:
    """Running cameras, whose images are stored during takes.

    Args:
        addresses: Address by camera name.
        opener: Function that starts a camera.
        clock: Clock of the sources.
        pre_roll_s: Seconds that takes contain from before their start.
        folder: Folder of a take that begins with the first image; None to begin takes later.
        sound: Store the sound of this first take.
    """

    def __init__(
        self,
        addresses: Mapping[str, str],
        opener: Opener,
        clock: Clock = SYSTEM_CLOCK,
        *,
        pre_roll_s: float = 0.0,
        folder: TakeLayout | None = None,
        sound: bool = False,
    ) -> None:
        self._clock = clock
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._synchronizer = Synchronizer(tuple(addresses), max_frames=_MAX_FRAMES)
        self._frame_set: FrameSet | None = None
        self._notes: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._stores = {n: CameraStore(n, pre_roll_s, clock.waits, self._notes.put) for n in addresses}
        self._readers = {
            name: RunningCamera(
                name, address, opener, clock, self._stores[name], self._push, self._notes.put, self._stop
            )
            for name, address in addresses.items()
        }
        self._syncing: _Syncing | None = None
        if folder is not None:
            self.begin(folder, 0, sound=sound)
        self._ready = threading.Barrier(len(addresses) + 1)
        self._threads = [
            threading.Thread(target=self._run, args=(name,), name=f"camera {name}", daemon=True) for name in addresses
        ]
        for thread in self._threads:
            thread.start()
        self._ready.wait()

    @property
    def cameras(self) -> dict[str, CameraState]:
        """State of each camera by name."""
        return {name: reader.state for name, reader in self._readers.items()}

    @property
    def stores(self) -> dict[str, StoreState]:
        """State of the storage of each camera by name."""
        return {name: store.state for name, store in self._stores.items()}

    @property
    def ended(self) -> bool:
        """True if no camera sends images: each has ended, or has failed to start."""
        return all(c.ended or (c.problem and not c.frames) for c in self.cameras.values())

    @property
    def frame_set(self) -> FrameSet | None:
        """The latest complete frame set; None before the first."""
        return self._frame_set

    @property
    def dropped(self) -> dict[str, int]:
        """Number of dropped images by camera, from its sequence numbers, or else from incomplete frame sets."""
        with self._lock:
            missing = self._synchronizer.dropped
        return {n: int(missing[n]) if c.skipped is None else c.skipped for n, c in self.cameras.items()}

    @property
    def silent(self) -> tuple[str, ...]:
        """Names of running cameras that have stopped sending frames."""
        with self._lock:
            silent = self._synchronizer.silent
        return tuple(name for name in silent if self._readers[name].state.phase == "running")

    @property
    def skew_ms(self) -> dict[str, float]:
        """Time of each camera's image minus the median of all in the latest frame set, in ms."""
        if (latest := self._frame_set) is None:
            return {}
        middle = float(np.median([frame.time_ns for frame in latest.frames.values()]))
        return {name: (frame.time_ns - middle) / 1e6 for name, frame in latest.frames.items()}

    def notes(self) -> list[str]:
        """Return the warnings since the last call."""
        notes = []
        with contextlib.suppress(queue.Empty):
            while True:
                notes.append(self._notes.get_nowait())
        return notes

    def set_control(self, camera: str, control: str, value: float | None) -> bool:
        """Request a change of a control; return False if there is no such camera."""
        if (reader := self._readers.get(camera)) is None:
            return False
        reader.request_control(control, value)
        return True

    def begin(self, folder: TakeLayout, since_ns: int, *, sound: bool = False) -> None:
        """Begin to store a take; the previous one must have ended.

        Args:
            folder: Folder of the take.
            since_ns: Time of its start.
            sound: Store the sound of cameras with a microphone.
        """
        for store in self._stores.values():
            store.begin(folder, since_ns, sound=sound)
        self._syncing = _Syncing(folder.root)

    def end(self) -> list[threading.Event]:
        """End the take; its files are complete once all events are set."""
        syncing, self._syncing = self._syncing, None
        return [store.end() for store in self._stores.values()] + ([] if syncing is None else [syncing.stop()])

    def stop(self, timeout_s: float = 15.0) -> None:
        """Stop all cameras; images in the queues are still stored."""
        self._stop.set()
        for reader in self._readers.values():
            reader.interrupt()
        deadline_ns = self._clock.now_ns() + round(timeout_s * 1e9)
        while any(thread.is_alive() for thread in self._threads) and self._clock.now_ns() < deadline_ns:
            self._clock.sleep(_JOIN_S)

    def close(self, timeout_s: float = 15.0) -> None:
        """Stop all cameras, and complete the files of the take."""
        self.stop(timeout_s)
        self.end()
        for store in self._stores.values():
            store.close()
        deadline = time.monotonic() + timeout_s
        while not all(store.closed for store in self._stores.values()) and time.monotonic() < deadline:
            time.sleep(_JOIN_S)

    def _run(self, name: str) -> None:
        with self._clock.member():
            self._ready.wait()
            try:
                self._readers[name].run()
            finally:
                self._readers[name].state.phase = "ended"
                with self._lock:
                    self._keep(self._synchronizer.end(name))

    def _push(self, frame: Frame) -> None:
        with self._lock:
            self._keep(self._synchronizer.push(frame))

    def _keep(self, sets: list[FrameSet]) -> None:
        self._frame_set = sets[-1] if sets else self._frame_set


class _Syncing:
    """Thread that flushes the files of a folder to the disk, which may block for long."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._stop, self._done = folder, threading.Event(), threading.Event()
        threading.Thread(target=self._run, name="sync", daemon=True).start()

    def stop(self) -> threading.Event:
        """Stop the thread; the event is set once all files are closed."""
        self._stop.set()
        return self._done

    def _run(self) -> None:
        while not self._stop.wait(_SYNC_EVERY_S):
            for path in [self._folder, *self._folder.glob("*.mkv"), *self._folder.glob("*.times.csv")]:
                with contextlib.suppress(OSError):  # the writer reports errors of the disk
                    sync(path)
        self._done.set()
