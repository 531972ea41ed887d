"""Measure the fit of the body model to noisy keypoints of exact poses.

The poses are those of the two people of the demo room, whose gait was not generated with the fit's prior. --motion adds
recorded poses, transferred to bodies of random shape by a fit to their noise-free joints; their results are optimistic,
since the prior was derived from them. Noise is white, and its length is given as root mean square. For comparison,
keypoints are smoothed (Savitzky-Golay over 9 frames, after interpolation over gaps). Toes and hands are not observed
and not evaluated. "Slide" is the horizontal speed, for the fit and for smoothing, of ankles that are at rest in the
ground truth. The live fit is measured in the second half of each clip, when the shape is known.

If the package eden-mpi-ik (MIT) is installed, its solver is compared on every 20th frame. It fits shape and pose of the
same body to the same keypoints, frame by frame and without a prior, starting from an upright person who faces as the
hips do. Other fitters with a permissive licence require vertices instead of joints (smplfitter).

pip install --no-deps --target FOLDER eden-mpi-ik==0.3.2; PYTHONPATH=FOLDER python scripts/bench_body.py

python scripts/bench_body.py
python scripts/bench_body.py --motion ../shared/data/motion/cmu_coco17_30fps.npz
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from _environment import run_script

if TYPE_CHECKING:
    from core.body.chain import BodyChain, Poses
    from core.types.arrays import F64

_FPS = 30.0
_STILL_MM_S = 60.0
_CONDITIONS = (
    ("no noise", 0.0, 0.0, 0.0),
    ("20 mm", 20.0, 0.0, 0.0),
    ("40 mm", 40.0, 0.0, 0.0),
    ("20 mm, 15 % missing, 5 % outliers", 20.0, 0.15, 0.05),
)
_EVERY = 20  # interval of the frames that the public fitter solves
_UNOBSERVED = ("left_foot", "right_foot", "left_hand", "right_hand")


def bench(args: argparse.Namespace) -> None:
    """Print a table over the conditions, and the time of live fitting."""
    import numpy as np
    from scipy.signal import savgol_filter

    from core.body.fit import fit_body
    from core.body.models.free import free_body
    from core.types.skeleton import COCO17

    model, rng = free_body(), np.random.default_rng(0)
    ankles = [model.joints.index(f"{side}_ankle") for side in ("left", "right")]
    counted = [j for j, name in enumerate(model.joints) if name not in _UNOBSERVED]
    clips = list(_clips(args.frames, args.motion))
    print(f"{len(clips)} clips, {sum(len(joints) for joints, _ in clips)} frames; mm, means over joints or keypoints")
    print(f"{'':36} joints    p99   keypoints  smoothed  observed  bent back  slide mm/s  ms a frame")
    for title, noise, missing, outliers in _CONDITIONS:
        fitted, points, smoothed, observed, back, slides, spent = [], [], [], [], [], [], 0.0
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
            smooth = savgol_filter(_filled(xyz), 9, 2, axis=0)
            smoothed.append(np.linalg.norm(smooth - exact, axis=-1).ravel())
            slides.append(_slide_mm_s(joints[:, ankles], fit.joints_mm[:, ankles], smooth[:, -2:]))
            observed.append(np.linalg.norm(xyz - exact, axis=-1).ravel())
            back.append(np.degrees(fit.flexion_rad).ravel() < -5)
        error, frames = np.concatenate(fitted), sum(len(joints) for joints, _ in clips)
        slide = np.nanmean(slides, axis=0)
        columns = [np.nanmean(np.concatenate(each)) for each in (points, smoothed, observed)]
        print(
            f"{title:36} {error.mean():6.1f} {np.percentile(error, 99):6.0f}   {columns[0]:9.1f} {columns[1]:9.1f} "
            f"{columns[2]:9.1f} {np.concatenate(back).mean():9.2%} {slide[0]:6.0f} {slide[1]:4.0f} "
            f"{1000 * spent / frames:11.2f}"
        )
    _public(clips, counted)
    _live(clips, counted)


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
    bones = model.transforms(walk.rest.joints_mm, rotations[0], pelvis[0])
    pelvis[..., 2] -= model.skin(walk.rest.vertices_mm, bones)[0][..., 2].min(1)  # soles on the floor
    for p, walker in enumerate(walk.walkers):
        yield posed(np.array(walker.betas), rotations[:, p], pelvis[:, p])
    if motion is not None:
        rng = np.random.default_rng(1)
        with np.load(motion) as file:
            for name in sorted(file.files):
                xyz = 1000 * file[name][:n_frames].astype(float)
                fit = fit_body(model, COCO17.joints, xyz, np.arange(len(xyz)) / _FPS)
                here = np.isfinite(fit.pelvis_mm[:, 0])
                yield posed(rng.normal(0, 1, model.n_shape), fit.rotations[here], fit.pelvis_mm[here])


def _filled(xyz: F64) -> F64:
    import numpy as np

    out, frames = xyz.copy(), np.arange(len(xyz))
    for column in out.reshape(len(xyz), -1).T:
        known = np.isfinite(column)
        column[~known] = np.interp(frames[~known], frames[known], column[known])
    return out


def _slide_mm_s(truth: F64, *found: F64) -> list[float]:
    """Return mean horizontal speeds of ankles (T, 2, 3) while they are at rest in the ground truth."""
    import numpy as np

    still = np.linalg.norm(np.diff(truth, axis=0), axis=-1) * _FPS < _STILL_MM_S
    if not still.any():
        return [np.nan for _ in found]
    return [float(np.linalg.norm(np.diff(xyz[..., :2], axis=0), axis=-1)[still].mean() * _FPS) for xyz in found]


def _public(clips: list[tuple[F64, F64]], counted: list[int]) -> None:
    """Compare errors and time of the fit and of the solver of eden-mpi-ik, if installed, on the same frames."""
    if importlib.util.find_spec("mpi_ik") is None:
        print("eden-mpi-ik is not installed: no comparison with a public fitter")
        return
    import numpy as np
    from mpi_ik.solver import Solver

    from core.body.chain import BodyChain
    from core.body.fit import fit_body
    from core.body.models.free import free_body
    from core.types.skeleton import COCO17

    model, rng = free_body(), np.random.default_rng(3)
    body = _SolverBody(BodyChain.of(model, COCO17.joints))
    found, fitted, back, ms = [], [], [], []
    for joints, exact in clips:
        xyz = exact + rng.normal(0, 20 / np.sqrt(3), exact.shape)
        fit = fit_body(model, COCO17.joints, xyz, np.arange(len(xyz)) / _FPS)
        for frame in range(0, len(xyz), _EVERY):
            begin = time.thread_time()
            solved = Solver().solve(body, xyz[frame] / 1000, body.start(xyz[frame]))
            ms.append(1000 * (time.thread_time() - begin))
            chain, poses = body.decode(solved)
            found.append(np.linalg.norm(chain.joint_positions(chain.bones(poses))[0] - joints[frame], axis=-1)[counted])
            back.append(np.degrees(chain.prior.flexion_rad(poses.w[0])) < -5)
            fitted.append(np.linalg.norm(fit.joints_mm[frame] - joints[frame], axis=-1)[counted])
    print(
        f"20 mm, {len(found)} frames: eden-mpi-ik {np.mean(found):.1f} mm to the joints "
        f"(median {np.median(found):.1f}), "
        f"{np.mean(back):.1%} bent back, {np.mean(ms):.0f} ms a frame; "
        f"the fit {np.mean(fitted):.1f} mm (median {np.median(fitted):.1f})"
    )


class _SolverBody:
    """Body with the interface of eden-mpi-ik's solver: keypoints in m as a function of one vector.

    The vector contains the pelvis position in m, rotation vectors of pelvis and free joints, and the shape.
    """

    def __init__(self, chain: BodyChain) -> None:
        self._chain = chain
        self._ends = 3, 6, chain.n_unknowns
        self.n_params = chain.n_unknowns + chain.model.n_shape

    def start(self, xyz_mm: F64) -> F64:
        """Return an upright body amid the keypoints (K, 3) that faces as the hips do."""
        import numpy as np

        from core.body.model import BODY_TO_WORLD
        from core.geometry.so3 import exp, log

        hips = [self._chain.keypoints.names.index(f"{side}_hip") for side in ("left", "right")]
        to_left = xyz_mm[hips[0]] - xyz_mm[hips[1]]
        turn = np.arctan2(to_left[1], to_left[0]) - np.pi / 2
        out = np.zeros(self.n_params)
        out[:3], out[3:6] = xyz_mm[hips].mean(0) / 1000, log(exp(np.array([0, 0, turn])) @ BODY_TO_WORLD)
        return out

    def decode(self, vector: F64) -> tuple[BodyChain, Poses]:
        """Return the chain with the shape, and the pose."""
        from core.body.chain import Poses
        from core.geometry.so3 import exp

        move, turn, joints = self._ends
        w = vector[turn:joints].reshape(1, -1, 3)
        poses = Poses(exp(vector[move:turn])[None], 1000 * vector[None, :move], w)
        return self._chain.shaped(vector[joints:]), poses

    def run(self, vector: F64) -> F64:
        """Return the keypoints (K, 3) in m."""
        chain, poses = self.decode(vector)
        return chain.points(chain.bones(poses))[0] / 1000


def _live(clips: list[tuple[F64, F64]], counted: list[int]) -> None:
    """Print error and time of frame-by-frame fitting, as with running cameras."""
    import numpy as np

    from core.body.models.free import free_body
    from core.body.online import OnlineBodyFit
    from core.types.skeleton import COCO17

    model, rng = free_body(), np.random.default_rng(2)
    for people in (1, 8):
        joints, exact = (np.stack([clips[p % 2][k] for p in range(people)], 1) for k in range(2))
        xyz = exact + rng.normal(0, 20 / np.sqrt(3), exact.shape)
        fit, spent, error = OnlineBodyFit(model, COCO17), [], []
        for frame, seen in enumerate(xyz):
            begin = time.thread_time()
            bodies = fit.update(frame / _FPS, tuple(range(people)), seen)
            spent.append(1000 * (time.thread_time() - begin))
            error.append(np.linalg.norm(bodies.joints_mm - joints[frame], axis=-1)[:, counted].mean())
        half = len(xyz) // 2
        print(
            f"live, {people} people, 20 mm: {np.mean(error[half:]):.1f} mm to the joints, {np.median(spent):.1f} ms "
            f"a frame for all of them (95 % under {np.percentile(spent, 95):.1f})"
        )


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=300, help="frames of each clip, at 30 per second")
    parser.add_argument("--motion", type=Path, help="npz of recorded COCO joints (T, 17, 3) in m by name")
    return parser.parse_args()


if __name__ == "__main__":
    # The matrices are small, and more threads would slow each other down. Read at the first import of numpy.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(run_script(__file__, arguments, bench))
