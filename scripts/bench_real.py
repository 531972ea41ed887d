"""Compare triangulation, shipped networks and trained networks on real takes, without ground truth.

Each camera is predicted from the others, and the prediction is compared with the 2D joints detected in that camera.
Errors of these 2D joints are part of every value and equal for all methods. Trained networks are measured in blocks of
time that they were not trained on, and additionally in a camera that was not used in training. Without --session the
embedded sample is measured, with its rig repaired from its first 60 frames.

python scripts/bench_real.py --shipped quick fast
python scripts/bench_real.py --train quick --minutes 8 --seeds 3
python scripts/bench_real.py --session SESSION --take walk --judge other_estimator.npz --cameras 2

--judge: 2D joints of another estimator to measure with, an npz file with the arrays xy_px/CAMERA (T, P, J, 2) and
score/CAMERA (T, P, J), in the joints and frames of the first pass of the take's 2D poses.

Legend: T frame, P person, D detection, J joint.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from _environment import run_script

if TYPE_CHECKING:
    import numpy as np

    from core.evaluation.compare import PairedDifference
    from core.evaluation.loco import ViewErrors, ViewObservations
    from core.session import Session, Take
    from core.types.arrays import F64
    from core.types.camera import CameraRig
    from core.types.pose2d import Pose2D
    from core.types.pose3d import Pose3DSequence

BASELINE, SMOOTHED = "triangulation", "triangulation, RTS"
_ESTIMATOR = "movenet_multipose"
_REPAIR_FRAMES = 60
_CONTEXT = 8
"""Frames to reconstruct before and after the measured ones, for tracking and smoothing."""
_MOST_CHOICES = 3
"""Largest number of camera choices for a camera that is predicted from fewer than all others."""
_APART_S, _MOST_ALONE = 60.0, 50
"""Time between frames that no tracker connects in s, and largest number of frames reconstructed this way."""

Method = Callable[["CameraRig", "Mapping[str, Pose2D]", "F64"], "Pose3DSequence"]
"""Function that reconstructs the people of all frames from the cameras of a rig: rig, 2D poses, times."""


@dataclass(frozen=True, kw_only=True)
class Data:
    """Take, and the data to measure it with.

    Attributes:
        name: Name of the row.
        session: Session of the take.
        take: Take to measure.
        estimator: Name of the 2D poses of the take.
        rig: Rig of the session.
        poses2d: 2D poses by camera.
        judge: 2D poses to measure with, by camera.
        time_s: (T,) times.
        frames: (F,) frames to measure.
        used: (U,) frames to reconstruct: the measured ones, and some before and after.
    """

    name: str
    session: Session
    take: Take
    estimator: str
    rig: CameraRig
    poses2d: Mapping[str, Pose2D]
    judge: Mapping[str, Pose2D]
    time_s: F64
    frames: np.ndarray
    used: np.ndarray

    def reconstruct(self, method: Method, rig: CameraRig) -> Pose3DSequence:
        """Return the people of the used frames by a method that uses the cameras of `rig`."""
        chosen = {name: rows(pose, self.used) for name, pose in self.poses2d.items()}
        return method(rig, chosen, self.time_s[self.used])


@dataclass(kw_only=True)
class Row:
    """Results of a method; trainings with several seeds are evaluated together.

    Attributes:
        errors: Errors by camera, of each seed.
        per_frame: Mean number of people per frame.
        alone: Mean number of people per frame that is reconstructed alone.
        by_chance: Mean number of people per frame if each camera shows another frame, so that views agree only by
            chance.
        unseen: Camera that was not used in the training; empty if all were.
        seconds: Duration of all trainings in s.
    """

    errors: list[ViewErrors] = field(default_factory=list)
    per_frame: list[float] = field(default_factory=list)
    alone: list[float] = field(default_factory=list)
    by_chance: list[float] = field(default_factory=list)
    unseen: str = ""
    seconds: float = 0.0


def bench(args: argparse.Namespace) -> None:
    """Print the tables of all takes."""
    from core.jobs.system import keep_freed_memory, wait_without_spinning

    keep_freed_memory()
    wait_without_spinning()
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as temporary:
        for number, (root, take_name, judge) in enumerate(args.takes or [repaired_sample(Path(temporary) / "sample")]):
            data = _load(root, take_name, judge, args)
            rows = _measure(args, data, Path(temporary) / str(number))
            table = {name: summary(row, rows[SMOOTHED]) for name, row in rows.items()}
            _print(data, table)
            results[data.name] = table
    if args.json:
        args.json.write_text(json.dumps(results, indent=2) + "\n")


def repaired_sample(root: Path) -> tuple[Path, str, Path | None]:
    """Create a session of the embedded sample, with 2D poses, and repair its rig from its first frames."""
    import numpy as np

    from core.calibration.people.calibrate import repair_from_people
    from core.calibration.people.config import PeopleConfig
    from core.pipelines.demo import DEMO_TAKE, create_demo
    from core.pipelines.params import Pose2DParams
    from core.pipelines.pose2d import run_pose2d
    from core.pose2d.config import Pose2DConfig
    from core.progress import NullReporter

    session = create_demo(root)
    # A second look would depend on the rig before the repair.
    settings = Pose2DParams(take=DEMO_TAKE, pose2d=Pose2DConfig(second_look="off"))
    run_pose2d(session, settings, session.new_run("pose2d"), NullReporter())
    take, rig = session.take(DEMO_TAKE), session.require_rig()
    first = np.arange(_REPAIR_FRAMES)
    poses2d = {name: rows(pose, first) for name, pose in take.poses2d(_ESTIMATOR, first_pass=True).items()}
    time_s = dict.fromkeys(take.cameras, take.timeline().time_s[first])
    repair_from_people(rig, poses2d, time_s, (), PeopleConfig(), NullReporter()).rig.save(session.layout.rig)
    return root, DEMO_TAKE, None


def _load(root: Path, take_name: str, judge: Path | None, args: argparse.Namespace) -> Data:
    import numpy as np
    from scipy.ndimage import binary_dilation

    from core.datasets.config import SplitConfig
    from core.datasets.split import held_out
    from core.session import Session
    from core.session.align import align_poses2d

    session = Session.open(root)
    take = session.take(take_name)
    rig, timeline = session.rig_for(take), take.timeline()
    own = take.poses2d(args.estimator, rig)
    measured = np.ones(len(timeline.time_s), bool)
    if args.train or args.held_out:
        measured = held_out(len(measured), SplitConfig())
    measured_with = take.poses2d(args.estimator, rig, first_pass=True)
    if judge is not None:
        with np.load(judge) as file:
            found = {
                name: dataclasses.replace(pose, xy_px=file[f"xy_px/{name}"], score=file[f"score/{name}"])
                for name, pose in take.poses2d(args.estimator, first_pass=True).items()
            }
        measured_with = align_poses2d(found, timeline, rig)
    return Data(
        name=f"{root.name}/{take_name}",
        session=session,
        take=take,
        estimator=args.estimator,
        rig=rig,
        poses2d=own,
        judge=measured_with,
        time_s=timeline.time_s,
        frames=np.flatnonzero(measured),
        used=np.flatnonzero(binary_dilation(measured, iterations=_CONTEXT)),
    )


def _measure(args: argparse.Namespace, data: Data, folder: Path) -> dict[str, Row]:
    """Return the results of all methods on a take."""
    from core.evaluation.loco import collect_observations

    observations = collect_observations(data.judge, data.rig.names, data.frames)
    left = choices(data.rig.names, args.cameras)
    found: dict[str, Row] = {}

    def add(name: str, method: Method, unseen: str = "", seconds: float = 0.0) -> None:
        row = found.setdefault(name, Row(unseen=unseen))
        row.seconds += seconds
        row.errors.append(_loco(data, observations, left, method))
        row.per_frame.append(float(data.reconstruct(method, data.rig).present.sum(1).mean()))
        if args.ghosts:
            row.alone.append(alone(data, method, data.poses2d))
            row.by_chance.append(alone(data, method, exchanged(data.poses2d)))
        print(f"  {data.name}: {name} done", file=sys.stderr, flush=True)

    add(BASELINE, _triangulation("none"))
    add(SMOOTHED, _triangulation("rts"))
    for preset in args.shipped:
        add(f"{preset}, shipped", _shipped(preset, data))
    for name, checkpoint in args.models.items():
        add(name, _networks(checkpoint, data))
    for preset, seed in itertools.product(args.train, range(args.seeds)):
        method, unseen, seconds = _trained(preset, seed, args, data, folder / f"{preset}{seed}")
        add(f"{preset}, trained", method, unseen, seconds)
    return found


def _triangulation(smoothing: str) -> Method:
    from core.config import from_mapping
    from core.progress import NullReporter
    from core.reconstruction.triangulated import Triangulator
    from core.tracking.config import TrackingConfig

    triangulator = Triangulator(tracking=from_mapping(TrackingConfig, {"smoothing": smoothing}))
    return lambda rig, poses2d, time_s: triangulator.reconstruct(rig, poses2d, time_s, NullReporter())


def _shipped(preset: str, data: Data) -> Method:
    from core.files import resource

    return _networks(resource("weights", f"networks_{preset}"), data)


def _networks(checkpoint: Path, data: Data) -> Method:
    """Return the networks of a checkpoint, with its capture volume replaced by that of the take."""
    from core.geometry.capture_volume import capture_volume
    from core.models.checkpoint import Checkpoint
    from core.models.device import pick_device
    from core.progress import NullReporter
    from core.reconstruction.predictor import Predictor

    saved, device = Checkpoint.load(checkpoint), pick_device()
    around = _triangulation("none")(data.rig, data.poses2d, data.time_s).xyz_mm.reshape(-1, 3)
    volume = capture_volume(data.rig, spacing_mm=saved.config.root.spacing_mm, around_mm=around)
    predictor = Predictor(saved.build(device), volume, device, checkpoint.name)
    return lambda rig, poses2d, time_s: predictor.reconstruct(rig, poses2d, time_s, NullReporter())


def _trained(
    preset_name: str, seed: int, args: argparse.Namespace, data: Data, folder: Path
) -> tuple[Method, str, float]:
    """Train in a copy of the session; return the method, the camera not used in training, and the duration in s."""
    from core.config import with_overrides
    from core.datasets.split import held_out_camera
    from core.pipelines.params import TrainParams, TriangulateParams
    from core.pipelines.train import run_train
    from core.pipelines.triangulate import run_triangulate
    from core.progress import NullReporter
    from core.session import Session
    from core.training.presets import preset

    settings = [f"max_minutes={args.minutes}", f"seed={seed}", "split.train_on_camera=false", *args.set]
    config = with_overrides(preset(preset_name), settings)
    camera = held_out_camera(data.rig.names, config.split)
    shutil.copytree(data.session.root, folder)
    session = Session.open(folder)
    triangulate = TriangulateParams(take=data.take.name, estimator=data.estimator)
    run_triangulate(session, triangulate, session.new_run("triangulate"), NullReporter())
    run = session.new_run("train")
    started = time.monotonic()
    run_train(
        session, TrainParams(takes=(data.take.name,), estimator=data.estimator, training=config), run, NullReporter()
    )
    seconds = time.monotonic() - started
    unseen = "" if config.split.train_on_camera or camera is None else data.rig.names[camera]
    return _networks(run.checkpoints / "best", data), unseen, seconds


def choices(cameras: tuple[str, ...], used: int) -> list[dict[str, tuple[str, ...]]]:
    """Choose the cameras from which each camera is predicted.

    Args:
        cameras: All cameras.
        used: Number of cameras that a method may use, the predicted one excluded; 0 for all others.

    Returns:
        Up to three mappings from each camera to the cameras that predict it, in the order of the rig.
    """
    count = min(used or len(cameras), len(cameras) - 1)
    found = {name: list(itertools.combinations([c for c in cameras if c != name], count)) for name in cameras}
    draws = min(_MOST_CHOICES, *(len(c) for c in found.values()))
    return [{name: every[d * len(every) // draws] for name, every in found.items()} for d in range(draws)]


def _loco(
    data: Data, observations: ViewObservations, left: list[dict[str, tuple[str, ...]]], method: Method
) -> ViewErrors:
    """Return the errors of a method in every camera, concatenated over all choices of the predicting cameras."""
    from core.evaluation.loco import loco_errors
    from core.progress import NullReporter

    def errors(choice: dict[str, tuple[str, ...]]) -> ViewErrors:
        def fit(camera: str) -> Pose3DSequence:
            return data.reconstruct(method, data.rig.subset(choice[camera]))

        return loco_errors(data.rig, observations, data.time_s, fit, NullReporter())

    return together([errors(choice) for choice in left])


def rows(pose: Pose2D, frames: np.ndarray) -> Pose2D:
    """Return the 2D poses of some frames (F,)."""
    return dataclasses.replace(pose, xy_px=pose.xy_px[frames], score=pose.score[frames], box_px=pose.box_px[frames])


def exchanged(poses2d: Mapping[str, Pose2D]) -> dict[str, Pose2D]:
    """Assign a random other frame to each camera, so that people of different cameras agree only by chance."""
    import numpy as np

    rng = np.random.default_rng(0)
    return {name: rows(pose, rng.permutation(pose.n_frames)) for name, pose in poses2d.items()}


def alone(data: Data, method: Method, poses2d: Mapping[str, Pose2D]) -> float:
    """Return the mean number of people per measured frame, each frame reconstructed without its neighbours."""
    import numpy as np

    frames = data.frames[:: -(-len(data.frames) // _MOST_ALONE)]
    chosen = {name: rows(pose, frames) for name, pose in poses2d.items()}
    time_s = np.arange(len(frames), dtype=float) * _APART_S
    return float(method(data.rig, chosen, time_s).present.sum(1).mean())


def only(errors: ViewErrors, camera: str) -> ViewErrors:
    """Return the errors in one camera."""
    seen = errors.observations
    kept = dataclasses.replace(seen, xy_px={camera: seen.xy_px[camera]}, size_px={camera: seen.size_px[camera]})
    return dataclasses.replace(errors, error_px={camera: errors.error_px[camera]}, observations=kept)


def together(errors: list[ViewErrors]) -> ViewErrors:
    """Concatenate errors on the same observations, so that blocks of time contain those of all seeds."""
    import numpy as np

    seen = errors[0].observations
    tiled = dataclasses.replace(
        seen,
        xy_px={n: np.concatenate([xy] * len(errors), 1) for n, xy in seen.xy_px.items()},
        size_px={n: np.concatenate([s] * len(errors), 1) for n, s in seen.size_px.items()},
    )
    error_px = {n: np.concatenate([e.error_px[n] for e in errors], 1) for n in seen.xy_px}
    return dataclasses.replace(errors[0], error_px=error_px, observations=tiled)


def summary(row: Row, smoothed: Row) -> dict[str, Any]:
    """Return the metrics of a method: over all cameras, in each camera, and for each seed."""
    import numpy as np

    def mean(values: list[float]) -> float | None:
        return float(np.mean(values)) if values else None

    errors, other = together(row.errors), together(smoothed.errors * len(row.errors))
    return {
        "per_frame": mean(row.per_frame),
        "alone": mean(row.alone),
        "by_chance": mean(row.by_chance),
        "seconds": row.seconds / len(row.errors),
        "all": compared(errors, other),
        "cameras": {name: compared(only(errors, name), only(other, name)) for name in errors.error_px},
        "seeds": [compared(e, smoothed.errors[0]) for e in row.errors],
        "unseen": row.unseen,
    }


def compared(errors: ViewErrors, smoothed: ViewErrors) -> dict[str, Any]:
    """Return the metrics of a method, and its differences from smoothed triangulation.

    The errors in px cover the joints that both predict. Over all observed joints, a missing one counts as an error of
    half the person's size.
    """
    from core.evaluation.compare import common_masks, error_metrics, overall_metrics, shared_joints
    from core.evaluation.verdict import compare_methods

    common = error_metrics(errors, common_masks(errors, smoothed))
    overall = overall_metrics(errors, shared_joints(errors, smoothed))
    both = compare_methods(errors, smoothed)
    return {
        "mean_px": common.mean_px,
        "median_px": common.median_px,
        "percent": common.percent_height,
        "people": overall.people,
        "joints": overall.coverage,
        "all_percent": overall.percent_height,
        "within": overall.within,
        "difference_px": _interval(both.common),
        "difference_percent": _interval(both.overall),
        "better": {0: "yes", 1: "worse", None: "neither"}[both.better],
    }


def _interval(difference: PairedDifference | None) -> tuple[float, float, float] | None:
    return None if difference is None else (difference.value, difference.low, difference.high)


def _print(data: Data, table: Mapping[str, Mapping[str, Any]]) -> None:
    """Print Markdown: all cameras together, then each camera and each seed."""
    print(f"\n{data.name}: {len(data.frames)} of {len(data.time_s)} frames, {len(data.rig)} cameras")
    heads = (
        *("method", "people per frame", "alone", "by chance", "people found", "joints found"),
        *("common joints: mean px", "median px", "% of height", "median against RTS, px"),
        *("all joints: % of height", "within 10 %", "against RTS, %", "better than RTS", "training s"),
    )
    print(f"| {' | '.join(heads)} |\n{'|---' * len(heads)}|")
    for name, row in table.items():
        f = row["all"]
        cells = (
            *(name, f"{row['per_frame']:.2f}", _text(row["alone"]), _text(row["by_chance"])),
            *(f"{f['people']:.1%}", f"{f['joints']:.1%}", f"{f['mean_px']:.2f}", f"{f['median_px']:.2f}"),
            *(f"{f['percent']:.2f}", _signed(f["difference_px"]), f"{f['all_percent']:.2f}", f"{f['within']:.1%}"),
            *(_signed(f["difference_percent"]), "" if name == SMOOTHED else f["better"], f"{row['seconds']:.0f}"),
        )
        print(f"| {' | '.join(cells)} |", flush=True)
    names = data.rig.names
    print(f"\n| median px on common joints, against RTS | {' | '.join(names)} | seeds |\n{'|---' * (len(names) + 2)}|")
    for name, row in table.items():
        each = [
            f"{f['median_px']:.2f}, {_signed(f['difference_px'])}"
            + (" (not in training)" if row["unseen"] == camera else "")
            for camera, f in row["cameras"].items()
        ]
        seeds = "; ".join(_signed(f["difference_px"]) for f in row["seeds"]) if len(row["seeds"]) > 1 else ""
        print(f"| {name} | {' | '.join(each)} | {seeds} |", flush=True)


def _text(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _signed(difference: tuple[float, float, float] | None) -> str:
    return "too few" if difference is None else "{:+.2f} [{:+.2f}, {:+.2f}]".format(*difference)


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--session", type=Path, nargs="+", default=[], help="sessions; the embedded sample by default")
    parser.add_argument("--take", nargs="+", default=[], help="a take of each session")
    parser.add_argument("--judge", type=Path, nargs="+", default=[], help="npz with other 2D joints, for each session")
    parser.add_argument("--estimator", default=_ESTIMATOR, help="2D poses that the methods use")
    parser.add_argument("--cameras", type=int, default=0, help="cameras that predict a camera; default: all others")
    parser.add_argument("--shipped", nargs="*", default=["quick", "fast"], metavar="PRESET", help="included networks")
    parser.add_argument("--train", nargs="*", default=[], metavar="PRESET", help="train on each take")
    parser.add_argument("--minutes", type=float, default=8.0, help="longest training")
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each preset")
    parser.add_argument("--set", action="append", default=[], metavar="A.B=C", help="override a training setting")
    parser.add_argument("--model", action="append", default=[], metavar="NAME=FOLDER", help="a checkpoint")
    parser.add_argument("--held-out", action="store_true", help="measure only the frames that training holds out")
    parser.add_argument("--ghosts", action=argparse.BooleanOptionalAction, default=True, help="agreement by chance")
    parser.add_argument("--json", type=Path, help="write the metrics to this file")
    args = parser.parse_args()
    if len(args.take) != len(args.session) or len(args.judge) not in (0, len(args.session)):
        parser.error("each --session needs a --take, and a --judge or none at all")
    judges = args.judge or [None] * len(args.session)
    args.takes = list(zip(args.session, args.take, judges, strict=True))
    args.models = {name: Path(folder) for name, _, folder in (m.partition("=") for m in args.model)}
    return args


if __name__ == "__main__":
    # The matrices are small, and more threads would slow each other down. Read at the first import of numpy.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(run_script(__file__, arguments, bench))
