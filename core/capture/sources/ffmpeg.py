"""Streams read by FFmpeg: network cameras, plugged-in devices and video files."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

import av
import av.error
import av.logging
from av.codec.context import Flags

from core.capture.images import VideoImage
from core.capture.jpeg import jpeg_size
from core.capture.sound import SoundPacket, SoundTrack
from core.capture.source import SourceOptions
from core.capture.source_clock import SourceClock
from core.capture.sources.access_units import splits_images, whole_images
from core.errors import CoreError
from core.passwords import without_passwords
from core.types.frame import Frame

OPEN_S, READ_S = 8.0, 5.0
"""Timeouts in s for opening a stream and for its next image."""

_NO_IMAGES = "Check that it is switched on, in the same network, and not in use by another program."
_UNTIMED_FORMATS = {"mpjpeg", "mjpeg", "h264", "hevc", "jpeg_pipe", "image2pipe"}
"""Formats without time stamps, for which FFmpeg makes up those of a constant rate."""

_SETTLE_NS = 500_000_000
"""Duration for which the first images are held back: those buffered while the stream was opened arrive late."""

_BEHIND_NS = 500_000_000  # longest lag of a played file
_MAX_SOUND_OFFSET_NS = 500_000_000
"""Largest difference of the delays of sound and images; beyond it, the camera has not yet synchronised their times."""
_FAR_BEHIND_NS, _CAUGHT_UP_NS = 1_500_000_000, 100_000_000
_LATE_EVERY_NS = 100_000_000  # interval of images that are shown although they are late

_OTHER_SIZES = 30  # consecutive images of another size after which the size has changed
_STEP_NS = 1000
_PRFT: Final = "prft"
_LOST = "RTP: missed"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Image:
    """Decoded or decodable image with its packet."""

    data: VideoImage
    packet: av.Packet | None
    source_ns: int | None
    sequence: int | None = None


class FFmpegSource:
    """Stream read by FFmpeg; see `core.capture.source.Source`.

    Images of intra-only codecs, such as MJPEG, are decoded lazily. After a damaged image of another codec, all images
    up to the next key frame are skipped, because they are predicted from it.

    Args:
        target: URL, device or file in the syntax of FFmpeg.
        options: Settings of the source.
        container: FFmpeg's input format, if the target does not imply it.
        ffmpeg: Options of FFmpeg.
        paced: Deliver images at their presentation times, to play a file.
        loop: Restart at the end of a file.
        rtp: The stream arrives in RTP packets, some of which may be lost.

    Attributes:
        damaged: Number of damaged images, which are skipped.
        utc_offset_ns: UTC minus `Frame.source_time_ns` in ns; None until the camera reports it.
        sound: First audio track; None if there is none.

    Raises:
        CoreError: The stream cannot be opened, or has no video.
    """

    def __init__(
        self,
        target: str,
        options: SourceOptions,
        *,
        container: str | None = None,
        ffmpeg: dict[str, str] | None = None,
        paced: bool = False,
        loop: bool = False,
        rtp: bool = False,
    ) -> None:
        shown = self._target = without_passwords(target)
        self._options, self._paced, self._loop = options, paced, loop
        begin = time.monotonic()
        try:
            self._container = av.open(target, format=container, options=ffmpeg or {}, timeout=(OPEN_S, READ_S))
        except (av.error.FFmpegError, OSError, ValueError) as error:
            # A stream that times out during probing is reported as invalid data.
            slow = time.monotonic() - begin >= OPEN_S
            reason = "no data arrived in time" if slow else error_reason(error)
            hint = _NO_IMAGES if slow else connection_hint(error)
            raise CoreError(f"{shown} cannot be opened: {reason}.", hint) from error
        if not self._container.streams.video:
            self._container.close()
            raise CoreError(f"{shown} has no video.", "Choose another address of the camera.")
        self._stream = self._container.streams.video[0]
        self._stream.thread_type = "SLICE"  # frame threads would delay images
        heard = self._container.streams.audio[:1]
        self.sound = SoundTrack(heard[0]) if heard else None
        self._heard: list[tuple[av.Packet, int]] = []  # with arrival times, until their own times are known
        context = self._context = self._stream.codec_context
        if not context.width or not context.height:
            self._container.close()
            raise CoreError(
                f"{shown} sends nothing that can be decoded.", "Set its key frame interval to 1 s, or choose MJPEG."
            )
        self.size_px = (context.width, context.height)
        self.fps = float(self._stream.average_rate or self._stream.base_rate or 0)
        # Packets of streams with B-frames are not in presentation order; recordings re-encode their images.
        self._reordered = bool(context.has_b_frames)
        raw = context.name.startswith("raw")
        self.template: av.VideoStream | None = None if raw or self._reordered else self._stream
        if not paced and not self._reordered:
            context.flags |= Flags.low_delay
        self._timed = container is not None or self._container.format.name not in _UNTIMED_FORMATS
        self._intra_only = bool(context.codec.intra_only)
        self._decoding = threading.Lock()
        self.damaged, self._other = 0, 0
        self._begun, self._broken = False, not self._intra_only  # images before the first key frame cannot be decoded
        self._rtp, self._suspect = rtp, False
        if rtp:
            # FFmpeg reports lost packets only in its log; a decoder notices few of them.
            av.logging.set_level(av.logging.WARNING)
            av.logging.set_skip_repeated(False)
            logging.getLogger("libav").setLevel(logging.ERROR)
        self.utc_offset_ns: int | None = None

    def frames(self) -> Iterator[Frame]:
        """See `Source.frames`."""
        last_ns = -1
        for index, (image, time_ns) in enumerate(self._played() if self._paced else self._live()):
            time_ns = last_ns = max(time_ns, last_ns + _STEP_NS)
            yield Frame(
                camera=self._options.camera,
                index=index,
                time_ns=time_ns,
                data=image.data,
                packet=image.packet,
                source_time_ns=image.source_ns,
                sequence=image.sequence,
            )

    def close(self) -> None:
        """See `Source.close`."""
        with self._decoding:
            self._container.close()

    def _live(self) -> Iterator[tuple[_Image, int]]:
        """Yield images with their times on the shared clock.

        Raises:
            CoreError: The stream ended, or sends nothing that can be decoded.
        """
        clock, sound_clock, held = SourceClock(), SourceClock(), deque[tuple[_Image, int]]()
        begin_ns, decoded_s = self._options.clock.now_ns(), time.monotonic()

        def due() -> Iterator[tuple[_Image, int]]:
            self._hear_live(clock, sound_clock)
            while held:
                image, arrival_ns = held.popleft()
                yield image, arrival_ns if image.source_ns is None else clock.time_ns(image.source_ns)

        packets = self._packets()
        if splits_images(self._context):
            packets = whole_images(packets, self._context.name)
        try:
            for packet in packets:
                arrival_ns = self._options.clock.now_ns()
                for image in self._images(packet):
                    decoded_s = time.monotonic()
                    held.append((image, arrival_ns))
                    if image.source_ns is not None:
                        clock.add(image.source_ns, arrival_ns)
                if arrival_ns - begin_ns >= _SETTLE_NS:
                    yield from due()
                if time.monotonic() - decoded_s > READ_S:
                    hint = "Set its key frame interval to 1 s, or choose MJPEG."
                    raise CoreError(f"{self._target} sends nothing that can be decoded.", hint)
        except CoreError:
            yield from due()
            raise
        yield from due()
        raise CoreError(f"{self._target} ended the stream.", _NO_IMAGES)

    def _played(self) -> Iterator[tuple[_Image, int]]:
        """Yield the images of a file when they are due; most late images are dropped."""
        first_ns, due_ns, end_ns, period_ns = None, 0, 0, round(1e9 / (self.fps or 25.0))
        start_ns, clock, sequence = self._options.start_ns, self._options.clock, -1
        yielded_ns, skipped = clock.now_ns(), False
        while True:
            for packet in self._packets():
                packet_ns = self._source_ns(packet)
                if packet_ns is not None:
                    first_ns = packet_ns if first_ns is None else first_ns
                    end_ns = max(end_ns, start_ns + packet_ns - first_ns)
                    self._skip(clock.now_ns() - end_ns)
                skipped = skipped or self._context.skip_frame != "DEFAULT"
                for image in self._images(packet):
                    before_ns = due_ns
                    if image.source_ns is None:
                        due_ns += period_ns
                    else:
                        first_ns = image.source_ns if first_ns is None else first_ns  # the packet had no time
                        due_ns = start_ns + image.source_ns - first_ns
                    self._hear_played(None if first_ns is None else start_ns - first_ns)
                    sequence += max(1, round((due_ns - before_ns) / period_ns)) if skipped else 1
                    skipped = False
                    now_ns = clock.now_ns()
                    if now_ns - due_ns > _BEHIND_NS and now_ns - yielded_ns < _LATE_EVERY_NS:
                        continue  # a camera would not wait for a slow computer either
                    clock.sleep((due_ns - now_ns) / 1e9)
                    yield replace(image, sequence=sequence), due_ns
                    yielded_ns = clock.now_ns()
            self._hear_played(None if first_ns is None else start_ns - first_ns)
            if not self._loop or first_ns is None:
                return
            start_ns, first_ns = max(due_ns, end_ns) + period_ns, None
            self._container.seek(0)
            self._context.flush_buffers()

    def _skip(self, behind_ns: int) -> None:
        """Decode fewer images while a file lags: first no non-reference images, then key frames only."""
        if self._intra_only:
            return  # decoded lazily anyway
        if behind_ns > _FAR_BEHIND_NS:
            self._context.skip_frame = "NONKEY"
        elif behind_ns > _BEHIND_NS / 2 and self._context.skip_frame == "DEFAULT":
            self._context.skip_frame = "NONREF"
        elif behind_ns < _CAUGHT_UP_NS:
            self._context.skip_frame = "DEFAULT"

    def _packets(self) -> Iterator[av.Packet]:
        """Yield the video packets, and keep the audio packets between them.

        Raises:
            CoreError: The connection was lost, or only sound arrives.
        """
        streams = [self._stream] if self.sound is None else [self._stream, self.sound.stream]
        packets, seen_s, lost, sound_end = self._container.demux(streams), time.monotonic(), 0, None
        try:
            while True:
                with av.logging.Capture() if self._rtp else contextlib.nullcontext([]) as logged:
                    packet = next(packets, None)
                if packet is None:
                    return
                losses = sum(_LOST in message for _, _, message in logged)
                if packet.stream is self._stream:  # the stream index of the last, empty packet is wrong
                    if lost + losses and not self._intra_only:  # parts of intra-only images are not delivered
                        packet.is_corrupt = True
                    lost, seen_s = 0, time.monotonic()
                    yield packet
                    continue
                if packet.pts is not None:
                    # The log does not name the stream; a gap in the sound means that the packet was one of the sound.
                    length = packet.duration or 0
                    gap = sound_end is not None and packet.pts - sound_end > length / 2
                    losses -= bool(losses and gap)
                    sound_end = packet.pts + length if length else None
                lost += losses
                if packet.size and packet.pts is not None and not packet.is_corrupt:
                    self._heard.append((packet, self._options.clock.now_ns()))
                if not self._paced and time.monotonic() - seen_s > READ_S:
                    raise CoreError(f"{self._target} sends sound but no images.", _NO_IMAGES)
        except (av.error.FFmpegError, OSError) as error:
            if not isinstance(error, av.error.EOFError):
                raise CoreError(
                    f"The connection to {self._target} was lost: {error_reason(error)}.", "Check its cable or network."
                ) from error

    def _hear_live(self, images: SourceClock, sound: SourceClock) -> None:
        """Publish the received sound with times on the clock of the images.

        Args:
            images: Clock estimated from the images.
            sound: Clock estimated from the sound.
        """
        heard, self._heard = self._heard, []
        for packet, arrival_ns in heard:
            source_ns = self._source_ns(packet)
            assert self.sound is not None
            if source_ns is None:
                self.sound.put(SoundPacket(arrival_ns, packet))
                continue
            sound.add(source_ns, arrival_ns)
            related = abs(sound.offset_ns - images.offset_ns) < _MAX_SOUND_OFFSET_NS
            self.sound.put(SoundPacket(source_ns + (images if related else sound).offset_ns, packet))

    def _hear_played(self, offset_ns: int | None) -> None:
        """Publish the sound at its time in the file plus an offset; keep it while the offset is None."""
        if offset_ns is None or self.sound is None:
            return
        heard, self._heard = self._heard, []
        for packet, _ in heard:
            source_ns = self._source_ns(packet)
            if source_ns is not None:
                self.sound.put(SoundPacket(source_ns + offset_ns, packet))

    def _images(self, packet: av.Packet) -> list[_Image]:
        """Return the undamaged images that a packet completes."""
        if packet.has_sidedata(_PRFT) and (taken_ns := self._source_ns(packet)) is not None:
            # Producer reference time: UTC in µs from the camera's RTCP sender reports.
            wall_us = int.from_bytes(bytes(packet.get_sidedata(_PRFT))[:8], "little", signed=True)
            self.utc_offset_ns = wall_us * 1000 - taken_ns
        if self._intra_only:
            if not packet.size or not self._whole(packet):
                return []
            data = VideoImage(partial(self._decode, packet))
            return [_Image(data=data, packet=packet, source_ns=self._source_ns(packet))]
        # A loss is noticed while the image before or after it is read, so both count as damaged.
        if packet.is_keyframe and not packet.is_corrupt and not self._suspect:
            self._broken, self._begun = False, True
        self._suspect = packet.is_corrupt
        self._broken = self._broken or packet.is_corrupt
        if self._broken and packet.size:
            self.damaged += self._begun
            return []
        try:
            decoded: list[Any] = self._context.decode(packet)
        except av.error.InvalidDataError:
            decoded, self._broken = [], True
            self.damaged += 1
        images = []
        for image in decoded:
            self._broken = self._broken or image.is_corrupt
            if self._broken or not self._same_size((image.width, image.height)):
                self.damaged += self._broken
                continue
            kept = packet if packet.size and self.template is not None else None
            images.append(
                _Image(data=VideoImage(partial(_identity, image)), packet=kept, source_ns=self._source_ns(image))
            )
        return images

    def _whole(self, packet: av.Packet) -> bool:
        """Return whether the bytes of an intra-only image look complete."""
        if packet.is_corrupt:
            self.damaged += 1
            return False
        if self._context.name != "mjpeg":
            return True
        size_px = jpeg_size(memoryview(packet))
        if size_px is None:
            self.damaged += 1
        return size_px is not None and self._same_size(size_px)

    def _same_size(self, size_px: tuple[int, int]) -> bool:
        """Return whether an image has the stream's size; count it as damaged otherwise.

        Raises:
            CoreError: The camera has changed the size of its images.
        """
        if size_px == self.size_px:
            self._other = 0
            return True
        self.damaged, self._other = self.damaged + 1, self._other + 1
        if self._other >= _OTHER_SIZES:
            raise CoreError(f"{self._target} changed the size of its images.", "Record them as another take.")
        return False

    def _source_ns(self, timed: Any) -> int | None:
        """Return the presentation time of a packet or image in ns; None if it has none."""
        base = timed.time_base or self._stream.time_base
        return (
            None
            if timed.pts is None or not base or not (self._timed or self._paced)
            else round(timed.pts * base * 10**9)
        )

    def _decode(self, packet: av.Packet) -> av.VideoFrame:
        try:
            with self._decoding:
                decoded: list[Any] = self._context.decode(packet)
            image: av.VideoFrame = decoded[0]
        except (av.error.FFmpegError, IndexError) as error:
            raise CoreError(f"{self._target} sent a damaged image.", "Check its cable or network.") from error
        return image


def error_reason(error: BaseException) -> str:
    """Return the reason of an FFmpeg or system error, without passwords."""
    text = without_passwords(str(getattr(error, "strerror", "") or error))
    return text[:1].lower() + text[1:]


def connection_hint(error: BaseException) -> str:
    """Return a remedy for a camera that cannot be reached."""
    if isinstance(error, PermissionError | av.error.PermissionError):
        return "Close other programs that use the camera, and check that you have permission to use it."
    if isinstance(error, ConnectionRefusedError | av.error.ConnectionRefusedError):
        return "Nothing answers at this address: check address and port, and that the camera is streaming."
    if isinstance(error, av.error.HTTPUnauthorizedError | av.error.HTTPForbiddenError):
        return "Enter user and password: rtsp://user:password@host/…"
    if isinstance(error, TimeoutError | av.error.TimeoutError | av.error.ExitError):
        return _NO_IMAGES
    return "Check the address on the camera's web page or in its app."


def _identity(image: av.VideoFrame) -> av.VideoFrame:
    return image
