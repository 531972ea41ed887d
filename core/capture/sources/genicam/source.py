"""Stream of an industrial camera."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

import av

from core.capture.controls import Control
from core.capture.images import VideoImage
from core.capture.modes import ModeRequest
from core.capture.source import SourceOptions
from core.capture.sources.genicam.clock import BlockNumbers, Latch, LatchedClock
from core.capture.sources.genicam.controls import FRAME_RATE, CameraControls, choice
from core.capture.sources.genicam.images import require_readable, video_frame
from core.capture.sources.genicam.mode import set_mode
from core.capture.sources.genicam.triggers import TRIGGER_TIMER, ActionKeys, Triggered, broadcast_address
from core.errors import CoreError
from core.types.frame import Frame

if TYPE_CHECKING:
    import viva_genicam as vg

_WAIT_MS = 250
_NS = 1_000_000_000
_MOST_WAITING = 32  # blocks, 30 MB of 1280x720 bytes
_SILENT_NS = 5_000_000_000
_TICK_FREQUENCY_AT, _CONTROL_AT = 0x93C, 0xA00  # bootstrap registers of GigE Vision
_CLOCK_FEATURES = (
    ("TimestampLatch", "TimestampLatchValue"),
    ("GevTimestampControlLatch", "GevTimestampValue"),
    ("TimestampLatch", "GevTimestampValue"),
    ("TimestampLatch", "Timestamp"),
)


class GenicamSource:
    """GigE Vision or USB3 Vision camera; see `core.capture.source.Source` and `core.capture.controls.Controllable`.

    Blocks with lost packets are skipped, which leaves a gap in `Frame.sequence`.

    Attributes:
        damaged: Number of blocks with lost packets.
        late: Number of blocks that this computer failed to fetch in time; known after the end.

    Args:
        camera: The connected camera, which the source closes.
        title: Display name of the camera.
        options: Settings of the source.
        ip: IP address of the camera; empty on USB.
        request: Image size (centred on the sensor), frame rate and pixel format to set.

    Raises:
        CoreError: The stream cannot be opened, the pixel format is not supported, or the camera refuses the mode.
    """

    template: av.VideoStream | None = None

    def __init__(
        self,
        camera: vg.Camera,
        title: str,
        options: SourceOptions,
        ip: str = "",
        request: ModeRequest | None = None,
    ) -> None:
        import viva_genicam as vg

        self.damaged = self.late = 0
        self._ip, self._aligned = ip, False
        self._camera, self._title, self._options = camera, title, options
        self._closed, self._running = threading.Event(), False
        self._receiver = threading.Thread(target=self._receive, name=title, daemon=True)
        self._received: queue.Queue[tuple[int, vg.Frame] | Exception | None] = queue.Queue(_MOST_WAITING)
        try:
            self._controls = CameraControls(camera, title)
            if request is not None:
                set_mode(camera, title, request)
                if request.fps is not None:
                    self.set_control(FRAME_RATE, request.fps)
            self.size_px = (camera.get_integer("Width"), camera.get_integer("Height"))
            require_readable(title, camera.get("PixelFormat"))
            self.fps = self._controls.frame_rate()
            self._frequency = _tick_frequency(camera)
            self._clock = LatchedClock(self._latch())
            self._stream = self._opened_stream()
        except vg.GenicamError as error:
            camera.close()
            raise refused(title, error) from error
        except CoreError:
            camera.close()
            raise

    def frames(self) -> Iterator[Frame]:
        """See `Source.frames`."""
        import viva_genicam as vg

        numbers, index = BlockNumbers(), 0
        try:
            self._camera.acquisition_start()
            self._running = True
            self._follow_trigger()
            self._receiver.start()
            while not isinstance(received := self._received.get(), Exception | None):
                arrival_ns, block = received
                number = numbers.number(block.block_id)
                if not block.is_complete:
                    self.damaged += 1
                    continue
                ticks = self._ticks(block)
                source_ns = None if ticks is None else ticks * _NS // self._frequency
                yield Frame(
                    camera=self._options.camera,
                    index=index,
                    time_ns=self._clock.time_ns(source_ns, arrival_ns),
                    data=VideoImage(partial(video_frame, block)),
                    source_time_ns=source_ns,
                    sequence=number,
                )
                index += 1
            if received is not None:
                raise received
        except vg.GenicamError as error:
            if not self._closed.is_set():
                raise CoreError(
                    f"The connection to {self._title} was lost: {error}.", "Check its power, cable and network."
                ) from error

    def controls(self) -> tuple[Control, ...]:
        """See `Controllable.controls`."""
        self._aligned = self._controls.aligned()
        stamps = choice("time_stamps", ("camera's clock" if self._clock.latched else "arrival",), 0)
        return (*self._controls.read(), stamps)

    def set_control(self, name: str, value: float | None) -> Control:
        """See `Controllable.set_control`."""
        import viva_genicam as vg

        control = self._controls.set(name, value, self._paused)
        try:
            if self._running:
                self._follow_trigger()
        except vg.GenicamError as error:
            raise CoreError(f"{self._title} refuses {name}: {error}.", "Set it in the vendor's program.") from error
        return control

    def interrupt(self) -> None:
        """End `frames`, even while no image arrives; may be called from any thread."""
        self._closed.set()

    def close(self) -> None:
        """See `Source.close`."""
        import viva_genicam as vg

        self._closed.set()
        TRIGGER_TIMER.remove(self)
        with contextlib.suppress(vg.GenicamError):  # it may be gone
            self._camera.acquisition_stop()
        if self._receiver.is_alive():
            self._receiver.join(_SILENT_NS / _NS)
        else:
            self._stream.close()
        self._camera.close()

    def _opened_stream(self) -> vg.FrameStream:
        """Open the stream with the largest packet size that the network path supports."""
        import viva_genicam as vg

        try:
            return self._camera.stream(deliver_incomplete=True, auto_packet_size=True)
        except vg.GenicamError:
            return self._camera.stream(deliver_incomplete=True)  # the camera has a fixed packet size

    def _receive(self) -> None:
        """Time-stamp and queue arriving blocks, because the library keeps only the last four."""
        import viva_genicam as vg

        ended: Exception | None = None
        try:
            while (block := self._next()) is not None:
                arrival_ns = self._options.clock.now_ns()
                try:
                    self._received.put_nowait((arrival_ns, block))
                except queue.Full:
                    self.late += 1
            self.late += self._stream.stats().frames_backpressure
        except (vg.GenicamError, CoreError) as error:
            ended = error
        with contextlib.suppress(vg.GenicamError):
            self._stream.close()  # streams must be closed by the thread that reads them
        if self._received.full():
            with contextlib.suppress(queue.Empty):
                self._received.get_nowait()
                self.late += 1
        self._received.put(ended)

    def _next(self) -> vg.Frame | None:
        """Return the next block; None once the source is closed or the camera has ended.

        Raises:
            GenicamError: The camera does not respond.
            CoreError: The camera responds, but sends no images although it runs without trigger.
        """
        import viva_genicam as vg

        now_ns = self._options.clock.now_ns
        begin_ns = now_ns()
        while not self._closed.is_set():
            asked_ns = now_ns()
            try:
                return self._stream.next_frame(_WAIT_MS)
            except vg.TransportError:
                if now_ns() - asked_ns < _WAIT_MS * 500_000:
                    raise  # an error other than missing images
            self._require_control()
            if now_ns() - begin_ns > _SILENT_NS and not self._controls.trigger():
                raise CoreError(
                    f"{self._title} answers, but sends no images.",
                    "Let the firewall pass UDP from the camera, and close other programs that use it.",
                )
        return None

    def _require_control(self) -> None:
        """Check that the program still has control of the camera.

        Raises:
            GenicamError: The camera does not respond.
            CoreError: The camera has restarted.
        """
        held = self._camera.read_register(_CONTROL_AT if self._camera.transport == "gige" else 0, 4)
        if self._camera.transport == "gige" and not any(held):
            raise CoreError(f"{self._title} has restarted.", "Check its power and cable.")

    def _follow_trigger(self) -> None:
        """Trigger the camera from the computer if its trigger source requires it."""
        source, fps = self._controls.trigger(), self._controls.wanted_rate()
        if source == "Software":
            TRIGGER_TIMER.add(self, Triggered(fps=fps, fire=self._camera.trigger_software))
        elif source.startswith("Action") and self._ip:
            keys = ActionKeys()
            self._controls.configure_action(source, keys)
            self._aligned = self._controls.aligned()
            destination = broadcast_address(self._ip)
            TRIGGER_TIMER.add(self, Triggered(fps=fps, destination=destination, keys=keys, ticks=self._camera_ticks))
        else:
            TRIGGER_TIMER.remove(self)

    def _camera_ticks(self, time_ns: int) -> int | None:
        camera_ns = self._clock.camera_ns(time_ns) if self._aligned else None
        return None if camera_ns is None else camera_ns * self._frequency // _NS

    def _ticks(self, block: vg.Frame) -> int | None:
        """Return the time stamp of a block, from its header or its chunk data."""
        if block.ts_dev or not block.chunks:
            return block.ts_dev or None
        time = self._camera.chunk_features(block).get("ChunkTimestamp")
        return int(time) if isinstance(time, str) and time.isdigit() else None

    def _latch(self) -> Latch | None:
        """Return a function that reads the camera's clock, for `LatchedClock`."""
        known = set(self._camera.nodes())
        for command, feature in _CLOCK_FEATURES:
            if {command, feature} <= known:
                return partial(self._read_clock, command, feature)
        return None

    def _read_clock(self, command: str, feature: str) -> tuple[int, int, int] | None:
        import viva_genicam as vg

        try:
            before_ns = self._options.clock.now_ns()
            self._camera.execute(command, wait=False)
            after_ns = self._options.clock.now_ns()
            self._camera.invalidate(feature)
            return before_ns, after_ns, self._camera.get_integer(feature) * _NS // self._frequency
        except vg.GenicamError:
            return None

    @contextlib.contextmanager
    def _paused(self) -> Iterator[None]:
        """Stop the acquisition, because some features are locked while it runs."""
        if self._running:
            self._camera.acquisition_stop()
        try:
            yield
        finally:
            if self._running:
                self._camera.acquisition_start()


def refused(title: str, error: Exception) -> CoreError:
    """Return the error for a camera that cannot be opened."""
    return CoreError(
        f"{title} cannot be opened: {error}.",
        "Close other programs that use it. Its address must be in the same network as that of the computer.",
    )


def _tick_frequency(camera: vg.Camera) -> int:
    """Return the frequency of a camera's time stamps in Hz."""
    import viva_genicam as vg

    if camera.transport != "gige":
        return _NS  # USB3 Vision: nanoseconds
    try:
        if "GevTimestampTickFrequency" in camera.nodes():
            return camera.get_integer("GevTimestampTickFrequency") or _NS
        return int.from_bytes(camera.read_register(_TICK_FREQUENCY_AT, 8), "big") or _NS
    except vg.GenicamError:
        return _NS
