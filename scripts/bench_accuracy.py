"""Benchmark networks against triangulation without training, on fixed synthetic scenes with exact ground truth.

Detections have the errors of the embedded estimator on real images; people and furniture occlude joints. The people of
these scenes are not used in training. Rows are methods, values are means over the seeds of a scene.

--loco adds leave-one-camera-out errors, which are also available on real footage: the error of predicting the
detections of a camera from the other cameras. Compare these columns with those of bench_real.py rather than the errors
in mm, since the errors of the detections hide most of a difference between methods.

python scripts/bench_accuracy.py --shipped quick fast
python scripts/bench_accuracy.py --train quick --set root.steps=100 --scenes group
python scripts/bench_accuracy.py --train quick --ablate "no anchor:pose.weights.anchor=0" --scenes group
python scripts/bench_accuracy.py --model mine=session/runs/x/checkpoints/best --motion motion.npz
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from _environment import run_script

if TYPE_CHECKING:
    from core.types.camera import CameraRig
    from core.types.pose3d import Pose3DSequence

BASELINE, SMOOTHED = "triangulation", "triangulation, Kalman smoother"
_BEST_ACCEL_MM_S2 = 2000.0
"""Acceleration noise of the Kalman smoother with the lowest error of triangulation on these scenes."""
Method = Callable[["CameraRig"], "Pose3DSequence"]
"""Function that reconstructs the people of a scene from the cameras of a rig."""


def bench(args: argparse.Namespace) -> None:
    """Print a table of all scenes and methods."""
    from core.jobs.system import keep_freed_memory, wait_without_spinning

    keep_freed_memory()
    wait_without_spinning()
    import numpy as np

    from core.synthetic.scenes import SCENES, build_scene

    motion = dict(np.load(args.motion)) if args.motion else None
    results: dict[str, dict[str, list[dict[str, float]]]] = {}
    for name in args.scenes or list(SCENES):
        for seed in range(1, args.seeds + 1):
            scene = build_scene(name, seed, args.frames, motion)
            rows = _methods(args, scene, name, seed)
            for row, metrics in rows.items():
                results.setdefault(name, {}).setdefault(row, []).append(metrics)
            print(f"  {name} {seed} done", file=sys.stderr, flush=True)
    table = {
        name: {row: {key: float(np.nanmean([f[key] for f in each])) for key in each[0]} for row, each in rows.items()}
        for name, rows in results.items()
    }
    _print(table)
    if args.json:
        args.json.write_text(json.dumps(table, indent=2) + "\n")


def _methods(args: argparse.Namespace, scene: Any, name: str, seed: int) -> dict[str, dict[str, float]]:
    """Return the metrics of every method on one scene."""
    from core.models.checkpoint import Checkpoint
    from core.progress import NullReporter
    from core.reconstruction.triangulated import Triangulator
    from core.tracking.config import TrackingConfig
    from core.tracking.smooth import smooth
    from core.types.skeleton import PANOPTIC15, convert

    exact, _ = convert(scene.people.xyz_mm, scene.people.score, scene.people.skeleton, PANOPTIC15)
    time_s, poses2d = scene.people.time_s, scene.poses2d
    kalman = TrackingConfig(smoothing="rts", rts_accel_mm_s2=_BEST_ACCEL_MM_S2)

    def triangulate(rig: CameraRig) -> Pose3DSequence:
        return Triangulator().reconstruct(rig, poses2d, time_s, NullReporter())

    base = triangulate(scene.rig)
    methods: dict[str, Method] = {BASELINE: triangulate, SMOOTHED: lambda rig: smooth(triangulate(rig), kalman)}
    seconds: dict[str, float] = {}
    models = dict(args.models)
    models |= {f"{p} as shipped": _shipped(p) for p in args.shipped}
    with tempfile.TemporaryDirectory() as temporary:
        for number, (row, preset, settings) in enumerate(_trainings(args)):
            folder = Path(temporary) / str(number)
            seconds[row] = _train(preset, settings, scene, base, folder)
            models[row] = folder / "best"
        for row, folder in models.items():
            saved = Checkpoint.load(folder)
            methods[row] = _networks(saved, scene, base, row)
            if saved.config.temporal.enabled:
                methods[f"{row}, each frame alone"] = _networks(saved, scene, base, row, temporal=False)
    found = {row: _as_panoptic15(method(scene.rig)) for row, method in methods.items()}
    matched = {row: matched_to(sequence.xyz_mm, exact) for row, sequence in found.items()}
    truth = dataclasses.replace(scene.people, skeleton=PANOPTIC15, xyz_mm=exact, score=_ones(exact))
    seen = _as_footage(scene, methods) if args.loco else {}
    return {
        row: _metrics(matched[row], matched[BASELINE], found[row], truth, seconds.get(row, 0.0)) | seen.get(row, {})
        for row in found
    }


def _as_footage(scene: Any, methods: Mapping[str, Method]) -> dict[str, dict[str, float]]:
    """Return the leave-one-camera-out errors of the methods, which real footage would show."""
    import numpy as np

    from core.evaluation.compare import common_masks, error_metrics, overall_metrics, shared_joints
    from core.evaluation.loco import ViewErrors, collect_observations, loco_errors
    from core.progress import NullReporter

    time_s, names = scene.people.time_s, scene.rig.names
    observations = collect_observations(scene.poses2d, names, np.arange(len(time_s)))

    def errors(method: Method) -> ViewErrors:
        def fit(camera: str) -> Pose3DSequence:
            return method(scene.rig.subset([name for name in names if name != camera]))

        return loco_errors(scene.rig, observations, time_s, fit, NullReporter())

    found = {row: errors(method) for row, method in methods.items()}
    out = {}
    for row, own in found.items():
        common = common_masks(own, found[SMOOTHED])
        out[row] = {
            "loco_px": error_metrics(own, common).median_px,
            "loco_smoothed_px": error_metrics(found[SMOOTHED], common).median_px,
            "loco_percent": overall_metrics(own, shared_joints(own, found[SMOOTHED])).percent_height,
        }
    return out


def _as_panoptic15(people: Any) -> Any:
    """Return the people in the joint set in which all methods are measured."""
    from core.types.skeleton import PANOPTIC15, convert

    if people.skeleton.name == PANOPTIC15.name:
        return people
    xyz, score = convert(people.xyz_mm, people.score, people.skeleton, PANOPTIC15)
    return dataclasses.replace(people, skeleton=PANOPTIC15, xyz_mm=xyz, score=score, covariance_mm2=None)


def _networks(saved: Any, scene: Any, base: Any, name: str, temporal: bool = True) -> Method:
    from core.geometry.capture_volume import capture_volume
    from core.models.device import pick_device
    from core.progress import NullReporter
    from core.reconstruction.predictor import Predictor

    device = pick_device()
    volume = capture_volume(scene.rig, spacing_mm=saved.config.root.spacing_mm, around_mm=base.xyz_mm.reshape(-1, 3))
    predictor = Predictor(saved.build(device), volume, device, name, temporal=temporal)
    return lambda rig: predictor.reconstruct(rig, scene.poses2d, scene.people.time_s, NullReporter())


def _trainings(args: argparse.Namespace) -> list[tuple[str, str, list[str]]]:
    """Return row, preset and settings of every training: each preset, then with each change of `--ablate`."""
    changes = [("trained here", []), *((f"trained here, {name}", [change]) for name, change in args.ablations)]
    return [(f"{preset} {words}", preset, [*args.set, *more]) for preset in args.train for words, more in changes]


def _train(preset_name: str, settings: list[str], scene: Any, base: Any, folder: Path) -> float:
    """Train on the detections of the scene; return the duration in seconds."""
    from core.config import with_overrides
    from core.datasets.footage import Footage, PseudoLabels
    from core.datasets.poses2d import MultiviewPoses2D
    from core.geometry.capture_volume import capture_volume
    from core.models.device import pick_device
    from core.progress import NullReporter
    from core.training.presets import preset
    from core.training.trainer import Trainer
    from core.types.skeleton import skeleton

    config = with_overrides(preset(preset_name), settings)
    volume = capture_volume(scene.rig, spacing_mm=config.model.root.spacing_mm, around_mm=base.xyz_mm.reshape(-1, 3))
    joints = skeleton(config.model.skeleton)
    inputs = MultiviewPoses2D.stack(scene.rig, scene.poses2d, joints)
    labels = (
        PseudoLabels.raw(inputs)
        if config.labels == "raw"
        else PseudoLabels.clean(scene.rig, scene.poses2d, base, joints)
    )
    footage = Footage.build(scene.rig, [inputs], [labels], [scene.people.time_s], config.split)
    started = time.monotonic()
    Trainer(config, footage, volume, folder, pick_device(config.device), NullReporter()).run()
    return time.monotonic() - started


def _shipped(preset: str) -> Path:
    from core.files import resource

    return resource("weights", f"networks_{preset}")


def _ones(exact: Any) -> Any:
    import numpy as np

    return np.ones(exact.shape[:-1])


def matched_to(predicted_mm: Any, exact_mm: Any) -> Any:
    """Return the joints (T, P, J, 3) matched with the exact people (T, P, J, 3), NaN where missing."""
    import numpy as np
    from scipy.optimize import linear_sum_assignment

    out = np.full(exact_mm.shape, np.nan)
    for t, (predicted, exact) in enumerate(zip(predicted_mm, exact_mm, strict=True)):
        present = np.flatnonzero(np.isfinite(predicted).all(-1).any(-1))
        if not len(present):
            continue
        distance = np.linalg.norm(predicted[present][:, None] - exact[None], axis=-1)
        cost = np.array([[np.median(a[np.isfinite(a)]) for a in row] for row in distance])
        for row, person in zip(*linear_sum_assignment(np.minimum(cost, 1e4)), strict=True):
            if cost[row, person] < 500:
                out[t, person] = predicted[present[row]]
    return out


def _metrics(joints: Any, baseline_joints: Any, found: Any, truth: Any, seconds: float) -> dict[str, float]:
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
    """Print Markdown.

    "common" are joints that both the method and triangulation have; "accel." is the mean acceleration error, m/s2.
    """
    heads: tuple[str, ...] = (
        *("scene", "method", "common mm", "vs triang.", "all mm", "median", "joints", "<50 mm", "accel."),
        *("AP25", "AP50", "false", "s"),
    )
    seen = any("loco_px" in f for rows in table.values() for f in rows.values())
    heads += ("LOCO px", "vs Kalman", "LOCO % of height") if seen else ()
    print(f"| {' | '.join(heads)} |\n{'|---' * len(heads)}|")
    for name, rows in table.items():
        for row, f in rows.items():
            cells: tuple[str, ...] = (
                *(name, row, f"{f['common_mm']:.1f}", f"{f['common_mm'] / f['baseline_common_mm'] - 1:+.0%}"),
                *(f"{f['found_mm']:.1f}", f"{f['median_mm']:.1f}", f"{f['found']:.1%}", f"{f['within_50']:.1%}"),
                *(f"{f['acceleration']:.1f}", f"{f['ap25']:.2f}", f"{f['ap50']:.2f}", f"{f['false']:.1%}"),
                f"{f['seconds']:.0f}",
            )
            if seen:
                against = f["loco_px"] / f["loco_smoothed_px"] - 1
                cells += (f"{f['loco_px']:.2f}", f"{against:+.1%}", f"{f['loco_percent']:.2f}")
            print(f"| {' | '.join(cells)} |", flush=True)


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", nargs="+", default=[], help="all by default")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--frames", type=int, default=40)
    parser.add_argument(
        "--motion", type=Path, help="npz of recorded motion, name to (F, 17, 3) metres; synthetic walkers by default"
    )
    parser.add_argument("--shipped", nargs="*", default=[], metavar="PRESET", help="included networks")
    parser.add_argument(
        "--train", nargs="*", default=[], metavar="PRESET", help="train on the detections of each scene"
    )
    parser.add_argument("--set", action="append", default=[], metavar="A.B=C", help="override a training setting")
    parser.add_argument(
        "--ablate",
        action="append",
        default=[],
        metavar="NAME:A.B=C",
        help="add a row per preset of --train, with this setting changed",
    )
    parser.add_argument("--model", action="append", default=[], metavar="NAME=FOLDER", help="a checkpoint")
    parser.add_argument("--loco", action="store_true", help="add what footage would show: leave-one-camera-out errors")
    parser.add_argument("--json", type=Path, help="write the metrics to this file")
    args = parser.parse_args()
    args.ablations = [(name, change) for name, _, change in (a.partition(":") for a in args.ablate)]
    args.models = {name: Path(folder) for name, _, folder in (m.partition("=") for m in args.model)}
    return args


if __name__ == "__main__":
    sys.exit(run_script(__file__, arguments, bench))
