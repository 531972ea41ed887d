"""Video files of a printed board as filmed by a known rig."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np

from core.board.pattern import Board
from core.board.sheet import render_board
from core.capture.sources.demo import draw_board
from core.synthetic.board_scene import board_motion
from core.synthetic.rigs import camera
from core.types.arrays import U8
from core.types.camera import CameraRig

BOARD = Board(columns=5, rows=4, square_mm=120, marker_mm=90, dictionary="DICT_4X4_50", back="none")
SIZE = (640, 480)


def small_rig() -> CameraRig:
    """Return a rig of three cameras around a small volume."""
    angles = np.radians((20, 65, 110))
    positions = [(2300 * np.cos(a), 2300 * np.sin(a), h) for a, h in zip(angles, (1900, 1600, 2100), strict=True)]
    cameras = [camera(f"cam{i + 1}", p, (0, 0, 500), size_px=SIZE, fov_deg=60) for i, p in enumerate(positions)]
    return CameraRig(cameras=tuple(cameras))


def film(
    rig: CameraRig,
    folder: Path,
    *,
    board: Board = BOARD,
    seconds: float = 12.0,
    fps: int = 10,
    time_offset_s: Sequence[float] = (),
    static: bool = False,
    mirrored: Sequence[str] = (),
) -> list[Path]:
    """Write one video per camera; the board is moved around, or lies on the floor if `static`.

    Args:
        rig: Cameras.
        folder: Folder of the videos.
        board: Board.
        seconds: Length of the videos.
        fps: Frames per second.
        time_offset_s: Time offset of each camera.
        static: Whether the board lies on the floor.
        mirrored: Cameras whose videos are mirrored.
    """
    folder.mkdir(parents=True, exist_ok=True)
    sheet = render_board(board)
    motion = board_motion(rig, np.random.default_rng(4), seconds, speed_mm=350, room_mm=450)
    times = np.arange(int(seconds * fps)) / fps
    paths = []
    for v, each in enumerate(rig):
        offset_s = time_offset_s[v] if len(time_offset_s) else 0.0
        at, R = motion(times - offset_s)
        if static:  # face up, its x axis along the world's
            at, R = np.tile((0.0, 0.0, 0.0), (len(times), 1)), np.tile(np.diag([1.0, -1, -1]), (len(times), 1, 1))
        path = folder / f"{each.name}.mp4"
        turn = -1 if each.name in mirrored else 1
        images = [
            np.ascontiguousarray(draw_board(sheet, board, each, a, r)[:, ::turn]) for a, r in zip(at, R, strict=True)
        ]
        _write(path, images, fps)
        paths.append(path)
    return paths


def _write(path: Path, images: list[U8], fps: int) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options={"crf": "12", "preset": "ultrafast"})
        stream.width, stream.height = SIZE
        stream.pix_fmt = "yuv420p"
        for image in images:
            frame = av.VideoFrame.from_ndarray(np.repeat(image[..., None], 3, 2), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
