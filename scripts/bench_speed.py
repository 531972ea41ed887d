"""How long one multi-view frame and one training step take, as multiples of one fixed network.

The unit is one plain-torch fp32 Pose-ResNet-50 pass on one 960x512 picture, measured in the same run: times differ from
machine to machine, ratios hardly. Weights are random, which changes no time.

python scripts/bench_speed.py
python scripts/bench_speed.py --device cuda --people 4
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from _environment import run_elsewhere
from _yardstick import pose_resnet50


class Clock:
    """Times calls on a device, medians of several.

    Args:
        device: Where the work happens.
        repeat: Calls that count.
    """

    def __init__(self, device: Any, repeat: int) -> None:
        self.device, self.repeat, self.unit_ms = device, repeat, float("nan")

    def ms(self, work: Callable[[], object]) -> float:
        """Median milliseconds; the first calls, which compile and allocate, do not count."""
        work()
        times = []
        for _ in range(self.repeat):
            self._wait()
            started = time.perf_counter()
            work()
            self._wait()
            times.append(1e3 * (time.perf_counter() - started))
        return statistics.median(times)

    def tell(self, name: str, ms: float, note: str = "") -> None:
        print(f"  {name:<48}{ms:>10.1f} ms {ms / self.unit_ms:>9.3f} x  {note}", flush=True)

    def _wait(self) -> None:
        import torch

        if self.device.type == "cuda":
            torch.cuda.synchronize()


def bench(asked: argparse.Namespace) -> None:
    """Prints everything."""
    from core.jobs.machine import keep_freed_memory

    keep_freed_memory()
    import torch

    if asked.threads:
        torch.set_num_threads(asked.threads)
    from core.models.device import describe, pick_device, pick_precision

    device = pick_device(asked.device)
    clock = Clock(device, asked.repeat)
    low = pick_precision(device)
    print(f"{describe(device)}; networks in {'bf16' if low else 'fp32'}; {asked.views} views, {asked.people} people")
    with torch.inference_mode():
        network, picture = pose_resnet50().eval().to(device), torch.zeros(1, 3, 512, 960, device=device)
        clock.unit_ms = clock.ms(lambda: network(picture))
        clock.tell("Pose-ResNet-50, one 960x512 picture (the unit)", clock.unit_ms)
    if "infer" in asked.parts:
        original(asked, clock)
        for name in ("paper", "fast", "quick"):
            frame(asked, clock, name, low)
        if not asked.no_movenet:
            movenet(asked, clock)
        projection(asked, clock)
    if "train" in asked.parts:
        steps(asked, clock, low)


def _scene(asked: argparse.Namespace, config: Any, device: Any) -> Any:
    """A ring around the published space of 8 x 8 x 2 m."""
    import numpy as np

    from core.models.networks import Scene
    from core.synthetic.rigs import ring_rig
    from core.types.space import CaptureSpace

    space = CaptureSpace(centre_mm=np.array([0.0, 0, 800]), size_mm=np.array([8000.0, 8000, 2000]), voxels=(80, 80, 20))
    return Scene(ring_rig(asked.views, radius_mm=5500.0), space, config, device)


def _roots(count: int, device: Any) -> Any:
    import torch

    angle = 2 * torch.pi * torch.arange(count, device=device) / max(1, count)
    return torch.stack([1200 * angle.cos(), 1200 * angle.sin(), torch.full_like(angle, 900)], -1)


def original(asked: argparse.Namespace, clock: Clock) -> None:
    """The published networks as published: plain fp32, view by view and person by person, cameras projected anew."""
    import torch

    from core.models.networks import Networks
    from core.models.unproject import SpaceUnprojector
    from core.models.views import Views
    from core.training.config import preset

    config, device = preset("paper").model, clock.device
    with torch.inference_mode():
        networks, scene = Networks(config).to(device).eval(), _scene(asked, config, device)
        backbone, pictures = networks.backbone, torch.randn(asked.views, 3, 512, 960, device=device)
        assert backbone is not None
        roots = _roots(asked.people, device)
        affine, ones = scene.affine[None], torch.ones(1, asked.views, device=device)
        nothing = torch.zeros(1, asked.views, 0, 15, 2, device=device)

        def work() -> None:
            maps = torch.cat([backbone(p[None]) for p in pictures])[None]
            anew = SpaceUnprojector(scene.projector, scene.space)
            networks.root(anew, maps[:, :, 2].clamp(0, 1), affine, ones)
            shown = Views(maps.clamp(0, 1), maps[:, :, 2], affine, ones, nothing, nothing[..., 0])
            for root in roots:
                networks.pose(scene.projector, shown, root[None])

        clock.tell("original: plain fp32, a frame", clock.ms(work))


def frame(asked: argparse.Namespace, clock: Clock, name: str, low: Any) -> None:
    """One multi-view frame of a preset, and its parts."""
    import torch

    from core.models.backbone import heatmaps_of
    from core.models.networks import Networks, correct
    from core.models.views import Views, render_views
    from core.training.config import preset

    config, device, people = preset(name).model, clock.device, asked.people
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    with torch.inference_mode():
        networks, scene = Networks(config).to(device), _scene(asked, config, device)
        networks.freeze(low)
        H, W = scene.size_hw
        affine, ones = scene.affine[None], torch.ones(1, asked.views, device=device)
        roots, sample = _roots(people, device), torch.zeros(people, dtype=torch.long, device=device)
        exact = roots[:, None] + networks.pose.prior.mean_mm + 250 * torch.randn(people, 15, 3, device=device)
        uv, _ = scene.projector(exact[None].flatten(1, 2))
        joints = uv.view(1, asked.views, people, 15, 2)
        score = torch.rand(joints.shape[:-1], device=device)
        networks.pose.prior.fit(exact - roots[:, None])
        stride = config.backbone.stride
        pictures = torch.randn(1, asked.views, 3, H * stride, W * stride, device=device)
        parts: dict[str, Callable[[], object]] = {}

        def look() -> Views:
            if networks.backbone is None:
                return render_views(joints, score, affine, ones, scene.size_hw, scene.sigma_px)
            drawn = render_views(joints, score, affine, ones, (1, 1), scene.sigma_px)
            return drawn.showing(heatmaps_of(networks.backbone, pictures).clamp(0, 1), tuple(range(15)))

        views = look()
        gate = networks.config.pose.gate

        def mine() -> Views:
            prior = networks.pose.prior
            return prior.gate(scene.projector, views, roots, sample, scene.sigma_px) if gate else views.at(sample)

        own = mine()
        cubes, _ = networks.pose.fused(scene.cubes, own, roots)
        xyz, spread = networks.pose(scene.cubes, own, roots)
        parts["heatmaps"] = look
        parts["root network"] = lambda: networks.root(scene.unprojector, views.root, affine, ones)
        parts["people apart"] = mine
        parts["cubes filled"] = lambda: networks.pose.fused(scene.cubes, own, roots)
        parts["pose network"] = lambda: networks.pose.locate(cubes)
        parts["correction"] = lambda: correct(networks, scene, views, own, xyz, spread, sample)
        whole = {part: clock.ms(work) for part, work in parts.items()}
    total = sum(whole.values())
    memory = f"peak {torch.cuda.max_memory_allocated() / 2**30:.2f} GiB, " if device.type == "cuda" else ""
    clock.tell(f"{name}: a frame", total, f"{memory}{1e3 / total:.1f} frames a second")
    for part, ms in whole.items():
        clock.tell(f"  {part}", ms)


def movenet(asked: argparse.Namespace, clock: Clock) -> None:
    """The embedded 2D estimator on all views' pictures: what `fast` and `quick` need before the above."""
    import numpy as np
    import onnxruntime

    path = Path(__file__).resolve().parent.parent / "resources" / "weights" / "movenet_multipose.onnx"
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    picture = np.zeros((1, 3, 288, 512), np.float32)
    name = session.get_inputs()[0].name
    with ThreadPoolExecutor(asked.threads or None) as pool:  # a view a thread, as the verb `label` does it
        four = clock.ms(lambda: list(pool.map(lambda _: session.run(None, {name: picture}), range(4 * asked.views))))
    clock.tell("2D estimator on the CPU, all views", four / 4)


def projection(asked: argparse.Namespace, clock: Clock) -> None:
    """Filling the root space and the cubes: kept projections against cameras projected anew."""
    import torch

    from core.models.unproject import Lattice, SpaceUnprojector, grid_points
    from core.training.config import preset

    config, device = preset("paper").model, clock.device
    with torch.inference_mode():
        offsets = grid_points(torch.full((3,), 2000.0, device=device), (64, 64, 64))
        scene = _scene(asked, config, device)
        H, W = scene.size_hw
        affine, ones = scene.affine[None], torch.ones(1, asked.views, device=device)
        maps = torch.rand(1, asked.views, 1, H, W, device=device)
        kept = clock.ms(lambda: scene.unprojector(maps, affine, ones))
        anew = clock.ms(lambda: SpaceUnprojector(scene.projector, scene.space)(maps, affine, ones))
        clock.tell("root space, cameras projected anew", anew)
        clock.tell("root space, projections kept", kept, f"{anew / kept:.1f} times faster")
        roots = _roots(asked.people, device)
        anew = clock.ms(lambda: scene.projector(roots[:, None] + offsets))
        lattice = scene.cubes
        if isinstance(lattice, Lattice):
            kept = clock.ms(lambda: lattice.place(roots))
            clock.tell("cubes' points, cameras projected anew", anew)
            clock.tell("cubes' points, cut from the lattice", kept, f"{anew / kept:.1f} times faster")


def steps(asked: argparse.Namespace, clock: Clock, low: Any) -> None:
    """Training steps of the paper's networks: a synthetic root scene, a person in two versions."""
    import numpy as np
    import torch

    from core.models.device import set_precision
    from core.models.networks import Networks
    from core.models.views import Views
    from core.training.config import preset
    from core.training.losses import root_loss
    from core.training.synthetic import root_scenes, root_target

    settings, device = preset("paper"), clock.device
    config = settings.model
    networks, scene = Networks(config).to(device), _scene(asked, config, device)
    networks.train()
    set_precision(networks, low)
    batch = 4 if device.type == "cuda" else 1

    def root() -> None:
        made = root_scenes(scene, batch, settings.root, np.random.default_rng(0))
        target = root_target(scene.space, made.roots_mm, made.visible, 200.0)
        views = made.views
        loss = root_loss(networks.root(scene.unprojector, views.root, views.affine, views.view_weight), target)
        torch.autograd.backward(loss)

    clock.tell("root training, a synthetic scene", clock.ms(root) / batch)
    H, W = scene.size_hw
    maps = torch.rand(2, asked.views, 15, H, W, device=device)
    nothing = torch.zeros(2, asked.views, 0, 15, 2, device=device)
    ones = torch.ones(2, asked.views, device=device)
    shown = Views(maps, maps[:, :, 2], scene.affine.expand(2, -1, -1, -1), ones, nothing, nothing[..., 0])

    def pose() -> None:
        found, _ = networks.pose(scene.cubes, shown, _roots(2, device))
        torch.autograd.backward(found.square().mean())

    clock.tell("pose training, a person in two versions", clock.ms(pose))
    if device.type == "cuda":
        print(f"  peak memory {torch.cuda.max_memory_allocated() / 2**30:.2f} GiB")


def arguments() -> argparse.Namespace:
    """What was asked for on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=0, help="of the CPU; 0 leaves them as they are")
    parser.add_argument("--views", type=int, default=5)
    parser.add_argument("--people", type=int, default=3)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--parts", nargs="+", default=["infer", "train"], choices=["infer", "train"])
    parser.add_argument("--no-movenet", action="store_true", help="leave the 2D estimator out")
    return parser.parse_args()


def main() -> int:
    """Returns the exit code."""
    asked = arguments()
    code = run_elsewhere(__file__)
    if code is not None:
        return code
    bench(asked)
    return 0


if __name__ == "__main__":
    sys.exit(main())
