"""Calibration board: its trajectory through the recording, and its points at the current frame."""

from __future__ import annotations

import functools

import numpy as np

from core.types.arrays import F64
from studio.viewport.layers.skeletons import SkeletonLayer, skeleton_visual
from studio.viewport.layers.spec import DisplayOption, LayerSpec, SceneFrame
from studio.viewport.layers.trails import TrailLayer, trail_visual
from studio.viewport.palette import Palette
from studio.viewport.primitives import box_corners
from studio.viewport.scene_data import BoardTrack, SceneData

SHOW_BOARD = DisplayOption(name="board", label="Board", icon="calibrate")

_POINT_SIZE = 0.35  # relative to a normal joint
_COLOUR = 0  # column in the colours of people
_STRAY_PERCENT = 2


def build_trajectory(data: SceneData, frame: SceneFrame) -> TrailLayer | None:
    """Build the trajectory of the board over the whole recording."""
    return _trajectory(data.board, frame.palette) if data.board is not None else None


@functools.lru_cache(maxsize=4)
def _trajectory(board: BoardTrack, palette: Palette) -> TrailLayer:
    return TrailLayer(xyz_mm=board.centre_mm[None], colour=palette.person(_COLOUR)[None])


def build_board(data: SceneData, frame: SceneFrame) -> SkeletonLayer | None:
    """Build the points of the board at the current frame."""
    board, index = data.board, frame.board_frame
    if board is None or index is None or index >= len(board.points_mm) or np.isnan(board.centre_mm[index]).any():
        return None
    points = board.points_mm[index]
    return SkeletonLayer(
        xyz_mm=points[None],
        score=np.isfinite(points).all(-1).astype(float)[None],
        bones=np.zeros((0, 2), np.int64),
        size=np.full(len(points), _POINT_SIZE, np.float32),
        colour=frame.palette.person(_COLOUR)[None],
    )


@functools.lru_cache(maxsize=4)
def _extent(layer: TrailLayer) -> F64:
    """Return the corners (8, 3) of a box around the trajectory, by percentiles so that outliers do not enlarge it."""
    points = layer.xyz_mm[0][np.isfinite(layer.xyz_mm[0]).all(1)]
    if not len(points):
        return np.zeros((0, 3))
    return box_corners(*np.percentile(points, (_STRAY_PERCENT, 100 - _STRAY_PERCENT), axis=0))


def _available(data: SceneData) -> bool:
    return data.board is not None


TRAJECTORY = LayerSpec(
    name="board trajectory",
    layer=TrailLayer,
    build=build_trajectory,
    visual=trail_visual,
    option=SHOW_BOARD,
    available=_available,
    extent=_extent,
)
BOARD = LayerSpec(
    name="board",
    layer=SkeletonLayer,
    build=build_board,
    visual=skeleton_visual,
    option=SHOW_BOARD,
    available=_available,
)
