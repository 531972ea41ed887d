"""Held-out error: distance of projected 3D joints from 2D labels that were not used in training.

Legend: B batch, V view, P person, L labelled person, J joint.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from core.datasets.augmented_views import augmented_views
from core.datasets.footage import Footage
from core.geometry import project
from core.models.inference import estimate_people
from core.models.networks import Networks
from core.models.scene import CaptureScene
from core.training.losses.joints import match_people
from core.types import CameraRig, Pose3DSequence
from core.types.arrays import F64, I64
from core.types.skeleton import Skeleton, convert

_FAR_PX = 1e6
_GATE_SHARE = 0.05
"""Error of an unmatched labelled joint, and largest error, as a fraction of the image's longer side."""


def held_out_px(
    networks: Networks, scene: CaptureScene, footage: Footage, most: int, batch: int = 4, unseen: int | None = None
) -> float:
    """Measure the mean distance in image px between held-out labels and projections of the people found.

    Args:
        networks: Networks; measured in evaluation mode, and restored to their previous mode.
        scene: Rig and capture volume.
        footage: Footage with held-out frames.
        most: Largest number of frames, spread evenly.
        batch: Number of frames per batch.
        unseen: Index of a camera that is hidden from the networks and the only one to measure in; None for all cameras.

    Returns:
        NaN if the held-out frames have no labels.
    """
    frames = _measured_frames(footage, most)
    was_training = networks.training
    networks.eval()
    error, weight = 0.0, 0.0
    gate = _gate_px(footage)
    for start in range(0, len(frames), batch):
        batch_frames = frames[start : start + batch]
        predicted = predicted_px(networks, scene, footage, batch_frames, unseen)
        for frame, projected in zip(batch_frames, predicted, strict=True):
            labels = torch.as_tensor(footage.labels.xy_px[frame])
            w = torch.as_tensor(footage.labels.weight[frame])
            if unseen is not None:
                w = torch.where(torch.arange(len(w))[:, None, None] == unseen, w, 0.0)
            distance = match_people(projected, labels, w, gate)
            error += float((distance * w).sum())
            weight += float(w.sum())
    networks.train(was_training)
    return error / weight if weight else float("nan")


def predicted_px(
    networks: Networks, scene: CaptureScene, footage: Footage, frames: I64, unseen: int | None = None
) -> list[torch.Tensor]:
    """Return the people (V, P, J, 2) px that networks in evaluation mode find in each frame."""
    plain = scene.affine.expand(len(frames), -1, -1, -1)
    views = augmented_views(networks, footage, scene, frames, plain).views
    if unseen is not None:
        views = views.with_weights(views.view_weight * (torch.arange(len(footage.rig)) != unseen).to(scene.device))
    people = estimate_people(networks, scene, views)
    uv, _ = scene.projector(people.xyz_mm)
    return [uv[people.sample == b].movedim(0, 1).cpu() for b in range(len(frames))]


def triangulated_px(baselines: Sequence[Pose3DSequence], footage: Footage, joints: Skeleton, most: int) -> float:
    """Measure the error of triangulated people in the same frames and in the same way as `held_out_px`.

    Args:
        baselines: Triangulated people of each take, in the order of the footage.
        footage: Footage with held-out frames.
        joints: Joint set of the labels.
        most: Largest number of frames, spread evenly.

    Returns:
        NaN if the held-out frames have no labels.
    """
    starts = np.cumsum([0, *(len(poses.time_s) for poses in baselines)])
    gate, error, weight = _gate_px(footage), 0.0, 0.0
    for frame in _measured_frames(footage, most):
        take = int(np.searchsorted(starts, frame, side="right")) - 1
        uv = baseline_px(baselines[take], int(frame - starts[take]), footage.rig, joints)
        known = np.asarray(np.isfinite(uv).all(-1))
        w = torch.as_tensor(footage.labels.weight[frame])
        projected = torch.as_tensor(np.where(known[..., None], uv, _FAR_PX)).to(w.dtype)
        distance = match_people(projected, torch.as_tensor(footage.labels.xy_px[frame]), w, gate)
        error += float((distance * w).sum())
        weight += float(w.sum())
    return error / weight if weight else float("nan")


def baseline_px(poses: Pose3DSequence, t: int, rig: CameraRig, joints: Skeleton) -> F64:
    """Return the triangulated people (V, P, J, 2) px of one frame, NaN where missing."""
    people = np.flatnonzero(poses.present[t])
    xyz, score = convert(poses.xyz_mm[t, people], poses.score[t, people], poses.skeleton, joints)
    uv = np.stack([project(camera, xyz) for camera in rig])
    return np.where((score > 0)[..., None], uv, np.nan)


def _measured_frames(footage: Footage, most: int) -> I64:
    at = np.linspace(0, len(footage.held_out) - 1, min(most, len(footage.held_out))).round().astype(int)
    frames: I64 = footage.held_out[at]
    return frames


def _gate_px(footage: Footage) -> torch.Tensor:
    return torch.tensor([_GATE_SHARE * max(c.size_px) for c in footage.rig])
