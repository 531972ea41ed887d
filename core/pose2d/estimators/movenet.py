"""MoveNet MultiPose: a one-stage network with CenterNet-like heads, which are decoded here.

Published by Google (Apache-2.0) as a graph that ends in a decoder for six people in a square image. Decoding the heads
instead allows any number of people, any aspect ratio, and access to the joint heatmaps. The decoder follows the
published description (Votel and Li, "Next-Generation Pose Detection with MoveNet and TensorFlow.js", 2021): people are
peaks of the centre heatmap, coarse joints are regressed at each centre, and each joint is refined to the peak of its
heatmap close to the coarse joint.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from core.pose2d.config import Pose2DConfig
from core.pose2d.estimator import Detections, Heatmaps, filter_detections, person_scores
from core.pose2d.nms import pose_nms
from core.pose2d.pixelmap import PixelMap, images_to_blob, letterbox
from core.pose2d.runtime import OnnxModel
from core.types.arrays import F32, U8
from core.types.skeleton import COCO17

STRIDE = 4
_SIDE = 32  # stride of the backbone, five halvings
_HEADS = ("center", "box_scale", "box_offset", "kpt_heat", "kpt_reg", "kpt_off")
# The network's output is biased by a quarter of an input pixel to the left and up: results on mirrored images differ by
# twice that at every input size, and results at pairs of input sizes agree with it.
_BIAS_PX = 0.25
# Cell i covers input pixels 4 i .. 4 i + 3: without bias, its centre lies at pixel 4 i + 1.5.
CELLS = PixelMap((1 / STRIDE, 1 / STRIDE), (-(1.5 + _BIAS_PX) / STRIDE, -(1.5 + _BIAS_PX) / STRIDE))
# Standard deviation of the prior around a coarse joint: a share of the person's longer side, within limits in cells.
# Wider priors pick up the limbs of neighbours, narrower ones miss raised hands.
_PRIOR_SIGMA = 0.06
_PRIOR_SIGMA_CELLS = (1.0, 6.0)
_MIN_FIT = 1e-4
_SAME_PEAK_CELLS = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class MoveNetHeads:
    """Network outputs for one image, on a grid of cells of 4x4 input pixels; y comes before x.

    Attributes:
        centre: (h, w) score of a person's centre.
        box_size: (2, h, w) height and width of the person centred in a cell, in cells.
        box_offset: (2, h, w) box centre relative to the corner of the cell, in cells.
        heat: (17, h, w) joint heatmaps.
        coarse: (17, 2, h, w) joints of the person centred in a cell, relative to the cell, in cells.
        offset: (17, 2, h, w) joint position relative to the corner of its cell, in cells.
    """

    centre: F32
    box_size: F32
    box_offset: F32
    heat: F32
    coarse: F32
    offset: F32

    @classmethod
    def of(cls, outputs: Sequence[np.ndarray], index: int) -> MoveNetHeads:
        """Return the heads of one image of a batch, from outputs in the order of `_HEADS`."""
        centre, box_size, box_offset, heat, coarse, offset = (o[index] for o in outputs)
        paired = (len(COCO17), 2, *centre.shape[-2:])
        return cls(centre[0], box_size, box_offset, heat, coarse.reshape(paired), offset.reshape(paired))


class MoveNet:
    """Runner of `movenet_multipose`.

    Args:
        name: Name of the model card.
        files: ONNX file by role: "pose".
        config: Settings.
        threads: Number of CPU threads per call; 0 takes all cores.
    """

    def __init__(self, name: str, files: Mapping[str, Path], config: Pose2DConfig, threads: int = 0) -> None:
        self.name = name
        self.skeleton = COCO17
        self._config = config
        self._network = OnnxModel(files["pose"], ["input"], _HEADS, provider=config.provider, threads=threads)
        self.provider = self._network.provider
        self.batch = 1 if self.provider.is_cpu else 8

    def estimate(self, images: Sequence[U8]) -> list[Detections]:
        """Return the people in each image; images of the same size form one batch."""
        found: list[Detections | None] = [None] * len(images)
        by_size: dict[tuple[int, int], list[int]] = {}
        for i, image in enumerate(images):
            by_size.setdefault((image.shape[1], image.shape[0]), []).append(i)
        for size, members in by_size.items():
            input_size = network_input_size(size, self._config.input_px)
            padded = [letterbox(images[i], input_size) for i in members]
            outputs = self._network(images_to_blob([pixels for pixels, _ in padded]))
            for k, i in enumerate(members):
                found[i] = decode_heads(MoveNetHeads.of(outputs, k), padded[k][1], size, self._config)
        return [d for d in found if d is not None]


def network_input_size(size: tuple[int, int], long_side_px: int) -> tuple[int, int]:
    """Return width and height of the network input for an image of this size; both are multiples of 32."""
    scale = long_side_px / max(size)
    width, height = (max(_SIDE, -(-round(s * scale) // _SIDE) * _SIDE) for s in size)
    return width, height


def decode_heads(heads: MoveNetHeads, to_input: PixelMap, size: tuple[int, int], config: Pose2DConfig) -> Detections:
    """Decode people from the heads.

    Args:
        heads: Outputs for one image.
        to_input: Map from image pixels to pixels of the network input.
        size: Width and height of the image.
        config: Thresholds.
    """
    cells = to_input.then(CELLS)
    # A person's score is the geometric mean of centre and joint scores in 0..1: lower centre scores cannot pass.
    y, x, centre_score = _peaks(heads.centre, config.person_threshold**2)
    box_size = np.maximum(heads.box_size[:, y, x].T, 1.0)
    sigma = np.clip(_PRIOR_SIGMA * box_size.max(-1), *_PRIOR_SIGMA_CELLS)
    coarse = heads.coarse[:, :, y, x].transpose(2, 0, 1) + np.stack([y, x], -1)[:, None]
    joints, score, fit = _refine_joints(heads, coarse, sigma)
    centre = np.stack([y, x], -1) + heads.box_offset[:, y, x].T
    corners = np.stack([centre - box_size / 2, centre + box_size / 2], 1)
    # Network outputs are relative to the corner of cell (0, 0), pixel maps to its centre.
    xy_px = cells.inverse(joints[..., ::-1] - 0.5)
    box_px = cells.inverse(corners[..., ::-1] - 0.5).reshape(-1, 4)
    limits = np.array([size[0], size[1], size[0], size[1]]) - 0.5
    box_px = np.clip(box_px, -0.5, limits)
    person_score = person_scores(centre_score, score)
    keep = pose_nms(joints, box_size.max(-1), person_score)
    keep = keep[person_score[keep] >= config.person_threshold]  # weak people must not claim joints below
    score[keep] = np.where(_claimed(joints[keep], fit[keep]), 0.0, score[keep])
    heatmaps = Heatmaps(values=heads.heat, grid=cells) if config.heatmaps else None
    return filter_detections(xy_px[keep], score[keep], box_px[keep], person_score[keep], config, heatmaps)


def _peaks(centre: F32, threshold: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return rows, columns and values of the 3x3 maxima above the threshold, including the border."""
    highest = cv2.dilate(centre, np.ones((3, 3), np.uint8))
    y, x = np.nonzero((centre >= highest) & (centre >= threshold))
    return y, x, centre[y, x]


def _refine_joints(
    heads: MoveNetHeads, coarse: np.ndarray, sigma: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Refine coarse joints to the best heatmap cell close to them.

    Each cell of a window is weighted by a Gaussian of its distance from the coarse joint; the cell of the highest
    weighted value gives the joint through its offset, and its heatmap value is the score. Vectorised over people and
    joints.

    Args:
        heads: Outputs for one image.
        coarse: (P, 17, 2) y, x in cells.
        sigma: (P,) standard deviation of the Gaussian in cells.

    Returns:
        Joints (P, 17, 2) y, x in cells from the corner of cell (0, 0), scores (P, 17), and weighted values (P, 17).
    """
    joints, height, width = heads.heat.shape
    if not len(coarse):
        return np.zeros((0, joints, 2)), np.zeros((0, joints)), np.zeros((0, joints))
    half = int(np.ceil(2.5 * sigma.max()))
    steps = np.arange(-half, half + 1)
    at = np.rint(coarse).astype(int)
    rows, columns = at[..., :1] + steps, at[..., 1:] + steps  # (P, J, S)
    precision = 1 / (2 * sigma[:, None, None] ** 2)
    weight_y = np.exp(-((rows - coarse[..., :1]) ** 2) * precision) * ((rows >= 0) & (rows < height))
    weight_x = np.exp(-((columns - coarse[..., 1:]) ** 2) * precision) * ((columns >= 0) & (columns < width))
    rows, columns = rows.clip(0, height - 1), columns.clip(0, width - 1)
    j = np.arange(joints)[:, None, None]
    heat = heads.heat[j, rows[..., :, None], columns[..., None, :]]  # (P, J, S, S)
    value = (heat * weight_y[..., :, None] * weight_x[..., None, :]).reshape(*coarse.shape[:2], -1)
    best = value.argmax(-1)
    row = np.take_along_axis(rows, (best // len(steps))[..., None], -1)[..., 0]
    column = np.take_along_axis(columns, (best % len(steps))[..., None], -1)[..., 0]
    j = np.arange(joints)
    exact = np.stack([row, column], -1) + heads.offset[j, :, row, column]
    # The coarse joint remains if the window has no peak or lies outside the image.
    fit = value.max(-1)
    refined = fit > _MIN_FIT
    score = np.where(refined, heads.heat[j, row, column], 0.0)
    return np.where(refined[..., None], exact, coarse + 0.5), score, fit


def _claimed(joints: np.ndarray, fit: np.ndarray) -> np.ndarray:
    """Return (P, J) bool: joints at a heatmap peak that fits another person better.

    A peak belongs to one person; a second person at the same peak has picked up a neighbour's limb.
    """
    distance = np.linalg.norm(joints[:, None] - joints[None], axis=-1)
    return np.asarray(((distance < _SAME_PEAK_CELLS) & (fit[None] > fit[:, None])).any(1))
