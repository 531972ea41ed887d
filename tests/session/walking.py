"""Session with a triangulated walk, made in a fraction of a second; its take has no videos."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from core.pipelines.params import TriangulateParams
from core.pipelines.triangulate import run_triangulate
from core.progress import NullReporter
from core.session import Session, Take, TakeCamera, TakeManifest, Timeline
from core.synthetic.observe import observe
from core.synthetic.people import walkers
from core.synthetic.rigs import ring_rig
from core.types import CameraRig

FRAMES = 12


def store_poses2d(take: Take, rig: CameraRig, seed: int) -> None:
    """Store 2D poses of a synthetic walk."""
    people = walkers(1, FRAMES, np.random.default_rng(0))
    for name, pose in observe(rig, people, 2.0, 0.0, np.random.default_rng(seed)).items():
        pose.save(take.layout.poses2d_file("made", name))
    take.layout.poses2d_manifest("made").write_text("schema: 1\n")


def triangulate(session: Session) -> None:
    """Triangulate the walk."""
    run_triangulate(
        session, TriangulateParams(take="walk", estimator="made"), session.new_run("triangulate"), NullReporter()
    )


def walking_session(root: Path, cameras: int = 4) -> Session:
    """Return a session with a rig and the triangulated take `walk`."""
    session, rig = Session.create(root), ring_rig(cameras)
    rig.save(session.layout.rig)
    times = np.arange(FRAMES) / 25
    take = session.write_take(
        TakeManifest(
            name="walk",
            kind="motion",
            fps=25.0,
            n_frames=FRAMES,
            cameras=tuple(
                TakeCamera(name=c.name, file=f"{c.name}.mp4", size_px=c.size_px, fps=25.0, n_frames=FRAMES) for c in rig
            ),
        ),
        Timeline(
            cameras=rig.names,
            time_s=times,
            frame_index=np.repeat(np.arange(FRAMES)[:, None], cameras, 1),
            frame_time_s=np.repeat(times[:, None], cameras, 1),
        ),
    )
    store_poses2d(take, rig, 1)
    triangulate(session)
    return session
