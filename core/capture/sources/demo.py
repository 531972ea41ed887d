"""Cameras that are not there: a board carried about before a rig that is known exactly, filmed in real time.

They go the way of real cameras, so that live views can be tried and tested without any.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import av
import cv2
import numpy as np

from core.board.pattern import Board
from core.board.sheet import printed, size_mm
from core.capture.source import Shot
from core.errors import CoreError
from core.geometry import project
from core.synthetic.board_scene import board_motion
from core.synthetic.rigs import camera
from core.types.arrays import F64, U8
from core.types.camera import Camera, CameraRig

SCHEME = "demo"
FPS = 10.0
_SIZE_PX = (640, 480)
_GREY = 110
_WIDE_MM = 600.0  # a board for a room of a few metres
_SECONDS = 600.0  # until the board's way begins again
_LEAST_FACING = 0.15
_FINER = 2  # images are draw_board that much larger, so that edges are as soft as a lens makes them


def demo_rig(board: Board, cameras: int = 4) -> CameraRig:
    """Cameras in half a circle, as far away as the board's size asks for."""
    size = size_mm(board)[0] / _WIDE_MM
    angles = np.radians(np.linspace(15, 165, cameras))
    heights = np.where(np.arange(cameras) % 2, 1600, 2000)
    places = [(2300 * np.cos(a), 2300 * np.sin(a), float(h)) for a, h in zip(angles, heights, strict=True)]
    return CameraRig(
        cameras=tuple(
            camera(f"cam{i + 1:02d}", size * np.array(place), (0, 0, 500 * size), size_px=_SIZE_PX, fov_deg=60)
            for i, place in enumerate(places)
        )
    )


class DemoCameras:
    """The board's way, and the clock that all cameras share.

    Args:
        board: Carried about. The room is as large as suits it.
        seed: Of the way.
    """

    def __init__(self, board: Board, seed: int = 4) -> None:
        self.board, self.rig = board, demo_rig(board)
        self._printed, size = printed(board), size_mm(board)[0] / _WIDE_MM
        way = np.random.default_rng(seed)
        self._way = board_motion(self.rig, way, _SECONDS, speed_mm=350 * size, room_mm=450 * size)
        self._start_ns = time.monotonic_ns()

    def open(self, name: str) -> DemoCamera:
        """Starts a camera.

        Raises:
            CoreError: The rig has none of this name.
        """
        if name not in self.rig.names:
            raise CoreError(f"The demo rig has no camera {name}.", f"It has {', '.join(self.rig.names)}.")
        return DemoCamera(self, self.rig[name])

    def image(self, camera: Camera, index: int) -> U8:
        """(H, W) grey image of a camera at a frame."""
        at, R = self._way(np.array([index / FPS % _SECONDS]))
        return draw_board(self._printed, self.board, camera, at[0], R[0])

    def due_ns(self, index: int) -> int:
        """When a frame is."""
        return self._start_ns + round(index * 1e9 / FPS)


class DemoCamera:
    """One camera of the room; see `core.capture.source.Source`."""

    template: av.VideoStream | None = None
    fps = FPS

    def __init__(self, room: DemoCameras, camera: Camera) -> None:
        self._room, self._camera = room, camera
        self.size_px = camera.size_px

    def shots(self) -> Iterator[Shot]:
        """Images in real time; one that comes too late is dropped."""
        index = 0
        while True:
            late_ns = time.monotonic_ns() - self._room.due_ns(index)
            if late_ns > 2e9 / FPS:
                index += int(late_ns * FPS / 1e9)
                continue
            time.sleep(max(0.0, -late_ns / 1e9))
            grey = self._room.image(self._camera, index)
            frame = av.VideoFrame.from_ndarray(np.repeat(grey[..., None], 3, 2), format="rgb24")
            yield Shot(time_ns=self._room.due_ns(index), frame=frame)
            index += 1

    def close(self) -> None:
        """Nothing to let go of."""


def draw_board(print_of: U8, board: Board, camera: Camera, at_mm: F64, R: F64) -> U8:
    """(H, W) grey image of a board in space, seen by a camera without distortion.

    Args:
        print_of: From `core.board.sheet.printed`.
        board: The board.
        camera: Posed.
        at_mm: (3,) middle of its points.
        R: (3, 3) board to world.
    """
    wide, high = size_mm(board)
    margin = board.square_mm / 2
    corners = np.array(
        [[-margin, -margin], [wide + margin, -margin], [wide + margin, high + margin], [-margin, high + margin]]
    )
    local = np.concatenate([corners, np.zeros((4, 1))], 1) - board.points_mm[: board.points_per_side].mean(0)
    xy = project(camera, at_mm + local @ R.T)
    width, height = camera.size_px
    view = camera.centre_mm - at_mm
    if not np.isfinite(xy).all() or view @ R[:, 2] > -_LEAST_FACING * np.linalg.norm(view):
        return np.full((height, width), _GREY, np.uint8)
    rows, columns = print_of.shape
    source = np.array([[0, 0], [columns, 0], [columns, rows], [0, rows]], np.float32) - np.float32(0.5)
    to_image = cv2.getPerspectiveTransform(source, xy.astype(np.float32))
    shift = (_FINER - 1) / 2
    larger = np.array([[_FINER, 0, shift], [0, _FINER, shift], [0, 0, 1.0]]) @ to_image
    big = cv2.warpPerspective(
        print_of, larger, (_FINER * width, _FINER * height), flags=cv2.INTER_AREA, borderValue=(_GREY,)
    )
    return np.asarray(cv2.resize(big, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
