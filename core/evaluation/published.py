"""What papers report on public data sets, to be printed beside ours. Figures only; each paper tells its set-up."""

from __future__ import annotations

PANOPTIC_COLUMNS = ("AP25", "AP50", "AP100", "AP150", "R@500", "MPJPE")
PANOPTIC: dict[str, tuple[float | None, ...]] = {
    "VoxelPose (3D labels)": (83.59, 98.33, 99.76, 99.91, None, 17.68),
    "Faster VoxelPose (3D labels)": (85.22, 98.08, 99.32, 99.48, None, 18.26),
    "TEMPO (3D labels)": (89.01, 99.08, 99.76, 99.93, None, 14.68),
    "COMPOSE (no training)": (54.66, 97.27, 98.94, 99.17, 99.83, 23.62),
    "SelfPose3d (no labels)": (55.13, 96.44, 98.46, 98.98, 99.60, 24.47),
    "DisPOSE (no labels)": (68.59, 98.59, 99.60, 99.80, 99.91, 21.20),
}
"""Percent, and mm."""
ACTOR_COLUMNS = ("Actor 1", "Actor 2", "Actor 3", "Average")
SHELF: dict[str, tuple[float | None, ...]] = {
    "VoxelPose (3D labels)": (99.3, 94.1, 97.6, 97.0),
    "Faster VoxelPose (3D labels)": (99.4, 96.0, 97.5, 97.6),
    "MvPose (no training)": (98.8, 94.1, 97.8, 96.9),
    "SelfPose3d (no labels)": (97.2, 90.3, 97.9, 95.1),
    "DisPOSE (no labels)": (99.5, 94.1, 97.8, 97.1),
}
CAMPUS: dict[str, tuple[float | None, ...]] = {
    "VoxelPose (3D labels)": (97.6, 93.8, 98.8, 96.7),
    "Faster VoxelPose (3D labels)": (96.5, 94.1, 97.9, 96.2),
    "MvPose (no training)": (97.6, 93.3, 98.0, 96.3),
    "SelfPose3d (no labels)": (92.5, 82.2, 89.2, 87.9),
    "DisPOSE (no labels)": (98.8, 93.7, 94.3, 95.6),
}
"""PCP3D, percent."""
