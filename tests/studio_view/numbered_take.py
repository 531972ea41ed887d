"""Small take for tests: videos whose images encode their index, with a rig and results."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from core.files import write_json
from core.session import Session, TakeCamera, TakeManifest, Timeline
from core.types import COCO17, CameraRig, Pose2D

SIZE_PX = (320, 192)
N_FRAMES, FPS = 48, 30.0
ABSENT = slice(30, 36)
"""Frames in which person 2 is absent."""
DROPPED = (1, 20)
"""Camera index and frame without an image."""
_BITS = 6


def make_take(session: Session, rig: CameraRig) -> None:
    """Write the rig and the take."""
    rig.save(session.layout.rig)
    folder = session.layout.take("walk").root
    cameras = []
    for camera in rig:
        write_numbers(folder / f"cam_{camera.name}.mp4")
        cameras.append(
            TakeCamera(name=camera.name, file=f"cam_{camera.name}.mp4", size_px=SIZE_PX, n_frames=N_FRAMES, fps=FPS)
        )
    index = np.tile(np.arange(N_FRAMES)[:, None], (1, len(rig)))
    index[DROPPED[1], DROPPED[0]] = -1
    times = np.arange(N_FRAMES) / FPS
    session.write_take(
        TakeManifest(name="walk", kind="motion", fps=FPS, n_frames=N_FRAMES, cameras=tuple(cameras)),
        Timeline(
            cameras=rig.names,
            time_s=times,
            frame_index=index,
            frame_time_s=np.where(index >= 0, times[:, None], np.nan),
        ),
    )


def write_numbers(path: Path) -> None:
    """Write a video whose image n shows n in binary as vertical black and white bars."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(30))
        stream.width, stream.height = SIZE_PX
        stream.pix_fmt = "yuv420p"
        stream.options = {"g": "60", "preset": "ultrafast", "bf": "2", "crf": "18", "threads": "1"}
        for number in range(N_FRAMES):
            frame = av.VideoFrame.from_ndarray(numbered(number), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def numbered(number: int) -> np.ndarray:
    """Return the image (H, W, 3) of a number."""
    bars = (number >> np.arange(_BITS) & 1).astype(np.uint8) * 200 + 25
    columns = np.arange(SIZE_PX[0]) * _BITS // SIZE_PX[0]
    return np.ascontiguousarray(np.broadcast_to(bars[columns][None, :, None], (SIZE_PX[1], SIZE_PX[0], 3)))


def number_in(image: np.ndarray) -> int:
    """Decode the number in an image of any size."""
    middle = image[image.shape[0] // 2].mean(-1)
    samples = middle[((np.arange(_BITS) + 0.5) * len(middle) / _BITS).astype(int)]
    return int(((samples > 125) << np.arange(_BITS)).sum())


def write_detections(session: Session, rig: CameraRig, xy_px: np.ndarray) -> None:
    """Store 2D poses (V, T, P, 17, 2) as the output of an estimator."""
    layout = session.take("walk").layout
    for camera, points in zip(rig, xy_px, strict=True):
        seen = np.isfinite(points).all(-1)
        box = np.full((*points.shape[:2], 4), np.nan)
        pose = Pose2D(camera=camera.name, skeleton=COCO17, xy_px=points, score=np.where(seen, 0.9, 0.0), box_px=box)
        layout.poses2d("exact").mkdir(parents=True, exist_ok=True)
        pose.save(layout.poses2d_file("exact", camera.name))
    layout.poses2d_manifest("exact").write_text("estimator: exact\n")


def write_report(session: Session) -> None:
    """Write a report as the evaluation does."""
    methods = {
        "baseline": {"label": "Triangulation", "loco_px_median": 18.31, "identity_switches": 0},
        "trained": {"label": "Trained", "loco_px_median": 16.2, "identity_switches": None},
    }
    report = {"methods": methods, "verdict": "The trained networks are better: 16.2 against 18.3 px."}
    write_json(session.take("walk").layout.report, report)
