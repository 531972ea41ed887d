"""The held-out error: distance of projected 3D joints from 2D labels that training never saw.

Legend: B batch, V view, P person, L labelled person, J joint.
"""

from __future__ import annotations

import numpy as np
import torch

from core.datasets.augmented_views import augmented_views
from core.datasets.footage import Footage
from core.models.inference import estimate_people
from core.models.networks import Networks
from core.models.scene import CaptureScene
from core.training.losses.joints import match_people

_GATE_SHARE = 0.05
"""Error of an unmatched labelled joint, and largest error, as a share of the image's longer side."""


def held_out_px(
    networks: Networks, scene: CaptureScene, footage: Footage, most: int, batch: int = 4, unseen: int | None = None
) -> float:
    """Measure the mean distance in image px from held-out labels to the projections of the people found.

    Args:
        networks: Networks; measured in evaluation mode and left in their mode.
        scene: Rig and capture volume.
        footage: Footage with held-out frames.
        most: Largest number of frames, spread evenly.
        batch: Frames per batch.
        unseen: Index of a camera that the networks do not see, in which alone the error is measured.

    Returns:
        NaN if nothing is labelled in the held-out frames.
    """
    at = np.linspace(0, len(footage.held_out) - 1, min(most, len(footage.held_out))).round().astype(int)
    frames = footage.held_out[at]
    was_training = networks.training
    networks.eval()
    error, weight = 0.0, 0.0
    gate = torch.tensor([_GATE_SHARE * max(c.size_px) for c in footage.rig])
    for start in range(0, len(frames), batch):
        batch_frames = frames[start : start + batch]
        plain = scene.affine.expand(len(batch_frames), -1, -1, -1)
        views = augmented_views(networks, footage, scene, batch_frames, plain).views
        if unseen is not None:
            views = views.with_weights(views.view_weight * (torch.arange(len(footage.rig)) != unseen).to(scene.device))
        people = estimate_people(networks, scene, views)
        uv, _ = scene.projector(people.xyz_mm)
        for b, frame in enumerate(batch_frames):
            projected = uv[people.sample == b].movedim(0, 1).cpu()  # (V, P, J, 2)
            labels = torch.as_tensor(footage.labels.xy_px[frame])
            w = torch.as_tensor(footage.labels.weight[frame])
            if unseen is not None:
                w = torch.where(torch.arange(len(w))[:, None, None] == unseen, w, 0.0)
            distance = match_people(projected, labels, w, gate)
            error += float((distance * w).sum())
            weight += float(w.sum())
    networks.train(was_training)
    return error / weight if weight else float("nan")
