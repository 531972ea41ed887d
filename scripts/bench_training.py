"""The trained networks against triangulation without training, on exact synthetic people with noise and missing views.

python scripts/bench_training.py
python scripts/bench_training.py --set pose.steps=0 --folder bench_run
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from _environment import run_elsewhere


def bench(arguments: argparse.Namespace) -> None:
    """Trains on one part of a synthetic take and prints the joint errors of both methods on the other."""
    from core.jobs.machine import keep_freed_memory, wait_without_spinning

    keep_freed_memory()
    wait_without_spinning()
    import numpy as np
    import torch

    from core.association.config import AssociationConfig
    from core.calibration.space import capture_space
    from core.config import with_overrides
    from core.inference.predictor import Predictor
    from core.models.device import describe, pick_device
    from core.models.store import Checkpoint
    from core.models.views import Detections
    from core.pipelines.associate import fit_baseline
    from core.progress import NullReporter
    from core.synthetic.observe import observe
    from core.synthetic.people import walkers
    from core.synthetic.rigs import ring_rig
    from core.tracking.config import TrackingConfig
    from core.training.config import preset
    from core.training.data import Footage, Labels
    from core.training.trainer import Trainer
    from core.types.skeleton import PANOPTIC15, convert

    class Printer(NullReporter):
        def __init__(self) -> None:
            self.started = time.monotonic()

        def metric(self, name: str, value: float, step: int) -> None:
            print(f"  {time.monotonic() - self.started:6.0f} s  step {step:5}  {name:24} {value:.4f}", flush=True)

        def note(self, text: str, level: str = "info") -> None:
            print(f"  {text}", flush=True)

    config = with_overrides(preset(arguments.preset), arguments.set)
    rig = ring_rig(arguments.views)
    people = walkers(arguments.people, arguments.frames, np.random.default_rng(arguments.seed))
    poses2d = observe(
        rig,
        people,
        arguments.noise_px,
        arguments.miss,
        np.random.default_rng(arguments.seed + 1),
        joint_miss=arguments.miss,
    )
    baseline = fit_baseline(rig, poses2d, people.time_s, AssociationConfig(), TrackingConfig(), NullReporter())
    space = capture_space(rig, spacing_mm=config.model.root.spacing_mm, around_mm=baseline.xyz_mm.reshape(-1, 3))
    labels = Labels.clean(rig, poses2d, baseline)
    footage = Footage.build(rig, [Detections.stack(rig, poses2d)], [labels], config.split)
    device = pick_device(config.device)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(arguments.folder or temporary)
        started = time.process_time()
        state = Trainer(config, footage, space, folder, device, Printer()).run()
        print(
            f"{state.steps_done} steps in {state.elapsed_s / 60:.1f} minutes "
            f"({(time.process_time() - started) / 60:.1f} CPU minutes) on {describe(device)}; "
            f"best held-out figure {state.best_px or float('nan'):.2f} px ({state.best_stage})"
        )
        saved = Checkpoint.load(folder / "best")
    with torch.inference_mode():
        predictor = Predictor(saved.build(device), saved.space, device, "bench")
        found = predictor.predict(rig, poses2d, people.time_s, NullReporter(), moments=footage.held_out)
    exact, _ = convert(people.xyz_mm, people.score, people.skeleton, PANOPTIC15)
    other, _ = convert(baseline.xyz_mm, baseline.score, baseline.skeleton, PANOPTIC15)
    moments = footage.held_out
    errors = {
        "triangulation": joint_errors(other[moments], exact[moments]),
        "networks": joint_errors(found.xyz_mm, exact[moments]),
    }
    tell(errors)


def joint_errors(found_mm: Any, exact_mm: Any) -> Any:
    """Errors (T, P, J) mm of exact joints (T, P, J, 3), people matched with the nearest found; NaN where missing."""
    import numpy as np
    from scipy.optimize import linear_sum_assignment

    errors = np.full(exact_mm.shape[:-1], np.nan)
    for t, (found, exact) in enumerate(zip(found_mm, exact_mm, strict=True)):
        present = np.flatnonzero(np.isfinite(found).all(-1).any(-1))
        if not len(present):
            continue
        apart = np.linalg.norm(found[present][:, None] - exact[None], axis=-1)
        cost = np.nanmedian(np.where(np.isfinite(apart), apart, np.nan), axis=-1)
        for row, person in zip(*linear_sum_assignment(np.minimum(cost, 1e4)), strict=True):
            if cost[row, person] < 500:
                errors[t, person] = apart[row, person]
    return errors


def tell(errors: dict[str, Any]) -> None:
    """Prints both methods side by side, and which is better on the joints that both have."""
    import numpy as np

    common = np.isfinite(errors["triangulation"]) & np.isfinite(errors["networks"])
    print(
        f"{'held-out joints':16} {'found':>8} {'mean mm':>9} {'median':>8} {'common mean':>12} {'< 50 mm of all':>15}"
    )
    means = {}
    for name, error in errors.items():
        known = error[np.isfinite(error)]
        means[name] = error[common].mean()
        print(
            f"{name:16} {np.isfinite(error).mean():8.1%} {known.mean():9.2f} {np.median(known):8.2f} "
            f"{means[name]:12.2f} {(np.nan_to_num(error, nan=np.inf) < 50).mean():15.1%}"
        )
    better = min(means, key=lambda name: means[name])
    print(f"On the joints that both found, {better} is better.")


def main() -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--preset", default="quick")
    parser.add_argument("--set", action="append", default=[], metavar="A.B=C", help="override a setting of training")
    parser.add_argument("--views", type=int, default=5)
    parser.add_argument("--people", type=int, default=4)
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--noise-px", type=float, default=5.0)
    parser.add_argument("--miss", type=float, default=0.15, help="chance of a missing person-view, and of a joint")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", default="", help="keep the checkpoints here, and go on from them")
    asked = parser.parse_args()
    code = run_elsewhere(__file__)
    if code is not None:
        return code
    bench(asked)
    return 0


if __name__ == "__main__":
    sys.exit(main())
