"""Affine maps from a camera's image to its heatmap, with and without augmentation.

An affine is a (2, 3) matrix from image px to heatmap px. Each camera has its own, so rigs may mix image sizes.
"""

from __future__ import annotations

import numpy as np

from core.types.arrays import F64
from core.types.camera import CameraRig


def heatmap_size(rig: CameraRig, long_side_px: int) -> tuple[int, int]:
    """Return the height and width of the heatmaps of all views: the box of the largest images, scaled to the long side.

    Both are multiples of 8; a rig with portrait and landscape images gets a square.
    """
    width = max(camera.size_px[0] for camera in rig)
    height = max(camera.size_px[1] for camera in rig)
    scale = long_side_px / max(width, height)
    return max(8, 8 * round(height * scale / 8)), max(8, 8 * round(width * scale / 8))


def fit_affine(size_px: tuple[int, int], target_hw: tuple[int, int], zoom_out: float = 0.0) -> F64:
    """Compute the affine (2, 3) that fits an image into a heatmap, centred and at its aspect ratio.

    Args:
        size_px: Width and height of the image.
        target_hw: Height and width of the heatmap.
        zoom_out: Fraction by which the visible box is enlarged; negative zooms in.
    """
    width, height = size_px
    rows, columns = target_hw
    scale = min(columns / width, rows / height) / (1 + zoom_out)
    return np.array([[scale, 0, (columns - scale * width) / 2], [0, scale, (rows - scale * height) / 2]])


def fit_rig_affines(rig: CameraRig, target_hw: tuple[int, int]) -> F64:
    """Compute the affines (V, 2, 3) of a rig without augmentation."""
    return np.stack([fit_affine(camera.size_px, target_hw) for camera in rig])


def augment_affines(base: F64, target_hw: tuple[int, int], rotation_rad: F64, zoom_out: F64) -> F64:
    """Compute augmented affines: the same rotation and scale about the heatmap's centre in all views of a sample.

    Args:
        base: (V, 2, 3) affines from `fit_rig_affines`.
        target_hw: Height and width of the heatmap.
        rotation_rad: (B,) rotation of the image's box; the content rotates in the opposite direction.
        zoom_out: (B,) fraction by which the box is enlarged.

    Returns:
        (B, V, 2, 3).
    """
    rows, columns = target_hw
    centre = np.array([columns / 2, rows / 2])
    cosine, sine = np.cos(rotation_rad) / (1 + zoom_out), np.sin(rotation_rad) / (1 + zoom_out)
    rotation = np.stack([np.stack([cosine, sine], -1), np.stack([-sine, cosine], -1)], -2)  # (B, 2, 2)
    out = rotation[:, None] @ base[None]
    out[..., 2] += centre - (rotation @ centre)[:, None]
    return np.asarray(out)


def random_augmentation(rng: np.random.Generator, count: int) -> tuple[F64, F64]:
    """Draw rotations (count,), within 45 degrees in half of the samples and 0 in the others, and scales (count,).

    Ranges as in the released code of SelfPose3d: zoomed out by 10 to 35 % or in by 5 to 17.5 %.
    """
    rotation = np.where(rng.random(count) < 0.5, rng.uniform(-np.pi / 4, np.pi / 4, count), 0.0)
    strength = rng.uniform(0.1, 0.35, count)
    return rotation, np.where(rng.random(count) < 0.5, strength, -strength / 2)
