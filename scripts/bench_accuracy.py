"""Networks against triangulation without training, on fixed synthetic scenes that are known exactly.

Detections have the errors that the embedded estimator made on real images; people and furniture hide joints. Nobody
in these scenes was seen in training. Rows are methods, figures are means over the seeds of a scene.

python scripts/bench_accuracy.py --shipped quick fast
python scripts/bench_accuracy.py --train quick --set root.steps=100 --scenes group
python scripts/bench_accuracy.py --train quick --ablate "no anchor:pose.weight_anchor=0" --scenes group
python scripts/bench_accuracy.py --model mine=session/runs/x/checkpoints/best --motion motion.npz
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from _environment import rerun_in_environment

BASELINE, SMOOTHED = "triangulation", "triangulation, Kalman smoother"
_SMOOTHEST_MM_S2 = 2000.0
"""Of the Kalman smoother: the acceleration with which triangulation did best on these scenes."""


def bench(asked: argparse.Namespace) -> None:
    """Prints a table for every group of scenes."""
    from core.jobs.system import keep_freed_memory, wait_without_spinning

    keep_freed_memory()
    wait_without_spinning()
    import numpy as np

    from core.synthetic.scenes import SCENES, build_scene

    motion = dict(np.load(asked.motion)) if asked.motion else None
    results: dict[str, dict[str, list[dict[str, float]]]] = {}
    for name in asked.scenes or list(SCENES):
        for seed in range(1, asked.seeds + 1):
            made = build_scene(name, seed, asked.frames, motion)
            rows = _methods(asked, made, name, seed)
            for row, figures in rows.items():
                results.setdefault(name, {}).setdefault(row, []).append(figures)
            print(f"  {name} {seed} done", file=sys.stderr, flush=True)
    table = {
        scene: {row: {key: float(np.nanmean([f[key] for f in each])) for key in each[0]} for row, each in rows.items()}
        for scene, rows in results.items()
    }
    _print(table)
    if asked.json:
        asked.json.write_text(json.dumps(table, indent=2) + "\n")


def _methods(asked: argparse.Namespace, made: Any, name: str, seed: int) -> dict[str, dict[str, float]]:
    """Figures of every method on one scene."""
    from core.models.checkpoint import Checkpoint
    from core.progress import NullReporter
    from core.reconstruction.triangulated import Triangulator
    from core.tracking.config import TrackingConfig
    from core.tracking.smooth import smooth
    from core.types.skeleton import PANOPTIC15, convert

    exact, _ = convert(made.people.xyz_mm, made.people.score, made.people.skeleton, PANOPTIC15)
    time_s, poses2d = made.people.time_s, made.poses2d
    base = Triangulator().reconstruct(made.rig, poses2d, time_s, NullReporter())
    other, score = convert(base.xyz_mm, base.score, base.skeleton, PANOPTIC15)
    found = {BASELINE: dataclasses.replace(base, skeleton=PANOPTIC15, xyz_mm=other, score=score, covariance_mm2=None)}
    kalman = TrackingConfig(smoothing="rts", rts_accel_mm_s2=_SMOOTHEST_MM_S2)
    found[SMOOTHED] = smooth(found[BASELINE], kalman)
    seconds = {BASELINE: 0.0, SMOOTHED: 0.0}
    models = dict(asked.models)
    models |= {f"{p} as shipped": _shipped(p) for p in asked.shipped}
    with tempfile.TemporaryDirectory() as temporary:
        for number, (row, preset, settings) in enumerate(_trainings(asked)):
            folder = Path(temporary) / str(number)
            seconds[row] = _train(preset, settings, made, base, folder)
            models[row] = folder / "best"
        for row, folder in models.items():
            seconds.setdefault(row, 0.0)
            saved = Checkpoint.load(folder)
            found[row] = _predict(saved, made, base, row)
            if saved.config.temporal.enabled:
                alone = f"{row}, each frame alone"
                seconds[alone] = seconds[row]
                found[alone] = _predict(saved, made, base, alone, temporal=False)
    matched = {row: matched_to(sequence.xyz_mm, exact) for row, sequence in found.items()}
    truth = dataclasses.replace(made.people, skeleton=PANOPTIC15, xyz_mm=exact, score=_ones(exact))
    return {row: _figures(matched[row], matched[BASELINE], found[row], truth, seconds[row]) for row in found}


def _predict(saved: Any, made: Any, base: Any, name: str, temporal: bool = True) -> Any:
    import torch

    from core.geometry.capture_volume import capture_volume
    from core.models.device import pick_device
    from core.progress import NullReporter
    from core.reconstruction.predictor import Predictor

    device = pick_device()
    volume = capture_volume(made.rig, spacing_mm=saved.config.root.spacing_mm, around_mm=base.xyz_mm.reshape(-1, 3))
    with torch.inference_mode():
        predictor = Predictor(saved.build(device), volume, device, name, temporal=temporal)
        return predictor.reconstruct(made.rig, made.poses2d, made.people.time_s, NullReporter())


def _trainings(asked: argparse.Namespace) -> list[tuple[str, str, list[str]]]:
    """Row, preset and settings of every training: each preset as it is, then with each change of `--ablate`."""
    changes = [("trained here", []), *((f"trained here, {name}", [change]) for name, change in asked.ablations)]
    return [(f"{preset} {words}", preset, [*asked.set, *more]) for preset in asked.train for words, more in changes]


def _train(preset_name: str, settings: list[str], made: Any, base: Any, folder: Path) -> float:
    """Trains on the scene's own detections; returns the seconds it took."""
    from core.config import with_overrides
    from core.datasets.footage import Footage, PseudoLabels
    from core.datasets.poses2d import MultiviewPoses2D
    from core.geometry.capture_volume import capture_volume
    from core.models.device import pick_device
    from core.progress import NullReporter
    from core.training.presets import preset
    from core.training.trainer import Trainer

    config = with_overrides(preset(preset_name), settings)
    volume = capture_volume(made.rig, spacing_mm=config.model.root.spacing_mm, around_mm=base.xyz_mm.reshape(-1, 3))
    inputs = MultiviewPoses2D.stack(made.rig, made.poses2d)
    labels = PseudoLabels.raw(inputs) if config.labels == "raw" else PseudoLabels.clean(made.rig, made.poses2d, base)
    footage = Footage.build(made.rig, [inputs], [labels], config.split)
    started = time.monotonic()
    Trainer(config, footage, volume, folder, pick_device(config.device), NullReporter()).run()
    return time.monotonic() - started


def _shipped(preset: str) -> Path:
    from core.files import resource

    return resource("weights", f"networks_{preset}")


def _ones(exact: Any) -> Any:
    import numpy as np

    return np.ones(exact.shape[:-1])


def matched_to(found_mm: Any, exact_mm: Any) -> Any:
    """Joints (T, P, J, 3) of those found who are nearest to the exact people (T, P, J, 3); NaN where missing."""
    import numpy as np
    from scipy.optimize import linear_sum_assignment

    out = np.full(exact_mm.shape, np.nan)
    for t, (found, exact) in enumerate(zip(found_mm, exact_mm, strict=True)):
        present = np.flatnonzero(np.isfinite(found).all(-1).any(-1))
        if not len(present):
            continue
        apart = np.linalg.norm(found[present][:, None] - exact[None], axis=-1)
        cost = np.array([[np.median(a[np.isfinite(a)]) for a in row] for row in apart])
        for row, person in zip(*linear_sum_assignment(np.minimum(cost, 1e4)), strict=True):
            if cost[row, person] < 500:
                out[t, person] = found[present[row]]
    return out


def _figures(joints: Any, baseline_joints: Any, found: Any, truth: Any, seconds: float) -> dict[str, float]:
    import numpy as np

    from core.evaluation.metrics import pose_metrics

    exact = truth.xyz_mm
    error, baseline = (np.linalg.norm(a - exact, axis=-1) for a in (joints, baseline_joints))
    common, known = np.isfinite(error) & np.isfinite(baseline), np.isfinite(error)
    protocol = pose_metrics(found, truth)
    jerky = np.linalg.norm(np.diff(joints - exact, n=2, axis=0), axis=-1) * found.fps**2 / 1000
    return {
        "common_mm": float(error[common].mean()),
        "baseline_common_mm": float(baseline[common].mean()),
        "found_mm": float(error[known].mean()),
        "median_mm": float(np.median(error[known])),
        "found": float(known.mean()),
        "within_50": float((np.nan_to_num(error, nan=np.inf) < 50).mean()),
        "acceleration": float(np.nanmean(jerky)),
        "ap25": protocol.ap[25],
        "ap50": protocol.ap[50],
        "recall": protocol.recall,
        "false": max(0.0, protocol.predictions / max(1, protocol.people) - protocol.recall),
        "seconds": seconds,
    }


def _print(table: Mapping[str, Mapping[str, Mapping[str, float]]]) -> None:
    """As Markdown. «common» are joints that the method and triangulation both found; «accel.» is the mean error of
    their acceleration, m/s²."""
    heads = (
        *("scene", "method", "common mm", "vs triang.", "all found mm", "median", "found", "<50 mm", "accel."),
        *("AP25", "AP50", "false", "s"),
    )
    print(f"| {' | '.join(heads)} |\n{'|---' * len(heads)}|")
    for scene, rows in table.items():
        for row, f in rows.items():
            cells = (
                *(scene, row, f"{f['common_mm']:.1f}", f"{f['common_mm'] / f['baseline_common_mm'] - 1:+.0%}"),
                *(f"{f['found_mm']:.1f}", f"{f['median_mm']:.1f}", f"{f['found']:.1%}", f"{f['within_50']:.1%}"),
                *(f"{f['acceleration']:.1f}", f"{f['ap25']:.2f}", f"{f['ap50']:.2f}", f"{f['false']:.1%}"),
                f"{f['seconds']:.0f}",
            )
            print(f"| {' | '.join(cells)} |", flush=True)


def arguments() -> argparse.Namespace:
    """What was asked for on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", nargs="+", default=[], help="all by default")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--frames", type=int, default=40)
    parser.add_argument("--motion", type=Path, help="npz of recorded motion, name to (F, 17, 3) metres; else walkers")
    parser.add_argument(
        "--shipped", nargs="*", default=[], metavar="PRESET", help="networks that come with the program"
    )
    parser.add_argument("--train", nargs="*", default=[], metavar="PRESET", help="train on each scene's own detections")
    parser.add_argument("--set", action="append", default=[], metavar="A.B=C", help="override a setting of training")
    parser.add_argument(
        "--ablate",
        action="append",
        default=[],
        metavar="NAME:A.B=C",
        help="one more row for each preset of --train, with this setting changed",
    )
    parser.add_argument("--model", action="append", default=[], metavar="NAME=FOLDER", help="a checkpoint")
    parser.add_argument("--json", type=Path, help="also write the figures there")
    asked = parser.parse_args()
    asked.ablations = [(name, change) for name, _, change in (a.partition(":") for a in asked.ablate)]
    asked.models = {name: Path(folder) for name, _, folder in (m.partition("=") for m in asked.model)}
    return asked


def main() -> int:
    """Returns the exit code."""
    asked = arguments()
    code = rerun_in_environment(__file__)
    if code is not None:
        return code
    bench(asked)
    return 0


if __name__ == "__main__":
    sys.exit(main())
