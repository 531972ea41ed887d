"""MoveNet MultiPose: a one-stage network with CenterNet-like heads, decoded here from the heads.

Published by Google (Apache-2.0) as a graph that ends in a decoder for six people in a square. Taken from the heads, any
number of people is found in an image of any proportions, and the joint heatmaps are there for training. The idea of
the decode is that of the published description (Votel and Li, "Next-Generation Pose Detection with MoveNet and
TensorFlow.js", 2021): find people at peaks of the centre map, regress coarse joints from each centre, then move every
joint to the peak of its heatmap that is near the coarse one.
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
_SIDE = 32  # the network halves five times
_HEADS = ("center", "box_scale", "box_offset", "kpt_heat", "kpt_reg", "kpt_off")
# The network places everything a quarter of its pixels too far left and up: mirrored images disagree by twice that,
# at every input size, and so do pairs of input sizes.
_BIAS_PX = 0.25
# Cell i covers network pixels 4 i .. 4 i + 3: its centre would lie at pixel 4 i + 1.5.
_CELLS = PixelMap((1 / STRIDE, 1 / STRIDE), (-(1.5 + _BIAS_PX) / STRIDE, -(1.5 + _BIAS_PX) / STRIDE))
# Standard deviation of the prior around a coarse joint: a share of the person's longer side, within limits in cells.
# A wider one fetches the limbs of a neighbour, a narrower one misses raised hands.
_REACH = 0.06
_REACH_CELLS = (1.0, 6.0)
_LEAST_FIT = 1e-4
_SAME_PEAK_CELLS = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class MoveNetHeads:
    """The network's outputs for one image, on a grid of cells of 4x4 network pixels; y comes before x.

    Attributes:
        centre: (h, w) likelihood of a person's centre.
        box_size: (2, h, w) height and width of the person at this cell, in cells.
        box_offset: (2, h, w) box centre relative to the cell's corner, in cells.
        heat: (17, h, w) likelihood of each joint.
        coarse: (17, 2, h, w) joints of the person centred here, relative to the cell, in cells.
        offset: (17, 2, h, w) exact joint relative to the corner of the cell it lies in, in cells.
    """

    centre: F32
    box_size: F32
    box_offset: F32
    heat: F32
    coarse: F32
    offset: F32

    @classmethod
    def of(cls, outputs: Sequence[np.ndarray], index: int) -> MoveNetHeads:
        """The heads of image `index` of a batch, from outputs in the order of `_HEADS`."""
        centre, box_size, box_offset, heat, coarse, offset = (o[index] for o in outputs)
        paired = (len(COCO17), 2, *centre.shape[-2:])
        return cls(centre[0], box_size, box_offset, heat, coarse.reshape(paired), offset.reshape(paired))


class MoveNet:
    """Runner of `movenet_multipose`.

    Args:
        name: Name of the model card.
        files: "pose": the ONNX file.
        config: Settings.
        threads: CPU threads of one run; 0 takes all.
    """

    def __init__(self, name: str, files: Mapping[str, Path], config: Pose2DConfig, threads: int = 0) -> None:
        self.name = name
        self.skeleton = COCO17
        self._config = config
        self._network = OnnxModel(files["pose"], ["input"], _HEADS, provider=config.provider, threads=threads)
        self.provider = self._network.provider
        self.batch = 1 if self.provider.is_cpu else 8

    def estimate(self, images: Sequence[U8]) -> list[Detections]:
        """People in each image; images of one size run as one batch."""
        found: list[Detections | None] = [None] * len(images)
        by_size: dict[tuple[int, int], list[int]] = {}
        for i, image in enumerate(images):
            by_size.setdefault((image.shape[1], image.shape[0]), []).append(i)
        for size, members in by_size.items():
            frame = network_input_size(size, self._config.long_side_px)
            framed = [letterbox(images[i], frame) for i in members]
            outputs = self._network(images_to_blob([pixels for pixels, _ in framed]))
            for k, i in enumerate(members):
                found[i] = decode_heads(MoveNetHeads.of(outputs, k), framed[k][1], size, self._config)
        return [d for d in found if d is not None]


def network_input_size(size: tuple[int, int], long_side_px: int) -> tuple[int, int]:
    """Width and height of the network's input for an image of this size: sides are multiples of 32."""
    scale = long_side_px / max(size)
    width, height = (max(_SIDE, -(-round(s * scale) // _SIDE) * _SIDE) for s in size)
    return width, height


def decode_heads(heads: MoveNetHeads, frame: PixelMap, size: tuple[int, int], config: Pose2DConfig) -> Detections:
    """People from the heads.

    Args:
        heads: Outputs for one image.
        frame: Map from the image's pixels to network pixels.
        size: Width and height of the image.
        config: Thresholds.
    """
    cells = frame.then(_CELLS)
    # The person's score is a geometric mean of two, neither of which exceeds 1: a centre below this cannot reach it.
    y, x, centre_score = _peaks(heads.centre, config.person_threshold**2)
    box_size = np.maximum(heads.box_size[:, y, x].T, 1.0)
    reach = np.clip(_REACH * box_size.max(-1), *_REACH_CELLS)
    coarse = heads.coarse[:, :, y, x].transpose(2, 0, 1) + np.stack([y, x], -1)[:, None]
    joints, score, fit = _refined(heads, coarse, reach)
    middle = np.stack([y, x], -1) + heads.box_offset[:, y, x].T
    corners = np.stack([middle - box_size / 2, middle + box_size / 2], 1)
    # Network outputs count from the corner of cell (0, 0); pixel maps from its centre.
    xy_px = cells.back(joints[..., ::-1] - 0.5)
    box_px = cells.back(corners[..., ::-1] - 0.5).reshape(-1, 4)
    limits = np.array([size[0], size[1], size[0], size[1]]) - 0.5
    box_px = np.clip(box_px, -0.5, limits)
    person_score = person_scores(centre_score, score)
    keep = pose_nms(joints, box_size.max(-1), person_score)
    keep = keep[person_score[keep] >= config.person_threshold]  # before joints are shared out: ghosts get none
    score[keep] = np.where(_lost(joints[keep], fit[keep]), 0.0, score[keep])
    heatmaps = Heatmaps(values=heads.heat, grid=cells) if config.heatmaps else None
    return filter_detections(xy_px[keep], score[keep], box_px[keep], person_score[keep], config, heatmaps)


def _peaks(centre: F32, threshold: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows, columns and values of the 3x3 maxima above the threshold; the border is as good a place as any."""
    highest = cv2.dilate(centre, np.ones((3, 3), np.uint8))
    y, x = np.nonzero((centre >= highest) & (centre >= threshold))
    return y, x, centre[y, x]


def _refined(heads: MoveNetHeads, coarse: np.ndarray, reach: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Moves coarse joints to the best heatmap cell near them.

    Each cell of a window is valued by its heat times a Gaussian of its distance from the coarse joint; the best one
    gives the joint through its offset, and its heat is the score. All people and joints go at once.

    Args:
        heads: Outputs for one image.
        coarse: (P, 17, 2) y, x in cells.
        reach: (P,) standard deviation of the Gaussian, cells.

    Returns:
        Joints (P, 17, 2) y, x in cells from the corner of cell (0, 0), scores (P, 17), and the values (P, 17) that
        decided.
    """
    joints, height, width = heads.heat.shape
    if not len(coarse):
        return np.zeros((0, joints, 2)), np.zeros((0, joints)), np.zeros((0, joints))
    half = int(np.ceil(2.5 * reach.max()))
    steps = np.arange(-half, half + 1)
    at = np.rint(coarse).astype(int)
    rows, columns = at[..., :1] + steps, at[..., 1:] + steps  # (P, J, S)
    sharp = 1 / (2 * reach[:, None, None] ** 2)
    weight_y = np.exp(-((rows - coarse[..., :1]) ** 2) * sharp) * ((rows >= 0) & (rows < height))
    weight_x = np.exp(-((columns - coarse[..., 1:]) ** 2) * sharp) * ((columns >= 0) & (columns < width))
    rows, columns = rows.clip(0, height - 1), columns.clip(0, width - 1)
    j = np.arange(joints)[:, None, None]
    heat = heads.heat[j, rows[..., :, None], columns[..., None, :]]  # (P, J, S, S)
    value = (heat * weight_y[..., :, None] * weight_x[..., None, :]).reshape(*coarse.shape[:2], -1)
    best = value.argmax(-1)
    row = np.take_along_axis(rows, (best // len(steps))[..., None], -1)[..., 0]
    column = np.take_along_axis(columns, (best % len(steps))[..., None], -1)[..., 0]
    j = np.arange(joints)
    exact = np.stack([row, column], -1) + heads.offset[j, :, row, column]
    # Where the window shows nothing of the joint, or lies outside, the coarse joint is all there is.
    fit = value.max(-1)
    seen = fit > _LEAST_FIT
    score = np.where(seen, heads.heat[j, row, column], 0.0)
    return np.where(seen[..., None], exact, coarse + 0.5), score, fit


def _lost(joints: np.ndarray, fit: np.ndarray) -> np.ndarray:
    """(P, J) bool: joints that lie on another person's and fit that person better.

    A peak of a heatmap is one joint of one person; who else claims it has borrowed a limb.
    """
    apart = np.linalg.norm(joints[:, None] - joints[None], axis=-1)
    return np.asarray(((apart < _SAME_PEAK_CELLS) & (fit[None] > fit[:, None])).any(1))
