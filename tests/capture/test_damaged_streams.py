"""Damaged streams from real servers: what comes through is whole and in order, and what does not is counted."""

from __future__ import annotations

import contextlib
import io
import socket
import struct
import threading
from collections.abc import Callable, Iterator

import av
import cv2
import numpy as np
import pytest

from core.capture.source import Source, SourceOptions, damaged_images, open_source
from core.capture.sources import http_mjpeg
from core.errors import CoreError
from core.types.frame import Frame

Serve = Callable[[bytes, bool], str]


def jpeg(number: int, size_px: tuple[int, int] = (160, 120)) -> bytes:
    """An image whose number is its brightness."""
    data = cv2.imencode(".jpg", np.full((size_px[1], size_px[0], 3), 40 + number, np.uint8))[1].tobytes()
    return bytes(data)


def part(data: bytes, boundary: str = "frame", length: int | None = None) -> bytes:
    head = (
        f"--{boundary}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data) if length is None else length}\r\n\r\n"
    )
    return head.encode() + data + b"\r\n"


def http(body: bytes, kind: str = "multipart/x-mixed-replace; boundary=frame") -> bytes:
    return f"HTTP/1.0 200 OK\r\nContent-Type: {kind}\r\n\r\n".encode() + body


def huge(number: int) -> bytes:
    """An image that claims to have 60000 x 60000 pixels."""
    data = jpeg(number)
    at = data.index(b"\xff\xc0")
    return data[: at + 5] + struct.pack(">HH", 60000, 60000) + data[at + 9 :]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start a server that sends some bytes to whoever connects, and then closes, or stays silent."""
    with contextlib.ExitStack() as stack:

        def started(data: bytes, silent: bool) -> str:
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))

            def run() -> None:
                with contextlib.suppress(OSError):
                    while True:
                        connection, _ = listener.accept()
                        with connection, contextlib.suppress(OSError):
                            if data.startswith(b"HTTP"):
                                connection.recv(4096)
                            connection.sendall(data)
                            if not silent:
                                connection.shutdown(socket.SHUT_WR)
                            connection.recv(4096)  # until the client closes

            threading.Thread(target=run, daemon=True).start()
            return f"127.0.0.1:{listener.getsockname()[1]}"

        yield started


def opened(address: str) -> Source:
    return open_source(address, SourceOptions(camera="a", start_ns=0))


def read_all(source: Source) -> tuple[list[Frame], str]:
    """Return all frames and the message of the error that ended them."""
    frames: list[Frame] = []
    with contextlib.closing(source):
        try:
            frames += source.frames()
        except CoreError as error:
            assert error.hint
            return frames, error.message
        finally:
            for frame in frames:
                _ = frame.image  # the source decodes until it is closed
    return frames, ""


GOOD = [jpeg(number) for number in range(60)]
BROKEN = b"\xff\xd8\xff\xd8x" * 2
STREAMS = {
    "truncated": ([*map(part, GOOD[:3]), part(GOOD[3][:300]), *map(part, GOOD[4:7])], [0, 1, 2, 4, 5, 6], 1),
    "headers cut": ([part(GOOD[0]), part(GOOD[1][:90]), part(GOOD[2])], [0, 2], 1),
    "garbage between": ([part(GOOD[0]), bytes(range(256)) * 9, part(GOOD[1]), BROKEN, part(GOOD[2])], [0, 1, 2], 2),
    "wrong boundary": ([part(GOOD[n], "other", n * 1000) for n in range(4)], [0, 1, 2, 3], 0),
    "huge": ([part(GOOD[0]), part(huge(1)), part(GOOD[2])], [0, 2], 1),
    "other size": ([part(GOOD[0]), part(jpeg(1, (64, 48))), part(GOOD[2])], [0, 2], 1),
    "closed in mid-part": ([part(GOOD[0]), part(GOOD[1]), part(GOOD[2])[:200]], [0, 1], 1),
}  # fmt: skip


@pytest.mark.parametrize("kind", STREAMS)
def test_damaged_images_of_http_cameras_are_skipped_and_counted(kind: str, serve: Serve) -> None:
    parts, numbers, damaged = STREAMS[kind]
    source = opened(f"http://{serve(http(b''.join(parts)), False)}/")
    frames, message = read_all(source)
    assert [round(float(frame.image.mean())) - 40 for frame in frames] == pytest.approx(numbers, abs=0)
    assert [frame.index for frame in frames] == list(range(len(numbers)))
    assert (np.diff([frame.time_ns for frame in frames]) > 0).all()
    assert damaged_images(source) == damaged
    assert "ended the stream" in message


def test_a_camera_that_changes_its_size_is_named(serve: Serve) -> None:
    body = part(GOOD[0]) + b"".join(part(jpeg(n, (64, 48))) for n in range(40))
    frames, message = read_all(opened(f"http://{serve(http(body), False)}/"))
    assert len(frames) == 1 and "changed the size" in message


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (http(b"<html>Log in</html>", "text/html"), "is a web page"),
        (http(b"no image " * 9), "ended the stream"),
        (http(b"no video " * 9, "application/octet-stream"), "cannot be opened"),
        (b"HTTP/1.0 401 Unauthorized\r\n\r\n", "responds with 401"),
        (b"hello\r\n\r\n", "cannot be opened"),
        (b"", "cannot be opened"),
    ],
)
def test_what_is_no_stream_is_refused(data: bytes, says: str, serve: Serve) -> None:
    with pytest.raises(CoreError, match=says) as refused:
        opened(f"http://user:secret@{serve(data, False)}/x")
    assert refused.value.hint and "secret" not in refused.value.message + refused.value.hint


def test_a_stream_that_stalls_is_given_up_and_opens_again(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_mjpeg, "READ_S", 1.5)
    address = f"http://{serve(http(b''.join(map(part, GOOD[:3]))), True)}/"
    frames, message = read_all(opened(address))
    assert len(frames) == 3 and "no data came" in message
    with contextlib.closing(opened(address)) as source:
        assert next(iter(source.frames())).index == 0


def test_times_in_the_headers_of_images_are_the_cameras_clock(serve: Serve) -> None:
    body = b"".join(
        part(GOOD[n]).replace(b"Content-Type", b"X-Timestamp: 1700000000.%03d\r\nContent-Type" % (33 * n))
        for n in range(9)
    )
    frames, _ = read_all(opened(f"http://{serve(http(body), False)}/"))
    assert [frame.source_time_ns for frame in frames] == [1_700_000_000 * 10**9 + 33 * 10**6 * n for n in range(9)]


def mpegts(count: int, *, key_every: int = 20, slices: int = 1) -> bytes:
    """Encode moving noise, in which an image that is predicted from a lost one looks wrong."""
    out = io.BytesIO()
    rng = np.random.default_rng(1)
    texture = rng.integers(0, 255, (160, 240 + count, 3), dtype=np.uint8)
    options = {
        "preset": "ultrafast",
        "tune": "zerolatency",
        "x264-params": f"keyint={key_every}:scenecut=0:slices={slices}",
    }
    with av.open(out, "w", format="mpegts") as container:
        stream = container.add_stream("libx264", rate=30, options=options)
        stream.width, stream.height, stream.pix_fmt = 240, 160, "yuv420p"
        for number in range(count):
            image = np.ascontiguousarray(texture[:, number : number + 240])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    return out.getvalue()


def test_parameter_sets_before_every_slice_do_not_split_images(serve: Serve) -> None:
    data, out = mpegts(120, slices=3), io.BytesIO()
    with av.open(io.BytesIO(data)) as container:
        whole = {image.pts: image.to_ndarray(format="rgb24") for image in container.decode(video=0)}
    with av.open(io.BytesIO(data)) as container, av.open(out, "w", format="mpegts") as copy:
        video = container.streams.video[0]
        stream = copy.add_stream_from_template(video)
        parameters = bytes(video.codec_context.extradata or b"").removeprefix(b"\0\0\1")
        for packet in container.demux(video):
            if packet.size:
                nals = bytes(packet).split(b"\0\0\1")
                again = b"\0\0\1".join(parameters + b"\0\0\1" + n if n[:1] and n[0] & 31 == 5 else n for n in nals)
                repeated = av.Packet(again)
                repeated.pts, repeated.dts, repeated.time_base = packet.pts, packet.dts, packet.time_base
                repeated.is_keyframe, repeated.stream = packet.is_keyframe, stream
                copy.mux(repeated)
    source = opened(f"tcp://{serve(out.getvalue(), False)}")
    frames, _ = read_all(source)
    pts = [round((frame.source_time_ns or 0) * 90_000 / 1e9) for frame in frames]
    # FFmpeg discards what it reads to learn about the stream.
    assert len(pts) > 40 and pts == [time for time in whole if time >= pts[0]] and not damaged_images(source)
    for frame, time in zip(frames, pts, strict=True):
        np.testing.assert_array_equal(frame.image, whole[time])


def test_what_packet_loss_damages_is_skipped_up_to_the_next_key_frame() -> None:
    data = mpegts(120)
    with av.open(io.BytesIO(data)) as container:
        whole = {image.pts: image.to_ndarray(format="rgb24") for image in container.decode(video=0)}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    datagrams = [data[at : at + 1316] for at in range(0, len(data), 1316)]
    lost = range(len(datagrams) // 3, len(datagrams), len(datagrams) // 4)
    ended = threading.Event()

    def send() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            while not ended.is_set():  # again and again until the reader has begun and has seen enough
                for number, datagram in enumerate(datagrams):
                    if number not in lost:
                        sender.sendto(datagram, ("127.0.0.1", port))
                    if number % 8 == 0:
                        ended.wait(0.002)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        with contextlib.closing(opened(f"udp://127.0.0.1:{port}?fifo_size=100000&overrun_nonfatal=1")) as source:
            seen = 0
            for frame in source.frames():
                if frame.source_time_ns is None:  # the reader came between two datagrams of it
                    continue
                clean = whole[round(frame.source_time_ns * 90_000 / 1e9)]
                np.testing.assert_array_equal(frame.image, clean)
                seen += 1
                if seen > 150:
                    break
            assert damaged_images(source) > 5
    finally:
        ended.set()
        thread.join()


@pytest.mark.slow
@pytest.mark.parametrize("transport", ["", "#udp"])
def test_images_in_which_rtp_packets_are_missing_are_skipped(rtsp: str, transport: str) -> None:
    with contextlib.closing(opened(f"{rtsp}/lossy{transport}")) as source:
        for frame in source.frames():
            grey = frame.image.mean(-1)  # a white ball on black; what is missing would be grey
            assert ((grey > 30) & (grey < 220)).sum() < 200
            if damaged_images(source) > 30 and frame.index > 20:
                break


def test_h264_without_key_frames_is_refused(serve: Serve) -> None:
    out = io.BytesIO()
    with av.open(io.BytesIO(mpegts(60, key_every=1000))) as container, av.open(out, "w", format="mpegts") as copy:
        stream = copy.add_stream_from_template(container.streams.video[0])
        for packet in container.demux(video=0):
            if packet.size and not packet.is_keyframe:
                packet.stream = stream
                copy.mux(packet)
    with pytest.raises(CoreError, match=r"cannot be opened|nothing that can be decoded") as refused:
        frames, message = read_all(opened(f"tcp://{serve(out.getvalue(), False)}"))
        assert not frames
        raise CoreError(message, "read")
    assert refused.value.hint
