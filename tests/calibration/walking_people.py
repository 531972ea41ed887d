"""Walking people in front of four cameras, and a rig one of whose cameras was moved."""

from __future__ import annotations

import numpy as np

from core.geometry.so3 import exp
from core.types import CameraRig

TIME_OFFSETS_S = (0.0, 0.08, -0.05, 0.03)


def moved(rig: CameraRig, view: int, rotation_deg: float, translation_mm: float) -> CameraRig:
    camera = rig[view]
    R = exp(np.radians(rotation_deg) * np.array([0.6, 0.8, 0.0])) @ camera.pose[0]
    centre = camera.centre_mm + translation_mm * np.array([0.0, 0.6, 0.8])
    cameras = list(rig.cameras)
    cameras[view] = camera.replace(R=R, t_mm=-R @ centre)
    return CameraRig(cameras=tuple(cameras), source=rig.source)
