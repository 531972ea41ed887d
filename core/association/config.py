"""Settings of matching people across views and triangulating them without training."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class AssociationConfig:
    """Matching and triangulation.

    A view disagrees with a 3D joint by an angle; times the distance that is a length in the plane of the person, which
    means the same to every camera. Gates are such lengths, widened by what pixels cannot resolve.

    Attributes:
        min_joint_score: 2D joints below this are not used.
        min_views: Fewest views of a person.
        min_joints: Fewest joints that two views must share, and that a detection must have.
        gate_mm: A 2D joint further than this from the 3D joint speaks against it.
        gate_px: Pixels by which the gate is widened, for an image of 1920 px on its longer side.
        merge_mm: People whose joints are on average closer than this are one person.
        max_bone_mm: Longest believable bone.
        max_extent_mm: Largest believable extent of a person.
        below_floor_mm: How far below the floor joints may lie.
        memory_s: How long a person who is no longer well seen is still expected.
        label_gate_px: A 2D joint further than this from the reprojection is replaced in cleaned labels, for an image
            of 1920 px on its longer side.
        replaced_weight: Weight of such a replaced joint against a seen one.
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
