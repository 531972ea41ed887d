"""Settings of multi-view association and triangulation."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class AssociationConfig:
    """Settings of multi-view association and triangulation.

    Residuals are lengths in the plane of the person: the angle between a detected and a projected joint times the
    distance from the camera, which makes them comparable between cameras. Gates are such lengths, widened by the pixel
    noise of the detector. The other lengths hold near the cameras, and grow with the expected error of the rig.

    Attributes:
        min_joint_score: Minimum score of a 2D joint.
        min_views: Minimum number of views of a person.
        min_joints: Minimum number of joints of a detection, and of joints shared by two views.
        gate_mm: Residual above which a 2D joint counts against a person.
        gate_px: Pixels by which the gate is widened, for an image of 1920 px on its longer side.
        merge_mm: Mean joint distance below which two people are the same.
        max_bone_mm: Longest plausible bone.
        max_extent_mm: Largest plausible extent of a person.
        below_floor_mm: Largest plausible depth of a person below the floor.
        memory_s: Time for which a person is still expected after the last frame with good support.
        label_gate_px: Reprojection error above which a 2D joint is replaced in cleaned labels, for an image of 1920 px
            on its longer side.
        replaced_weight: Weight of a replaced joint relative to a detected one.
    """

    min_joint_score: float = 0.2
    min_views: int = 2
    min_joints: int = 5
    gate_mm: float = 110.0
    gate_px: float = 15.0
    merge_mm: float = 220.0
    max_bone_mm: float = 800.0
    max_extent_mm: float = 2600.0
    below_floor_mm: float = 300.0
    memory_s: float = 0.4
    label_gate_px: float = 16.0
    replaced_weight: float = 0.3
