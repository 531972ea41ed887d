"""Measure the videos of the View page: random access and playback of four cameras, as seen by the user.

The time of a random frame lasts from the request until all panes show it: immediately after the take is opened, and
after a pause in which images are decoded in advance. The unit of the ratios is plain PyAV in the same run: the CPU time
per image of sequential decoding. Without a take, takes of the usual kinds are created from the sample.

    LIBGL_ALWAYS_SOFTWARE=1 xvfb-run -a -s "-screen 0 1920x1080x24" python scripts/bench_video.py
    python scripts/bench_video.py --take my_session walk --minutes 10

With `--minutes`, the take is scrubbed and played for that time, and the memory is printed. Jobs that run in the session
meanwhile are treated as in the window.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import cycle, islice, pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from _environment import run_script

if TYPE_CHECKING:
    from PySide6.QtWidgets import QApplication

    from core.session import Session

_KINDS: dict[str, tuple[str, tuple[int, int], dict[str, str]]] = {
    "mjpeg720": ("mjpeg", (1280, 720), {"qmin": "3", "qmax": "3"}),
    "mjpeg1080": ("mjpeg", (1920, 1080), {"qmin": "3", "qmax": "3"}),
    "h264": ("libx264", (1920, 1080), {"preset": "ultrafast", "g": "15", "bf": "0", "crf": "20"}),
    "phone": ("libx264", (1920, 1080), {"preset": "veryfast", "g": "30", "bf": "2", "crf": "20"}),
}
_VIEWS, _FPS, _SOURCE_IMAGES = 4, 30, 100
_WINDOW_PX = (1280, 720)
_WAIT_S, _PLAY_S, _PLAIN_IMAGES = 20.0, 6.0, 90


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", nargs="*", choices=tuple(_KINDS), default=[*_KINDS], help="takes to make")
    parser.add_argument("--seconds", type=float, default=20.0, help="length of the created takes in s (default 20)")
    parser.add_argument("--take", nargs=2, metavar=("SESSION", "TAKE"), help="measure this take instead")
    parser.add_argument("--random", type=int, default=25, help="random frames to request (default 25)")
    parser.add_argument("--pause", type=float, default=20.0, help="seconds for decoding ahead (default 20)")
    parser.add_argument("--minutes", type=float, default=0.0, help="also print the memory over this number of minutes")
    return parser.parse_args()


def bench(args: argparse.Namespace) -> None:
    """Print the results of each take."""
    from PySide6.QtWidgets import QApplication

    from core.session import Session
    from studio.theme import apply_theme

    app = QApplication([])
    apply_theme(app, "dark")
    with tempfile.TemporaryDirectory() as folder:
        if args.take:
            session, names = Session.open(Path(args.take[0])), [args.take[1]]
        else:
            session, names = _make(Path(folder), args.kinds, args.seconds), args.kinds
        for name in names:
            _measure(app, session, name, Path(folder) / "settings.yaml", args)


def _measure(app: QApplication, session: Session, name: str, settings: Path, args: argparse.Namespace) -> None:
    import numpy as np
    import psutil

    from studio.pages.view.page import ViewPage
    from studio.settings import SettingsStore
    from studio.state.app_state import AppState

    state = AppState(SettingsStore(settings))
    state.set_session(session)
    state.select_take(name)
    page = ViewPage(state)
    page.resize(*_WINDOW_PX)
    page.show()

    def spin(limit_s: float, until: Callable[[], bool] = lambda: False) -> float:
        began = time.perf_counter()
        while time.perf_counter() - began < limit_s and not until():
            app.processEvents()
            time.sleep(0.002)
        return time.perf_counter() - began

    def scrub(title: str, count: int) -> None:
        wall, cpu = [], []
        for frame in rng.integers(0, n, count):
            began = time.process_time()
            page.timeline.seek(int(frame))
            wall.append(1e3 * spin(_WAIT_S, lambda: page.panes.up_to_date))
            cpu.append(time.process_time() - began)
        ratio = float(np.median(cpu)) / (plain_s * len(page.panes.panes))
        if title:
            print(
                f"  random frame, {title}: {np.median(wall):.0f} ms, p95 {np.percentile(wall, 95):.0f}; "
                f"CPU of {ratio:.1f} plain images a view"
            )

    def play(limit_s: float) -> str:
        frames, images = [page.timeline.frame], {pane: [pane.frame] for pane in page.panes.panes.values()}

        def look() -> bool:
            for seen, now in ((frames, page.timeline.frame), *((images[pane], pane.frame) for pane in images)):
                if now != seen[-1]:
                    seen.append(now)
            return False

        page.timeline.play()
        took_s = spin(limit_s, look)
        page.timeline.pause()
        passed = sum((b - a) % n for a, b in pairwise(frames))
        per_pane = sum(len(seen) - 1 for seen in images.values()) / len(images)
        fps = session.take(name).manifest.fps
        return f"{passed / took_s / fps:.2f} of true speed, {per_pane / took_s:.1f} of {fps:.4g} images/s a pane"

    spin(_WAIT_S, lambda: bool(page.panes.panes) and page.panes.up_to_date)
    n, rng, plain_s = len(page.presenter.timeline or ()), np.random.default_rng(1), _plain_s(session, name)
    print(f"{name}: {n} frames, {len(page.panes.panes)} views; plain PyAV {1e3 * plain_s:.1f} ms CPU an image")
    scrub("at once", args.random)
    print(f"  playback, at once: {play(_PLAY_S)}", flush=True)
    spin(args.pause)
    scrub("later", args.random)
    print(f"  playback, later: {play(_PLAY_S)}", flush=True)
    process, began = psutil.Process(), time.perf_counter()
    while (past_s := time.perf_counter() - began) < 60 * args.minutes:
        print(f"  {past_s / 60:.1f} min: {process.memory_info().rss / 2**20:.0f} MB", flush=True)
        play(10.0)
        scrub("", 20)
    state.jobs.detach()
    page.shut_down()
    page.hide()


def _plain_s(session: Session, name: str) -> float:
    """Return the CPU time of PyAV per image of the first camera."""
    import av

    take = session.take(name)
    with av.open(str(take.video_path(take.cameras[0]))) as container:
        container.streams.video[0].thread_type = "NONE"
        images = container.decode(video=0)
        next(images)
        began = time.process_time()
        count = sum(1 for _ in islice(images, _PLAIN_IMAGES))
        return (time.process_time() - began) / max(count, 1)


def _make(folder: Path, kinds: Sequence[str], seconds: float) -> Session:
    """Create a session with a take of each kind, from images of the sample played back and forth."""
    import av
    import cv2

    from core.files import resource
    from core.progress import NullReporter
    from core.session import Session
    from core.session.ingest import ingest_videos
    from core.session.video import VideoReader

    session = Session.create(folder / "session")
    with VideoReader(resource("sample", "cam01.mp4")) as reader:
        source = [reader.read(index) for index in range(_SOURCE_IMAGES)]
    for kind in kinds:
        codec, size_px, options = _KINDS[kind]
        videos = [folder / kind / f"cam_{view}.mkv" for view in range(1, _VIEWS + 1)]
        videos[0].parent.mkdir()
        with av.open(str(videos[0]), "w") as container:
            stream = container.add_stream(codec, rate=_FPS, options=options)
            stream.width, stream.height = size_px
            stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
            images = [cv2.resize(image, size_px, interpolation=cv2.INTER_AREA) for image in source]
            for image in islice(cycle(images + images[::-1]), round(seconds * _FPS)):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
            container.mux(stream.encode(None))
        for video in videos[1:]:
            shutil.copy(videos[0], video)
        ingest_videos(session, videos, name=kind, reporter=NullReporter())
    return session


if __name__ == "__main__":
    sys.exit(run_script(__file__, arguments, bench))
