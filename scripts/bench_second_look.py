"""Compare triangulation before and after the second look at people, in cameras that it did not use.

Each camera is predicted from the others. The second look at the others is guided by people triangulated without the
predicted camera, whose joints stay those of the first pass, so that no measured joint was influenced by its prediction.
"guided by all" violates this rule on purpose, to show the resulting bias. Without --session the embedded sample is
measured, with its rig repaired from its first 60 frames.

python scripts/bench_second_look.py
python scripts/bench_second_look.py --session SESSION --take walk --judge other_estimator.npz

--judge: 2D joints of another estimator to measure with, as in bench_real.py.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from _environment import run_script

if TYPE_CHECKING:
    from core.evaluation.loco import ViewErrors, ViewObservations
    from core.session import Take
    from core.types.camera import CameraRig
    from core.types.pose2d import Pose2D
    from core.types.pose3d import Pose3DSequence

_ESTIMATOR = "movenet_multipose"


def bench(args: argparse.Namespace) -> None:
    """Print the table of one take."""
    import numpy as np
    from bench_real import repaired_sample

    from core.evaluation.loco import collect_observations
    from core.session import Session
    from core.session.align import align_poses2d

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        root, name = (args.session, args.take) if args.session else repaired_sample(folder / "sample")[:2]
        session = Session.open(root)
        take = session.take(name)
        rig, timeline = session.rig_for(take), take.timeline()
        first = take.poses2d(_ESTIMATOR, first_pass=True)
        judged = dict(first)
        if args.judge is not None:
            with np.load(args.judge) as file:
                for camera, pose in first.items():
                    joints, score = file[f"xy_px/{camera}"], file[f"score/{camera}"]
                    judged[camera] = dataclasses.replace(pose, xy_px=joints, score=score)
        frames = np.arange(len(timeline.time_s))
        observations = collect_observations(align_poses2d(judged, timeline, rig), rig.names, frames)
        refined = {camera: _looked(take, _without(rig, camera), first, folder) for camera in rig.names}
        all_guided = _looked(take, rig, first, folder)
        variants = {
            "first pass": dict.fromkeys(rig.names, first),
            "second look": {camera: {**poses, camera: first[camera]} for camera, poses in refined.items()},
            "guided by all": {camera: {**all_guided, camera: first[camera]} for camera in rig.names},
        }
        for smoothing in ("none", "rts"):
            errors = {
                variant: _errors(take, rig, observations, poses, smoothing) for variant, poses in variants.items()
            }
            _print(f"{root.name}/{name}, smoothing {smoothing}", errors)


def _without(rig: CameraRig, camera: str) -> CameraRig:
    return rig.subset([name for name in rig.names if name != camera])


def _looked(take: Take, rig: CameraRig, first: Mapping[str, Pose2D], folder: Path) -> Mapping[str, Pose2D]:
    """Return the 2D poses after a second look at the cameras of a rig."""
    from core.pose2d.crop_refiner import CropRefiner
    from core.progress import NullReporter
    from core.reconstruction.second_look import look_again

    with tempfile.TemporaryDirectory(dir=folder) as chunks:
        found = look_again(take, rig, first, {}, CropRefiner(threads=1), Path(chunks), NullReporter())
    print(
        f"  {', '.join(rig.names)}: {found.images} images, {found.moved} joints moved, {found.added} added, "
        f"{found.kept} kept",
        file=sys.stderr,
        flush=True,
    )
    return found.poses2d


def _errors(
    take: Take,
    rig: CameraRig,
    observations: ViewObservations,
    poses2d: Mapping[str, Mapping[str, Pose2D]],
    smoothing: str,
) -> ViewErrors:
    """Return the errors in every camera, each predicted from the others' 2D poses in `poses2d[camera]`."""
    from core.config import from_mapping
    from core.evaluation.loco import loco_errors
    from core.progress import NullReporter
    from core.reconstruction.triangulated import Triangulator
    from core.session.align import align_poses2d
    from core.tracking.config import TrackingConfig

    timeline, quiet = take.timeline(), NullReporter()
    triangulator = Triangulator(tracking=from_mapping(TrackingConfig, {"smoothing": smoothing}))

    def fit(camera: str) -> Pose3DSequence:
        aligned = align_poses2d(poses2d[camera], timeline, rig)
        return triangulator.reconstruct(rig, aligned, timeline.time_s, quiet, exclude_camera=camera)

    return loco_errors(rig, observations, timeline.time_s, fit, quiet)


def _print(title: str, errors: Mapping[str, ViewErrors]) -> None:
    from core.evaluation.compare import common_masks, error_metrics, overall_metrics, paired_bootstrap, paired_overall

    first = errors["first pass"]
    print(f"\n{title}: error on common joints, px median / mean; all joints: % of person's size (missing at the gate)")
    for variant, each in errors.items():
        common, overall = error_metrics(each, common_masks(first, each)), overall_metrics(each)
        text = f"{variant:14} {common.median_px:6.2f} / {common.mean_px:6.2f}"
        text += f"   {overall.percent_height:5.2f} %, covers {100 * overall.coverage:.1f} %"
        for label, compare in (("px", paired_bootstrap), ("%", paired_overall)):
            difference = None if each is first else compare(each, first)
            if difference is not None:
                text += f"   {difference.value:+.2f} [{difference.low:+.2f}, {difference.high:+.2f}] {label}"
        print(text)


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--session", type=Path, help="session with a rig and MoveNet's 2D poses")
    parser.add_argument("--take", default="", help="name of the take")
    parser.add_argument("--judge", type=Path, help="npz file of 2D joints to measure with")
    return parser.parse_args()


if __name__ == "__main__":
    # The matrices are small, and more threads would slow each other down. Read at the first import of numpy.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(run_script(__file__, arguments, bench))
