"""Train networks on synthetic people in synthetic rigs, such as those included with the program.

python scripts/pretrain.py --preset quick --out networks_quick --minutes 5
python scripts/pretrain.py --preset fast --start start --set model.skeleton=coco19 --out networks_fast
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time
from pathlib import Path

from _environment import run_script

_RAY_REFINER_STEPS = 6000
"""Number of training steps of the ray refiner, which the presets `quick` and `fast` do not train further."""


def pretrain(asked: argparse.Namespace) -> None:
    """Train the stages that need no footage and write the networks, in half precision, to a folder."""
    from core.jobs.system import keep_freed_memory

    keep_freed_memory()
    from core.config import with_overrides
    from core.datasets.footage import Footage
    from core.geometry.capture_volume import capture_volume
    from core.models.checkpoint import Checkpoint
    from core.models.device import describe_device, pick_device
    from core.progress import NullReporter
    from core.synthetic.rigs import ring_rig
    from core.training.config import RigsConfig
    from core.training.presets import preset
    from core.training.stages.config import RayRefinerStageConfig
    from core.training.trainer import Trainer
    from core.types.skeleton import skeleton

    class Printer(NullReporter):
        def __init__(self) -> None:
            self.started = self.last = time.monotonic()

        def metric(self, name: str, value: float, step: int) -> None:
            now = time.monotonic()
            if now - self.last > asked.every_s or ("/mm" in name and now - self.last > asked.every_s / 2):
                self.last = now
                print(f"  {now - self.started:6.0f} s  step {step:6}  {name:24} {value:.4f}", flush=True)

        def note(self, text: str, level: str = "info") -> None:
            print(f"  {text}", flush=True)

    base = dataclasses.replace(preset(asked.preset), start=asked.start)
    config = dataclasses.replace(
        base,
        rigs=RigsConfig(random=not asked.one_rig, own_share=0.1),
        root=dataclasses.replace(base.root, real_batch=0, common_height=False),
        ray_refiner=RayRefinerStageConfig(steps=_RAY_REFINER_STEPS),
        checkpoint_s=1e9,
        max_minutes=asked.minutes,
    )
    config = with_overrides(config, asked.set)
    device, rig = pick_device(config.device), ring_rig(asked.views)
    volume = capture_volume(rig, spacing_mm=config.model.root.spacing_mm)
    print(f"{asked.preset} on {describe_device(device)}", flush=True)
    out, footage = Path(asked.out), Footage.empty(rig, skeleton(config.model.skeleton))
    Trainer(config, footage, volume, out.with_name(f"{out.name}.training"), device, Printer()).run()
    saved = Checkpoint.load(out.with_name(f"{out.name}.training") / "last")
    halved = {k: v.half() if v.is_floating_point() else v for k, v in saved.weights.items()}
    meta = {"trained": f"{saved.meta['steps_done']} steps on synthetic people", "minutes": saved.meta["elapsed_s"] / 60}
    dataclasses.replace(saved, weights=halved, optimizer={}, meta=meta).save(out)


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--preset", default="quick")
    parser.add_argument("--start", default="", help="folder of networks to start from; see convert_networks.py")
    parser.add_argument("--set", action="append", default=[], metavar="A.B=C", help="override a setting of training")
    parser.add_argument(
        "--views", type=int, default=5, help="number of cameras of the ring rig used in a tenth of the steps"
    )
    parser.add_argument("--one-rig", action="store_true", help="use only the ring rig, for comparison")
    parser.add_argument("--minutes", type=float, default=600.0, help="time limit in minutes for all stages")
    parser.add_argument("--every-s", type=float, default=2.0, help="seconds between figures")
    parser.add_argument("--out", required=True, help="folder to write")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(run_script(__file__, arguments, pretrain))
