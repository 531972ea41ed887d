"""Create networks from shipped ones without training: for another joint set, or with a part of other networks.

Joints of the same name keep their weights. A new joint gets the embedding of the nearest known joint, and until
training the pose network locates it only by its heatmaps: weights of channels that read or correct it start at 0.

python scripts/convert_networks.py resources/weights/networks_fast --skeleton coco19 --out start
python scripts/convert_networks.py resources/weights/networks_quick --root resources/weights/networks_fast --out quick
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path
from typing import Any

from _environment import run_script

_NEAREST = {"left_eye": "nose", "right_eye": "nose", "left_ear": "nose", "right_ear": "nose"}
"""Known joint that provides the initial embedding and gain of a new joint."""
_SKIPPED = ("net.front.0.conv.weight", "net.out.weight", "net.out.bias")
"""Weights of the pose network that are 0 for new joints, so that only its skip connection locates them."""
_BODIES = 20_000
"""Number of synthetic bodies to which the prior of joints around the root is fitted, as in training."""


def convert(asked: argparse.Namespace) -> None:
    """Convert the networks and write them, in half precision."""
    from core.models.checkpoint import Checkpoint

    saved = Checkpoint.load(asked.networks)
    if asked.root:
        saved = with_root(saved, Checkpoint.load(asked.root))
    if asked.skeleton:
        saved = with_skeleton(saved, asked.skeleton)
    halved = {k: v.half() if v.is_floating_point() else v for k, v in saved.weights.items()}
    dataclasses.replace(saved, weights=halved).save(asked.out)


def with_root(saved: Any, other: Any) -> Any:
    """Return a checkpoint with the root network, and the capture volume of its training, of another checkpoint."""
    kept = {k: v for k, v in saved.weights.items() if not k.startswith("root.")}
    weights = kept | {k: v for k, v in other.weights.items() if k.startswith("root.")}
    config = dataclasses.replace(saved.config, root=other.config.root)
    return dataclasses.replace(saved, weights=weights, config=config, volume=other.volume)


def with_skeleton(saved: Any, name: str) -> Any:
    """Return a checkpoint of networks that predict the joints of another skeleton."""
    import numpy as np
    import torch

    from core.models.networks import Networks
    from core.training.synthetic import root_relative_joints
    from core.types.skeleton import skeleton

    old, new = skeleton(saved.config.skeleton), skeleton(name)
    source = old.indices(*(joint if old.has(joint) else _NEAREST.get(joint, joint) for joint in new.joints))
    is_new = torch.tensor([not old.has(joint) for joint in new.joints])
    config = dataclasses.replace(saved.config, skeleton=name)
    networks = Networks(config)
    weights = dict(saved.weights)
    for key, fresh in networks.state_dict().items():
        value = weights[key].float()
        for axis in [a for a, size in enumerate(fresh.shape) if size != value.shape[a]]:
            value = value.index_select(axis, torch.tensor(source))
            if key.endswith(_SKIPPED):
                zero = torch.zeros_like(value)
                value = torch.where(is_new.view([-1 if a == axis else 1 for a in range(value.ndim)]), zero, value)
        weights[key] = value
    networks.load_state_dict(weights)
    bodies = root_relative_joints(_BODIES, np.random.default_rng(0), new)
    networks.pose.prior.fit(torch.tensor(bodies, dtype=torch.float32))
    return dataclasses.replace(saved, weights=networks.state_dict(), config=config)


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("networks", type=Path, help="folder of networks, such as resources/weights/networks_fast")
    parser.add_argument("--root", type=Path, help="folder of networks with the root network to use")
    parser.add_argument("--skeleton", default="", help="joint set of the new networks")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(run_script(__file__, arguments, convert))
