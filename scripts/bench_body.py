"""Measure the fit of the body model to noisy keypoints of poses that are known exactly.

The poses are those of the two people of the demo room, whose gait was not made with the fit's prior. With --motion,
recorded ones are added, put on bodies of random shape by a fit of their noise-free joints; they flatter, since the
prior has shaped them. Noise is white, its length given as root mean square. Beside the fit stands plain smoothing of
the keypoints (Savitzky-Golay over 9 frames, after interpolation over gaps). Toes and hands are not observed and not
counted.

python scripts/bench_body.py
python scripts/bench_body.py --motion ../shared/data/motion/cmu_coco17_30fps.npz
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from _environment import run_script

if TYPE_CHECKING:
    from core.types.arrays import F64

_FPS = 30.0
_CONDITIONS = (
    ("no noise", 0.0, 0.0, 0.0),
    ("20 mm", 20.0, 0.0, 0.0),
    ("40 mm", 40.0, 0.0, 0.0),
    ("20 mm, 15 % missing, 5 % outliers", 20.0, 0.15, 0.05),
)
_UNOBSERVED = ("left_foot", "right_foot", "left_hand", "right_hand")


def bench(args: argparse.Namespace) -> None:
    """Print a table over the conditions, and the time of live fitting."""
    import numpy as np
    from scipy.signal import savgol_filter

    from core.body.fit import fit_body
    from core.body.models.free import free_body
    from core.types.skeleton import COCO17

    model, rng = free_body(), np.random.default_rng(0)
    counted = [j for j, name in enumerate(model.joints) if name not in _UNOBSERVED]
    clips = list(_clips(args.frames, args.motion))
    print(f"{len(clips)} clips, {sum(len(joints) for joints, _ in clips)} frames; mm, means over joints or keypoints")
    print(f"{'':36} joints    p99   keypoints  smoothed  observed  bent back  ms a frame")
    for title, noise, missing, outliers in _CONDITIONS:
        fitted, points, smoothed, observed, back, spent = [], [], [], [], [], 0.0
        for joints, exact in clips:
            xyz = exact + rng.normal(0, noise / np.sqrt(3), exact.shape)
            wrong = rng.random(xyz.shape[:2]) < outliers
            xyz[wrong] += rng.normal(0, 250, (int(wrong.sum()), 3))
            xyz[rng.random(xyz.shape[:2]) < missing] = np.nan
            begin = time.thread_time()
            fit = fit_body(model, COCO17.joints, xyz, np.arange(len(xyz)) / _FPS)
            spent += time.thread_time() - begin
            fitted.append(np.linalg.norm(fit.joints_mm - joints, axis=-1)[:, counted].ravel())
            points.append(np.linalg.norm(fit.keypoints_mm - exact, axis=-1).ravel())
            smoothed.append(np.linalg.norm(savgol_filter(_filled(xyz), 9, 2, axis=0) - exact, axis=-1).ravel())
            observed.append(np.linalg.norm(xyz - exact, axis=-1).ravel())
            back.append(np.degrees(fit.flexion_rad).ravel() < -5)
        error, frames = np.concatenate(fitted), sum(len(joints) for joints, _ in clips)
        columns = [np.nanmean(np.concatenate(each)) for each in (points, smoothed, observed)]
        print(
            f"{title:36} {error.mean():6.1f} {np.percentile(error, 99):6.0f}   {columns[0]:9.1f} {columns[1]:9.1f} "
            f"{columns[2]:9.1f} {np.concatenate(back).mean():9.2%} {1000 * spent / frames:11.2f}"
        )
    _live(clips)


def _clips(n_frames: int, motion: Path | None) -> Iterator[tuple[F64, F64]]:
    """Yield exact joints (T, J, 3) and COCO keypoints (T, 17, 3), mm."""
    import numpy as np

    from core.body.fit import fit_body
    from core.synthetic.rendering.scene import room_walk
    from core.types.skeleton import COCO17

    walk = room_walk()
    model = walk.model
    keypoints = [model.keypoints.index(name) for name in COCO17.joints]

    def posed(betas: F64, rotations: F64, pelvis_mm: F64) -> tuple[F64, F64]:
        rest = model.rest(betas[None])
        joints, points = (np.broadcast_to(x, (len(pelvis_mm), *x.shape[1:])) for x in rest[1:])
        bones = model.transforms(joints, rotations, pelvis_mm)
        return model.posed_joints(joints, bones), model.posed_keypoints(points, bones)[:, keypoints]

    rotations, pelvis = walk.poses(np.arange(n_frames) / _FPS)
    for p, walker in enumerate(walk.walkers):
        yield posed(np.array(walker.betas), rotations[:, p], pelvis[:, p])
    if motion is not None:
        rng = np.random.default_rng(1)
        with np.load(motion) as file:
            for name in sorted(file.files):
                xyz = 1000 * file[name][:n_frames].astype(float)
                fit = fit_body(model, COCO17.joints, xyz, np.arange(len(xyz)) / _FPS)
                yield posed(rng.normal(0, 1, model.n_shape), fit.rotations, fit.pelvis_mm)


def _filled(xyz: F64) -> F64:
    import numpy as np

    out, frames = xyz.copy(), np.arange(len(xyz))
    for column in out.reshape(len(xyz), -1).T:
        known = np.isfinite(column)
        column[~known] = np.interp(frames[~known], frames[known], column[known])
    return out


def _live(clips: list[tuple[F64, F64]]) -> None:
    """Print the time of two steps from the last pose, as for running cameras."""
    import numpy as np

    from core.body.chain import BodyChain, Targets
    from core.body.models.free import free_body
    from core.body.start import initial_poses
    from core.types.skeleton import COCO17

    model, rng = free_body(), np.random.default_rng(2)
    chain = BodyChain.of(model, COCO17.joints)
    for people in (1, 8):
        xyz = np.repeat(clips[0][1][:90, None], people, axis=1)
        xyz = xyz + rng.normal(0, 20 / np.sqrt(3), xyz.shape)
        use = np.ones((people, xyz.shape[2]), bool)
        poses, _ = chain.refine(initial_poses(chain, xyz[0]), Targets.of(xyz[0], use, 12.0), 6)
        spent = []
        for seen in xyz[1:]:
            begin = time.thread_time()
            poses, _ = chain.refine(poses, Targets.of(seen, use, 12.0), 2)
            spent.append(1000 * (time.thread_time() - begin))
        print(f"live, {people} people: {np.median(spent):.1f} ms a frame for all of them")


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=300, help="frames of each clip, at 30 per second")
    parser.add_argument("--motion", type=Path, help="npz of recorded COCO joints (T, 17, 3) in m by name")
    return parser.parse_args()


if __name__ == "__main__":
    # Many small matrices: more threads slow each other down. Read when numpy is first imported.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(run_script(__file__, arguments, bench))
