"""Exact joints and keypoints of the walking people of the demo room."""

from __future__ import annotations

import numpy as np

from core.body.models.free import free_body
from core.synthetic.rendering.scene import room_walk
from core.types.skeleton import COCO17

MODEL = free_body()
_KEYPOINTS = np.array([MODEL.keypoints.index(name) for name in COCO17.joints])


def walk(person: int, n_frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Return exact joints (T, J, 3) and keypoints (T, 17, 3) of a person, 30 frames per second."""
    people = room_walk()
    rotations, pelvis = people.poses(np.arange(n_frames) / 30 + 2.0)
    rest = [np.broadcast_to(x[person], (n_frames, *x.shape[1:])) for x in people.rest[1:]]
    bones = MODEL.transforms(rest[0], rotations[:, person], pelvis[:, person])
    return MODEL.posed_joints(rest[0], bones), MODEL.posed_keypoints(rest[1], bones)[:, _KEYPOINTS]
