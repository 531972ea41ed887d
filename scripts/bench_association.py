"""Benchmark the triangulated baseline: synthetic people, and optionally a take of a session with 2D poses.

"by chance" counts the people found in a frame set whose cameras show different frames, which are ghosts. "all ms" is
the CPU time per frame with tracking, "match ms" that of association and robust triangulation, and "ratio" the latter
relative to plain linear triangulation of the same joints in the same run, which depends less on the computer.

python scripts/bench_association.py
python scripts/bench_association.py --session SESSION --take two_people
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from _environment import rerun_in_environment


@dataclass(frozen=True)
class Scene:
    """Synthetic people and the quality of their detections."""

    name: str
    cameras: int = 5
    people: int = 4
    crossing: bool = False
    noise_px: float = 5.0
    miss: float = 0.1
    false_people: float = 0.0
    swap: float = 0.0
    occlusion: bool = False
    borrow: float = 0.0


SCENES = (
    Scene("walking, 5 views"),
    Scene("crossing, 5 views", crossing=True),
    Scene("crossing, with occlusion", crossing=True, miss=0.0, occlusion=True),
    Scene("with false detections", false_people=0.5),
    Scene("sides exchanged in 3 %", swap=0.03),
    Scene("limbs borrowed in 20 %", crossing=True, borrow=0.2),
    Scene("walking, 4 views", cameras=4),
    Scene("walking, 3 views", cameras=3),
    Scene("8 people, 8 views", cameras=8, people=8),
    Scene("10 people, 5 views", people=10),
)
_MATCH_MM = 150.0
_ROW = "{:28} {:>8} {:>8} {:>8} {:>9} {:>9} {:>9} {:>9} {:>9} {:>6}"


def synthetic(scene: Scene, frames: int, seed: int) -> str:
    """Return one row of the table."""
    import numpy as np
    from scipy.optimize import linear_sum_assignment

    from core.association.chance import people_by_chance
    from core.association.config import AssociationConfig
    from core.association.match import match_take
    from core.association.robust import triangulate_people
    from core.association.views import stack_views
    from core.evaluation.identity import identity_metrics
    from core.evaluation.metrics import pose_metrics
    from core.progress import NullReporter
    from core.reconstruction.triangulated import Triangulator
    from core.synthetic import people, rigs
    from core.synthetic.confusions import Confusions
    from core.synthetic.observe import observe

    rng = np.random.default_rng(seed)
    if scene.crossing:
        truth = people.crossing(scene.people, frames, rng)
    else:
        truth = people.walkers(scene.people, frames, rng, half_size_mm=max(1800.0, 820.0 * scene.people**0.5))
    rig = rigs.ring_rig(scene.cameras, radius_mm=max(4500.0, 1750.0 * scene.people**0.5))
    confusions = None
    if scene.borrow or scene.swap:
        confusions = Confusions(borrow=scene.borrow, swap=scene.swap, lost_view=0.0, rig_deg=0.0)
    poses2d = observe(
        rig,
        truth,
        scene.noise_px,
        scene.miss,
        rng,
        false_people=scene.false_people,
        confusions=confusions,
        occlusion=scene.occlusion,
    )
    started = time.process_time()
    baseline = Triangulator().reconstruct(rig, poses2d, truth.time_s, NullReporter())
    per_frame_ms = (time.process_time() - started) / frames * 1000
    started = time.process_time()
    views = stack_views(rig, poses2d, AssociationConfig())
    triangulate_people(views, match_take(views, truth.time_s, AssociationConfig(), NullReporter()))
    matched_ms = (time.process_time() - started) / frames * 1000
    plain_ms = _plain_triangulation_ms(rig, truth)
    distance = np.linalg.norm(baseline.xyz_mm[:, :, None] - truth.xyz_mm[:, None], axis=-1)
    known = np.isfinite(distance)
    mean = np.where(known, distance, 0).sum(-1) / np.maximum(known.sum(-1), 1)
    mean = np.where(known.any(-1), mean, 1e6)
    correct, person = 0, np.full(mean.shape[:2], -1)
    for t in range(frames):
        a, b = linear_sum_assignment(mean[t])
        good = mean[t, a, b] < _MATCH_MM
        person[t, a[good]] = b[good]
        correct += bool(good.sum() == scene.people == baseline.present[t].sum())
    switches = sum(int((np.diff(column[column >= 0]) != 0).sum()) for column in person.T)
    metrics = pose_metrics(baseline, truth)
    by_chance = people_by_chance(rig, poses2d, AssociationConfig(), np.random.default_rng(seed), NullReporter())
    return _ROW.format(
        scene.name,
        f"{correct / frames:.1%}",
        f"{metrics.mpjpe_mm:.1f}",
        f"{metrics.ap[25]:.3f}",
        switches,
        identity_metrics(baseline).identity_switches,
        f"{by_chance:.2f}",
        f"{per_frame_ms:.1f}",
        f"{matched_ms:.2f}",
        f"{matched_ms / plain_ms:.1f}",
    )


def _plain_triangulation_ms(rig: Any, truth: Any) -> float:
    """Return the time per frame of linear triangulation of exact joints, without distortion."""
    import numpy as np

    from core.geometry import ideal_points, project_rig, triangulate

    ideal = ideal_points(rig, project_rig(rig, truth.xyz_mm))
    weight = np.ones(ideal.shape[:-1])
    started = time.process_time()
    triangulate(rig, ideal, weight)
    return (time.process_time() - started) / len(truth.time_s) * 1000


def recorded(folder: Path, name: str, estimator: str) -> None:
    """Print the metrics of a take, as reported by the verbs."""
    from core.config import to_mapping
    from core.pipelines.params import DEFAULT_ESTIMATOR, EvaluateParams, TriangulateParams
    from core.pipelines.verbs import verb
    from core.progress import NullReporter
    from core.session import Session

    session = Session.open(folder)
    estimator = estimator or DEFAULT_ESTIMATOR
    settings = TriangulateParams(take=name, estimator=estimator)
    result = verb("triangulate")(session, to_mapping(settings), session.new_run("triangulate"), NullReporter())
    print(f"take {name}: {result}")
    report = verb("evaluate")(
        session,
        to_mapping(EvaluateParams(take=name, estimator=estimator)),
        session.new_run("evaluate"),
        NullReporter(),
    )
    for key, metrics in report["methods"].items():
        print(f"  {key}: {metrics}")
    print(f"  {report['verdict']}")


def main() -> int:
    """Run the benchmark; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=300, help="frames per synthetic scene")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--session", type=Path, help="session folder with a take that has 2D poses")
    parser.add_argument("--take", default="two_people")
    parser.add_argument("--estimator", default="")
    args = parser.parse_args()
    code = rerun_in_environment(__file__)
    if code is not None:
        return code
    print(
        _ROW.format(
            "scene", "correct", "mm", "AP25", "switches", "no truth", "by chance", "all ms", "match ms", "ratio"
        )
    )
    for scene in SCENES:
        print(synthetic(scene, args.frames, args.seed), flush=True)
    if args.session:
        recorded(args.session, args.take, args.estimator)
    return 0


if __name__ == "__main__":
    # The matrices are small, and more threads would slow each other down. Read at the first import of numpy.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main())
