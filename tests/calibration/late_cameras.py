"""Takes of people by formula whose cameras did not start together, as phones that are started by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from core.geometry import project
from core.pipelines.ingest import note_poses2d
from core.pipelines.params import TriangulateParams
from core.pipelines.rig.adopt import adopt_rig
from core.pipelines.triangulate import run_triangulate
from core.progress import NullReporter, RecordingReporter
from core.session import BASELINE, Session, Take, TakeCamera, TakeManifest, Timeline
from core.synthetic.observe import boxes
from core.synthetic.people import walkers
from core.types import COCO17, CameraRig, Pose2D
from core.types.arrays import F64


def strollers(time_s: F64, speed_mm_s: float) -> F64:
    """Two people (T, 2, 17, 3) who walk across the room, their arms and legs swinging."""
    standing = walkers(1, 2, np.random.default_rng(0)).xyz_mm[0, 0]
    standing = standing - [*standing[:, :2].mean(0), 0.0]
    swing = np.zeros((len(time_s), 17, 3))
    for side, joints in ((1, ("left_wrist", "right_ankle")), (-1, ("right_wrist", "left_ankle"))):
        for joint in joints:
            swing[:, COCO17.index(joint), 1] = side * 200 * np.sin(2 * np.pi * 0.9 * time_s)
    people = []
    for start, direction in (((-1100.0, -700.0), (0.9, 0.1)), ((700.0, 900.0), (-0.8, 0.3))):
        centre = np.zeros((len(time_s), 1, 3))
        centre[:, 0, :2] = np.array(start) + speed_mm_s * time_s[:, None] * direction
        people.append(standing + swing + centre)
    return np.stack(people, 1)


def late_take(session: Session, rig: CameraRig, late_s: dict[str, float], frames: int, speed_mm_s: float) -> Take:
    """Store a take whose named cameras started late, with 1 px of noise and no images."""
    time_s, rng = np.arange(frames) / 30, np.random.default_rng(2)
    index = np.repeat(np.arange(frames)[:, None], len(rig), 1)
    take = session.write_take(
        TakeManifest(
            name="walk",
            kind="motion",
            fps=30.0,
            n_frames=frames,
            cameras=tuple(
                TakeCamera(name=c.name, file=f"{c.name}.mp4", size_px=c.size_px, n_frames=frames, fps=30.0) for c in rig
            ),
        ),
        Timeline(
            cameras=rig.names,
            time_s=time_s,
            frame_index=index,
            frame_time_s=np.repeat(time_s[:, None], len(rig), 1),
        ),
    )
    for camera in rig:
        xy = project(camera, strollers(time_s + late_s.get(camera.name, 0.0), speed_mm_s))
        xy += rng.normal(0, 1, xy.shape)
        score = np.full(xy.shape[:-1], 0.9)
        poses = Pose2D(camera=camera.name, skeleton=COCO17, xy_px=xy, score=score, box_px=boxes(xy))
        poses.save(take.layout.poses2d_file("exact", camera.name))
    note_poses2d(take.layout, "exact", "exact", COCO17, {})
    return session.take("walk")


def session_of(tmp_path: Path, rig: CameraRig) -> Session:
    session = Session.create(tmp_path / "session")
    adopt_rig(session, rig, session.new_run("import-rig"), NullReporter())
    return session


def triangulated(session: Session) -> tuple[dict[str, Any], RecordingReporter]:
    reporter = RecordingReporter()
    params = TriangulateParams(take="walk", estimator="exact")
    return run_triangulate(session, params, session.new_run("triangulate"), reporter), reporter


def error_mm(session: Session, speed_mm_s: float) -> float:
    """Median distance of the triangulated joints from the truth."""
    found = session.take("walk").poses3d(BASELINE)
    truth = strollers(found.time_s, speed_mm_s)
    distance = np.linalg.norm(found.xyz_mm[:, :, None] - truth[:, None], axis=-1)
    found_at = np.isfinite(distance).sum(-1) >= 8
    of_people = np.median(np.where(np.isfinite(distance) & found_at[..., None], distance, 1e4), axis=-1)
    return float(np.median(of_people.min(axis=1)))
