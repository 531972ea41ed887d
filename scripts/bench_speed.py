"""Measure the time of a multi-view frame and of a training step, as multiples of the pass of one fixed network.

The unit is one plain-torch fp32 Pose-ResNet-50 pass on one 960x512 image, measured in the same run, since ratios differ
less between computers than times. Weights are random, which does not affect times. Each value is printed as soon as it
is measured.

python scripts/bench_speed.py --device cpu --threads 2
python scripts/bench_speed.py --device cuda --people 4 --short

A Python with torch, numpy, scipy, safetensors and PyYAML is used directly, otherwise the project's environment.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest import mock

from _environment import REPOSITORY, SetupError, ensure, run
from _yardstick import pose_resnet50

_NEEDED = ("torch", "numpy", "scipy", "safetensors", "yaml")
_AS_WORKERS = {
    "OMP_WAIT_POLICY": "PASSIVE",
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(2**31 - 1),
    "MALLOC_TOP_PAD_": str(256 << 20),
}
"""Setting of `core.jobs.system` in worker processes; that module requires more packages than this script."""
_LIGHT = "fast with a light backbone"
_TAKE = 64
Work = Callable[[], object]


class Clock:
    """Timer of calls on a device; reports medians.

    Args:
        device: Device of the work.
        repeat: Largest number of timed calls.
        seconds: Time limit, though at least one call is timed.
    """

    def __init__(self, device: Any, repeat: int, seconds: float) -> None:
        self.device, self.repeat, self.seconds, self.unit_ms = device, repeat, seconds, float("nan")

    def ms(self, work: Work) -> float:
        """Return the median time in ms; the first call, which compiles and allocates, is not timed."""
        work()
        times: list[float] = []
        began = time.perf_counter()
        while len(times) < self.repeat and (not times or time.perf_counter() - began < self.seconds):
            self.wait()
            started = time.perf_counter()
            work()
            self.wait()
            times.append(1e3 * (time.perf_counter() - started))
        return statistics.median(times)

    def tell(self, name: str, ms: float, note: str = "") -> None:
        """Print a measurement."""
        print(f"  {name:<48}{ms:>10.1f} ms {ms / self.unit_ms:>9.3f} x  {note}", flush=True)

    def wait(self) -> None:
        """Wait until the device has finished."""
        import torch

        if self.device.type == "cuda":
            torch.cuda.synchronize()


class Memory:
    """Peak memory of a part of the run, on the GPU or of this process on Linux."""

    def __init__(self, device: Any) -> None:
        import torch

        self.device = device
        if device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        elif sys.platform.startswith("linux"):
            Path("/proc/self/clear_refs").write_text("5")  # reset the peak

    def words(self) -> str:
        """Return the peak as text."""
        import torch

        if self.device.type == "cuda":
            return f"peak {torch.cuda.max_memory_allocated() / 2**30:.2f} GiB of the GPU"
        if not sys.platform.startswith("linux"):
            return ""
        status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        return f"peak {float(status['VmHWM'].split()[0]) / 2**20:.2f} GiB"


def bench(asked: argparse.Namespace) -> None:
    """Print all measurements."""
    import torch

    if asked.threads:
        torch.set_num_threads(asked.threads)
    from core.models.device import describe_device, pick_device, pick_precision
    from core.models.engine import engine_name

    device = pick_device(asked.device)
    clock = Clock(device, asked.repeat, 2.0 if asked.short else 20.0)
    low = pick_precision(device)
    print(
        f"{describe_device(device)}; {engine_name(device)}, networks in {'bf16' if low else 'fp32'}; "
        f"{asked.views} views, {asked.people} people",
        flush=True,
    )
    with torch.inference_mode():
        network, image = pose_resnet50().eval().to(device), torch.zeros(1, 3, 512, 960, device=device)
        clock.unit_ms = clock.ms(lambda: network(image))
        clock.tell("Pose-ResNet-50, one 960x512 image (the unit)", clock.unit_ms)
    if "infer" in asked.parts:
        original(asked, clock)
        for name in ("paper", "fast", _LIGHT, "quick"):
            frame(asked, clock, name, low, 1)
            if device.type == "cuda":
                frame(asked, clock, name, low, asked.frames)
        if not asked.no_movenet:
            movenet(asked, clock)
        projection(asked, clock)
    if "train" in asked.parts:
        steps(asked, clock, low)


def _config(name: str) -> Any:
    """Return the model settings of a preset, or of the variant with the light backbone."""
    from core.models.config import BackboneConfig
    from core.training.presets import preset

    if name != _LIGHT:
        return preset(name).model
    config = preset("fast").model
    heatmap = dataclasses.replace(config.heatmap, source="backbone", long_side_px=240)
    backbone = BackboneConfig(depth=18, width=0.5, deconv_channels=64, stride=2)
    return dataclasses.replace(config, heatmap=heatmap, backbone=backbone)


def _scene(asked: argparse.Namespace, config: Any, device: Any) -> Any:
    """Build a ring of cameras around the capture volume of the paper, 8 x 8 x 2 m."""
    import numpy as np

    from core.models.scene import CaptureScene
    from core.synthetic.rigs import ring_rig
    from core.types.volume import CaptureVolume

    volume = CaptureVolume(
        centre_mm=np.array([0.0, 0, 800]), size_mm=np.array([8000.0, 8000, 2000]), voxels=(80, 80, 20)
    )
    return CaptureScene(ring_rig(asked.views, radius_mm=5500.0), volume, config, device)


def _roots(count: int, device: Any) -> Any:
    import torch

    angle = 2 * torch.pi * torch.arange(count, device=device) / max(1, count)
    return torch.stack([1200 * angle.cos(), 1200 * angle.sin(), torch.full_like(angle, 900)], -1)


def as_published() -> Any:
    """Fill volumes by `grid_sample` on a CPU as well, within the context."""
    return mock.patch("core.models.geometry.unproject.can_gather", lambda heatmaps: False)


def original(asked: argparse.Namespace, clock: Clock) -> None:
    """Time the published networks as published: plain fp32, view by view, person by person, without any cache."""
    import torch

    from core.models.geometry.unproject import VolumeUnprojector
    from core.models.networks import Networks
    from core.models.view_batch import ViewBatch

    config, device = _config("paper"), clock.device
    memory = Memory(device)
    with torch.inference_mode(), as_published():
        networks, scene = Networks(config).to(device).eval(), _scene(asked, config, device)
        backbone, images = networks.backbone, torch.randn(asked.views, 3, 512, 960, device=device)
        assert backbone is not None
        roots = _roots(asked.people, device)
        affine, ones = scene.affine[None], torch.ones(1, asked.views, device=device)
        nothing = torch.zeros(1, asked.views, 0, len(networks.skeleton), 2, device=device)

        def work() -> None:
            maps = torch.cat([backbone(p[None]) for p in images])[None]
            anew = VolumeUnprojector(scene.projector, scene.volume)
            networks.root(anew, maps[:, :, 2].clamp(0, 1), affine, ones)
            shown = ViewBatch(maps.clamp(0, 1), maps[:, :, 2], affine, ones, nothing, nothing[..., 0])
            for root in roots:
                networks.pose(scene.projector, shown, root[None])

        clock.tell("original: plain fp32, a frame", clock.ms(work), memory.words())


class Frames:
    """Frames of a preset with known people, and the parts of their computation.

    Args:
        asked: Arguments with the numbers of views and people.
        config: Settings of the networks.
        device: Device.
        low: Compute dtype of the networks; None for float32.
        frames: Number of frames per batch.
    """

    def __init__(self, asked: argparse.Namespace, config: Any, device: Any, low: Any, frames: int) -> None:
        import torch

        from core.models.networks import Networks

        V, P = asked.views, asked.people
        self.networks, self.scene = Networks(config).to(device), _scene(asked, config, device)
        self.networks.freeze(low)
        self.affine = self.scene.affine.expand(frames, -1, -1, -1)
        self.ones = torch.ones(frames, V, device=device)
        self.roots = _roots(P, device).repeat(frames, 1)
        self.sample = torch.arange(frames, device=device).repeat_interleave(P)
        J = len(self.networks.skeleton)
        exact = self.roots[:, None] + 250 * torch.randn(frames * P, J, 3, device=device)
        self.networks.pose.prior.fit(exact - self.roots[:, None])
        uv, _ = self.scene.projector(exact.view(frames, P * J, 3))
        self.joints = uv.view(frames, V, P, J, 2)
        self.score = torch.rand(self.joints.shape[:-1], device=device)
        (H, W), stride = self.scene.size_hw, config.backbone.stride
        self.images = None
        if self.networks.backbone is not None:
            self.images = torch.randn(frames, V, 3, H * stride, W * stride, device=device)

    def look(self) -> Any:
        """Compute the heatmaps of all views."""
        from core.models.backbone import predict_heatmaps
        from core.models.view_batch import render_view_batch

        size, sigma, skeleton = self.scene.size_hw, self.scene.sigma_px, self.scene.skeleton
        if self.images is None:
            return render_view_batch(self.joints, self.score, self.affine, self.ones, size, sigma, skeleton)
        size = size if skeleton.root is None else (1, 1)
        drawn = render_view_batch(self.joints, self.score, self.affine, self.ones, size, sigma, skeleton)
        heatmaps = predict_heatmaps(self.networks.backbone, self.images).clamp(0, 1)
        return drawn.with_heatmaps(heatmaps, tuple(range(len(skeleton))), skeleton)

    def mine(self, views: Any) -> Any:
        """Compute the views of each person."""
        if not self.networks.config.pose.gate:
            return views.select(self.sample)
        prior, scene = self.networks.pose.prior, self.scene
        return prior.gate(scene.projector, views, self.roots, self.sample, scene.sigma_px)

    def smooth(self) -> None:
        """Run the temporal refiner on `_TAKE` frames of these people."""
        import numpy as np

        from core.reconstruction.temporal import refine_tracks

        assert self.networks.temporal is not None
        people = self.roots[: self.roots.shape[0] // len(self.affine)].cpu().numpy().astype(float)
        J = len(self.networks.skeleton)
        xyz = people[None, :, None] + np.random.default_rng(0).normal(0, 200, (_TAKE, len(people), J, 3))
        covariance = np.broadcast_to(100 * np.eye(3), (*xyz.shape, 3))
        refine_tracks(self.networks.temporal, np.arange(_TAKE) / 30, xyz, covariance, 0.5)

    def parts(self) -> dict[str, Work]:
        """Return the parts of a frame's computation by name, in order, from images or joints to people."""
        from core.models.heads.pose_net import joint_support, merge_skeletons
        from core.models.heads.root_net import extract_proposals
        from core.models.inference import refine_joints, select_supported

        networks, scene, config = self.networks, self.scene, self.networks.config
        views = self.look()
        own = self.mine(views)
        cubes, _ = networks.pose.fused(scene.cubes, own, self.roots)
        xyz, spread = networks.pose(scene.cubes, own, self.roots)
        volume = networks.root(scene.unprojector, views.root, self.affine, self.ones)

        def rest() -> None:
            extract_proposals(volume, scene.volume, config.root)
            score = joint_support(scene.projector, own, xyz)
            merge_skeletons(xyz, score.mean(-1), self.sample, config.pose.merge_mm)
            score = joint_support(scene.projector, own, xyz)
            if config.pose.gate:
                select_supported(scene, own, xyz, score, self.sample, config.pose.min_views)

        work: dict[str, Work] = {
            "heatmaps": self.look,
            "root space filled": lambda: scene.unprojector(views.root[:, :, None], self.affine, self.ones),
            "root network, with that": lambda: networks.root(scene.unprojector, views.root, self.affine, self.ones),
            "people apart": lambda: self.mine(views),
            "cubes filled": lambda: networks.pose.fused(scene.cubes, own, self.roots),
            "pose network": lambda: networks.pose.locate(cubes),
            "peaks, duplicates, scores": rest,
        }
        if networks.ray_refiner is not None:
            work["ray refiner"] = lambda: refine_joints(networks, scene, views, own, xyz, spread, self.sample)
        return work


def frame(asked: argparse.Namespace, clock: Clock, name: str, low: Any, frames: int) -> None:
    """Time a frame of a preset and its parts, with several frames per batch."""
    import torch

    memory = Memory(clock.device)
    with torch.inference_mode():
        work = Frames(asked, _config(name), clock.device, low, frames)
        whole = {part: clock.ms(task) / frames for part, task in work.parts().items()}
        if work.networks.temporal is not None:
            whole["temporal refiner"] = clock.ms(work.smooth) / _TAKE
    total = sum(whole.values()) - whole["root space filled"]
    at_once = f", {frames} at once" if frames > 1 else ""
    clock.tell(f"{name}: a frame{at_once}", total, f"{1e3 / total:.1f} frames a second, {memory.words()}")
    for part, ms in whole.items():
        clock.tell(f"  {part}", ms)


def movenet(asked: argparse.Namespace, clock: Clock) -> None:
    """Time the embedded 2D estimator on all views, which `fast` and `quick` require."""
    if importlib.util.find_spec("onnxruntime") is None:
        print("  The 2D estimator is left out: onnxruntime is not installed.", flush=True)
        return
    import numpy as np
    import onnxruntime
    import torch

    path = REPOSITORY / "resources" / "weights" / "movenet_multipose.onnx"
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    image = np.zeros((1, 3, 288, 512), np.float32)
    name = session.get_inputs()[0].name
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:  # one thread per view, as in the verb `pose2d`
        four = clock.ms(lambda: list(pool.map(lambda _: session.run(None, {name: image}), range(4 * asked.views))))
    clock.tell("2D estimator on the CPU, all views", four / 4)


def projection(asked: argparse.Namespace, clock: Clock) -> None:
    """Time unprojection with cached projections against projection on the fly."""
    import torch

    from core.models.geometry.unproject import CubeUnprojector, ProjectedGrid, VolumeUnprojector, grid_points

    config, device = _config("paper"), clock.device
    faster = "{:.1f} times faster".format
    with torch.inference_mode():
        scene = _scene(asked, config, device)
        H, W = scene.size_hw
        affine, ones = scene.affine[None], torch.ones(1, asked.views, device=device)
        maps = torch.rand(1, asked.views, 1, H, W, device=device)
        with as_published():
            anew = clock.ms(lambda: VolumeUnprojector(scene.projector, scene.volume)(maps, affine, ones))
        kept = clock.ms(lambda: scene.unprojector(maps, affine, ones))
        clock.tell("root space, projected on the fly", anew)
        clock.tell("root space, cached projections", kept, faster(anew / kept))
        four = [each.expand(4, *each.shape[1:]) for each in (maps, affine, ones)]
        kept = clock.ms(lambda: scene.unprojector(*four)) / 4
        clock.tell("root space, cached projections, 4 frames at once", kept, faster(anew / kept))
        roots, people = _roots(asked.people, device), [asked.people, -1, -1, -1]
        cubes = CubeUnprojector(config.pose.cube_mm, config.pose.voxels).to(device)
        offsets = grid_points(torch.full((3,), config.pose.cube_mm, device=device), cubes.voxels)
        lattice = scene.cubes
        if isinstance(lattice, ProjectedGrid):
            anew = clock.ms(lambda: scene.projector(roots[:, None] + offsets))
            kept = clock.ms(lambda: lattice.place(roots))
            clock.tell("points of the cubes, projected on the fly", anew)
            clock.tell("points of the cubes, cut from the projected grid", kept, faster(anew / kept))
        maps = torch.rand(asked.people, asked.views, len(scene.skeleton), H, W, device=device)
        parts = (maps, affine.expand(people), ones.expand(people[:2]), roots)
        with as_published():
            anew = clock.ms(lambda: cubes(scene.projector, *parts))
        kept = clock.ms(lambda: cubes(lattice, *parts))
        clock.tell("cubes filled, projected on the fly", anew)
        clock.tell("cubes filled, cached projections", kept, faster(anew / kept))


def steps(asked: argparse.Namespace, clock: Clock, low: Any) -> None:
    """Time training steps of the paper's networks: a synthetic root scene, and a person in two versions."""
    import numpy as np
    import torch

    from core.models.device import set_precision
    from core.models.networks import Networks
    from core.models.view_batch import ViewBatch
    from core.training.losses.roots import root_loss
    from core.training.presets import preset
    from core.training.synthetic import root_scenes, root_target

    settings, device = preset("paper"), clock.device
    config = settings.model
    memory = Memory(device)
    networks, scene = Networks(config).to(device), _scene(asked, config, device)
    networks.train()
    set_precision(networks, low)
    batch = 4 if device.type == "cuda" else 1

    def root() -> None:
        made = root_scenes(scene, batch, settings.root, np.random.default_rng(0))
        target = root_target(scene.volume, made.roots_mm, made.visible, 200.0)
        views = made.views
        loss = root_loss(networks.root(scene.unprojector, views.root, views.affine, views.view_weight), target)
        torch.autograd.backward(loss)

    clock.tell("root training, a synthetic scene", clock.ms(root) / batch, memory.words())
    memory = Memory(device)
    H, W = scene.size_hw
    J = len(networks.skeleton)
    maps = torch.rand(2, asked.views, J, H, W, device=device)
    nothing = torch.zeros(2, asked.views, 0, J, 2, device=device)
    ones = torch.ones(2, asked.views, device=device)
    shown = ViewBatch(maps, maps[:, :, 2], scene.affine.expand(2, -1, -1, -1), ones, nothing, nothing[..., 0])

    def pose() -> None:
        found, _ = networks.pose(scene.cubes, shown, _roots(2, device))
        torch.autograd.backward(found.square().mean())

    clock.tell("pose training, a person in two versions", clock.ms(pose), memory.words())


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=0, help="number of CPU threads; 0 for the default")
    parser.add_argument("--views", type=int, default=5)
    parser.add_argument("--people", type=int, default=3)
    parser.add_argument(
        "--frames", type=int, default=16, help="frames per batch on a GPU, in addition to single frames"
    )
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--short", action="store_true", help="at most 2 seconds per measurement, but at least one call")
    parser.add_argument("--parts", nargs="+", default=["infer", "train"], choices=["infer", "train"])
    parser.add_argument("--no-movenet", action="store_true", help="skip the 2D estimator")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> int:
    """Run the script and return the exit code."""
    asked = arguments()
    if asked.child:
        bench(asked)
        return 0
    fits = all(importlib.util.find_spec(name) for name in _NEEDED)
    try:
        python = sys.executable if fits else ensure(window=False)
    except SetupError as error:
        print(error, file=sys.stderr)
        return 1
    return run([python, __file__, *sys.argv[1:], "--child"], PYTHONPATH=str(REPOSITORY), **_AS_WORKERS)


if __name__ == "__main__":
    sys.exit(main())
