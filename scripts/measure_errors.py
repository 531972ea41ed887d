"""Measure the errors of the embedded 2D estimator on a take, for synthetic people.

The reference is the triangulation of all views, smoothed over time. An error that all joints of a person share in a
view over some time is attributed to the calibration and subtracted.

python scripts/measure_errors.py SESSION --out resources/errors/movenet.npz
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from _environment import run_script

_SMOOTH, _WINDOW, _STRETCH = 5, 25, 0.7


def measure(asked: argparse.Namespace) -> None:
    """Write the file and print a summary."""
    import numpy as np
    from scipy.ndimage import uniform_filter1d

    from core.association.assignment import assign_detections, size_px
    from core.geometry import project
    from core.pose2d.config import DEFAULT_ESTIMATOR
    from core.session import BASELINE, Session
    from core.types.skeleton import COCO17

    session = Session.open(asked.session)
    take = session.take(session.take_names()[0])
    rig, poses2d, people = session.rig_for(take), take.poses2d(DEFAULT_ESTIMATOR), take.poses3d(BASELINE)
    assert people.skeleton.name == COCO17.name
    known = np.isfinite(people.xyz_mm)
    filled = uniform_filter1d(np.where(known, people.xyz_mm, 0.0), _SMOOTH, axis=0)
    exact = filled / np.maximum(uniform_filter1d(known.astype(float), _SMOOTH, axis=0), 1e-9)
    exact = np.where(known, exact, np.nan)
    errors, scores, cameras = [], [], []
    for v, camera in enumerate(rig):
        pose = poses2d[camera.name]
        target = project(camera, exact)
        found = np.asarray(pose.xy_px, float)
        owner = assign_detections(target, found, 0.35 * size_px(found))
        for p in range(exact.shape[1]):
            t, d = np.nonzero(owner == p)
            if len(np.unique(t)) < _STRETCH * len(exact):
                continue
            xy, score = np.full(target[:, p].shape, np.nan), np.zeros(target.shape[:1] + target.shape[2:3])
            xy[t], score[t] = found[t, d], np.asarray(pose.score, float)[t, d]
            error = xy - target[:, p]
            shift = np.nanmedian(error, axis=1)
            shift = uniform_filter1d(np.nan_to_num(shift), _WINDOW, axis=0)
            error = (error - shift[:, None]) / np.median(size_px(target[:, p])[size_px(target[:, p]) > 0])
            errors.append(error)
            scores.append(np.where(np.isfinite(error).all(-1), score, 0.0))
            cameras.append(v)
    error, score = np.stack(errors).astype(np.float16), np.stack(scores).astype(np.float16)
    fps = 1 / float(np.median(np.diff(take.timeline().time_s)))
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(asked.out, error=error, score=score, camera=np.array(cameras), fps=fps)
    length = np.linalg.norm(error.astype(float), axis=-1)
    print(f"{len(error)} stretches of {error.shape[1]} frames; found {np.isfinite(length).mean():.1%}")
    print("share of size: " + ", ".join(f"p{q} {np.nanpercentile(length, q):.4f}" for q in (50, 75, 90, 95, 99)))
    a, b = error[:, :-6].astype(float), error[:, 6:].astype(float)
    both = np.isfinite(a) & np.isfinite(b)
    print(f"correlation after six frames {np.corrcoef(a[both], b[both])[0, 1]:.2f}")
    for low, high in ((0.0, 0.3), (0.3, 0.6), (0.6, 1.1)):
        inside = (score > low) & (score <= high) & np.isfinite(length)
        print(f"score {low:.1f}..{high:.1f}: {inside.mean():.1%}, median error {np.median(length[inside]):.4f}")


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("session", type=Path, help="session with a triangulated take")
    parser.add_argument("--out", type=Path, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(run_script(__file__, arguments, measure))
