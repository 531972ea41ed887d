"""Measure rate, latency and accuracy of live 3D: four 1280x720 cameras at 30 fps, two people, on two cores.

The cameras are videos of the embedded sample, played back and forth in real time through the verb `live`. Latency
("glass to skeleton") is the age of the newest image behind the people when a reader in another process, such as the
window, receives them. Exactness is the distance of live joints from those of the offline baseline at the same frames,
which is computed from images of full size.

python scripts/bench_live.py
python scripts/bench_live.py --seconds 60 --long-side 512 --vmc
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from _environment import run_script

if TYPE_CHECKING:
    from core.session import Session

CORES = 2
FPS = 30
SIZE_PX = (720, 1280)
_WARM_UP_S = 6.0
_EXACT_EVERY = 6  # at 60 frames per second: ten per second, about the rate of live 3D


def parse() -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30.0, help="duration of the measurement (default 30)")
    sizes = "input sizes to measure in px; 0 selects by speed"
    parser.add_argument("--long-side", type=int, nargs="*", default=[0, 256, 384, 512], help=sizes)
    parser.add_argument("--vmc", action="store_true", help="send the people by VMC to a port of this computer")
    return parser.parse_args()


def measure(arguments: argparse.Namespace) -> None:
    """Print a table of all input sizes."""
    from core.pipelines.demo import create_demo

    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    with tempfile.TemporaryDirectory() as folder:
        session = create_demo(Path(folder) / "session", result=True)
        exact = {px: _exactness(session, px) for px in arguments.long_side}
        videos = _play_material(session, Path(folder), arguments.seconds + _WARM_UP_S + 2)
        print(f"{'input px':>8}{'fps':>8}{'latency ms':>12}{'p95':>8}{'people':>8}{'apart mm':>12}{'p90':>8}")
        for px in arguments.long_side:
            rate, latencies, people = _run(session, videos, px, arguments)
            median, p95 = statistics.median(latencies), sorted(latencies)[int(0.95 * len(latencies))]
            apart = f"{exact[px][0]:>12.1f}{exact[px][1]:>8.1f}"
            print(f"{px:>8}{rate:>8.1f}{median:>12.0f}{p95:>8.0f}{people:>8.1f}{apart}", flush=True)


def _play_material(session: Session, folder: Path, seconds: float) -> dict[str, Path]:
    """Write the sample as back-and-forth videos of 1280x720 at 30 fps, and copy its calibration to the session."""
    import av
    import cv2

    from core.geometry.resize import at_size
    from core.session.video import VideoReader
    from core.types.camera import CameraRig

    take, rig = session.take(session.take_names()[0]), session.require_rig()
    width, height = SIZE_PX[0] * 3 // 2, SIZE_PX[1] * 3 // 2
    cameras = tuple(at_size(at_size(camera, (width, height)), SIZE_PX) for camera in rig)
    videos = {}
    for name in rig.names:
        with VideoReader(take.video_path(name)) as reader:
            every = [reader.read(i)[:height, :width] for i in range(0, take.manifest.n_frames, 2)]
        images = [cv2.resize(image, SIZE_PX, interpolation=cv2.INTER_AREA) for image in every]
        there_and_back = images + images[-2:0:-1]
        videos[name] = folder / f"{name}.mp4"
        with av.open(str(videos[name]), "w") as container:
            stream = container.add_stream("libx264", rate=FPS, options={"preset": "ultrafast", "tune": "zerolatency"})
            stream.width, stream.height, stream.pix_fmt = *SIZE_PX, "yuv420p"
            for number in range(round(seconds * FPS)):
                image = av.VideoFrame.from_ndarray(there_and_back[number % len(there_and_back)], format="rgb24")
                container.mux(stream.encode(image))
            container.mux(stream.encode(None))
    CameraRig(cameras=cameras).save(session.layout.rig)
    return videos


def _run(
    session: Session, videos: dict[str, Path], px: int, arguments: argparse.Namespace
) -> tuple[float, list[float], float]:
    """Run the verb in a separate process; return the rate, the latencies in ms and the mean number of people."""
    from core.jobs import Job, JobSpec, StatusChanged
    from core.live.config import VMC_PORT
    from core.live.stream import PeopleReader

    live = {"long_side_px": px, "vmc_port": VMC_PORT if arguments.vmc else 0}
    cameras = [f"{name}={path}" for name, path in videos.items()]
    params = {"cameras": cameras, "duration_s": arguments.seconds + _WARM_UP_S, "live": live}
    job = Job.start(JobSpec(verb="live", params=params), session.new_run("live").root)
    reader, latencies, times, people = None, [], [], []
    begin = None
    while not job.ended:
        for event in job.poll():
            ring = event.values["people"]["ring"] if isinstance(event, StatusChanged) else ""
            reader = reader or (PeopleReader(ring) if ring else None)
        found = reader.newest() if reader is not None else None
        now = time.monotonic()
        if found is not None:
            begin = now if begin is None else begin
            if now - begin > _WARM_UP_S / 2:
                latencies.append(1000 * found.latency_s(time.monotonic_ns()))
                times.append(now)
                people.append(len(found.ids))
        time.sleep(0.005)
    if not times:
        raise SystemExit(f"No people came out. See {job.folder}.")
    return (len(times) - 1) / (times[-1] - times[0]), latencies, statistics.mean(people)


def _exactness(session: Session, px: int) -> tuple[float, float]:
    """Return the median and the 90th percentile of the distance of live joints from the offline baseline, in mm."""
    import cv2
    import numpy as np

    from core.live.config import LiveConfig
    from core.live.engine import LiveEngine
    from core.live.views import LiveImage, live_rig
    from core.session import BASELINE
    from core.session.video import VideoReader
    from core.types.pose3d import Pose3DSequence

    take, rig = session.take(session.take_names()[0]), session.require_rig()
    baseline = Pose3DSequence.load(take.layout.poses3d(BASELINE))
    readers = {name: VideoReader(take.video_path(name)) for name in rig.names}
    sizes = {name: reader.size_px for name, reader in readers.items()}
    engine = LiveEngine(live_rig(rig, sizes), LiveConfig(long_side_px=px, smooth=False))
    apart: list[Any] = []
    for frame in range(0, len(baseline.time_s), _EXACT_EVERY):
        images = []
        for name, reader in readers.items():
            image = reader.read(frame)
            scale = 640 / max(image.shape)
            small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            time_ns = 1_000_000_000 + round(baseline.time_s[frame] * 1e9)
            images.append(LiveImage(camera=name, image=small, size_px=sizes[name], time_ns=time_ns))
        found = engine.update(images)
        for xyz_mm in found.xyz_mm if found is not None else ():
            distance = np.linalg.norm(baseline.xyz_mm[frame] - xyz_mm, axis=-1)
            apart.append(distance[np.nanmedian(distance, -1).argmin()])
    engine.close()
    return float(np.nanmedian(apart)), float(np.nanpercentile(apart, 90))


if __name__ == "__main__":
    sys.exit(run_script(__file__, parse, measure))
