"""Measure how many cameras can be recorded, losses and CPU time, against ffmpeg alone in the same run.

python scripts/bench_capture.py                            four raw 1280x720 cameras at 30 fps for 60 s
python scripts/bench_capture.py --streams                  largest number of streams without loss, by size and codec
python scripts/bench_capture.py --memory                   memory over ten simulated minutes

The cameras are streams over loopback TCP, sent image by image in real time; like real cameras, they drop images that
are not fetched within a few frames. Both programs read the same streams, encode raw images, copy others, and write
Matroska. This program also shows previews at 15 fps, ffmpeg does not. `--cores 2` restricts everything to two cores.
Requires ffmpeg.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from _environment import rerun_in_environment

FPS = 30
_SIZES = {"720p": (1280, 720), "1080p": (1920, 1080)}
_CODECS = {
    "raw": [],
    "mjpeg": ["-c:v", "mjpeg", "-q:v", "3", "-pix_fmt", "yuvj420p"],
    "h264": ["-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-crf", "20", "-g", "30", "-aud", "1"],
}
_STORED = {
    "raw": ["-c:v", "mjpeg", "-q:v", "3", "-pix_fmt", "yuvj420p"],
    "mjpeg": ["-c", "copy"],
    "h264": ["-c", "copy"],
}
_COUNTS = (1, 2, 3, 4, 6, 8, 10, 12, 16, 20, 24, 32)
_BUFFERED = 6  # images that a camera buffers for a slow reader
_CLIP_S = 2.0
_OPEN_S = 60.0
_HTTP = b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=ffmpeg\r\n\r\n"


@dataclass(frozen=True, kw_only=True, eq=False)
class Clip:
    """Short video to send repeatedly.

    Attributes:
        codec: Codec of the images.
        head: First bytes of a stream.
        images: Encoded images, as sent in the stream.
    """

    codec: str
    head: bytes
    images: tuple[bytes, ...]

    @classmethod
    def make(cls, size: str, codec: str) -> Clip:
        """Create a video with noise like that of a sensor."""
        width, height = _SIZES[size]
        noisy = f"testsrc2=size={width}x{height}:rate={FPS}:duration={_CLIP_S},noise=alls=4:allf=t,format=yuv420p"
        form = ["-f", {"raw": "yuv4mpegpipe", "mjpeg": "mpjpeg", "h264": "h264"}[codec]]
        command = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", noisy, *_CODECS[codec], *form, "-"]
        data = subprocess.run(command, check=True, capture_output=True).stdout
        mark = {"raw": b"FRAME\n", "mjpeg": b"--ffmpeg\r\n", "h264": b"\0\0\0\1\t"}[codec]
        head, *images = data.split(mark)
        if len(images) > _CLIP_S * FPS:  # the boundary at the end
            del images[round(_CLIP_S * FPS) :]
        return cls(codec=codec, head=_HTTP if codec == "mjpeg" else head, images=tuple(mark + i for i in images))


class Cameras:
    """Streams of one clip, each sent by a thread that waits for its reader.

    Args:
        clip: Clip to send.
        count: Number of cameras.
        seconds: Duration in s.
    """

    def __init__(self, clip: Clip, count: int, seconds: float) -> None:
        self.due, self.dropped, self._clip = round(seconds * FPS), [0] * count, clip
        servers = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
        scheme = "http" if clip.codec == "mjpeg" else "tcp"
        self.addresses = [f"{scheme}://127.0.0.1:{server.getsockname()[1]}" for server in servers]
        self.threads = [threading.Thread(target=self._send, args=(i, s), daemon=True) for i, s in enumerate(servers)]
        for thread in self.threads:
            thread.start()

    @property
    def done(self) -> bool:
        """True if all streams are finished."""
        return not any(thread.is_alive() for thread in self.threads)

    def _send(self, number: int, server: socket.socket) -> None:
        server.settimeout(_OPEN_S)
        index, late = 0, 0.0
        try:
            with server:
                connection, _ = server.accept()
            with connection:
                if self._clip.codec == "mjpeg":
                    connection.recv(1 << 16)
                connection.sendall(self._clip.head)
                begin = time.monotonic()
                for index in range(self.due):
                    late = time.monotonic() - begin - index / FPS
                    if late < 0:
                        time.sleep(-late)
                    if late > _BUFFERED / FPS:
                        self.dropped[number] += 1
                    else:
                        connection.sendall(self._clip.images[index % len(self._clip.images)])
                if self._clip.codec == "h264":
                    connection.sendall(b"\0\0\0\1\t\x10")  # marks the last image as complete
        except OSError:
            self.dropped[number] += self.due - index


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Result of recording some cameras.

    Attributes:
        cameras: Number of cameras.
        due: Number of images to record.
        dropped: Number of images not fetched in time.
        stored: Number of images in the files.
        cpu_s: CPU time of the recording.
        preview_fps: Previews per camera and second.
    """

    cameras: int
    due: int
    dropped: int
    stored: int
    cpu_s: float
    preview_fps: float = 0.0

    @property
    def holds(self) -> bool:
        """True if all images were stored, except those before the first key frame after the opening of a stream."""
        return not self.dropped and self.stored >= self.due - self.cameras * (FPS + 1)

    def __str__(self) -> str:
        lost = max(self.due - self.dropped - self.stored, 0)
        cost = f"{1000 * self.cpu_s / max(self.stored, 1):.1f} ms of CPU an image"
        shown = f", previews at {self.preview_fps:.1f} fps" if self.preview_fps else ""
        return f"{self.due} due, {self.dropped} dropped, {lost} lost, {cost}{shown}"


def record(clip: Clip, count: int, seconds: float) -> Outcome:
    """Record cameras with the worker process of the window."""
    from core.capture.ring import ImageRingReader
    from core.errors import CoreError
    from core.jobs import Job, JobSpec, StatusChanged, reap
    from core.session import Session
    from core.session.video import VideoReader

    with tempfile.TemporaryDirectory() as folder, _ChildTime() as cpu:
        session = Session.create(Path(folder, "session"))
        cameras = Cameras(clip, count, seconds)
        named = [f"cam{i:02d}={address}" for i, address in enumerate(cameras.addresses)]
        spec = JobSpec(verb="record", params={"cameras": named, "kind": "motion", "name": "take"})
        job = Job.start(spec, session.new_run("record").root)
        rings: dict[str, ImageRingReader] = {}
        shown: dict[str, list[tuple[float, int]]] = {}
        end = 0.0
        while not job.ended:
            for event in job.poll():
                for name, camera in event.values["cameras"].items() if isinstance(event, StatusChanged) else ():
                    if camera["ring"] and name not in rings:
                        rings[name] = ImageRingReader(camera["ring"])
            if not end:
                for name, ring in rings.items():
                    if (image := ring.newest()) is not None:
                        shown.setdefault(name, []).append((time.monotonic(), image.number))
            if cameras.done and not end:
                end = time.monotonic() + 1.0
            if end and time.monotonic() > end:
                job.cancel()
            time.sleep(0.1)
        for ring in rings.values():
            ring.close()
        while reap():
            time.sleep(0.1)
        stored = 0
        try:
            take = session.take("take")
            for name in take.cameras:
                with VideoReader(take.video_path(name)) as video:
                    stored += video.n_frames
        except CoreError:
            print(job.log_tail(), file=sys.stderr)
    rates = [(n1 - n0) / (t1 - t0) for (t0, n0), *_, (t1, n1) in (s for s in shown.values() if len(s) > 1)]
    fps = min(rates) if len(rates) == count else 0.0
    due, dropped = count * cameras.due, sum(cameras.dropped)
    return Outcome(cameras=count, due=due, dropped=dropped, stored=stored, cpu_s=cpu.seconds, preview_fps=fps)


def ffmpeg_alone(clip: Clip, count: int, seconds: float) -> Outcome:
    """Record the same cameras with one ffmpeg process each."""
    from core.session.video import VideoReader

    with tempfile.TemporaryDirectory() as folder, _ChildTime() as cpu:
        cameras, processes = Cameras(clip, count, seconds), []
        files = [Path(folder, f"{number}.mkv") for number in range(count)]
        for address, file in zip(cameras.addresses, files, strict=True):
            command = ["ffmpeg", "-nostdin", "-v", "quiet", "-threads", "1", "-probesize", "5000000", "-i", address]
            processes.append(
                subprocess.Popen([*command, *_STORED[clip.codec], "-vsync", "0", "-threads", "1", str(file)])
            )
        for process in processes:
            process.wait()
        stored = 0
        for file in files:
            with VideoReader(file) as video:
                stored += video.n_frames
    due, dropped = count * cameras.due, sum(cameras.dropped)
    return Outcome(cameras=count, due=due, dropped=dropped, stored=stored, cpu_s=cpu.seconds)


class _ChildTime:
    """CPU time of the processes that start and end within a block."""

    seconds = 0.0

    def __enter__(self) -> _ChildTime:
        times = os.times()
        self._before = times.children_user + times.children_system
        return self

    def __exit__(self, *_: object) -> None:
        times = os.times()
        self.seconds = times.children_user + times.children_system - self._before


def most_streams(clip: Clip, seconds: float, counts: Sequence[int]) -> tuple[int, int]:
    """Return how many streams this program and ffmpeg record without loss; each has a second attempt."""
    found = []
    for way in (record, ffmpeg_alone):
        best = 0
        for count in counts:
            for _ in range(2):
                outcome = way(clip, count, seconds)
                print(f"  {count} streams with {way.__name__}: {outcome}", flush=True)
                if outcome.holds:
                    break
            if not outcome.holds:
                break
            best = count
        found.append(best)
    return found[0], found[1]


def measure_memory(minutes: int = 10, cameras: int = 4) -> None:
    """Print the memory of a recording after the first simulated minute and at the end."""
    import av
    import numpy as np
    import psutil

    from core.capture.recorder import Recorder
    from core.clock import SimulatedClock
    from core.session import TakeLayout
    from core.types.frame import ArrayImage, Frame

    clock, images = SimulatedClock(), Clip.make("720p", "mjpeg").images
    jpegs = [image[image.index(b"\xff\xd8") : image.rindex(b"\xff\xd9") + 2] for image in images]
    first = Path(tempfile.gettempdir(), f"first-{os.getpid()}.jpg")
    first.write_bytes(jpegs[0])

    class Endless:
        size_px, fps = _SIZES["720p"], float(FPS)

        def __init__(self, camera: str) -> None:
            self._camera, self._container = camera, av.open(str(first), format="mjpeg")
            self.template: av.VideoStream | None = self._container.streams.video[0]

        def frames(self) -> Iterator[Frame]:
            data = ArrayImage(np.zeros((720, 1280, 3), np.uint8))
            for index in range(minutes * 60 * FPS):
                clock.sleep(1 / FPS)
                packet = av.Packet(jpegs[index % len(jpegs)])
                packet.is_keyframe = True
                yield Frame(camera=self._camera, index=index, time_ns=clock.now_ns(), data=data, packet=packet)

        def close(self) -> None:
            self._container.close()

    process, used = psutil.Process(), []
    with tempfile.TemporaryDirectory() as folder, clock.member():
        take = TakeLayout(Path(folder))
        names = {f"cam{i:02d}": "" for i in range(cameras)}
        recorder = Recorder(names, lambda camera, address: Endless(camera), clock, pre_roll_s=2.0)
        for second in range(minutes * 60):
            clock.sleep(1.0)
            if second == 10:
                recorder.begin(take, clock.now_ns())
            for video in take.root.glob("*.mkv"):
                os.truncate(video, 0)  # only memory is measured; the writer continues at its position
            if second % 60 == 59:
                used.append(process.memory_info().rss / 1e6)
        recorder.close()
    first.unlink()
    print(f"{cameras} cameras, {minutes} simulated minutes: {used[0]:.0f} MB after one, {used[-1]:.0f} MB at the end")


def main() -> None:
    """Print the requested measurements."""
    arguments = _arguments()
    if shutil.which("ffmpeg") is None:
        sys.exit("ffmpeg is not installed: apt install ffmpeg, or https://ffmpeg.org.")
    if arguments.cores:
        os.sched_setaffinity(0, set(list(os.sched_getaffinity(0))[: arguments.cores]))
    if arguments.memory:
        measure_memory()
    if arguments.streams:
        for codec in arguments.codecs:
            for size in arguments.sizes:
                ours, alone = most_streams(Clip.make(size, codec), arguments.seconds or 8.0, arguments.counts)
                print(f"{size} {codec}: {ours} streams, ffmpeg alone {alone}", flush=True)
    if not (arguments.memory or arguments.streams):
        clip, seconds = Clip.make("720p", "raw"), arguments.seconds or 60.0
        print(f"four raw 1280x720 cameras at {FPS} fps for {seconds:.0f} s")
        print(f"this program: {record(clip, 4, seconds)}", flush=True)
        print(f"ffmpeg alone: {ffmpeg_alone(clip, 4, seconds)}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", action="store_true", help="find the largest number of streams without loss")
    parser.add_argument("--memory", action="store_true", help="measure memory")
    parser.add_argument("--codecs", nargs="+", choices=list(_CODECS), default=list(_CODECS))
    parser.add_argument("--sizes", nargs="+", choices=list(_SIZES), default=list(_SIZES))
    parser.add_argument("--counts", nargs="+", type=int, default=_COUNTS, help="numbers of streams to try")
    parser.add_argument("--seconds", type=float, default=0.0, help="length of a recording; default: 60, and 8 a try")
    parser.add_argument("--cores", type=int, default=0, help="number of cores to use; default: all")
    return parser.parse_args()


if __name__ == "__main__":
    elsewhere = rerun_in_environment(__file__)
    if elsewhere is not None:
        sys.exit(elsewhere)
    main()
