"""Recognition of the board in a few images of a take, and comparison with the settings."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from core.board.detect import LEAST_POINTS, BoardDetector
from core.board.pattern import Board, dictionary
from core.board.recognize import RecognizedBoard, recognize_board
from core.calibration.checks import Finding
from core.errors import CoreError
from core.progress import Reporter, check
from core.session import Take
from core.session.footage.images import CameraImages, DamagedImages
from core.types.arrays import I64, U8

_IMAGES, _LEAST_PER_CAMERA = 24, 3  # images of all cameras, and of each camera, in the first pass
_COMPARED = 8  # images with a board in which the given one is searched as well
_MORE = 3  # factor on the number of images if none of them shows a complete board
_WORSE = 0.7  # fraction of the recognised board's points that correct settings find
_PLANE_ERROR = 0.15  # of a square, distance from a common plane at which a point is wrong
_MARKER_ERROR = 0.05  # relative difference from the measured side of a marker (as in `report`)
_MIRRORED_IMAGES = 3  # with only mirrored markers, for a camera to count as mirrored


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedBoard:
    """Board to detect in a take.

    Attributes:
        board: The board.
        recognized: True if it was recognised in the images; otherwise, it is the given one.
        mirrored: Cameras that show it only mirrored.
    """

    board: Board
    recognized: bool
    mirrored: tuple[str, ...] = ()


class WrongBoardError(CoreError):
    """A take shows another board than the given one.

    Args:
        message: Sentence on the failure.
        hint: Sentence on the remedy.
        board: Board in the take.
    """

    def __init__(self, message: str, hint: str, board: Board) -> None:
        super().__init__(message, hint)
        self.board = board


def check_board(take: Take, given: Board, reporter: Reporter) -> CheckedBoard:
    """Recognise the board in a few images of a take and compare it with the given one.

    Args:
        take: Take of a board.
        given: Board to check; the kind "auto" uses the recognised one.
        reporter: Receives notes, and reports cancellation.

    Raises:
        WrongBoardError: The take shows another board.
        CoreError: The board is neither given nor recognised, its size is unknown, all videos are mirrored (unless the
            board has a back), or a video cannot be read.
        CancelledError: The reporter asked to stop.
    """
    per_camera = max(_LEAST_PER_CAMERA, _IMAGES // max(len(take.cameras), 1))
    for count in (per_camera, _MORE * per_camera) if given.kind == "auto" else (per_camera,):
        camera, images = _sample(take, count, reporter)
        found = recognize_board(images, given.square_mm or 1.0)
        check(reporter)
        if found is not None:
            break
    if found is None:
        if given.kind != "auto":
            return CheckedBoard(board=given, recognized=False)
        raise CoreError(
            f"No board was recognised in {len(images)} images of take {take.name}.",
            "Give its settings (kind, columns, rows, dictionary) and sizes, or show all of it, flat and in focus.",
        )
    mirrored = _mirrored(take, camera, found)
    if given.kind == "auto":
        board = _sized(take, given, found.board)
        seen = len(set(found.images) | set(found.mirrored))
        reporter.note(f"Recognised in {seen} of {len(images)} images: {board.title}.")
    else:
        board = given
        shown = [images[i] for i in sorted({*found.images, *found.mirrored})]
        shown = [shown[i] for i in np.unique(np.linspace(0, len(shown) - 1, _COMPARED).astype(int))]
        _compare(take, given, _right(given, found.board), shown, reporter)
    if mirrored and not board.two_sided and len(mirrored) == len(take.cameras):
        raise CoreError(
            f"All videos of take {take.name} are mirrored: they show the board as in a mirror.", MIRRORED_REMEDY
        )
    return CheckedBoard(board=board, recognized=board is not given, mirrored=mirrored)


MIRRORED_REMEDY = (
    "Switch mirroring off in the program that records, and record the people again, too, or turn the videos back"
    " (ffmpeg -i VIDEO -vf hflip NEW)."
)
"""Remedy for mirrored videos."""


def mirrored_findings(checked: CheckedBoard) -> list[Finding]:
    """Return findings for mirrored cameras, unless the board has a back."""
    if checked.board.two_sided:
        return []  # the calibration decides
    return [
        Finding(
            check="mirrored",
            level="error",
            message=f"The video of {name} is mirrored: it shows the board only as in a mirror.",
            remedy=MIRRORED_REMEDY,
            camera=name,
        )
        for name in checked.mirrored
    ]


def _sample(take: Take, count: int, reporter: Reporter) -> tuple[list[str], list[U8]]:
    """Return evenly spaced images of each camera with the names of their cameras."""
    timeline = take.timeline()
    frames: list[I64] = []
    for v in range(len(take.cameras)):
        own = np.flatnonzero(timeline.frame_index[:, v] >= 0)
        # Different times in each camera, to sample more poses.
        where = (np.arange(count) + (v + 0.5) / len(take.cameras)) / count * len(own)
        frames.append(timeline.frame_index[own[np.unique(where.astype(int))], v] if len(own) else own)

    def read(v: int) -> list[U8]:
        with CameraImages(take, take.cameras[v], DamagedImages()) as video:  # the search in all images names those
            images = [video.read_gray(i) for i in _until_cancelled(frames[v], reporter)]
        return [image for image in images if image is not None]

    with ThreadPoolExecutor(max(1, os.cpu_count() or 1)) as pool:
        by_camera = list(pool.map(read, range(len(take.cameras))))
    names = [name for name, images in zip(take.cameras, by_camera, strict=True) for _ in images]
    return names, [image for images in by_camera for image in images]


def _until_cancelled(frames: I64, reporter: Reporter) -> Iterator[int]:
    for i in frames:
        check(reporter)
        yield int(i)


def _mirrored(take: Take, camera: Sequence[str], found: RecognizedBoard) -> tuple[str, ...]:
    front, back = (
        {c: sum(camera[i] == c for i in side) for c in take.cameras} for side in (found.images, found.mirrored)
    )
    return tuple(c for c in take.cameras if back[c] >= _MIRRORED_IMAGES and not front[c])


def _sized(take: Take, given: Board, found: Board) -> Board:
    """Return the recognised board with the given sizes."""
    if not given.square_mm:
        size = "the distance between neighbouring markers" if found.is_grid else "the side of its squares"
        raise CoreError(
            f"Take {take.name} shows a board ({found.pattern_title}), but {size} is not given.",
            "Measure it on the print in mm and give it as square_mm of the board.",
        )
    marker_mm = round(found.marker_mm * given.square_mm / found.square_mm, 1)
    return dataclasses.replace(found, marker_mm=given.marker_mm or marker_mm, thickness_mm=given.thickness_mm)


def _right(given: Board, found: Board) -> Board:
    """Return the recognised board with the given sizes and equivalent names."""
    changes: dict[str, object] = {"square_mm": given.square_mm}
    marker_mm = found.marker_mm * given.square_mm / found.square_mm
    if found.kind == "chessboard":
        marker_mm = given.marker_mm
        if given.columns < given.rows:
            changes |= {"columns": found.rows, "rows": found.columns}
    elif found.kind == given.kind and abs(marker_mm / given.marker_mm - 1) < _MARKER_ERROR:
        marker_mm = given.marker_mm
    changes["marker_mm"] = round(marker_mm, 1)
    if found.kind != "chessboard" and _begins_alike(given.dictionary, found):
        changes["dictionary"] = given.dictionary
    if {found.kind, given.kind} <= {"charuco", "markers"}:
        changes |= {"back": given.back, "thickness_mm": given.thickness_mm}
    try:
        return dataclasses.replace(found, **changes)  # type: ignore[arg-type]
    except CoreError:
        return found


def _begins_alike(name: str, board: Board) -> bool:
    """Return whether a dictionary contains the markers of a board with the same numbers."""
    count = board.first_id + board.n_markers
    one, other = (dictionary(n) for n in (name, board.dictionary))
    if one.markerSize != other.markerSize or len(one.bytesList) < count:
        return False
    return bool((one.bytesList[:count] == other.bytesList[:count]).all())


def _compare(take: Take, given: Board, right: Board, images: Sequence[U8], reporter: Reporter) -> None:
    """Raise WrongBoardError if the recognised board is found clearly better than the given one."""
    names = _differences(given, right)
    if not names:
        return
    points, possible = (_points(board, images) for board in (given, right))
    if points >= possible:
        return
    text = f"Take {take.name} shows another board than that of the settings, {right.pattern_title}:"
    text += f" {_explained(given, right, names)}"
    if points >= _WORSE * possible:
        reporter.note(f"{text} Only {100 * points / possible:.0f} % of its points are found.", "warning")
        return
    settings = ", ".join(f"{name}={_text(getattr(right, name))}" for name in names)
    hint = f"Set {settings} for the board, or kind=auto, which recognises everything but the size."
    raise WrongBoardError(text, hint, right)


def _differences(given: Board, right: Board) -> list[str]:
    """Return the names of different settings, except for sizes and the back."""
    names = ["kind", "columns", "rows"]
    if right.kind != "chessboard":
        names += ["dictionary", "first_id", "inverted"]
    if right.kind == "charuco" and right.rows % 2 == 0:
        names.append("legacy")
    return [name for name in names if getattr(given, name) != getattr(right, name)]


def _explained(given: Board, right: Board, names: Sequence[str]) -> str:
    described = ", ".join(
        f"{name} is {_text(getattr(right, name))}, not {_text(getattr(given, name))}" for name in names
    )
    text = described + "."
    if "first_id" in names and right.kind != "chessboard":
        shown, expected = (f"{b.first_id} to {b.first_id + b.n_markers - 1}" for b in (right, given))
        text += f" It shows the markers {shown} of {right.dictionary}; the settings expect {expected}."
    if right.kind == given.kind == "chessboard" and (given.columns + 1, given.rows + 1) == (right.columns, right.rows):
        text += " Columns and rows count squares, not the corners between them."
    return text


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _points(board: Board, images: Sequence[U8]) -> int:
    """Return the number of detected points that are consistent with a plane board."""
    import cv2

    detector, count = BoardDetector(board), 0
    for image in images:
        point, xy_px = detector.find(image)
        if len(point) < LEAST_POINTS:
            continue
        flat = board.points_mm[point][:, :2]
        to_board, _ = cv2.findHomography(xy_px, flat, cv2.RANSAC, _PLANE_ERROR * board.square_mm)
        if to_board is not None:
            error = np.linalg.norm(cv2.perspectiveTransform(xy_px[:, None], to_board)[:, 0] - flat, axis=-1)
            count += int((error < _PLANE_ERROR * board.square_mm).sum())
    return count
