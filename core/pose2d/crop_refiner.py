"""Refinement of joints near expected positions, by MoveNet Thunder on crops at native resolution.

Thunder estimates one person per crop and has the heads of MoveNet MultiPose. Each heatmap is weighted by the prior of
the joint in the image, so crops may contain other people.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from core.files import resource
from core.pose2d.estimators.movenet import CELLS
from core.pose2d.pixelmap import PixelMap, images_to_blob
from core.pose2d.runtime import OnnxModel
from core.types.arrays import F32, F64, U8

INPUT_PX = 256
PADDING = 1.25
"""Factor on the sides of the box around the expected joints."""
MIN_BOX_PX = 24.0
"""Minimum size of a box to crop."""
MIN_SCORE = 0.05
"""Minimum score of a joint; joints below it are missing."""
_HEADS = ("kpt_heat", "kpt_off")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class JointPriors:
    """Expected joints of the people in one image.

    Attributes:
        xy_px: (P, J, 2) expected pixels, NaN where unknown.
        covariance_px2: (P, J, 2, 2) covariances of the expected pixels.
    """

    xy_px: F64
    covariance_px2: F64


class CropRefiner:
    """Refiner of joints near expected positions; `refine` is thread-safe.

    Args:
        provider: Execution provider of onnxruntime, or "auto".
        threads: Number of CPU threads per call; 0 uses all cores.
        path: ONNX file; None for the shipped one.
    """

    def __init__(self, provider: str = "auto", threads: int = 0, path: Path | None = None) -> None:
        self._network = OnnxModel(path or weights_file(), ["input"], _HEADS, provider=provider, threads=threads)
        self.provider = self._network.provider

    def refine(self, image: U8, priors: JointPriors) -> tuple[F32, F32]:
        """Estimate the joints of people in one image.

        Args:
            image: (H, W, 3) RGB.
            priors: Expected joints.

        Returns:
            Joints (P, J, 2) in image pixels, NaN where missing, and scores (P, J) in 0..1, 0 where missing.
        """
        xy_px = np.full(priors.xy_px.shape, np.nan, np.float32)
        score = np.zeros(xy_px.shape[:2], np.float32)
        boxes = joint_boxes(priors.xy_px)
        people = np.flatnonzero((boxes[:, 2:] - boxes[:, :2]).max(-1) >= MIN_BOX_PX)
        if not people.size:
            return xy_px, score
        crops = [crop_square(image, boxes[p]) for p in people]
        heat, offset = self._network(images_to_blob([crop for crop, _ in crops]))
        for k, p in enumerate(people):
            cells = crops[k][1].then(CELLS)
            xy_px[p], score[p] = _decode(heat[k], offset[k], _densities(priors, cells, heat.shape[-2:], int(p)), cells)
        return xy_px, score


def weights_file() -> Path:
    """Return the path of the network's ONNX file."""
    return resource("weights", "movenet_thunder.onnx")


def joint_boxes(xy_px: F64) -> F64:
    """Return boxes (P, 4) x0 y0 x1 y1 around known joints (P, J, 2); 0 for people without any."""
    known = np.asarray(np.isfinite(xy_px).all(-1, keepdims=True))
    low = np.where(known, xy_px, np.inf).min(1)
    high = np.where(known, xy_px, -np.inf).max(1)
    return np.where(known.any(1), np.concatenate([low, high], -1), 0.0)


def crop_square(image: U8, box_px: F64) -> tuple[U8, PixelMap]:
    """Cut a square around a box at native resolution, and scale it to the network input by area averaging.

    Args:
        image: (H, W, 3) image; pixels outside are black.
        box_px: (4,) edges x0 y0 x1 y1.

    Returns:
        The crop (256, 256, 3), and the map from image pixels to crop pixels.
    """
    height, width = image.shape[:2]
    side = max(1, round(float((box_px[2:] - box_px[:2]).max()) * PADDING))
    left, top = (round(float(v)) for v in (box_px[:2] + box_px[2:] - side + 1) / 2)
    region = np.zeros((side, side, 3), np.uint8)
    x0, x1, y0, y1 = max(left, 0), min(left + side, width), max(top, 0), min(top + side, height)
    if x1 > x0 and y1 > y0:
        region[y0 - top : y1 - top, x0 - left : x1 - left] = image[y0:y1, x0:x1]
    mode = cv2.INTER_AREA if side > INPUT_PX else cv2.INTER_LINEAR
    crop: U8 = np.asarray(cv2.resize(region, (INPUT_PX, INPUT_PX), interpolation=mode), np.uint8)
    to_region = PixelMap((1.0, 1.0), (-float(left), -float(top)))
    return crop, to_region.then(PixelMap.for_resize((side, side), (INPUT_PX, INPUT_PX)))


def _densities(priors: JointPriors, cells: PixelMap, shape: tuple[int, int], person: int) -> F64:
    """Return the weights (J, h, w) of a person's priors on the heatmap; 1 at the expected joint.

    Where the priors of several people for the same joint overlap, the weight is scaled by the person's fraction of the
    sum.
    """
    scale = cells.scale[0]
    mean = cells.forward(priors.xy_px)
    precision = np.linalg.inv(priors.covariance_px2 * scale**2 + 1e-6 * np.eye(2))
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    # Skip people whose priors do not overlap the crop.
    near = [q for q in range(len(mean)) if _reaches(mean[q], precision[q], shape)]
    own = np.zeros((mean.shape[1], *shape))
    total = np.zeros_like(own)
    for q in {person, *near}:
        dx, dy = columns - mean[q, :, 0, None, None], rows - mean[q, :, 1, None, None]
        a, b, c = (precision[q, :, i, j, None, None] for i, j in ((0, 0), (0, 1), (1, 1)))
        density = np.nan_to_num(np.exp(-0.5 * (a * dx * dx + 2 * b * dx * dy + c * dy * dy)))
        total += density
        if q == person:
            own = density
    return np.asarray(own * own / np.maximum(total, 1e-12))


def _reaches(mean: F64, precision: F64, shape: tuple[int, int], sigmas: float = 3.0) -> bool:
    """Return True if any joint (J, 2) of a person is within `sigmas` standard deviations of the heatmap."""
    reach = sigmas / np.sqrt(np.linalg.eigvalsh(precision)[:, 0])
    outside = np.maximum(np.maximum(-mean, mean - np.array(shape[::-1])), 0.0)
    return bool((np.linalg.norm(outside, axis=-1) < reach).any())


def _decode(heat: F32, offset: F32, weight: F64, cells: PixelMap) -> tuple[F64, F64]:
    """Return joints (J, 2) in image pixels and scores (J,) at the highest weighted value of each heatmap (J, h, w)."""
    joints, _, width = heat.shape
    value = (heat * weight).reshape(joints, -1)
    best = value.argmax(-1)
    j, row, column = np.arange(joints), best // width, best % width
    height = heat[j, row, column].astype(float)
    score = np.sqrt(np.maximum(height * value[j, best], 0.0)).clip(0, 1)
    # Offsets are (y, x) per joint, relative to the corner of the cell.
    exact = np.stack([row, column], -1) + offset.reshape(joints, 2, *heat.shape[1:])[j, :, row, column]
    found = score >= MIN_SCORE
    xy_px = cells.inverse(exact[:, ::-1] - 0.5)
    return np.where(found[:, None], xy_px, np.nan), np.where(found, score, 0.0)
