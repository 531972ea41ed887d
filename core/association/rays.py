"""Where two lines of sight come closest."""

from __future__ import annotations

import numpy as np

from core.types.arrays import F64


def meet(start_a: F64, ray_a: F64, start_b: F64, ray_b: F64) -> tuple[F64, F64, F64, F64]:
    """Midpoint of the shortest segment between lines, all pairs at once.

    Args:
        start_a: (..., 3) mm, a camera centre.
        ray_a: (..., 3) direction of any length.
        start_b: As `start_a`, of the other line.
        ray_b: As `ray_a`, of the other line.

    Returns:
        Midpoint (..., 3), gap between the lines (...), and the parameter (...) along each ray, which is the depth if
        the ray has length 1 along its camera's axis. NaN for parallel lines.
    """
    between = start_a - start_b
    aa, bb, ab = (ray_a * ray_a).sum(-1), (ray_b * ray_b).sum(-1), (ray_a * ray_b).sum(-1)
    ad, bd = (ray_a * between).sum(-1), (ray_b * between).sum(-1)
    det = aa * bb - ab * ab
    # Lines within about a milliradian of each other meet nowhere in particular.
    det = np.where(det > 1e-6 * aa * bb, det, np.nan)
    along_a, along_b = (ab * bd - bb * ad) / det, (aa * bd - ab * ad) / det
    near_a = start_a + along_a[..., None] * ray_a
    near_b = start_b + along_b[..., None] * ray_b
    gap = np.linalg.norm(near_a - near_b, axis=-1)
    return (near_a + near_b) / 2, gap, along_a, along_b
