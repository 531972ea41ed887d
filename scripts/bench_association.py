"""Figures of the baseline without training: exact synthetic people, and optionally a labelled take of a session.

python scripts/bench_association.py
python scripts/bench_association.py --session SESSION --take two_people
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from _environment import rerun_in_environment


@dataclass(frozen=True)
class Scene:
    """Synthetic people and how well they are seen."""

    name: str
    cameras: int = 5
    people: int = 4
    crossing: bool = False
    noise_px: float = 5.0
    miss: float = 0.1
    false_people: float = 0.0
    swap: float = 0.0
    occlusion: bool = False


SCENES = (
    Scene("walking, 5 views"),
    Scene("crossing, 5 views", crossing=True),
    Scene("crossing, hiding each other", crossing=True, miss=0.0, occlusion=True),
    Scene("with invented people", false_people=0.5),
    Scene("sides exchanged in 3 %", swap=0.03),
    Scene("walking, 4 views", cameras=4),
    Scene("walking, 3 views", cameras=3),
    Scene("8 people, 8 views", cameras=8, people=8),
)
_RIGHT_MM = 150.0
_ROW = "{:28} {:>8} {:>8} {:>8} {:>9} {:>9} {:>10}"


def synthetic(scene: Scene, frames: int, seed: int) -> str:
    """One row of the table."""
    import numpy as np
    from scipy.optimize import linear_sum_assignment

    from core.evaluation.identity import identity_metrics
    from core.evaluation.metrics import pose_metrics
    from core.progress import NullReporter
    from core.reconstruction.triangulated import Triangulator
    from core.synthetic import people, rigs
    from core.synthetic.observe import observe

    rng = np.random.default_rng(seed)
    make: Callable[..., Any] = people.crossing if scene.crossing else people.walkers
    truth, rig = make(scene.people, frames, rng), rigs.ring_rig(scene.cameras)
    poses2d = observe(
        rig,
        truth,
        scene.noise_px,
        scene.miss,
        rng,
        false_people=scene.false_people,
        swap=scene.swap,
        occlusion=scene.occlusion,
    )
    started = time.perf_counter()
    found = Triangulator().reconstruct(rig, poses2d, truth.time_s, NullReporter())
    per_frame_ms = (time.perf_counter() - started) / frames * 1000
    apart = np.linalg.norm(found.xyz_mm[:, :, None] - truth.xyz_mm[:, None], axis=-1)
    known = np.isfinite(apart)
    mean = np.where(known, apart, 0).sum(-1) / np.maximum(known.sum(-1), 1)
    mean = np.where(known.any(-1), mean, 1e6)
    right, who = 0, np.full(mean.shape[:2], -1)
    for t in range(frames):
        a, b = linear_sum_assignment(mean[t])
        good = mean[t, a, b] < _RIGHT_MM
        who[t, a[good]] = b[good]
        right += bool(good.sum() == scene.people == found.present[t].sum())
    switches = sum(int((np.diff(column[column >= 0]) != 0).sum()) for column in who.T)
    scored = pose_metrics(found, truth)
    return _ROW.format(
        scene.name,
        f"{right / frames:.1%}",
        f"{scored.mpjpe_mm:.1f}",
        f"{scored.ap[25]:.3f}",
        switches,
        identity_metrics(found).identity_switches,
        f"{per_frame_ms:.1f}",
    )


def recorded(folder: Path, name: str, estimator: str) -> None:
    """Figures of a take, as the verbs give them."""
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
    for key, figures in report["methods"].items():
        print(f"  {key}: {figures}")
    print(f"  {report['verdict']}")


def main() -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=300, help="frames of every synthetic scene")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--session", type=Path, help="a session folder with a labelled take")
    parser.add_argument("--take", default="two_people")
    parser.add_argument("--estimator", default="")
    asked = parser.parse_args()
    code = rerun_in_environment(__file__)
    if code is not None:
        return code
    print(_ROW.format("scene", "right", "mm", "AP25", "switches", "by paths", "ms/frame"))
    for scene in SCENES:
        print(synthetic(scene, asked.frames, asked.seed), flush=True)
    if asked.session:
        recorded(asked.session, asked.take, asked.estimator)
    return 0


if __name__ == "__main__":
    # Many small matrices: more threads only get in each other's way. Read when numpy is first imported.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main())
