"""Measure the pipeline from images to 3D joints on rendered people, whose exact joints are known.

Demo cameras film two people in a room. The take is recorded, and 2D poses are estimated and triangulated with the exact
rig, as with real cameras. 2D errors of visible joints are compared with those of the same estimator on the sample's
real footage (resources/errors), relative to the person's size in the image. The latter were measured against the
estimator's own triangulation, which follows errors common to all views, such as another definition of a joint; here
these count.

With --motion, people of random shapes and clothes perform recorded motion instead of walking, at 15 frames per second.

python scripts/bench_rendered.py
python scripts/bench_rendered.py --seconds 60 --cameras 8 --keep FOLDER
python scripts/bench_rendered.py --motion ../shared/data/motion/cmu_coco17_30fps.npz --people 3 --seed 1

--keep: Folder for the session, which can be opened in the window.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from _environment import run_script
from _recorded_people import MOTION_FPS, recorded_people

if TYPE_CHECKING:
    from core.session import Session, Take
    from core.synthetic.rendering.renderer import DressedPeople
    from core.types.arrays import F64
    from core.types.pose3d import Pose3DSequence

_DRAWN_FPS = 15.0
_GROUPS = {
    "head": ("nose", "left_eye", "right_eye", "left_ear", "right_ear"),
    "shoulders": ("left_shoulder", "right_shoulder"),
    "elbows": ("left_elbow", "right_elbow"),
    "wrists": ("left_wrist", "right_wrist"),
    "hips": ("left_hip", "right_hip"),
    "knees": ("left_knee", "right_knee"),
    "ankles": ("left_ankle", "right_ankle"),
}


def bench(args: argparse.Namespace) -> None:
    """Record, estimate, triangulate, and print the errors."""
    from core.pipelines.infer import run_infer
    from core.pipelines.params import FitBodyParams, InferParams, Pose2DParams, TriangulateParams
    from core.pipelines.pose2d import run_pose2d
    from core.pipelines.results.fit_body import run_fit_body
    from core.pipelines.triangulate import run_triangulate
    from core.progress import NullReporter
    from core.session import BASELINE
    from core.synthetic.rendering.scene import room_people

    with tempfile.TemporaryDirectory() as temporary:
        root = args.keep or Path(temporary) / "session"
        if args.motion:
            people = recorded_people(args.motion, args.people, args.seconds, args.seed)
            session, take = _draw(root, Path(temporary) / "images", people, args.cameras)
        else:
            people = room_people()
            session, take = _record(root, args.cameras, args.seconds)
        _print_speed(people, args.cameras)
        run_pose2d(session, Pose2DParams(take=take.name), session.new_run("pose2d"), NullReporter())
        take = session.take(take.name)
        assert take.truth is not None
        for title, first_pass in (("first pass", True), ("second look", False)):
            _print_2d(session, take, take.truth, people, title, first_pass=first_pass)
        run_triangulate(session, TriangulateParams(take=take.name), session.new_run("triangulate"), NullReporter())
        _print_3d("triangulation, RTS", session.take(take.name).poses3d(BASELINE), take.truth)
        fitted = run_fit_body(
            session, FitBodyParams(take=take.name, poses=BASELINE), session.new_run("fit"), NullReporter()
        )
        _print_3d("bodies fitted to them", session.take(take.name).poses3d(fitted["result"]), take.truth)
        for model in args.networks:
            run_infer(session, InferParams(take=take.name, model=model), session.new_run("infer"), NullReporter())
            _print_3d(f"shipped networks '{model}'", session.take(take.name).poses3d(model), take.truth)


def _record(root: Path, n_cameras: int, seconds: float) -> tuple[Session, Take]:
    from core.clock import SimulatedClock
    from core.pipelines.params import RecordParams
    from core.pipelines.record import run_record
    from core.progress import NullReporter
    from core.session import Session

    session = Session.create(root, "Rendered people")
    cameras = tuple(f"cam{i:02d}=demo:people/cam{i:02d}" for i in range(1, n_cameras + 1))
    params = RecordParams(cameras=cameras, name="rendered", kind="motion", duration_s=seconds)
    begin = time.perf_counter()
    result = run_record(session, params, session.new_run("record"), NullReporter(), SimulatedClock())
    images = sum(result["images"].values())
    print(f"{images} images of {n_cameras} cameras recorded in {time.perf_counter() - begin:.0f} s")
    return session, session.take(result["take"])


def _draw(root: Path, images: Path, people: DressedPeople, n_cameras: int) -> tuple[Session, Take]:
    """Return a session with images of the people by the cameras of the demo room, their exact rig and ground truth."""
    import cv2
    import numpy as np

    from core.pipelines.ingest import run_import_take
    from core.pipelines.params import ImportTakeParams
    from core.progress import NullReporter
    from core.session import Session
    from core.synthetic.recorded import RecordedPeople
    from core.synthetic.rendering.scene import room_camera, room_rig

    rig, moving = room_rig(n_cameras), people.people
    assert isinstance(moving, RecordedPeople)
    time_s = moving.motion.bodies.time_s[:: round(MOTION_FPS / _DRAWN_FPS)]
    for v, name in enumerate(rig.names):
        (images / name).mkdir(parents=True)
        for number, t in enumerate(time_s):
            image = room_camera(v).image(people, float(t), number)
            cv2.imwrite(str(images / name / f"{number:06d}.jpg"), np.ascontiguousarray(image[..., ::-1]))
    session = Session.create(root, "Rendered people")
    rig.save(session.layout.rig)
    params = ImportTakeParams(videos=tuple(str(images / n) for n in rig.names), cameras=rig.names, fps=_DRAWN_FPS)
    result = run_import_take(session, params, session.new_run("import"), NullReporter())
    take = session.take(result["take"])
    moving.sequence(time_s).save(take.layout.truth)
    return session, take


def _print_speed(people: DressedPeople, n_cameras: int) -> None:
    """Print the rendering time of an image on one core."""
    import numpy as np

    from core.synthetic.rendering.scene import ROOM_FPS, room_camera

    spent = []
    for number in range(40):
        begin = time.thread_time()
        for camera in range(n_cameras):
            room_camera(camera).image(people, number / ROOM_FPS, number)
        spent.append(1000 * (time.thread_time() - begin) / n_cameras)
    fps = 1000 / np.median(spent) / n_cameras
    print(f"rendering: {np.median(spent):.1f} ms of CPU an image; {n_cameras} cameras at {fps:.1f} fps on one core")


def _print_2d(
    session: Session, take: Take, truth: Pose3DSequence, people: DressedPeople, title: str, *, first_pass: bool
) -> None:
    import numpy as np

    from core.association.assignment import assign_detections, size_px
    from core.geometry import project
    from core.pose2d.config import DEFAULT_ESTIMATOR
    from core.synthetic.estimator_errors import ErrorBank
    from core.synthetic.rendering.scene import room_camera
    from core.types.skeleton import COCO17

    rig = session.rig_for(take)
    poses2d = take.poses2d(DEFAULT_ESTIMATOR, rig, first_pass=first_pass)
    error, size, possible, found_people = [], [], 0, []
    for v, camera in enumerate(rig):
        target = project(camera, truth.xyz_mm)
        times = zip(truth.time_s, truth.xyz_mm, strict=True)
        seen = np.stack([room_camera(v).visible(people, t, xyz) for t, xyz in times])
        found = np.asarray(poses2d[camera.name].xy_px, float)
        owner = assign_detections(target, found, 0.35 * size_px(found))
        t, d = np.nonzero(owner >= 0)
        matched = np.full(target.shape, np.nan)
        matched[t, owner[t, d]] = found[t, d]
        in_view = seen.mean(-1) > 0.5
        found_people.append(np.isfinite(matched).all(-1).any(-1)[in_view])
        gap = np.where(seen, np.linalg.norm(matched - target, axis=-1), np.nan)
        possible += int(seen[in_view].sum())
        error.append(gap[in_view])
        size.append(size_px(target)[in_view])
    gap, share = np.concatenate(error), np.concatenate(error) / np.concatenate(size)[:, None]
    known = np.isfinite(gap)
    share_found = np.concatenate(found_people).mean()
    print(f"\n2D, {title}: {share_found:.1%} of people found, {known.sum() / possible:.1%} of visible joints")
    print(f"  error px: median {np.median(gap[known]):.1f}, p90 {np.percentile(gap[known], 90):.1f}")
    real = np.linalg.norm(ErrorBank.load("movenet").error, axis=-1)
    beside = f"; on real footage {_quantiles(real)}" if first_pass else ""
    print(f"  % of person's size: {_quantiles(share)}{beside}")
    if first_pass:
        print("  median % by joints, rendered / real: " + _by_group(share, real, COCO17.joints))


def _quantiles(share: F64) -> str:
    import numpy as np

    return ", ".join(f"p{q} {100 * np.nanpercentile(share, q):.1f}" for q in (50, 75, 90))


def _by_group(a: F64, b: F64, joints: tuple[str, ...]) -> str:
    import numpy as np

    parts = []
    for group, names in _GROUPS.items():
        some = [joints.index(name) for name in names]
        parts.append(f"{group} {100 * np.nanmedian(a[..., some]):.1f} / {100 * np.nanmedian(b[..., some]):.1f}")
    return ", ".join(parts)


def _print_3d(title: str, people: Pose3DSequence, truth: Pose3DSequence) -> None:
    import dataclasses

    import numpy as np

    from core.evaluation.metrics import pose_metrics
    from core.types.skeleton import convert

    xyz, score = convert(people.xyz_mm, people.score, people.skeleton, truth.skeleton)
    found = dataclasses.replace(people, skeleton=truth.skeleton, xyz_mm=xyz, score=score, covariance_mm2=None)
    metrics = pose_metrics(found, truth)
    print(f"\n3D, {title}: {metrics.mpjpe_mm:.1f} mm mean joint error, {metrics.recall:.1%} of people found")
    print(f"  joints present {metrics.joint_coverage:.1%}, tracks {len(people.person_ids)} for {len(truth.person_ids)}")
    gap = np.linalg.norm(found.xyz_mm[:, :, None] - truth.xyz_mm[:, None], axis=-1)  # (T, P, Q, J)
    known = np.isfinite(gap)
    mean = np.where(known.any(-1), np.where(known, gap, 0).sum(-1) / np.maximum(known.sum(-1), 1), np.inf)
    nearest = mean.argmin(1)  # prediction of each true person
    own = np.take_along_axis(gap, nearest[:, None, :, None], 1)[:, 0]
    own = np.where(mean.min(1)[..., None] < 500, own, np.nan)
    for group, names in _GROUPS.items():
        error = own[..., [truth.skeleton.index(name) for name in names]]
        print(f"  {group:10} median {np.nanmedian(error):5.1f} mm, p90 {np.nanpercentile(error, 90):6.1f}")


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30.0, help="length of the take")
    parser.add_argument("--cameras", type=int, default=4, choices=range(2, 9), help="number of cameras")
    parser.add_argument("--motion", type=Path, help="npz of recorded COCO joints (T, 17, 3) in m by name")
    parser.add_argument("--people", type=int, default=3, help="number of people with --motion")
    parser.add_argument("--networks", nargs="*", default=["quick", "fast"], help="shipped networks to measure")
    parser.add_argument("--seed", type=int, default=0, help="seed for motion, shapes, clothes and positions")
    parser.add_argument("--keep", type=Path, help="folder for the session")
    return parser.parse_args()


if __name__ == "__main__":
    # The matrices are small, and more threads would slow each other down. Read at the first import of numpy.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(run_script(__file__, arguments, bench))
