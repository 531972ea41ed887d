"""MJPEG over HTTP; images are time-stamped when their last byte arrives, and damaged ones are skipped and counted."""

from __future__ import annotations

import http.client
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from functools import partial
from typing import Any

import av

from core.capture.images import JpegStream, VideoImage
from core.capture.jpeg import JpegScanner, jpeg_size
from core.capture.source import SourceOptions
from core.capture.source_clock import SourceClock
from core.capture.sources.ffmpeg import OPEN_S, READ_S, connection_hint, error_reason
from core.errors import CoreError
from core.passwords import without_passwords
from core.types.frame import Frame

_CHUNK_BYTES = 1 << 16
_MAX_PIXELS = 100_000_000
_OTHER_SIZES = 30  # consecutive images of another size after which the size has changed
_TIMESTAMP = re.compile(rb"^x-timestamp:\s*(\d{1,12})(?:\.(\d{1,9}))?\s*$", re.IGNORECASE | re.MULTILINE)
_ERRORS = (OSError, http.client.HTTPException)


class HttpMjpegSource:
    """Camera that sends JPEG images in one endless response; see `core.capture.source.Source`.

    Args:
        response: The response, positioned at its first byte.
        shown: Address without password.
        options: Settings of the source.

    Raises:
        CoreError: No image arrives.
    """

    fps = 0.0  # not announced

    def __init__(self, response: Any, shown: str, options: SourceOptions) -> None:
        self._response, self._shown, self._options = response, shown, options
        self._scanner, self._other = JpegScanner(), 0
        self.size_px: tuple[int, int] = (0, 0)
        try:
            self._images = self._read()
            self._first = next(self._images)
            self._jpeg = JpegStream(self._first[0])
        except CoreError:
            response.close()
            raise
        self.template: av.VideoStream | None = self._jpeg.template

    @property
    def damaged(self) -> int:
        """Number of damaged images, which are skipped."""
        return self._scanner.damaged

    def frames(self) -> Iterator[Frame]:
        """See `Source.frames`."""
        clock, last_ns = SourceClock(), -1
        index, following = 0, self._images
        pending: tuple[bytes, int, int | None] | None = self._first
        while True:
            data, time_ns, source_ns = pending or next(following)
            pending = None
            if source_ns is not None:
                clock.add(source_ns, time_ns)
                time_ns = clock.time_ns(source_ns)
            time_ns = last_ns = max(time_ns, last_ns + 1000)
            packet = self._jpeg.packet(data)
            yield Frame(
                camera=self._options.camera,
                index=index,
                time_ns=time_ns,
                data=VideoImage(partial(self._jpeg.decode, packet, self._shown)),
                packet=packet,
                source_time_ns=source_ns,
            )
            index += 1

    def close(self) -> None:
        """See `Source.close`."""
        self._response.close()
        self._jpeg.close()

    def _read(self) -> Iterator[tuple[bytes, int, int | None]]:
        """Yield undamaged images of the stream's size with their arrival time, and the camera's time or None.

        Raises:
            CoreError: The connection ends, or no image arrives in time.
        """
        deadline = time.monotonic() + OPEN_S
        while True:
            try:
                data = self._response.read1(_CHUNK_BYTES)
            except _ERRORS as error:
                slow = isinstance(error, TimeoutError)
                reason = f"no data came for {READ_S:.0f} s" if slow else error_reason(error)
                raise CoreError(
                    f"The connection to {self._shown} was lost: {reason}.", connection_hint(error)
                ) from error
            arrival_ns = self._options.clock.now_ns()
            if not data:
                self._scanner.damaged += self._scanner.unfinished
                hint = "Check that it is switched on, and that no other program uses it."
                raise CoreError(f"{self._shown} ended the stream.", hint)
            for image in self._scanner.add(data):
                if self._usable(jpeg_size(image)):
                    deadline = time.monotonic() + READ_S
                    yield image, arrival_ns, _camera_time_ns(self._scanner.before)
            if time.monotonic() > deadline:
                raise CoreError(
                    f"{self._shown} sends no complete images.",
                    "Choose the address of its MJPEG stream, or a smaller image.",
                )

    def _usable(self, size_px: tuple[int, int] | None) -> bool:
        """Return whether an image is undamaged and has the stream's size; count it as damaged otherwise.

        Raises:
            CoreError: The camera has changed the size of its images.
        """
        if size_px is not None and size_px[0] * size_px[1] <= _MAX_PIXELS:
            self.size_px = self.size_px if self.size_px[0] else size_px
            if size_px == self.size_px:
                self._other = 0
                return True
            self._other += 1
        self._scanner.damaged += 1
        if self._other >= _OTHER_SIZES:
            raise CoreError(f"{self._shown} changed the size of its images.", "Record them as another take.")
        return False


def open_http_mjpeg(url: str, options: SourceOptions) -> HttpMjpegSource | None:
    """Connect to a camera; return None if it sends neither JPEG images nor text.

    Args:
        url: Address, with user and password if the camera requires them.
        options: Settings of the source.

    Raises:
        CoreError: The camera cannot be reached, refuses the request, or sends a web page.
    """
    shown = without_passwords(url)
    parts = urllib.parse.urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    target = urllib.parse.urlunsplit((parts.scheme, host, parts.path or "/", parts.query, ""))
    known = urllib.request.HTTPPasswordMgrWithDefaultRealm()
    known.add_password(
        None, target, urllib.parse.unquote(parts.username or ""), urllib.parse.unquote(parts.password or "")
    )
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}),  # cameras are in the local network
        urllib.request.HTTPBasicAuthHandler(known),
        urllib.request.HTTPDigestAuthHandler(known),
    )
    try:
        response = opener.open(target, timeout=READ_S)
    except urllib.error.HTTPError as error:
        error.close()
        hint = "Enter user and password: http://user:password@host/…" if error.code in (401, 403) else ""
        raise CoreError(
            f"{shown} cannot be opened: the camera responds with {error.code} {error.reason}.",
            hint or "Check the address on the camera's web page or in its app.",
        ) from error
    except (urllib.error.URLError, *_ERRORS, ValueError) as error:
        cause = getattr(error, "reason", error)
        cause = cause if isinstance(cause, Exception) else error
        reason = "no data arrived in time" if isinstance(cause, TimeoutError) else error_reason(cause)
        raise CoreError(f"{shown} cannot be opened: {reason}.", connection_hint(cause)) from error
    kind = response.headers.get_content_type()
    if kind.startswith("multipart/") or kind == "image/jpeg":
        return HttpMjpegSource(response, shown, options)
    response.close()
    if kind.startswith("text/"):
        raise CoreError(f"{shown} is a web page, not a stream.", "Find the address of its video stream in its manual.")
    return None


def _camera_time_ns(headers: bytes) -> int | None:
    """Return the time in the headers of an image, as sent by mjpg-streamer."""
    found = _TIMESTAMP.findall(headers)
    return int(found[-1][0]) * 10**9 + int(found[-1][1].ljust(9, b"0")) if found else None
