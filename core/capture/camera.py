"""Thread that reads one running camera, reopens it after a lost connection, and skips damaged images."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

import av.error

from core.capture.controls import Control, Controllable, controls_of, set_control
from core.capture.sound import SoundMaker, SoundTrack
from core.capture.source import Source, damaged_images, sound_of
from core.capture.source_clock import ClockFit
from core.capture.storage.encoder import packet_maker
from core.capture.storage.store import CameraStore, Note
from core.clock import Clock
from core.errors import CoreError
from core.passwords import without_passwords
from core.types.frame import Frame

Opener = Callable[[str, str], Source]
"""Starts a camera, given its name and address."""

CameraPhase = Literal["starting", "running", "lost", "ended"]
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.5, 8.0  # before a lost camera is reopened
_STABLE_S = 5.0  # of images, after which a connection counts as stable
_SLICE_S = 0.25
_CONTROLS_EVERY_S = 2.0
_RATE_S, _FIRST_RATE_S = 2.0, 0.5  # measurement period of the frame rate; shorter for the first value
_NOTE_EVERY_NS = 5_000_000_000


@dataclass(slots=True, kw_only=True, eq=False)
class CameraState:
    """State of a running camera.

    Attributes:
        phase: Connection state.
        size_px: Width and height in px; None until it runs.
        frames: Number of frames so far.
        last_ns: Time of the latest frame.
        latest: The latest frame, for previews.
        problem: Reason why the camera is not running; empty while it is.
        skipped: Number of images missing from the camera's sequence numbers, besides damaged ones; None if it has no
            sequence numbers.
        damaged: Number of damaged images, all of which were skipped.
        reconnects: Number of times the camera was reopened.
        fps: Frame rate over the last seconds.
        clock: Relation of the camera's clock to the shared one.
        controls: Controls as last read.
        utc_error_s: Wall clock of the camera minus that of this computer, in s; None if the camera reports none.
    """

    phase: CameraPhase = "starting"
    size_px: tuple[int, int] | None = None
    frames: int = 0
    last_ns: int = 0
    latest: Frame | None = field(default=None, repr=False)
    problem: str = ""
    skipped: int | None = None
    damaged: int = 0
    reconnects: int = 0
    fps: float = 0.0
    clock: ClockFit = field(default_factory=ClockFit, repr=False)
    controls: tuple[Control, ...] = ()
    utc_error_s: float | None = None

    @property
    def ended(self) -> bool:
        """True if the camera sends no more images."""
        return self.phase == "ended"


class RunningCamera:
    """Reader of one camera until it is stopped; `run` blocks and needs its own thread.

    Args:
        name: Name of the camera.
        address: Its address.
        opener: Function that starts a camera.
        clock: Clock of the source.
        store: Storage that receives the images.
        push: Function that receives each frame, for frame sets.
        note: Function that receives warnings.
        stop: Event that ends the reader.
    """

    def __init__(
        self,
        name: str,
        address: str,
        opener: Opener,
        clock: Clock,
        store: CameraStore,
        push: Callable[[Frame], None],
        note: Note,
        stop: threading.Event,
    ) -> None:
        self.state = CameraState()
        self._name, self._address, self._opener, self._clock = name, address, opener, clock
        self._store, self._push, self._note, self._stop = store, push, note, stop
        self._requests: queue.SimpleQueue[tuple[str, float | None] | None] = queue.SimpleQueue()
        self._sequence: int | None = None
        self._rate_from: tuple[int, int] = (0, 0)
        self._opened_ns = self._lost_ns = 0
        self._noted: dict[str, tuple[int, int]] = {}
        self._source: Source | None = None

    def interrupt(self) -> None:
        """Stop a camera at once even if it is waiting for an image, such as for a trigger."""
        interrupt = getattr(self._source, "interrupt", None)
        if interrupt is not None:
            interrupt()

    def request_control(self, control: str, value: float | None) -> None:
        """Request a change of a control; the state has the value that the camera reports afterwards.

        Raises:
            CoreError: The camera has no controls, or is not running.
        """
        if not self.state.controls:
            raise CoreError(f"{self._name} has no controls.", "Set it on its web page or in its app.")
        self._requests.put((control, value))

    def run(self) -> None:
        """Read images until the camera ends or is stopped."""
        wait_s = _FIRST_WAIT_S
        while not self._stop.is_set():
            frames = self.state.frames
            try:
                self._read()
                break
            except CoreError as error:
                problem = f"{error.message} {error.hint}".strip()
            except (av.error.FFmpegError, OSError, ValueError) as error:
                problem = f"{without_passwords(str(error))}. Check its cable or network."
            if self._stop.is_set():
                break
            self._report_lost(problem)
            stable = self.state.frames > frames and self.state.last_ns - self._opened_ns > _STABLE_S * 1e9
            wait_s = _FIRST_WAIT_S if stable else wait_s
            until_ns = self._clock.now_ns() + round(wait_s * 1e9)
            while not self._stop.is_set() and self._clock.now_ns() < until_ns:
                self._clock.sleep(_SLICE_S)
            wait_s = min(2 * wait_s, _LONGEST_WAIT_S)
        self.state.phase = "ended"
        self._note_missing("damaged image", self.state.damaged, "skipped", now=True)
        self._note_missing("image", self._store.state.lost, "not stored: this computer cannot keep up", now=True)

    def _report_lost(self, problem: str) -> None:
        """Note why the camera is lost, once per reason."""
        state = self.state
        if state.phase == "running":
            self._note(f"{self._name} was lost: {problem} The other cameras keep running, and it is reopened.")
        elif not state.frames and state.problem != problem:
            self._note(f"{self._name}: {problem}")
        if state.phase == "running":
            self._lost_ns = state.last_ns
        state.phase, state.problem = "lost", problem

    def _read(self) -> None:
        """Open the camera, and read it until it ends or is stopped."""
        with contextlib.closing(self._opener(self._name, self._address)) as source:
            maker = packet_maker(source.template, source.size_px)
            width, height = source.size_px
            # A compressed image takes up to a byte per four pixels.
            sound = sound_of(source)
            heard, no_sound = None, ""
            try:
                heard = None if sound is None else SoundMaker(sound.stream)
            except CoreError as error:
                no_sound = str(error)
            self._store.opened(maker, width * height * 3 // (2 if maker.encodes else 12), heard, no_sound)
            self._begin(source)
            damaged_before = self.state.damaged
            self._source = source
            with self._controls_served(source):
                for frame in source.frames():
                    if self._stop.is_set():  # stopped while waiting for this frame
                        break
                    damaged = damaged_before + damaged_images(source)
                    self._accept(frame, damaged - self.state.damaged)
                    self.state.damaged = damaged
                    self._note_missing("damaged image", self.state.damaged, "skipped")
                    self._store_sound(sound)
                    if self._stop.is_set():
                        break
                self._store_sound(sound)

    def _begin(self, source: Source) -> None:
        state = self.state
        if state.frames:
            state.reconnects += 1
        self._sequence, state.size_px, state.clock = None, source.size_px, ClockFit()
        self._opened_ns = self._clock.now_ns()
        self._rate_from = 0, 0

    def _accept(self, frame: Frame, damaged: int) -> None:
        """Update the state and pass a frame on.

        Args:
            frame: The frame.
            damaged: Number of damaged images since the previous frame.
        """
        state = self.state
        if frame.time_ns <= state.last_ns:
            return
        if state.phase != "running":
            if self._lost_ns:
                gap_s = (frame.time_ns - self._lost_ns) / 1e9
                self._note(f"{self._name} is back after {gap_s:.1f} s.")
            state.phase, state.problem, self._lost_ns = "running", "", 0
        if frame.sequence is not None:
            missing = 0 if self._sequence is None else max(0, frame.sequence - self._sequence - 1 - damaged)
            state.skipped = (state.skipped or 0) + missing
            self._sequence = frame.sequence
        if frame.source_time_ns is not None:
            state.clock.add(frame.source_time_ns, frame.time_ns)
            utc_offset_ns = getattr(self._source, "utc_offset_ns", None)
            if utc_offset_ns is not None:
                late_ns = self._clock.now_ns() - frame.time_ns
                state.utc_error_s = (frame.source_time_ns + utc_offset_ns + late_ns - time.time_ns()) / 1e9
        state.frames, state.last_ns, state.latest = state.frames + 1, frame.time_ns, frame
        since_ns, count = self._rate_from
        if not since_ns:
            self._rate_from = frame.time_ns, state.frames
        elif frame.time_ns - since_ns > (_RATE_S if state.fps else _FIRST_RATE_S) * 1e9:
            state.fps = (state.frames - count) * 1e9 / (frame.time_ns - since_ns)
            if frame.time_ns - since_ns > _RATE_S * 1e9:
                self._rate_from = frame.time_ns, state.frames
        if not self._store.add(frame):
            self._note_missing("image", self._store.state.lost, "not stored: this computer cannot keep up")
        self._push(frame)

    def _store_sound(self, sound: SoundTrack | None) -> None:
        """Store the sound packets that arrived with the last image."""
        for packet in () if sound is None else sound.take():
            if not self._store.add_sound(packet):
                lost = self._store.state.sound_lost
                self._note_missing("sound packet", lost, "not stored: this computer cannot keep up")

    def _note_missing(self, what: str, count: int, why: str, *, now: bool = False) -> None:
        """Note missing images, at most every few seconds.

        Args:
            what: Singular noun for what is missing.
            count: Total number so far.
            why: Reason.
            now: Note the rest without waiting.
        """
        noted_ns, noted = self._noted.get(what, (-_NOTE_EVERY_NS, 0))
        now_ns = self._clock.now_ns()
        if count > noted and (now or now_ns - noted_ns >= _NOTE_EVERY_NS):
            self._noted[what] = now_ns, count
            self._note(f"{self._name}: {count - noted} {what}{'s' * (count - noted > 1)} {why}.")

    @contextlib.contextmanager
    def _controls_served(self, source: Source) -> Iterator[None]:
        """Access the controls of an open source in a thread, because that may take longer than an image."""
        self.state.controls = ()
        if not isinstance(source, Controllable):
            yield
            return
        ended = threading.Event()
        thread = threading.Thread(target=self._serve_controls, args=(source, ended), name="controls", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            self._requests.put(None)
            thread.join(_CONTROLS_EVERY_S)

    def _serve_controls(self, source: Source, ended: threading.Event) -> None:
        while not ended.is_set():
            with contextlib.suppress(CoreError, OSError):  # a lost camera is noticed by the missing images
                self.state.controls = controls_of(source)
            try:
                request = self._requests.get(timeout=_CONTROLS_EVERY_S)
            except queue.Empty:
                continue
            if request is None or ended.is_set():
                continue
            try:
                set_control(source, *request)
            except (CoreError, OSError) as error:
                self._note(f"{self._name}: {error}")
