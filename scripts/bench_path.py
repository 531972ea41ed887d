"""Measure time and peak memory of every step of the pipeline, per frame set.

Each measurement runs in a new process, so that its peak memory is that of one step; the table shows medians. The last
column is relative to one forward pass of a plain fp32 Pose-ResNet-50 in torch on one 960x512 image, measured in the
same run, since ratios differ less between computers than times.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from _environment import rerun_in_environment
from _yardstick import pose_resnet50

if TYPE_CHECKING:
    from core.session import Session, Take

YARDSTICK = "Pose-ResNet-50"


@dataclass(frozen=True)
class Bench:
    """Data for the measurement of a step."""

    session: Session
    take: Take
    n_frames: int
    run: str

    def frames(self) -> Any:
        """Return indices of evenly spaced frames of the take."""
        import numpy as np

        return np.unique(np.linspace(0, self.take.manifest.n_frames - 1, self.n_frames).astype(int))


Work = Callable[[], object]


def video(bench: Bench) -> Work:
    """Measure the reading of one image per camera."""
    from core.session.video import VideoReader

    cameras = bench.take.manifest.cameras
    readers = [VideoReader(bench.take.video_path(c.name), rotation_deg=c.rotation_deg) for c in cameras]
    return lambda: [sum(1 for _ in reader.frames(0, bench.n_frames)) for reader in readers]


def pose2d(bench: Bench) -> Work:
    """Measure the 2D network with its decoder, on images in memory, with as many threads as the verb."""
    from concurrent.futures import ThreadPoolExecutor

    from core.pose2d.cards import model_card
    from core.pose2d.config import Pose2DConfig
    from core.pose2d.download import DownloadPolicy, model_files
    from core.pose2d.estimator import ESTIMATORS
    from core.pose2d.runtime import cpu_threads
    from core.progress import NullReporter
    from core.session.video import VideoReader

    config = Pose2DConfig()
    model = model_card(config.estimator)
    files = model_files(model, "", DownloadPolicy(), NullReporter())
    estimator = ESTIMATORS.get(model.runner)(model.name, files, config, 1)
    images = []
    for camera in bench.take.manifest.cameras:
        with VideoReader(bench.take.video_path(camera.name), rotation_deg=camera.rotation_deg) as reader:
            images += list(reader.frames(0, bench.n_frames))

    def work() -> object:
        with ThreadPoolExecutor(cpu_threads()) as pool:
            return list(pool.map(lambda image: estimator.estimate([image]), images))

    return work


def triangulate(bench: Bench) -> Work:
    """Measure association, robust triangulation and tracking."""
    import dataclasses

    from core.pose2d.config import DEFAULT_ESTIMATOR
    from core.progress import NullReporter
    from core.reconstruction.triangulated import Triangulator

    rig, rows = bench.session.rig_for(bench.take), slice(0, bench.n_frames)
    poses2d = {
        name: dataclasses.replace(pose, xy_px=pose.xy_px[rows], score=pose.score[rows], box_px=pose.box_px[rows])
        for name, pose in bench.take.poses2d(DEFAULT_ESTIMATOR).items()
    }
    time_s = bench.take.timeline().time_s[rows]
    return lambda: Triangulator().reconstruct(rig, poses2d, time_s, NullReporter())


def infer(bench: Bench) -> Work:
    """Measure root and pose networks, refinement and tracking, with a training run if there is one."""
    from core.pose2d.config import DEFAULT_ESTIMATOR
    from core.progress import NullReporter
    from core.reconstruction.predictor import Predictor

    rig = bench.session.rig_for(bench.take)
    predictor = Predictor.load(bench.session.layout.run(bench.run)) if bench.run else _untrained(bench)
    frames = bench.frames()
    return lambda: predictor.reconstruct_take(bench.take, rig, DEFAULT_ESTIMATOR, NullReporter(), frames=frames)


def _untrained(bench: Bench) -> Any:
    """Return networks of the quick preset with random weights: the same work except for the number of people found."""
    from core.geometry.capture_volume import capture_volume
    from core.models.device import pick_device
    from core.models.networks import Networks
    from core.reconstruction.predictor import Predictor
    from core.training.presets import preset

    config, device = preset("quick").model, pick_device("auto")
    rig = bench.session.rig_for(bench.take)
    volume = capture_volume(rig, spacing_mm=config.root.spacing_mm)
    return Predictor(Networks(config).to(device), volume, device, "untrained")


def export(bench: Bench) -> Work:
    """Measure the export to every format."""
    from core.export import EXPORTERS, ExportedResult, Origin, default_formats, resolve_options, write_result
    from core.session import BASELINE

    poses = bench.take.poses3d(BASELINE)
    origin = Origin(take=bench.take.name, poses=BASELINE, rig="bench", version="bench")
    folder = Path(tempfile.mkdtemp(dir=bench.session.root))

    result = ExportedResult(poses=poses, origin=origin)

    def work() -> object:
        formats = default_formats(result.content)
        return [write_result(n, result, folder / "bench", resolve_options(EXPORTERS.get(n))) for n in formats]

    return work


def yardstick(bench: Bench) -> Work:
    """Measure one forward pass on one image."""
    import torch

    network = pose_resnet50().eval()
    image = torch.zeros(1, 3, 512, 960)

    def work() -> object:
        with torch.inference_mode():
            return network(image)

    return work


STAGES: dict[str, Callable[[Bench], Work]] = {
    YARDSTICK: yardstick,
    "video": video,
    "pose2d": pose2d,
    "triangulate": triangulate,
    "infer": infer,
    "export": export,
}


def measure(stage: str, bench: Bench) -> dict[str, float]:
    """Return milliseconds per frame set (of the yardstick: per pass) and the peak memory of this process in MiB."""
    work = STAGES[stage](bench)
    work()
    started = time.perf_counter()
    work()
    seconds = time.perf_counter() - started
    frames = {YARDSTICK: 1, "export": bench.take.manifest.n_frames}.get(stage, bench.n_frames)
    return {"ms": 1e3 * seconds / frames, "mib": _peak_mib()}


def _peak_mib() -> float:
    """Return the peak memory of this process alone: on Linux, `getrusage` includes that of the parent process."""
    if sys.platform.startswith("linux"):
        status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        return float(status["VmHWM"].split()[0]) / 2**10
    if sys.platform == "win32":
        import psutil

        return float(psutil.Process().memory_info().peak_wset / 2**20)
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main() -> int:
    """Run the benchmark; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--session", type=Path, help="session to measure on (default: the embedded sample)")
    parser.add_argument("--run", default="", help="training run (default: the newest one, or untrained networks)")
    parser.add_argument("--frames", type=int, default=16, help="frame sets per measurement")
    parser.add_argument("--repeat", type=int, default=3, help="measurements per step")
    parser.add_argument("--json", type=Path, help="file to write the results to")
    parser.add_argument("--stage", choices=list(STAGES), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.stage:
        print(json.dumps(measure(arguments.stage, _open(arguments))))
        return 0
    code = rerun_in_environment(__file__)
    if code is not None:
        return code
    with tempfile.TemporaryDirectory(prefix="selfpose-bench-") as folder:
        if arguments.session is None:
            arguments.session = Path(folder) / "session"
            _cli("demo", arguments.session)
        _cli("pose2d", arguments.session)
        _cli("triangulate", arguments.session)
        results = _bench(_open(arguments), arguments.repeat)
    _print(results)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n")
    return 0


def _open(arguments: argparse.Namespace) -> Bench:
    from core.session import Session
    from core.session.status import trained_runs

    session = Session.open(arguments.session)
    names = [arguments.run] if arguments.run else [r.name for r in trained_runs(session)]
    return Bench(session, session.take(session.take_names()[0]), arguments.frames, names[-1] if names else "")


def _cli(*arguments: str | Path) -> None:
    subprocess.run([sys.executable, "-m", "core.cli", *arguments], check=True, stdout=subprocess.DEVNULL)


def _bench(bench: Bench, repeat: int) -> dict[str, dict[str, float]]:
    """Return medians by step, in rounds over all steps, so that disturbances affect all steps equally."""
    print(
        f"Infer: {bench.run or 'untrained networks'}. {bench.n_frames} frames, median of {repeat} processes.",
        flush=True,
    )
    child = [sys.executable, __file__, "--session", str(bench.session.root), "--frames", str(bench.n_frames)]
    child += ["--run", bench.run] if bench.run else []
    measured: dict[str, list[dict[str, float]]] = {stage: [] for stage in STAGES}
    for _ in range(repeat):
        for stage in STAGES:
            done = subprocess.run([*child, "--stage", stage], check=True, stdout=subprocess.PIPE, text=True)
            measured[stage].append(json.loads(done.stdout.splitlines()[-1]))
    return {
        stage: {key: statistics.median(m[key] for m in each) for key in ("ms", "mib")}
        for stage, each in measured.items()
    }


def _print(results: dict[str, dict[str, float]]) -> None:
    unit = results[YARDSTICK]["ms"]
    print(f"{'per frame set':<24}{'ms':>10}{'x yardstick':>14}{'peak MiB':>12}")
    for stage, result in results.items():
        print(f"{stage:<24}{result['ms']:>10.1f}{result['ms'] / unit:>14.3f}{result['mib']:>12.0f}")
    whole = sum(result["ms"] for stage, result in results.items() if stage != YARDSTICK)
    print(f"{'all steps':<24}{whole:>10.1f}{whole / unit:>14.3f}")


if __name__ == "__main__":
    sys.exit(main())
