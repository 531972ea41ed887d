"""Where a camera's image lies in its heatmap, and how augmentation turns and zooms it.

An affine is a (2, 3) matrix from image px to heatmap px. Every camera has its own: rigs may mix image sizes.
"""

from __future__ import annotations

import numpy as np

from core.types.arrays import F64
from core.types.camera import CameraRig


def heatmap_size(rig: CameraRig, long_side_px: int) -> tuple[int, int]:
    """Height and width of the heatmaps of all views: the largest image's box scaled to the long side.

    Both are multiples of 8; a rig of upright and lying images gets a square.
    """
    width = max(camera.size_px[0] for camera in rig)
    height = max(camera.size_px[1] for camera in rig)
    scale = long_side_px / max(width, height)
    return max(8, 8 * round(height * scale / 8)), max(8, 8 * round(width * scale / 8))


def fit_affine(size_px: tuple[int, int], target_hw: tuple[int, int], zoom_out: float = 0.0) -> F64:
    """Affine (2, 3) that fits an image into a heatmap, aspect kept and centred.

    Args:
        size_px: Width and height of the image.
        target_hw: Height and width of the heatmap.
        zoom_out: Enlarges the box that is shown by this fraction; negative zooms in.
    """
    width, height = size_px
    rows, columns = target_hw
    scale = min(columns / width, rows / height) / (1 + zoom_out)
    return np.array([[scale, 0, (columns - scale * width) / 2], [0, scale, (rows - scale * height) / 2]])


def fit_rig_affines(rig: CameraRig, target_hw: tuple[int, int]) -> F64:
    """Affines (V, 2, 3) of a rig without augmentation."""
    return np.stack([fit_affine(camera.size_px, target_hw) for camera in rig])


def augment_affines(base: F64, target_hw: tuple[int, int], rotation_rad: F64, zoom_out: F64) -> F64:
    """Affines of augmented versions: the same turn and zoom about the heatmap's middle in all views of a sample.

    Args:
        base: (V, 2, 3) from `fit_rig_affines`.
        target_hw: Height and width of the heatmap.
        rotation_rad: (B,) turn of the image's box; its content turns the other way.
        zoom_out: (B,) fraction by which the box grows.

    Returns:
        (B, V, 2, 3).
    """
    rows, columns = target_hw
    centre = np.array([columns / 2, rows / 2])
    cosine, sine = np.cos(rotation_rad) / (1 + zoom_out), np.sin(rotation_rad) / (1 + zoom_out)
    turn = np.stack([np.stack([cosine, sine], -1), np.stack([-sine, cosine], -1)], -2)  # (B, 2, 2)
    out = turn[:, None] @ base[None]
    out[..., 2] += centre - (turn @ centre)[:, None]
    return np.asarray(out)


def random_augmentation(rng: np.random.Generator, count: int) -> tuple[F64, F64]:
    """Random turns (count,) and zooms (count,): within 45 degrees half of the time, and always some zoom.

    The published ranges (SelfPose3d, released code): out by 10 to 35 % or in by 5 to 17.5 %.
    """
    rotation = np.where(rng.random(count) < 0.5, rng.uniform(-np.pi / 4, np.pi / 4, count), 0.0)
    strength = rng.uniform(0.1, 0.35, count)
    return rotation, np.where(rng.random(count) < 0.5, strength, -strength / 2)
