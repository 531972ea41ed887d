"""Differentiable projection of world points into all cameras at once.

Agrees to float32 accuracy with `core.geometry.project`, which is the reference.

Legend: P person, V view, N point, J joint.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from core.geometry import fold_radius
from core.geometry.projection import sensor_tilt
from core.types.camera import Camera, CameraRig

_NEAR_MM = 1.0
_STEP_MM = 4.0
"""Step of the central differences in mm: far above float32 rounding, far below the scale of lens distortion."""


class RigProjector(nn.Module):
    """Cameras of a posed rig as buffers of a module.

    Args:
        rig: V posed cameras.
    """

    R: Tensor
    t_mm: Tensor
    K: Tensor
    distortion: Tensor
    tilt: Tensor
    fisheye: Tensor
    fold_squared: Tensor
    size_px: Tensor

    def __init__(self, rig: CameraRig) -> None:
        super().__init__()

        def buffer(name: str, values: list[np.ndarray]) -> None:
            self.register_buffer(name, torch.tensor(np.stack(values), dtype=torch.float32), persistent=False)

        buffer("R", [camera.pose[0] for camera in rig])
        buffer("t_mm", [camera.pose[1] for camera in rig])
        buffer("K", [camera.K[:2] for camera in rig])
        buffer("distortion", [_padded(camera) for camera in rig])
        buffer("tilt", [_tilt(camera) for camera in rig])
        buffer("fisheye", [np.array(camera.distortion_model == "fisheye", float) for camera in rig])
        buffer("fold_squared", [np.array(min(fold_radius(camera), 1e6) ** 2) for camera in rig])
        buffer("size_px", [np.array(camera.size_px, float) for camera in rig])
        self._any_fisheye = any(camera.distortion_model == "fisheye" for camera in rig)
        self._any_pinhole = any(camera.distortion_model == "pinhole" for camera in rig)
        # Terms that no camera uses are skipped: with few points every operation costs the same.
        self._any_rational = bool(self.distortion[:, 5:8].any())
        self._any_prism = bool(self.distortion[:, 8:].any())
        self._any_tilt = any(camera.distortion.size == 14 and camera.distortion[12:].any() for camera in rig)

    def __len__(self) -> int:
        return len(self.R)

    def forward(self, xyz_mm: Tensor) -> tuple[Tensor, Tensor]:
        """Project world points to pixels.

        Args:
            xyz_mm: (..., N, 3) finite points.

        Returns:
            Pixels (..., V, N, 2), and (..., V, N) bool, True in front of the camera and within the monotone range of
            its distortion model. Elsewhere the pixel is finite but meaningless and carries no gradient.
        """
        local = torch.einsum("vij,...nj->...vni", self.R, xyz_mm) + self.t_mm[:, None]
        depth = local[..., 2:]
        ahead = depth > _NEAR_MM
        xy = local[..., :2] / torch.where(ahead, depth, 1.0)
        seen = ahead & ((xy**2).sum(-1, keepdim=True) < self.fold_squared[:, None, None])
        bent = self._distort(torch.where(seen, xy, 0.0))
        pixels = torch.einsum("vij,...vnj->...vni", self.K[:, :, :2], bent) + self.K[:, None, :, 2]
        return pixels, seen[..., 0]

    def inside(self, xy_px: Tensor) -> Tensor:
        """Return (..., V, N) bool, True where pixels (..., V, N, 2) are inside their camera's image."""
        return ((xy_px >= -0.5) & (xy_px < self.size_px[:, None] - 0.5)).all(-1)

    def _distort(self, xy: Tensor) -> Tensor:
        if not self._any_fisheye:
            return self._pinhole(xy)
        if not self._any_pinhole:
            return self._fisheye(xy)
        return torch.where(self.fisheye[:, None, None] > 0, self._fisheye(xy), self._pinhole(xy))

    def _pinhole(self, xy: Tensor) -> Tensor:
        """Apply OpenCV's rational, tangential, thin-prism and tilted distortion."""
        k1, k2, p1, p2, k3, k4, k5, k6, s1, s2, s3, s4 = self.distortion[:, :12, None].unbind(1)
        x, y = xy.unbind(-1)
        r2 = x * x + y * y
        radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
        if self._any_rational:
            radial = radial / (1 + r2 * (k4 + r2 * (k5 + r2 * k6)))
        two_xy = 2 * x * y
        out_x = x * radial + p1 * two_xy + p2 * (r2 + 2 * x * x)
        out_y = y * radial + p1 * (r2 + 2 * y * y) + p2 * two_xy
        if self._any_prism:
            out_x, out_y = out_x + r2 * (s1 + r2 * s2), out_y + r2 * (s3 + r2 * s4)
        if not self._any_tilt:
            return torch.stack([out_x, out_y], -1)
        tilted = torch.einsum("vij,...vnj->...vni", self.tilt, torch.stack([out_x, out_y, torch.ones_like(out_x)], -1))
        return tilted[..., :2] / tilted[..., 2:]

    def _fisheye(self, xy: Tensor) -> Tensor:
        """Apply OpenCV's equidistant distortion (`cv2.fisheye`)."""
        d1, d2, d3, d4 = self.distortion[:, :4, None, None].unbind(1)
        r = (xy**2).sum(-1, keepdim=True).clamp_min(1e-18).sqrt()
        theta = torch.atan(r)
        t2 = theta**2
        return xy * (theta / r) * (1 + t2 * (d1 + t2 * (d2 + t2 * (d3 + t2 * d4))))


def to_heatmap(affine: Tensor, xy_px: Tensor) -> Tensor:
    """Map image px (..., V, N, 2) to heatmap px by affines (..., V, 2, 3)."""
    return torch.einsum("...vij,...vnj->...vni", affine[..., :2], xy_px) + affine[..., None, :, 2]


def jacobian(projector: RigProjector, affine: Tensor, xyz_mm: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Compute the derivative of heatmap px with respect to joints by central differences.

    Args:
        projector: Projector of the rig.
        affine: (P, V, 2, 3) image px to heatmap px.
        xyz_mm: (P, J, 3) joints.

    Returns:
        Derivatives (P, V, J, 2, 3) px/mm, projections (P, V, J, 2) in heatmap px, and (P, V, J) bool, True in front of
        the camera.
    """
    J = xyz_mm.shape[1]
    step = _STEP_MM * torch.eye(3, device=xyz_mm.device)
    steps = torch.cat([torch.zeros_like(step[:1]), step, -step])  # (7, 3)
    uv, ahead = projector((xyz_mm[:, None] + steps[:, None]).flatten(1, 2))
    uv = to_heatmap(affine, uv).view(*uv.shape[:2], 7, J, 2)
    slope = (uv[:, :, 1:4] - uv[:, :, 4:7]) / (2 * _STEP_MM)  # (P, V, 3, J, 2)
    return slope.permute(0, 1, 3, 4, 2), uv[:, :, 0], ahead[:, :, :J]


def _padded(camera: Camera) -> np.ndarray:
    full = np.zeros(12)
    count = min(12, camera.distortion.size)
    full[:count] = camera.distortion[:count]
    return full


def _tilt(camera: Camera) -> np.ndarray:
    """Return the homography (3, 3) of OpenCV's tilted sensor; the identity without a tilt."""
    if camera.distortion.size != 14 or not camera.distortion[12:].any():
        return np.eye(3)
    return sensor_tilt(*camera.distortion[12:].tolist())
